from pathlib import Path

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"
# The feed is read in this order; no other key of a row is ever asked for.
KEYS = "ALTER TABLE stores_change DROP CONSTRAINT stores_change_pkey, ADD PRIMARY KEY (moment, id);"


class Migration(migrations.Migration):
    """Test keys and sandboxes, the log of requests, the feed of changes and the webhooks that tell of it."""

    dependencies = [
        ("stores", "0001_initial"),
    ]

    operations = [
        # Only fast changes of the catalogue here; who cannot have his lock at once tries again later.
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="store",
            name="sandbox",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="For practice and for test keys (kir_test_): no live key sees it. Cannot be changed later.",
                verbose_name="sandbox",
            ),
        ),
        migrations.RunSQL((SQL / "changes.sql").read_text(), migrations.RunSQL.noop),
        migrations.CreateModel(
            name="FanOut",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("moment", models.BigIntegerField(default=0)),
                ("change", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "place in the feed",
                "verbose_name_plural": "places in the feed",
            },
        ),
        migrations.AddField(
            model_name="apikey",
            name="is_test",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Opens sandbox stores only; begins with kir_test_.",
                verbose_name="test key",
            ),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("catalog:read", "Read the catalogue"),
                        ("catalog:write", "Change the catalogue"),
                        ("stores:read", "Read stores"),
                        ("inventory:read", "Read stock levels"),
                        ("movements:read", "Read movements"),
                        ("movements:write", "Record movements"),
                        ("reports:read", "Read reports, cost and value"),
                        ("webhooks:manage", "Manage webhooks"),
                    ],
                    max_length=20,
                ),
                default=list,
                size=None,
                verbose_name="scopes",
            ),
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("url", models.CharField(max_length=500, verbose_name="address")),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("movement.created", "Stock moved"),
                                ("stock.low", "Stock is low"),
                                ("stock.out", "Stock is out"),
                                ("product.updated", "Product changed"),
                            ],
                            max_length=20,
                        ),
                        size=None,
                        verbose_name="tells of",
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=100, verbose_name="name")),
                ("salt", models.CharField(editable=False, max_length=32)),
                ("fingerprint", models.CharField(editable=False, max_length=16)),
                ("old_salt", models.CharField(blank=True, editable=False, max_length=32)),
                ("old_fingerprint", models.CharField(blank=True, editable=False, max_length=16)),
                ("old_until", models.DateTimeField(editable=False, null=True)),
                (
                    "ended",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "No"),
                            ("by_hand", "Switched off"),
                            ("gone", "The address answered 410 Gone"),
                            ("failing", "Nothing was taken for days"),
                            ("key", "Its key no longer works"),
                        ],
                        max_length=7,
                        verbose_name="switched off",
                    ),
                ),
                ("since", models.BigIntegerField(editable=False)),
                (
                    "failing_since",
                    models.DateTimeField(editable=False, null=True, verbose_name="failing since"),
                ),
                (
                    "delivered_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="last delivered"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        verbose_name="created",
                    ),
                ),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhooks",
                        to="stores.apikey",
                        verbose_name="API key",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "webhooks",
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event_id", models.CharField(max_length=40, verbose_name="message id")),
                ("type", models.CharField(max_length=20, verbose_name="type")),
                ("moment", models.BigIntegerField(null=True)),
                ("change", models.BigIntegerField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Given up"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="waiting",
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="next try"
                    ),
                ),
                ("claimed_at", models.DateTimeField(null=True, verbose_name="being sent since")),
                ("tries", models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name="tries")),
                ("log", models.JSONField(default=list, verbose_name="log")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("delivered_at", models.DateTimeField(null=True, verbose_name="delivered")),
                (
                    "webhook",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="stores.webhook",
                        verbose_name="webhook",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
            },
        ),
        migrations.CreateModel(
            name="ApiRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="time"
                    ),
                ),
                ("request_id", models.CharField(max_length=64, verbose_name="request id")),
                ("method", models.CharField(max_length=10, verbose_name="method")),
                (
                    "path",
                    models.CharField(
                        help_text="Without its parameters.", max_length=200, verbose_name="address"
                    ),
                ),
                ("status", models.PositiveSmallIntegerField(verbose_name="status")),
                (
                    "code",
                    models.CharField(
                        blank=True, help_text="Of a refusal.", max_length=40, verbose_name="code"
                    ),
                ),
                ("milliseconds", models.PositiveIntegerField(verbose_name="milliseconds")),
                ("address", models.GenericIPAddressField(null=True, verbose_name="from")),
                (
                    "key",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="requests",
                        to="stores.apikey",
                        verbose_name="API key",
                    ),
                ),
            ],
            options={
                "verbose_name": "API request",
                "verbose_name_plural": "API requests",
                "indexes": [
                    models.Index(fields=["key", "id"], name="api_request_key"),
                    django.contrib.postgres.indexes.BrinIndex(fields=["at"], name="api_request_at"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "moment",
                    models.BigIntegerField(db_default=models.Func(function="stores_moment"), editable=False),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("movement.created", "Stock moved"),
                            ("stock.low", "Stock is low"),
                            ("stock.out", "Stock is out"),
                            ("product.updated", "Product changed"),
                        ],
                        max_length=20,
                        verbose_name="type",
                    ),
                ),
                ("subject", models.BigIntegerField()),
                ("data", models.JSONField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="time"
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="stores.store",
                    ),
                ),
            ],
            options={
                "verbose_name": "change",
                "verbose_name_plural": "changes",
                "indexes": [
                    models.Index(models.F("store"), models.F("moment"), models.F("id"), name="change_store")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="webhook",
            constraint=models.UniqueConstraint(fields=("key", "url"), name="webhook_once"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "waiting")), fields=["due_at"], name="delivery_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["webhook", "id"], name="delivery_webhook"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("webhook", "event_id"), name="delivery_once"),
        ),
        migrations.RunSQL(KEYS, migrations.RunSQL.noop),
    ]
