from django.db import migrations


class Migration(migrations.Migration):
    """The table of kiryana/cache.py. It is no model: nothing but the cache reads or writes it.

    UNLOGGED: a crash of the server empties it, as a cache may be. The fill factor leaves room for the counters to be
    updated in place, which needs `number` and `value` to be in no index.
    """

    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE kiryana_cache (
                key text COLLATE "C" PRIMARY KEY,
                number bigint,
                value bytea,
                expires timestamptz,
                CONSTRAINT kiryana_cache_number_or_value CHECK ((number IS NULL) <> (value IS NULL))
            ) WITH (fillfactor = 50);
            CREATE INDEX kiryana_cache_expires ON kiryana_cache (expires);
            """,
            "DROP TABLE kiryana_cache;",
        )
    ]
