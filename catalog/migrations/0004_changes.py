from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """What changes in the catalogue is noted for the feed."""

    dependencies = [("catalog", "0003_initial"), ("stores", "0002_partners")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "changes.sql").read_text(), migrations.RunSQL.noop),
    ]
