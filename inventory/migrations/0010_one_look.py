from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Lines are compared with their levels by the statement that tells of their documents."""

    dependencies = [("inventory", "0009_lines_of_products")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "posting.sql").read_text(), migrations.RunSQL.noop),
    ]
