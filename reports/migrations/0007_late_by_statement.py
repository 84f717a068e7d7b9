from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """The day of a statement's only line is kept without adding up, and what comes late is noted once a statement."""

    dependencies = [("reports", "0006_standing")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "closed_days.sql").read_text(), migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "daily_stock.sql").read_text(), migrations.RunSQL.noop),
    ]
