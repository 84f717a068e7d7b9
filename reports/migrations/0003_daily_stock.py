from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("reports", "0002_initial"), ("inventory", "0003_posting")]
    operations = [
        migrations.RunSQL((SQL / "keys.sql").read_text()),
        migrations.RunSQL((SQL / "daily_stock.sql").read_text()),
    ]
