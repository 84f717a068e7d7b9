import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Deliveries are found by their webhook, and do not hold it. The table is new and empty wherever this runs."""

    dependencies = [("stores", "0003_feed")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="delivery", name="delivery_waiting"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "waiting")),
                fields=["webhook", "due_at", "id"],
                name="delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status__in", ["failed", "cancelled"])),
                fields=["webhook", "id"],
                name="delivery_lost",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="webhook",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="deliveries",
                to="stores.webhook",
                verbose_name="webhook",
            ),
        ),
    ]
