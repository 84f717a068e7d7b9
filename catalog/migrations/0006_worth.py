from django.db import migrations


class Migration(migrations.Migration):
    """One more of the number types that keep NaN out (sql/domains.sql): for what the levels of a whole chain are worth."""

    dependencies = [("catalog", "0005_store_price_key")]
    operations = [
        migrations.RunSQL(
            "CREATE DOMAIN kiryana_worth AS numeric(24, 2) CONSTRAINT worth_is_number CHECK (VALUE < 'NaN')",
            migrations.RunSQL.noop,
        ),
    ]
