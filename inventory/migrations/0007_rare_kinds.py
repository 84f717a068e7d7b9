from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

NAMES = (
    "document_kind",
    "document_store_kind",
    "document_void",
    "document_user",
    "movement_kind",
    "movement_store_kind",
)


class Migration(migrations.Migration):
    """Lists of what is rare beside the sales. Made while the ledger is written to; what failed half-way is begun anew."""

    atomic = False

    dependencies = [
        ("catalog", "0004_changes"),
        ("inventory", "0006_rules_in_triggers"),
        ("stores", "0004_deliveries"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(
            migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", migrations.RunSQL.noop)
            for name in NAMES
        ),
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(
                condition=models.Q(("kind", "sale"), _negated=True),
                fields=["kind", "id"],
                name="document_kind",
            ),
        ),
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(
                condition=models.Q(("kind", "sale"), _negated=True),
                fields=["store", "kind", "id"],
                name="document_store_kind",
            ),
        ),
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(
                condition=models.Q(("reverses__isnull", False)), fields=["id"], name="document_void"
            ),
        ),
        AddIndexConcurrently(
            model_name="document",
            index=models.Index(
                condition=models.Q(("user__isnull", False)), fields=["user", "id"], name="document_user"
            ),
        ),
        AddIndexConcurrently(
            model_name="movement",
            index=models.Index(
                condition=models.Q(("kind", "sale"), _negated=True),
                fields=["kind", "id"],
                name="movement_kind",
            ),
        ),
        AddIndexConcurrently(
            model_name="movement",
            index=models.Index(
                condition=models.Q(("kind", "sale"), _negated=True),
                fields=["store", "kind", "id"],
                name="movement_store_kind",
            ),
        ),
    ]
