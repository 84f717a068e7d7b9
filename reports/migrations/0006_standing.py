from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import catalog.models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """How levels stand. Empty at first: the job fills it, and reports are right meanwhile.

    Only the triggers on levels and store prices need a lock that sales have to wait for, for an instant; if it does not come
    within five seconds, the migration gives up as a whole.
    """

    dependencies = [
        ("catalog", "0006_worth"),
        ("reports", "0005_closed_days"),
        ("stores", "0005_lasting"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.CreateModel(
            name="ProductStanding",
            fields=[
                (
                    "value_at_cost",
                    catalog.models.Worth(verbose_name="value at cost"),
                ),
                (
                    "value_at_price",
                    catalog.models.Worth(verbose_name="value at price"),
                ),
                (
                    "product",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
                ("levels", models.BigIntegerField(verbose_name="levels")),
                ("selling_price", catalog.models.Price(verbose_name="price")),
                ("in_use", models.BooleanField(verbose_name="in use")),
            ],
            options={
                "verbose_name": "standing of a product",
                "verbose_name_plural": "standing of products",
            },
        ),
        migrations.CreateModel(
            name="StandingMark",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("movement", models.BigIntegerField(verbose_name="movement")),
                ("level", models.BigIntegerField(verbose_name="stock level")),
                ("priced_at", models.DateTimeField(verbose_name="priced at")),
            ],
            options={
                "verbose_name": "mark of the standing",
                "verbose_name_plural": "marks of the standing",
            },
        ),
        migrations.CreateModel(
            name="StoreStanding",
            fields=[
                (
                    "value_at_cost",
                    catalog.models.Worth(verbose_name="value at cost"),
                ),
                (
                    "value_at_price",
                    catalog.models.Worth(verbose_name="value at price"),
                ),
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
                ("products", models.BigIntegerField(verbose_name="products")),
                ("low", models.BigIntegerField(verbose_name="low")),
                ("out", models.BigIntegerField(verbose_name="out")),
                ("negative", models.BigIntegerField(verbose_name="below zero")),
            ],
            options={
                "verbose_name": "standing of a store",
                "verbose_name_plural": "standing of stores",
            },
        ),
        migrations.CreateModel(
            name="Restated",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "store", "id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.BigIntegerField()),
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
                "verbose_name": "restated level",
                "verbose_name_plural": "restated levels",
            },
        ),
        migrations.CreateModel(
            name="Standing",
            fields=[
                (
                    "value_at_cost",
                    catalog.models.Worth(verbose_name="value at cost"),
                ),
                (
                    "value_at_price",
                    catalog.models.Worth(verbose_name="value at price"),
                ),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "store", "product", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("stocked", models.BooleanField(verbose_name="in stock")),
                (
                    "urgency",
                    models.SmallIntegerField(
                        choices=[(0, "Below zero"), (1, "Out"), (2, "Low")], null=True, verbose_name="urgency"
                    ),
                ),
                ("last_sold", models.DateField(null=True, verbose_name="last sold")),
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
                "verbose_name": "standing of a level",
                "verbose_name_plural": "standing of levels",
                "indexes": [
                    models.Index(
                        condition=models.Q(("urgency__isnull", False)),
                        fields=["store", "product"],
                        name="standing_short",
                    ),
                    models.Index(
                        condition=models.Q(("stocked", True)),
                        fields=["-value_at_cost"],
                        include=("last_sold", "store", "product"),
                        name="standing_worth",
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE reports_restated ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL((SQL / "standing.sql").read_text(), migrations.RunSQL.noop),
    ]
