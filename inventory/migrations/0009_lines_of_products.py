from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The lines of a product in all stores. Made while the ledger is written to; what failed half-way is begun anew."""

    atomic = False

    dependencies = [("inventory", "0008_sources")]

    operations = [
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS movement_product", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="movement",
            index=models.Index(fields=["product", "id"], name="movement_product"),
        ),
    ]
