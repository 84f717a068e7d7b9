"""Daily stock follows from the ledger in the same transaction, late facts included (R9)."""

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from inventory.models import Kind
from inventory.services import Actor, reverse_document
from reports.models import DailyStock

pytestmark = pytest.mark.django_db


def days(product):
    fields = ("opening", "received", "sold", "other", "closing", "revenue", "documents", "lines")
    return list(DailyStock.objects.filter(product=product).order_by("business_date").values_list(*fields))


def test_a_day_knows_what_came_and_went(stocked, post, ghee):
    post(Kind.SALE, (ghee, 5))
    post(Kind.WASTAGE, (ghee, 1))
    assert days(ghee) == [(0, 24, 5, -1, 18, 2800, 1, 1)]
    assert DailyStock.objects.get(product=ghee).cost == 5 * 510


def test_a_late_sale_moves_all_days_since(stocked, post, ghee):
    now = timezone.now()
    post(Kind.SALE, (ghee, 1), occurred_at=now - timedelta(days=4))
    post(Kind.SALE, (ghee, 2), occurred_at=now - timedelta(days=2))
    post(Kind.SALE, (ghee, 3), occurred_at=now - timedelta(days=3))
    assert days(ghee) == [
        (0, 0, 1, 0, -1, 560, 1, 1),
        (-1, 0, 3, 0, -4, 1680, 1, 1),
        (-4, 0, 2, 0, -6, 1120, 1, 1),
        (-6, 24, 0, 0, 18, 0, 0, 0),
    ]


def test_voids_and_returns_count_against_the_day_they_happen(stocked, post, manager, ghee, atta):
    sale = post(Kind.SALE, (ghee, 5), (atta, 2))
    post(Kind.SALE_RETURN, (ghee, 1), returns=sale.document)
    other = post(Kind.SALE, (ghee, 4)).document
    reverse_document(document=other, actor=Actor.on_page(manager, "manager"))
    assert days(ghee) == [(0, 24, 4, 0, 20, 2240, 1, 1)]
    assert days(atta) == [(0, 100, 2, 0, 98, 260, 0, 1)]


def test_the_sales_of_a_day_are_counted_once_however_many_products(stocked, post, ghee, atta):
    post(Kind.SALE, (atta, 1), (ghee, 1), (atta, "0.5"))
    assert sum(row.documents for row in DailyStock.objects.all()) == 1
    assert sum(row.lines for row in DailyStock.objects.all()) == 3


def test_half_past_midnight_in_karachi_is_a_new_day(stocked, post, ghee):
    with time_machine.travel(datetime(2027, 1, 5, 0, 30, tzinfo=ZoneInfo("Asia/Karachi")), tick=False):
        post(Kind.SALE, (ghee, 1))
        post(Kind.SALE, (ghee, 2), occurred_at=timezone.now() - timedelta(minutes=31))
    sold = DailyStock.objects.filter(product=ghee, sold__gt=0).order_by("business_date")
    assert [(str(row.business_date), row.sold) for row in sold] == [("2027-01-04", 2), ("2027-01-05", 1)]
    assert [row.closing for row in sold] == [Decimal(22), Decimal(21)]
