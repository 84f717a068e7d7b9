from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Who reads the feed in the transaction that wrote to it is not taken for one on another server."""

    dependencies = [("stores", "0005_lasting")]
    operations = [migrations.RunSQL((SQL / "feed.sql").read_text(), migrations.RunSQL.noop)]
