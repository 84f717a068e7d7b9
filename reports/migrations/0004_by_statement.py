from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """The days of a statement's lines are kept once, when it ends, and no longer line by line."""

    dependencies = [("reports", "0003_daily_stock"), ("inventory", "0006_rules_in_triggers")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "daily_stock.sql").read_text(), migrations.RunSQL.noop),
    ]
