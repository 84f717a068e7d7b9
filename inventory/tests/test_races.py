"""Many at once, on real PostgreSQL with real threads (R2, R3). Each fails when the lock behind it is taken away."""

import random
import threading
from decimal import Decimal

import pytest
from django.db import connection

from catalog.models import Product
from inventory.models import Document, Kind, LowStockAlert, Movement, StockLevel
from inventory.services import Actor, InsufficientStock, Posted, reverse_document

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("road")]


def sums_hold() -> None:
    """on_hand = sum of movements = last balance, and seq runs 1..n, for every level."""
    for level in StockLevel.objects.all():
        lines = list(Movement.objects.filter(store=level.store_id, product=level.product_id).order_by("seq"))
        assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
        assert level.seq == len(lines)
        assert (
            level.on_hand
            == sum((line.quantity for line in lines), Decimal(0))
            == (lines[-1].balance_after if lines else 0)
        )


def test_60_parallel_sales_from_60_leave_none_and_60_movements(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 60, 500))
    results = together([lambda: post(Kind.SALE, (ghee, 1))] * 60)
    assert all(isinstance(result, Posted) for result in results), results
    level = StockLevel.objects.get()
    assert (level.on_hand, Movement.objects.filter(kind=Kind.SALE).count()) == (0, 60)
    assert sorted(result.movements[0].balance_after for result in results) == list(range(60))
    sums_hold()


def test_the_last_tin_is_sold_once(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 1, 500))
    results = together([lambda: post(Kind.SALE, (ghee, 1))] * 12)
    assert sum(isinstance(result, Posted) for result in results) == 1
    assert sum(isinstance(result, InsufficientStock) for result in results) == 11
    assert StockLevel.objects.get().on_hand == 0
    sums_hold()


def test_8_parallel_first_receipts_all_count(post, together, ghee):
    results = together([lambda: post(Kind.RECEIPT, (ghee, 5, 500))] * 8)
    assert all(isinstance(result, Posted) for result in results), results
    assert StockLevel.objects.get().on_hand == 40
    assert sorted(result.movements[0].seq for result in results) == list(range(1, 9))
    sums_hold()


def test_20_sendings_of_one_sale_are_one_sale(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 60, 500))
    results = together([lambda: post(Kind.SALE, (ghee, 2), reference="till-1")] * 20)
    assert {result.document.pk for result in results} == {Document.objects.get(reference="till-1").pk}
    assert sum(not result.replayed for result in results) == 1
    assert StockLevel.objects.get().on_hand == 58


def test_a_document_voided_by_ten_at_once_is_voided_once(post, together, manager, ghee):
    post(Kind.RECEIPT, (ghee, 10, 500))
    sale = post(Kind.SALE, (ghee, 4)).document
    results = together(
        [lambda: reverse_document(document=sale, actor=Actor.on_page(manager, "manager"))] * 10
    )
    assert sum(isinstance(result, Posted) for result in results) == 1
    assert StockLevel.objects.get().on_hand == 10
    sums_hold()


def test_one_sold_tin_comes_back_once(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 10, 500))
    sale = post(Kind.SALE, (ghee, 1)).document
    results = together([lambda: post(Kind.SALE_RETURN, (ghee, 1), returns=sale)] * 8)
    assert sum(isinstance(result, Posted) for result in results) == 1
    assert StockLevel.objects.get().on_hand == 10


def test_baskets_in_any_order_never_wait_for_each_other(post, together, category):
    products = [
        Product.objects.create(sku=f"P-{n}", name=f"P {n}", category=category, selling_price=10)
        for n in range(8)
    ]
    post(Kind.RECEIPT, *[(product, 1000, 5) for product in products])
    dice = random.Random(7)

    def shop():
        for _basket in range(15):
            post(Kind.SALE, *[(product, 1) for product in dice.sample(products, 6)])
        return True

    assert together([shop] * 6) == [True] * 6
    assert sum(StockLevel.objects.values_list("on_hand", flat=True)) == 8000 - 6 * 15 * 6
    sums_hold()


def test_one_alert_opens_however_many_cross_together(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 20, 500))
    StockLevel.objects.get().set_reorder(reorder_point=Decimal(15), target_level=None)
    together([lambda: post(Kind.SALE, (ghee, 1))] * 10)
    alert = LowStockAlert.objects.get()
    assert (alert.on_hand, alert.closed_at) == (15, None)


def test_posting_and_a_new_reorder_point_do_not_undo_each_other(post, together, ghee):
    post(Kind.RECEIPT, (ghee, 50, 500))

    def settle(point):
        StockLevel.objects.get().set_reorder(reorder_point=Decimal(point), target_level=None)
        return True

    results = together([lambda: post(Kind.SALE, (ghee, 1)), lambda: settle(30)] * 10)
    assert not [result for result in results if isinstance(result, Exception)]
    level = StockLevel.objects.get()
    assert (level.on_hand, level.reorder_point) == (40, 30)
    sums_hold()


def test_the_lock_is_what_holds(post, together, ghee):
    """The control: read first and written after, as the first system did, two sales at once are one."""
    post(Kind.RECEIPT, (ghee, 60, 500))
    both_have_read = threading.Barrier(2)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE careless AS SELECT on_hand FROM inventory_stocklevel")

    def careless_sale():
        with connection.cursor() as cursor:
            cursor.execute("SELECT on_hand FROM careless")
            [on_hand] = cursor.fetchone()
            both_have_read.wait(timeout=30)
            cursor.execute("UPDATE careless SET on_hand = %s", [on_hand - 1])

    try:
        together([careless_sale] * 2)
        with connection.cursor() as cursor:
            cursor.execute("SELECT on_hand FROM careless")
            assert cursor.fetchone()[0] == 59
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE careless")
    together([lambda: post(Kind.SALE, (ghee, 1))] * 2)
    assert StockLevel.objects.get().on_hand == 58
