"""Paging by key: every row once, both ways, and no cursor but our own."""

import pytest
from django.core import signing

from catalog.models import Product
from inventory.models import Movement
from stores.queries import InvalidCursor, keyset_page

pytestmark = pytest.mark.django_db


@pytest.fixture
def goods(category):
    return Product.objects.bulk_create(
        [
            Product(sku=f"P-{n:02}", name=f"Name {n % 5}", category=category, selling_price=n % 3)
            for n in range(23)
        ]
    )


def walk(order, limit=4):
    pages, cursor = [], ""
    while True:
        page = keyset_page(Product.objects.all(), order=order, limit=limit, cursor=cursor, scope="goods")
        pages.append(page)
        if not page.next:
            return pages
        cursor = page.next


@pytest.mark.parametrize(
    "order",
    [
        "id",
        "-id",
        "name",
        "-name",
        "selling_price",
        "-selling_price",
        "-updated_at",
        "category__name",
        "selling_price name",
        "-name selling_price",
    ],
)
def test_every_row_comes_once_and_in_order(goods, order):
    sign = "-" if order.startswith("-") else ""
    keys = [sign + name for name in [*order.removeprefix("-").split(), "id"]]
    expected = list(Product.objects.order_by(*keys))
    pages = walk(order)
    assert [row for page in pages for row in page.rows] == expected
    assert pages[0].previous is None
    back, cursor = [], pages[-1].previous
    while cursor:
        page = keyset_page(Product.objects.all(), order=order, limit=4, cursor=cursor, scope="goods")
        back = page.rows + back
        cursor = page.previous
    assert back == expected[: len(expected) - len(pages[-1].rows)]


def test_a_page_costs_one_query(goods, django_assert_num_queries):
    cursor = walk("name")[1].next
    with django_assert_num_queries(1):
        keyset_page(Product.objects.all(), order="name", limit=4, cursor=cursor, scope="goods")


def test_rows_added_meanwhile_shift_nothing(goods, category):
    first = keyset_page(Product.objects.all(), order="-id", limit=4, scope="goods")
    Product.objects.create(sku="NEW", name="New", category=category, selling_price=1)
    second = keyset_page(Product.objects.all(), order="-id", limit=4, cursor=first.next, scope="goods")
    assert [row.sku for row in second.rows] == ["P-18", "P-17", "P-16", "P-15"]


@pytest.mark.parametrize("make", [
    lambda good: "junk", lambda good: good[:-2], lambda good: "x" + good, lambda good: "\0", lambda good: "=",
    lambda good: signing.dumps([0, "1", 1], salt="other"), lambda good: signing.dumps([0, "x", 1], salt="cursor:goods-id"),
    lambda good: signing.dumps("short", salt="cursor:goods-id"),
])  # fmt: skip
def test_other_cursors_are_refused(goods, make):
    good = keyset_page(Product.objects.all(), order="-id", limit=4, scope="goods").next
    with pytest.raises(InvalidCursor):
        keyset_page(Product.objects.all(), order="-id", limit=4, cursor=make(good), scope="goods")


def test_a_cursor_of_another_list_is_refused(goods):
    good = keyset_page(Product.objects.all(), order="-id", limit=4, scope="goods?status=active").next
    with pytest.raises(InvalidCursor):
        keyset_page(Product.objects.all(), order="-id", limit=4, cursor=good, scope="goods?status=draft")


def test_deep_pages_read_no_more_of_the_ledger(stocked, post, atta):
    for _sale in range(60):
        post("sale", (atta, "0.5"))
    cursor = ""
    for _page in range(10):
        cursor = keyset_page(Movement.objects.all(), order="-id", limit=5, cursor=cursor, scope="m").next
    page = keyset_page(Movement.objects.all(), order="-id", limit=5, cursor=cursor, scope="m")
    assert [row.seq for row in page.rows] == [11, 10, 9, 8, 7]
