from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"
# What the triggers of posting.sql hold from here on, under the same names.
DOCUMENT = (
    "document_has_lines", "document_kind_known", "document_one_actor", "document_only_returns_return",
    "document_reference_not_empty", "document_total_not_negative",
)  # fmt: skip
MOVEMENT = (
    "movement_entered_is_positive", "movement_only_returns_return", "movement_only_sales_oversell", "movement_priced_when_sold",
    "movement_seq_from_one", "movement_sign_fits_kind",
)  # fmt: skip
LEVEL = ("level_below_zero_only_flagged",)
# And what no model declares: the sign of Django's positive integers, links within a store, and two keys to rows that all
# sales of a store and of a partner would lock.
BESIDE = {
    "document": (
        *DOCUMENT, "inventory_document_line_count_check", "document_returns_own_store", "document_reverses_own_store",
        "inventory_document_store_id_1902ccb9_fk_stores_store_id", "inventory_document_api_key_id_73c5a4c5_fk_stores_apikey_id",
    ),
    "movement": (
        *MOVEMENT, "inventory_movement_line_no_check", "movement_document_own_store", "movement_returns_own_store",
        "movement_reverses_own_store",
    ),
    "stocklevel": LEVEL,
}  # fmt: skip


def without(table: str, names: tuple[str, ...]) -> migrations.RunSQL:
    """Takes constraints away in one statement; none of them is asked of the rows again."""
    dropped = ", ".join(f"DROP CONSTRAINT IF EXISTS {name}" for name in names)
    return migrations.RunSQL(f"ALTER TABLE inventory_{table} {dropped}", migrations.RunSQL.noop)


class Migration(migrations.Migration):
    """Rules of the ledger as triggers: a CHECK is parsed and planned anew by every statement that writes.

    The triggers stand before the constraints fall, in one transaction, so that no moment is without a rule.
    """

    dependencies = [("inventory", "0005_kinds"), ("stores", "0005_lasting")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        # A foreign key that still waits for the end of its transaction keeps its table from being altered.
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE;", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "posting.sql").read_text(), migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[without(table, names) for table, names in BESIDE.items()],
            state_operations=[
                *(migrations.RemoveConstraint("document", name) for name in DOCUMENT),
                *(migrations.RemoveConstraint("movement", name) for name in MOVEMENT),
                *(migrations.RemoveConstraint("stocklevel", name) for name in LEVEL),
                migrations.AlterField("document", "line_count", models.IntegerField(verbose_name="lines")),
                migrations.AlterField("movement", "line_no", models.IntegerField(verbose_name="line")),
                migrations.AlterField(
                    "document",
                    "store",
                    models.ForeignKey(
                        db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents", to="stores.store", verbose_name="store",
                    ),
                ),
                migrations.AlterField(
                    "document",
                    "api_key",
                    models.ForeignKey(
                        blank=True, db_constraint=False, db_index=False, null=True,
                        on_delete=django.db.models.deletion.PROTECT, related_name="documents", to="stores.apikey",
                        verbose_name="API key",
                    ),
                ),
            ],
        ),
    ]  # fmt: skip
