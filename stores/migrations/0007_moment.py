from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """The place of a change in the feed is worked out within the statement that tells of it."""

    dependencies = [("stores", "0006_reach")]
    operations = [migrations.RunSQL((SQL / "changes.sql").read_text(), migrations.RunSQL.noop)]
