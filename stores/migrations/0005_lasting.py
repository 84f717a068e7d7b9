from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """The database itself refuses to delete a store or a key."""

    dependencies = [("stores", "0004_deliveries")]
    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s';", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "lasting.sql").read_text(), migrations.RunSQL.noop),
    ]
