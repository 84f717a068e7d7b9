from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """A single line goes into daily stock without a look at what there is."""

    dependencies = [("reports", "0008_uncounted"), ("inventory", "0010_one_look")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "daily_stock.sql").read_text(), migrations.RunSQL.noop),
    ]
