import uuid
from decimal import Decimal

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import catalog.models


class Migration(migrations.Migration):
    """The ledger and what belongs to it; its rules and keys follow in SQL. Stands for two migrations that made it piece by piece."""

    initial = True

    replaces = [("inventory", "0001_initial"), ("inventory", "0002_initial")]

    dependencies = [
        ("catalog", "0003_initial"),
        ("stores", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertDigest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="digests",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
            ],
            options={
                "verbose_name": "alert digest",
                "verbose_name_plural": "alert digests",
                "indexes": [models.Index(fields=["id"], name="digest_id")],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="DigestMail",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("claimed_at", models.DateTimeField(blank=True, null=True, verbose_name="being sent since")),
                ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent")),
                (
                    "digest",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mails",
                        to="inventory.alertdigest",
                        verbose_name="digest",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "digest mail",
                "verbose_name_plural": "digest mails",
                "indexes": [
                    models.Index(fields=["id"], name="digest_mail_id"),
                    models.Index(
                        condition=models.Q(("sent_at", None)),
                        fields=["claimed_at"],
                        name="digest_mail_waiting",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("store", "digest", "user"), name="digest_mail_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LowStockAlert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("on_hand", catalog.models.Quantity(verbose_name="on hand then")),
                ("reorder_point", catalog.models.Quantity(verbose_name="reorder point then")),
                (
                    "opened_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="opened"
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="closed")),
                (
                    "digest",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="inventory.alertdigest",
                        verbose_name="digest",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
            ],
            options={
                "verbose_name": "low-stock alert",
                "verbose_name_plural": "low-stock alerts",
                "indexes": [
                    models.Index(fields=["id"], name="alert_id"),
                    models.Index(
                        condition=models.Q(("closed_at", None), ("digest", None)),
                        fields=["store", "id"],
                        name="alert_waiting",
                    ),
                    models.Index(
                        condition=models.Q(("digest__isnull", False)),
                        fields=["store", "digest"],
                        name="alert_digest",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at", None)),
                        fields=("store", "product"),
                        name="alert_one_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Reason",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=30, unique=True, verbose_name="code")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("name_ur", models.CharField(blank=True, max_length=100, verbose_name="name in Urdu")),
                (
                    "use",
                    models.CharField(
                        choices=[
                            ("adjustment", "Adjustment"),
                            ("wastage", "Wastage"),
                            ("reversal", "Reversal"),
                        ],
                        max_length=10,
                        verbose_name="used for",
                    ),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
            ],
            options={
                "verbose_name": "reason",
                "verbose_name_plural": "reasons",
                "indexes": [],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("use__in", ["adjustment", "wastage", "reversal"])),
                        name="reason_use_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("opening", "Opening stock"),
                            ("receipt", "Stock in"),
                            ("sale", "Sale"),
                            ("sale_return", "Customer return"),
                            ("adjustment", "Adjustment"),
                            ("wastage", "Wastage"),
                        ],
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                ("reference", models.CharField(default=uuid.uuid4, max_length=100, verbose_name="reference")),
                (
                    "fingerprint",
                    models.BinaryField(
                        help_text="SHA-256 of what the caller sent.",
                        max_length=32,
                        verbose_name="fingerprint",
                    ),
                ),
                ("occurred_at", models.DateTimeField(verbose_name="happened")),
                (
                    "recorded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="recorded"
                    ),
                ),
                ("business_date", models.DateField(verbose_name="business date")),
                ("total", catalog.models.Amount(blank=True, null=True, verbose_name="total")),
                ("line_count", models.PositiveIntegerField(verbose_name="lines")),
                ("notes", models.CharField(blank=True, max_length=500, verbose_name="notes")),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("page", "Shop page"),
                            ("admin", "Head office"),
                            ("api", "Partner"),
                            ("import", "Import"),
                            ("demo", "Demo"),
                        ],
                        max_length=6,
                        verbose_name="entered by",
                    ),
                ),
                (
                    "api_key",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="stores.apikey",
                        verbose_name="API key",
                    ),
                ),
                (
                    "returns",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="customer_returns",
                        to="inventory.document",
                        verbose_name="sale returned",
                    ),
                ),
                (
                    "reverses",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversals",
                        to="inventory.document",
                        verbose_name="reverses",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "reason",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.reason",
                        verbose_name="reason",
                    ),
                ),
            ],
            options={
                "verbose_name": "document",
                "verbose_name_plural": "documents",
                "indexes": [
                    models.Index(fields=["id"], name="document_id"),
                    models.Index(fields=["store", "business_date", "kind"], name="document_day"),
                    models.Index(
                        condition=models.Q(("returns__isnull", False)),
                        fields=["store", "returns"],
                        name="document_returns",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("store", "reference"), name="document_reference_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("reverses__isnull", False)),
                        fields=("store", "reverses"),
                        name="document_reversed_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                ["opening", "receipt", "sale", "sale_return", "adjustment", "wastage"],
                            )
                        ),
                        name="document_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("line_count__gt", 0)), name="document_has_lines"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reference", ""), _negated=True),
                        name="document_reference_not_empty",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("total", None), ("total__gte", 0), _connector="OR"),
                        name="document_total_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("user", None), ("api_key", None), _connector="OR"),
                        name="document_one_actor",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("returns", None), ("kind", "sale_return"), _connector="OR"),
                        name="document_only_returns_return",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Movement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("line_no", models.PositiveIntegerField(verbose_name="line")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("opening", "Opening stock"),
                            ("receipt", "Stock in"),
                            ("sale", "Sale"),
                            ("sale_return", "Customer return"),
                            ("adjustment", "Adjustment"),
                            ("wastage", "Wastage"),
                        ],
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                ("quantity", catalog.models.Quantity(verbose_name="quantity")),
                (
                    "entered_quantity",
                    catalog.models.Quantity(blank=True, null=True, verbose_name="entered quantity"),
                ),
                ("unit_price", catalog.models.Price(blank=True, null=True, verbose_name="unit price")),
                ("line_total", catalog.models.Amount(blank=True, null=True, verbose_name="line total")),
                ("unit_cost", catalog.models.Cost(verbose_name="unit cost")),
                ("cost_estimated", models.BooleanField(db_default=False, verbose_name="cost is estimated")),
                (
                    "oversell",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "No"),
                            ("confirmed", "Confirmed by the seller"),
                            ("late", "Had happened already"),
                        ],
                        db_default="",
                        max_length=9,
                        verbose_name="sold beyond stock",
                    ),
                ),
                ("balance_after", catalog.models.Quantity(verbose_name="balance after")),
                ("average_cost_after", catalog.models.Cost(verbose_name="average cost after")),
                ("seq", models.BigIntegerField(verbose_name="number in its row")),
                ("occurred_at", models.DateTimeField(verbose_name="happened")),
                (
                    "recorded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="recorded"
                    ),
                ),
                ("business_date", models.DateField(verbose_name="business date")),
                (
                    "late",
                    models.BooleanField(
                        db_default=False,
                        help_text="A later day of this product had movements already.",
                        verbose_name="entered late",
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="movements",
                        to="inventory.document",
                        verbose_name="document",
                    ),
                ),
                (
                    "entered_pack",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.pack",
                        verbose_name="entered pack",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="movements",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "returns",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="customer_returns",
                        to="inventory.movement",
                        verbose_name="sale returned",
                    ),
                ),
                (
                    "reverses",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversals",
                        to="inventory.movement",
                        verbose_name="reverses",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="movements",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
                (
                    "reason",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.reason",
                        verbose_name="reason",
                    ),
                ),
            ],
            options={
                "verbose_name": "movement",
                "verbose_name_plural": "movements",
                "indexes": [
                    models.Index(fields=["id"], name="movement_id"),
                    models.Index(fields=["store", "business_date", "id"], name="movement_day"),
                    models.Index(
                        condition=models.Q(("returns__isnull", False)),
                        fields=["store", "returns"],
                        name="movement_returns",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("store", "product", "seq"), name="movement_seq_once"),
                    models.UniqueConstraint(
                        fields=("store", "document", "line_no"), name="movement_line_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("reverses__isnull", False)),
                        fields=("store", "reverses"),
                        name="movement_reversed_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind__in", ["opening", "receipt", "sale_return"]),
                                ("quantity__gt", 0),
                                ("reverses", None),
                            ),
                            models.Q(
                                ("kind__in", ["opening", "receipt", "sale_return"]),
                                ("quantity__lt", 0),
                                ("reverses__isnull", False),
                            ),
                            models.Q(
                                ("kind__in", ["sale", "wastage"]), ("quantity__lt", 0), ("reverses", None)
                            ),
                            models.Q(
                                ("kind__in", ["sale", "wastage"]),
                                ("quantity__gt", 0),
                                ("reverses__isnull", False),
                            ),
                            models.Q(("kind", "adjustment"), models.Q(("quantity", 0), _negated=True)),
                            _connector="OR",
                        ),
                        name="movement_sign_fits_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind__in", ["sale", "sale_return"]),
                                ("line_total__gte", 0),
                                ("unit_price__isnull", False),
                            ),
                            models.Q(
                                models.Q(("kind__in", ["sale", "sale_return"]), _negated=True),
                                ("line_total", None),
                                ("unit_price", None),
                            ),
                            _connector="OR",
                        ),
                        name="movement_priced_when_sold",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("entered_quantity", None), ("entered_quantity__gt", 0), _connector="OR"
                        ),
                        name="movement_entered_is_positive",
                    ),
                    models.CheckConstraint(condition=models.Q(("seq__gt", 0)), name="movement_seq_from_one"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("oversell", ""), models.Q(("kind", "sale"), ("reverses", None)), _connector="OR"
                        ),
                        name="movement_only_sales_oversell",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("returns", None), ("kind", "sale_return"), _connector="OR"),
                        name="movement_only_returns_return",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StockLevel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "on_hand",
                    catalog.models.Quantity(
                        db_default=Decimal("0"), default=Decimal("0"), verbose_name="on hand"
                    ),
                ),
                (
                    "average_cost",
                    catalog.models.Cost(
                        db_default=Decimal("0"), default=Decimal("0"), verbose_name="average cost"
                    ),
                ),
                (
                    "cost_estimated",
                    models.BooleanField(
                        db_default=True,
                        default=True,
                        help_text="No receipt has told the cost: the product's usual cost stands in.",
                        verbose_name="cost is estimated",
                    ),
                ),
                ("seq", models.BigIntegerField(db_default=0, default=0, verbose_name="movements")),
                (
                    "oversold_since",
                    models.DateTimeField(blank=True, null=True, verbose_name="below zero since"),
                ),
                (
                    "listed",
                    models.BooleanField(
                        db_default=True,
                        default=True,
                        help_text="Part of this store's assortment.",
                        verbose_name="listed",
                    ),
                ),
                (
                    "reorder_point",
                    catalog.models.Quantity(
                        db_default=Decimal("0"), default=Decimal("0"), verbose_name="reorder point"
                    ),
                ),
                ("target_level", catalog.models.Quantity(blank=True, null=True, verbose_name="refill to")),
                (
                    "last_business_date",
                    models.DateField(blank=True, null=True, verbose_name="last business date"),
                ),
                ("last_counted_at", models.DateTimeField(blank=True, null=True, verbose_name="last counted")),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="changed"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="levels",
                        to="catalog.product",
                        verbose_name="product",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="levels",
                        to="stores.store",
                        verbose_name="store",
                    ),
                ),
            ],
            options={
                "verbose_name": "stock level",
                "verbose_name_plural": "stock levels",
                "indexes": [
                    models.Index(fields=["product", "store"], name="level_product"),
                    models.Index(fields=["id"], name="level_id"),
                    models.Index(
                        condition=models.Q(("oversold_since__isnull", False)),
                        fields=["store"],
                        name="level_oversold",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("store", "product"), name="level_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("on_hand__gte", 0), ("oversold_since", None)),
                            models.Q(("on_hand__lt", 0), ("oversold_since__isnull", False)),
                            _connector="OR",
                        ),
                        name="level_below_zero_only_flagged",
                    ),
                ],
            },
        ),
    ]
