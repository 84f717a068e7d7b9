from django.db import migrations, models

# Indexes are made while prices are read and written; one that was not finished stays behind broken, and is made anew. The
# exchange of the key waits for its lock 5 seconds at most and holds it for an instant.
STATEMENTS = [
    "DROP INDEX CONCURRENTLY IF EXISTS store_price_id",
    "CREATE INDEX CONCURRENTLY store_price_id ON catalog_storeprice (id)",
    "DROP INDEX CONCURRENTLY IF EXISTS store_price_key",
    "CREATE UNIQUE INDEX CONCURRENTLY store_price_key ON catalog_storeprice (store_id, id)",
    "SET lock_timeout = '5s'",
    """
    ALTER TABLE catalog_storeprice DROP CONSTRAINT catalog_storeprice_pkey,
      ADD CONSTRAINT catalog_storeprice_pkey PRIMARY KEY USING INDEX store_price_key
    """,
    "RESET lock_timeout",
]


class Migration(migrations.Migration):
    """The key of store prices leads with the store, as that of all that belongs to one.

    Each statement is a transaction of its own: what failed half-way is done again from the beginning.
    """

    atomic = False
    dependencies = [("catalog", "0004_changes")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(one, migrations.RunSQL.noop) for one in STATEMENTS],
            state_operations=[
                migrations.AddIndex("storeprice", models.Index(fields=["id"], name="store_price_id")),
            ],
        )
    ]
