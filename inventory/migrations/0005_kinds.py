from django.db import migrations, models
from django.db.models import Q

KINDS = "'opening', 'receipt', 'sale', 'sale_return', 'adjustment', 'wastage', 'own_use', 'supplier_return'"
IN, OUT = "'opening', 'receipt', 'sale_return'", "'sale', 'wastage', 'own_use', 'supplier_return'"
USES = "'adjustment', 'wastage', 'own_use', 'supplier_return', 'reversal'"
SIGN = f"""kind IN ({IN}) AND reverses_id IS NULL AND quantity > 0
    OR kind IN ({IN}) AND reverses_id IS NOT NULL AND quantity < 0
    OR kind IN ({OUT}) AND reverses_id IS NULL AND quantity < 0
    OR kind IN ({OUT}) AND reverses_id IS NOT NULL AND quantity > 0
    OR kind = 'adjustment' AND quantity <> 0"""
CHOICES = [
    ("opening", "Opening stock"),
    ("receipt", "Stock in"),
    ("sale", "Sale"),
    ("sale_return", "Customer return"),
    ("adjustment", "Adjustment"),
    ("wastage", "Wastage"),
    ("own_use", "Own use"),
    ("supplier_return", "Returned to supplier"),
]
USE_CHOICES = [
    ("adjustment", "Adjustment"),
    ("wastage", "Wastage"),
    ("own_use", "Own use"),
    ("supplier_return", "Returned to supplier"),
    ("reversal", "Reversal"),
]


def widened(table: str, name: str, rule: str) -> list[migrations.RunSQL]:
    """Puts a wider rule in the place of a narrower one while the table is written to.

    The exchange is one statement, so that no moment is without a rule; it waits for its lock 5 seconds at most and holds it
    for an instant, because the rows are read only afterwards, under a lock that lets everybody write. Each statement is a
    transaction of its own: what failed half-way is done again from the beginning.
    """
    return [
        migrations.RunSQL("SET lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL(
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", migrations.RunSQL.noop),
        migrations.RunSQL("RESET lock_timeout", migrations.RunSQL.noop),
    ]


class Migration(migrations.Migration):
    """Goods that the shop took for itself, and goods that went back to the supplier."""

    atomic = False
    dependencies = [("inventory", "0004_changes")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL("SET lock_timeout = '5s'", migrations.RunSQL.noop),
                # Longer words fit without the rows being read or written again.
                migrations.RunSQL(
                    "ALTER TABLE inventory_reason ALTER COLUMN use TYPE varchar(16)", migrations.RunSQL.noop
                ),
                *widened("inventory_reason", "reason_use_known", f"use IN ({USES})"),
                *widened("inventory_document", "document_kind_known", f"kind IN ({KINDS})"),
                *widened("inventory_movement", "movement_sign_fits_kind", SIGN),
            ],
            state_operations=[
                migrations.AlterField(
                    "document", "kind", models.CharField(choices=CHOICES, max_length=16, verbose_name="kind")
                ),
                migrations.AlterField(
                    "movement", "kind", models.CharField(choices=CHOICES, max_length=16, verbose_name="kind")
                ),
                migrations.AlterField(
                    "reason", "use", models.CharField(choices=USE_CHOICES, max_length=16, verbose_name="used for")
                ),
                migrations.RemoveConstraint("reason", "reason_use_known"),
                migrations.AddConstraint(
                    "reason",
                    models.CheckConstraint(
                        condition=Q(use__in=["adjustment", "wastage", "own_use", "supplier_return", "reversal"]),
                        name="reason_use_known",
                    ),
                ),
                migrations.RemoveConstraint("document", "document_kind_known"),
                migrations.AddConstraint(
                    "document",
                    models.CheckConstraint(
                        condition=Q(kind__in=[
                            "opening", "receipt", "sale", "sale_return", "adjustment", "wastage", "own_use", "supplier_return",
                        ]),
                        name="document_kind_known",
                    ),
                ),
                migrations.RemoveConstraint("movement", "movement_sign_fits_kind"),
                migrations.AddConstraint(
                    "movement",
                    models.CheckConstraint(
                        condition=Q(kind__in=["opening", "receipt", "sale_return"], reverses=None, quantity__gt=0)
                        | Q(kind__in=["opening", "receipt", "sale_return"], reverses__isnull=False, quantity__lt=0)
                        | Q(kind__in=["sale", "wastage", "own_use", "supplier_return"], reverses=None, quantity__lt=0)
                        | Q(
                            kind__in=["sale", "wastage", "own_use", "supplier_return"],
                            reverses__isnull=False,
                            quantity__gt=0,
                        )
                        | (Q(kind="adjustment") & ~Q(quantity=0)),
                        name="movement_sign_fits_kind",
                    ),
                ),
            ],
        )
    ]  # fmt: skip
