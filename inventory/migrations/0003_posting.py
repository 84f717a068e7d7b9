from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Keys that lead with the store, then the triggers that post."""

    dependencies = [("inventory", "0001_ledger"), ("catalog", "0003_initial")]
    operations = [
        migrations.RunSQL((SQL / "keys.sql").read_text()),
        migrations.RunSQL((SQL / "posting.sql").read_text()),
    ]
