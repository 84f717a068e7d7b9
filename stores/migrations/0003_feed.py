from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """How far the feed was forgotten, and on which server it grew."""

    dependencies = [("stores", "0002_partners")]
    operations = [
        migrations.CreateModel(
            name="Feed",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("moment", models.BigIntegerField(default=0)),
                ("change", models.BigIntegerField(default=0)),
                ("home", models.CharField(blank=True, max_length=60)),
            ],
            options={
                "verbose_name": "state of the feed",
                "verbose_name_plural": "states of the feed",
            },
        ),
        migrations.RunSQL((SQL / "feed.sql").read_text(), migrations.RunSQL.noop),
    ]
