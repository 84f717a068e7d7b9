from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Documents of a source. Made while the ledger is written to; what failed half-way is begun anew."""

    atomic = False

    dependencies = [("inventory", "0007_rare_kinds")]

    operations = [
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS document_source", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(
                condition=models.Q(("source", "api"), _negated=True),
                fields=["source", "id"],
                name="document_source",
            ),
        ),
    ]
