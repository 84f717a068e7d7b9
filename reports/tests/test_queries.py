"""What the report functions answer: days, voids, returns, categories, values and what is short."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from catalog.models import Category, Product, StorePrice
from inventory.models import Kind, StockLevel
from inventory.services import Actor, Line, reverse_document
from reports import queries
from stores.models import Store

pytestmark = pytest.mark.django_db
KARACHI = ZoneInfo("Asia/Karachi")


@pytest.fixture
def mine(store):
    return Store.objects.filter(pk=store.pk)


@pytest.fixture
def today(store):
    return store.today()


@pytest.fixture
def lux(db):
    """Soap by the piece, of a category of its own that nests in another."""
    home = Category.objects.create(name="Household")
    soap = Category.objects.create(name="Soap", parent=home)
    return Product.objects.create(
        sku="SOP-0001", name="Lux Soap", category=soap, cost_price=60, selling_price=75
    )


def void(posted, manager):
    return reverse_document(document=posted.document, actor=Actor.on_page(manager, "manager"))


def test_a_day_sums_its_sales(stocked, post, atta, ghee, mine, today):
    post(Kind.SALE, (ghee, 2), (atta, "1.250"), (ghee, 1))
    post(Kind.SALE, (atta, "0.500"))
    report = queries.daily_sales(mine, today, today)
    assert report.rows == [
        {
            "business_date": today,
            "documents": 2,
            "lines": 4,
            "units": Decimal("4.750"),
            "revenue": Decimal("1907.50"),
        }
    ]
    assert report.totals == {
        "documents": 2,
        "lines": 4,
        "units": Decimal("4.750"),
        "revenue": Decimal("1907.50"),
    }
    assert str(report.totals["revenue"]) == "1907.50"


def test_figures_are_decimals_with_their_places_even_when_nothing_was_sold(mine, today):
    report = queries.daily_sales(mine, today, today)
    assert report.rows == []
    assert str(report.totals["revenue"]) == "0.00"
    assert str(report.totals["units"]) == "0.000"


def test_a_delivery_is_no_sale(stocked, mine, today):
    assert queries.daily_sales(mine, today, today).rows == []
    assert queries.top_products(mine, today, today).rows == []


def test_a_void_on_the_same_day_leaves_no_trace_in_the_day(stocked, post, ghee, mine, today, manager):
    post(Kind.SALE, (ghee, 1))
    void(post(Kind.SALE, (ghee, 5)), manager)
    report = queries.daily_sales(mine, today, today)
    assert report.totals == {"documents": 1, "lines": 1, "units": 1, "revenue": 560}


def test_a_void_on_a_later_day_counts_on_that_day(stocked, post, ghee, mine, today, manager):
    then = timezone.now() - timedelta(days=2)
    sale = post(Kind.SALE, (ghee, 5), occurred_at=then)
    void(sale, manager)
    report = queries.daily_sales(mine, today - timedelta(days=5), today)
    assert [
        (row["business_date"], row["documents"], row["units"], row["revenue"]) for row in report.rows
    ] == [
        (today - timedelta(days=2), 1, 5, 2800),
        (today, -1, -5, -2800),
    ]
    assert report.totals == {"documents": 0, "lines": 0, "units": 0, "revenue": 0}


def test_a_return_lowers_units_and_revenue_but_is_no_sale(stocked, post, ghee, mine, today):
    sale = post(Kind.SALE, (ghee, 3))
    post(Kind.SALE_RETURN, (ghee, 1), returns=sale.document)
    [row] = queries.daily_sales(mine, today, today).rows
    assert (row["documents"], row["units"], row["revenue"]) == (1, 2, 1120)
    [best] = queries.top_products(mine, today, today).rows
    assert (best["units"], best["revenue"]) == (2, 1120)


def test_a_sale_entered_late_belongs_to_the_day_it_happened(stocked, post, ghee, mine, today):
    post(Kind.SALE, (ghee, 1), occurred_at=timezone.now() - timedelta(days=3))
    assert [
        row["business_date"] for row in queries.daily_sales(mine, today - timedelta(days=9), today).rows
    ] == [today - timedelta(days=3)]
    assert queries.daily_sales(mine, today, today).rows == []


def test_half_past_midnight_in_karachi_is_the_new_day(store, manager, ghee, post, mine):
    with time_machine.travel(datetime(2026, 11, 22, 18, 0, tzinfo=UTC), tick=False):
        post(Kind.RECEIPT, (ghee, 10))
    with time_machine.travel(datetime(2026, 11, 22, 18, 59, 59, tzinfo=UTC), tick=False):
        post(Kind.SALE, (ghee, 1))
        assert store.today() == date(2026, 11, 22)
    with time_machine.travel(datetime(2026, 11, 23, 0, 30, tzinfo=KARACHI), tick=False):
        assert datetime.now(UTC).date() == date(2026, 11, 22)
        post(Kind.SALE, (ghee, 2))
        assert store.today() == date(2026, 11, 23)
        rows = queries.daily_sales(mine, date(2026, 11, 22), date(2026, 11, 23)).rows
    assert [(row["business_date"], row["units"]) for row in rows] == [
        (date(2026, 11, 22), 1),
        (date(2026, 11, 23), 2),
    ]


def test_with_a_category_a_sale_counts_once_if_any_line_belongs_to_it(
    stocked, post, atta, ghee, lux, mine, today, manager
):
    post(Kind.RECEIPT, (lux, 20))
    post(Kind.SALE, (ghee, 1), (lux, 2), (lux, 1))  # the first line is of another category
    post(Kind.SALE, (atta, 1))
    void(post(Kind.SALE, (atta, 1), (lux, 1)), manager)
    [row] = queries.daily_sales(mine, today, today, lux.category).rows
    assert row == {"business_date": today, "documents": 1, "lines": 2, "units": 3, "revenue": 225}
    [row] = queries.daily_sales(mine, today, today, ghee.category).rows
    assert (row["documents"], row["lines"], row["units"], row["revenue"]) == (2, 2, 2, 690)
    assert queries.daily_sales(mine, today, today).totals["documents"] == 2


def test_a_category_includes_those_that_nest_in_it(stocked, post, lux, mine, today):
    post(Kind.RECEIPT, (lux, 20))
    post(Kind.SALE, (lux, 1))
    parent = lux.category.parent
    assert queries.daily_sales(mine, today, today, parent).totals["documents"] == 1
    assert [row["sku"] for row in queries.top_products(mine, today, today, parent).rows] == ["SOP-0001"]
    assert queries.inventory_summary(mine, parent).totals["products"] == 1


def test_a_category_without_trade_gives_an_empty_report(stocked, post, ghee, lux, mine, today):
    post(Kind.SALE, (ghee, 1))
    assert queries.daily_sales(mine, today, today, lux.category).rows == []
    assert queries.inventory_summary(mine, lux.category).totals["products"] == 0


def test_another_store_never_counts(stocked, post, ghee, mine, other_store, today):
    post(Kind.RECEIPT, (ghee, 5), where=other_store)
    post(Kind.SALE, (ghee, 5), where=other_store)
    assert queries.daily_sales(mine, today, today).rows == []
    assert queries.top_products(mine, today, today).rows == []
    assert queries.daily_sales(mine, today, today, ghee.category).rows == []
    assert [row["store"] for row in queries.low_stock(mine).rows] == []
    assert [row["store"] for row in queries.inventory_summary(mine).rows] == ["LHE-0001"]
    assert queries.inventory_value(mine).totals["products"] == 2
    both = Store.objects.filter(code__in=["LHE-0001", "KHI-0001"])
    assert queries.daily_sales(both, today, today).totals["units"] == 5
    assert [(row["store"], row["sku"]) for row in queries.low_stock(both).rows] == [("KHI-0001", "GHE-0001")]


def test_a_stores_of_a_user_or_a_key_are_a_fine_start(
    stocked, post, ghee, manager, api_client, other_store, today
):
    post(Kind.SALE, (ghee, 1))
    for stores in (
        Store.objects.for_user(manager),
        Store.objects.for_key(api_client().key),
        Store.objects.all(),
    ):
        assert queries.daily_sales(stores, today, today).totals["revenue"] == 560
        assert queries.inventory_summary(stores).rows[-1]["products"] == 2


@pytest.mark.parametrize(
    ("start", "end", "code", "field"),
    [
        (date(2026, 11, 2), date(2026, 11, 1), "from_after_to", "from"),
        (date(2025, 1, 1), date(2026, 2, 5), "range_too_long", "to"),
        (date(1999, 12, 31), date(2000, 1, 1), "out_of_range", "from"),
        (date(2026, 1, 1), date(9999, 12, 31), "out_of_range", "to"),
    ],
)
def test_a_wrong_period_is_refused(mine, start, end, code, field):
    for report in (queries.daily_sales, queries.top_products):
        with pytest.raises(queries.InvalidPeriod) as refusal:
            report(mine, start, end)
        assert (refusal.value.code, refusal.value.field) == (code, field)


def test_four_hundred_days_are_allowed(mine):
    end = date(2026, 11, 22)
    assert queries.daily_sales(mine, end - timedelta(days=399), end).rows == []
    with pytest.raises(queries.InvalidPeriod):
        queries.daily_sales(mine, end - timedelta(days=400), end)


def test_top_products_go_by_revenue_or_by_units(stocked, post, atta, ghee, mine, today):
    post(Kind.SALE, (ghee, 2), (atta, "5.5"))
    by_revenue = queries.top_products(mine, today, today)
    assert [(row["sku"], row["units"], row["revenue"]) for row in by_revenue.rows] == [
        ("GHE-0001", 2, 1120),
        ("FLR-0001", Decimal("5.5"), 715),
    ]
    assert [row["sku"] for row in queries.top_products(mine, today, today, by="units").rows] == [
        "FLR-0001",
        "GHE-0001",
    ]
    first = queries.top_products(mine, today, today, limit=1)
    assert first.totals == {"units": 2, "revenue": 1120}, "totals are those of the rows"


def test_value_is_rounded_per_level_before_it_is_summed(post, ghee, atta, lux, store, mine):
    post(Kind.RECEIPT, (ghee, 1, "1.0050"), (atta, 1, "1.0050"), (lux, 1, "1.0049"))
    [row] = queries.inventory_summary(mine).rows
    assert row["value_at_cost"] == Decimal("3.02")
    assert row["value_at_cost"] == sum(level.value for level in StockLevel.objects.all())
    report = queries.inventory_value(mine)
    assert report.totals["value_at_cost"] == Decimal("3.02")
    assert [(row["category"], row["products"], row["value_at_cost"]) for row in report.rows] == [
        ("Flour & Grains", 2, Decimal("2.02")),
        ("Soap", 1, Decimal("1.00")),
    ]


def test_value_at_price_uses_the_stores_own_price_that_has_begun(stocked, ghee, store, mine, other_store):
    now = timezone.now()
    StorePrice.objects.create(store=store, product=ghee, price=500, effective_from=now - timedelta(days=9))
    StorePrice.objects.create(store=store, product=ghee, price=600, effective_from=now - timedelta(days=1))
    StorePrice.objects.create(store=store, product=ghee, price=900, effective_from=now + timedelta(days=1))
    StorePrice.objects.create(
        store=other_store, product=ghee, price=1, effective_from=now - timedelta(hours=1)
    )
    [row] = queries.inventory_summary(mine).rows
    assert (row["value_at_cost"], row["value_at_price"]) == (100 * 118 + 24 * 510, 100 * 130 + 24 * 600)
    assert [(row["sku"], row["value_at_price"]) for row in queries.inventory_value(mine).top] == [
        ("GHE-0001", 14400),
        ("FLR-0001", 13000),
    ]


def test_a_level_below_zero_counts_as_it_is(stocked, post, ghee, atta, mine):
    post(Kind.SALE, (ghee, 26), confirm_oversell=True)
    [row] = queries.inventory_summary(mine).rows
    assert (row["value_at_cost"], row["value_at_price"]) == (11800 - 1020, 13000 - 1120)
    assert (row["products"], row["negative"], row["out"], row["low"]) == (2, 1, 0, 0)
    assert [row["sku"] for row in queries.inventory_value(mine).top] == ["FLR-0001"]
    assert queries.inventory_value(mine).totals["value_at_cost"] == row["value_at_cost"]


def test_low_stock_lists_the_most_urgent_first(stocked, post, ghee, atta, lux, store, mine):
    StockLevel.objects.get(product=atta).set_reorder(reorder_point=Decimal(100), target_level=Decimal(150))
    StockLevel.objects.create(store=store, product=lux, reorder_point=6)
    post(Kind.SALE, (ghee, 25), confirm_oversell=True)
    report = queries.low_stock(mine)
    assert [
        (row["store"], row["sku"], row["on_hand"], row["reorder_point"], row["state"]) for row in report.rows
    ] == [
        ("LHE-0001", "GHE-0001", -1, 0, "negative"),
        ("LHE-0001", "SOP-0001", 0, 6, "out"),
        ("LHE-0001", "FLR-0001", 100, 100, "low"),
    ]
    assert report.totals == {"items": 3, "negative": 1, "out": 1, "low": 1}
    assert queries.short_counts(mine) == report.totals
    [summary] = queries.inventory_summary(mine).rows
    assert (summary["low"], summary["out"], summary["negative"]) == (1, 1, 1)
    assert [row["sku"] for row in queries.low_stock(mine, state="out").rows] == ["SOP-0001"]
    assert [row["sku"] for row in queries.low_stock(mine, lux.category.parent).rows] == ["SOP-0001"]


def test_states_are_the_words_of_the_level(stocked, post, ghee, atta, lux, store, mine):
    StockLevel.objects.create(store=store, product=lux)
    StockLevel.objects.get(product=atta).set_reorder(reorder_point=Decimal(500), target_level=None)
    for row in queries.low_stock(mine).rows:
        assert row["state"] == StockLevel.objects.get(product__sku=row["sku"]).state


def test_goods_that_are_no_longer_listed_are_sold_off_not_refilled(stocked, mine, ghee):
    StockLevel.objects.filter(product=ghee).update(reorder_point=30)
    assert queries.low_stock(mine).totals["low"] == 1
    StockLevel.objects.filter(product=ghee).update(listed=False)
    assert queries.low_stock(mine).totals["low"] == 0
    [row] = queries.inventory_summary(mine).rows
    assert (row["products"], row["low"], row["value_at_cost"]) == (2, 0, 11800 + 12240)


def test_what_a_store_does_not_keep_is_not_missing(stocked, store, mine, lux, ghee):
    level = StockLevel.objects.create(store=store, product=lux, reorder_point=6)
    assert queries.low_stock(mine).totals["out"] == 1
    StockLevel.objects.filter(pk=level.pk).update(listed=False)
    assert queries.low_stock(mine).totals["items"] == 0
    StockLevel.objects.filter(pk=level.pk).update(listed=True)
    Product.objects.filter(pk=lux.pk).update(status=Product.Status.ARCHIVED)
    assert queries.inventory_summary(mine).totals["products"] == 2


def test_a_store_without_goods_has_a_row_of_zeros(store, mine):
    [row] = queries.inventory_summary(mine).rows
    assert row["store"] == "LHE-0001"
    assert (row["products"], row["low"], str(row["value_at_cost"])) == (0, 0, "0.00")
    assert queries.inventory_value(mine).rows == []


def test_the_newest_lines_come_first(stocked, post, ghee, store):
    post(Kind.SALE, (ghee, 1))
    assert [movement.kind for movement in queries.newest_movements(store, 2)] == ["sale", "receipt"]


def test_each_question_takes_few_queries(
    stocked, post, ghee, lux, mine, store, today, django_assert_num_queries
):
    post(Kind.SALE, (ghee, 1))
    for count, ask in (
        (1, lambda: queries.daily_sales(mine, today, today)),
        (1, lambda: queries.daily_sales(mine, today, today, ghee.category)),
        (1, lambda: queries.top_products(mine, today, today, ghee.category)),
        (3, lambda: queries.inventory_summary(mine)),
        (1, lambda: queries.inventory_value(mine)),
        (2, lambda: queries.low_stock(mine, ghee.category)),
        (1, lambda: queries.short_counts(mine)),
        (1, lambda: [movement.product.label for movement in queries.newest_movements(store)]),
    ):
        with django_assert_num_queries(count):
            ask()


def test_no_question_about_one_store_reads_a_whole_table(
    stocked, post, ghee, mine, store, today, django_assert_num_queries
):
    """With sequential scans made dear, every big table is still reached by an index: there is one that fits."""
    post(Kind.SALE, (ghee, 1))
    week = today - timedelta(days=7)
    with django_assert_num_queries(10) as asked:
        queries.daily_sales(mine, week, today, ghee.category)
        queries.top_products(mine, week, today)
        queries.inventory_summary(mine)
        queries.inventory_value(mine)
        queries.low_stock(mine)
        queries.short_counts(mine)
        queries.newest_movements(store)
    big = ("reports_dailystock", "inventory_stocklevel", "inventory_movement", "inventory_document")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in asked.captured_queries:
            cursor.execute("EXPLAIN " + query["sql"])
            plan = [line for [line] in cursor.fetchall()]
            assert not [line for line in plan for table in big if f"Seq Scan on {table}" in line], query[
                "sql"
            ]
            # An index that is read from end to end would be no better: each must be entered by its store.
            for place, line in enumerate(plan):
                if any(f" on {table} " in line for table in big) and (
                    "Index Scan" in line or "Index Only Scan" in line
                ):
                    assert "Index Cond: " in plan[place + 1], (query["sql"], plan)


def test_a_line_priced_by_amount_counts_what_was_charged(stocked, post, atta, mine, today):
    post(Kind.SALE, Line(product=atta, amount=Decimal(100)))
    [row] = queries.daily_sales(mine, today, today).rows
    assert (row["units"], row["revenue"]) == (Decimal("0.769"), 100)
