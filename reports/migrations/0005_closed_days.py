import datetime
from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import catalog.models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Sums of the days that are over. Empty at first: the job fills them, and reports are right meanwhile.

    Only the triggers on daily stock need a lock that sales have to wait for, for an instant; if it does not come within five
    seconds, the migration gives up as a whole.
    """

    dependencies = [
        ("catalog", "0004_changes"),
        ("reports", "0004_by_statement"),
        ("stores", "0004_deliveries"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="ClosedDays",
            fields=[
                (
                    "store",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
                ("upto", models.DateField(db_default=datetime.date(1, 1, 1), verbose_name="closed up to")),
            ],
            options={
                "verbose_name": "closed days",
                "verbose_name_plural": "closed days",
            },
        ),
        migrations.CreateModel(
            name="LateFigures",
            fields=[
                ("documents", models.BigIntegerField(verbose_name="sales")),
                ("lines", models.BigIntegerField(verbose_name="sale lines")),
                ("sold", catalog.models.Quantity(verbose_name="sold")),
                ("revenue", catalog.models.Amount(verbose_name="revenue")),
                ("cost", catalog.models.CostTotal(verbose_name="cost of goods sold")),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "store", "id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.BigIntegerField()),
                ("business_date", models.DateField(verbose_name="business date")),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                        verbose_name="product",
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
                "verbose_name": "late figures",
                "verbose_name_plural": "late figures",
            },
        ),
        migrations.CreateModel(
            name="ProductDay",
            fields=[
                ("documents", models.BigIntegerField(verbose_name="sales")),
                ("lines", models.BigIntegerField(verbose_name="sale lines")),
                ("sold", catalog.models.Quantity(verbose_name="sold")),
                ("revenue", catalog.models.Amount(verbose_name="revenue")),
                ("cost", catalog.models.CostTotal(verbose_name="cost of goods sold")),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "business_date",
                        "product",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("business_date", models.DateField(verbose_name="business date")),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
            ],
            options={
                "verbose_name": "day of a product",
                "verbose_name_plural": "days of products",
            },
        ),
        migrations.CreateModel(
            name="StoreDay",
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
                        "business_date",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("business_date", models.DateField(verbose_name="business date")),
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
                "verbose_name": "day of a store",
                "verbose_name_plural": "days of stores",
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE reports_latefigures ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL((SQL / "closed_days.sql").read_text(), migrations.RunSQL.noop),
    ]
