"""What a history says of each day is what the reports say, in the store's own time zone."""

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command

from inventory import tests
from reports.queries import daily_sales
from stores.models import Store

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = Path(tests.__file__).parent / "data" / "sample_2w"


def test_daily_sales_of_an_imported_history_are_as_expected():
    call_command("import_history", str(SAMPLE), processes=2, stdout=io.StringIO(), stderr=io.StringIO())
    told = json.loads((SAMPLE / "expected.json").read_text())
    for code, days in told["daily"].items():
        report = daily_sales(Store.objects.filter(code=code), date(2016, 12, 1), date(2017, 1, 31))
        assert [
            (str(row["business_date"]), row["documents"], row["lines"], row["units"], row["revenue"])
            for row in report.rows
        ] == [
            (
                day["business_date"],
                day["baskets"],
                day["lines"],
                Decimal(day["units"]),
                Decimal(day["revenue"]),
            )
            for day in days
        ]
    everywhere = daily_sales(Store.objects.all(), date(2016, 12, 1), date(2017, 1, 31))
    assert everywhere.totals["revenue"] == Decimal(told["revenue"])
    assert everywhere.totals["lines"] == told["lines"]["SALE"]
    call_command("check_ledger")
