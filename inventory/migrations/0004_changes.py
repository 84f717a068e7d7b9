from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Posting tells the feed of what it did."""

    dependencies = [("inventory", "0003_posting"), ("stores", "0002_partners")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "posting.sql").read_text(), migrations.RunSQL.noop),
    ]
