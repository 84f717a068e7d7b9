from pathlib import Path

import django.contrib.postgres.fields
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    """Categories whose products were moved are counted store by store: each store knows which of them still wait.

    The column is one for the catalogue alone, no row is written. It needs a lock for an instant; if that does not come within five
    seconds, the migration gives up as a whole.
    """

    dependencies = [("reports", "0007_category_days")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="closeddays",
            name="uncounted",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                db_default=models.Value(
                    [],
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                size=None,
                verbose_name="uncounted categories",
            ),
        ),
        migrations.RunSQL("DROP FUNCTION IF EXISTS reports_recount_categories()", migrations.RunSQL.noop),
        migrations.RunSQL((SQL / "closed_days.sql").read_text(), migrations.RunSQL.noop),
    ]
