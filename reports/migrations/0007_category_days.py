from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import catalog.models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Sums of the days that are over, by category. Empty at first: the job fills them, and reports are right meanwhile.

    What comes late to such a day is noted once a statement by who posts it, and no longer by triggers on daily stock: both change
    in one transaction, so that no late figure falls between.

    The triggers on daily stock are put back as they are, which needs a lock for an instant; if it does not come within five
    seconds, the migration gives up as a whole.
    """

    dependencies = [
        ("catalog", "0006_worth"),
        ("reports", "0006_standing"),
        ("stores", "0006_reach"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="CategoryDay",
            fields=[
                ("documents", models.BigIntegerField(verbose_name="sales")),
                ("lines", models.BigIntegerField(verbose_name="sale lines")),
                ("sold", catalog.models.Quantity(verbose_name="sold")),
                ("revenue", catalog.models.Amount(verbose_name="revenue")),
                ("cost", catalog.models.CostTotal(verbose_name="cost of goods sold")),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "store",
                        "category",
                        "business_date",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("business_date", models.DateField(verbose_name="business date")),
                (
                    "category",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.category",
                        verbose_name="category",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
            ],
            options={
                "verbose_name": "day of a category",
                "verbose_name_plural": "days of categories",
            },
        ),
        migrations.CreateModel(
            name="CategoryProduct",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "category", "product", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "category",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.category",
                        verbose_name="category",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
            ],
            options={
                "verbose_name": "product of a category",
                "verbose_name_plural": "products of categories",
            },
        ),
        migrations.RunSQL((SQL / "closed_days.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "daily_stock.sql").read_text(), migrations.RunSQL.noop),
    ]
