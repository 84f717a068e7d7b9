"""What posting does: levels, ledger, prices, costs, times (R1, R4 to R7, R9)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from catalog.models import Product, StorePrice
from inventory.models import Document, Kind, Movement, Reason, StockLevel
from inventory.services import Actor, InsufficientStock, InvalidDocument, Line, StoreNotOpen, post_document
from stores.models import Store

pytestmark = pytest.mark.django_db


def test_a_sale_moves_stock_and_is_a_line_of_the_ledger(stocked, post, ghee, atta):
    posted = post(Kind.SALE, (ghee, 2), (atta, "1.250"))
    assert stocked(ghee).on_hand == 22
    assert stocked(atta).on_hand == Decimal("98.750")
    tin, flour = posted.movements
    assert (tin.quantity, tin.balance_after, tin.seq, tin.unit_price, tin.line_total) == (
        -2,
        22,
        2,
        560,
        1120,
    )
    assert (flour.unit_cost, flour.line_total) == (118, Decimal("162.50"))
    assert posted.document.total == Decimal("1282.50")


def test_what_the_service_answers_is_what_the_ledger_holds(stocked, post, ghee, atta):
    posted = post(Kind.SALE, (ghee, 2), (atta, "1.250"), notes="with tea")
    document = Document.objects.get(pk=posted.document.pk)
    columns = [field.attname for field in Document._meta.concrete_fields if field.name != "fingerprint"]
    assert [getattr(posted.document, c) for c in columns] == [getattr(document, c) for c in columns]
    columns = [field.attname for field in Movement._meta.concrete_fields]
    written = list(Movement.objects.filter(document=document).order_by("line_no"))
    assert [[getattr(m, c) for c in columns] for m in posted.movements] == [
        [getattr(m, c) for c in columns] for m in written
    ]


def test_sale_beyond_stock_leaves_nothing_behind(stocked, post, ghee, atta):
    documents = Document.objects.count()
    with pytest.raises(InsufficientStock) as refusal:
        post(Kind.SALE, (atta, 1), (ghee, 25))
    [(index, product, on_hand, wanted)] = refusal.value.short
    assert (index, product, on_hand, wanted) == (1, ghee, 24, 25)
    assert stocked(atta).on_hand == 100
    assert stocked(ghee).seq == 1
    assert Document.objects.count() == documents


def test_the_refusal_names_every_short_line(stocked, post, ghee, atta):
    with pytest.raises(InsufficientStock) as refusal:
        post(Kind.SALE, (atta, 60), (ghee, 25), (atta, 60))
    assert [index for index, *_ in refusal.value.short] == [1, 2]
    assert "GHE-0001" not in refusal.value.message
    assert "24 on hand, 25 asked for" in refusal.value.message


def test_several_lines_of_one_product_are_summed_exactly(stocked, post, atta):
    posted = post(Kind.SALE, (atta, "0.333"), (atta, "0.333"), (atta, "0.334"))
    assert [m.balance_after for m in posted.movements] == [
        Decimal("99.667"),
        Decimal("99.334"),
        Decimal("99.000"),
    ]
    assert [m.seq for m in posted.movements] == [2, 3, 4]


@pytest.mark.parametrize(
    ("policy", "confirm", "taken"),
    [
        ("block", False, False),
        ("block", True, False),
        ("warn", False, False),
        ("warn", True, True),
        ("allow", False, True),
    ],
)
def test_the_store_decides_about_a_sale_beyond_stock(stocked, post, store, ghee, policy, confirm, taken):
    Store.objects.update(oversell_policy=policy)
    store.refresh_from_db()
    if not taken:
        with pytest.raises(InsufficientStock):
            post(Kind.SALE, (ghee, 30), where=store, confirm_oversell=confirm)
        assert stocked(ghee).on_hand == 24
        return
    posted = post(Kind.SALE, (ghee, 30), where=store, confirm_oversell=confirm)
    assert posted.flagged
    level = stocked(ghee)
    assert (level.on_hand, level.state) == (-6, "negative")
    assert level.oversold_since is not None


def test_a_sale_that_has_happened_is_taken_even_where_sales_are_blocked(stocked, post, store, ghee):
    Store.objects.update(oversell_policy="block")
    posted = post(Kind.SALE, (ghee, 30), occurred_at=timezone.now() - timedelta(hours=1))
    assert posted.flagged
    assert posted.movements[0].oversell == Movement.Oversell.LATE


def test_coming_back_to_zero_clears_the_flag(stocked, post, ghee):
    post(Kind.SALE, (ghee, 30), confirm_oversell=True)
    since = stocked(ghee).oversold_since
    post(Kind.RECEIPT, (ghee, 2, 500))
    assert stocked(ghee).oversold_since == since
    post(Kind.RECEIPT, (ghee, 4, 500))
    assert (stocked(ghee).on_hand, stocked(ghee).oversold_since) == (0, None)


@pytest.mark.parametrize(
    ("kind", "quantity"),
    [(Kind.WASTAGE, 25), (Kind.OWN_USE, 25), (Kind.SUPPLIER_RETURN, 25), (Kind.ADJUSTMENT, -25)],
)
def test_only_sales_ever_go_below_zero(stocked, post, ghee, kind, quantity):
    Store.objects.update(oversell_policy="allow")
    with pytest.raises(InsufficientStock):
        post(kind, (ghee, quantity), confirm_oversell=True, occurred_at=timezone.now() - timedelta(hours=1))
    assert stocked(ghee).on_hand == 24


def test_loose_goods_are_sold_by_amount(stocked, post, atta, store, manager):
    posted = post(Kind.SALE, Line(product=atta, amount=Decimal(100)))
    [movement] = posted.movements
    # 100 / 130 = 0.769 kg, which would be Rs 99.97: what was charged is what is kept.
    assert (movement.quantity, movement.line_total) == (Decimal("-0.769"), Decimal("100.00"))


def test_packs_keep_what_was_entered(post, ghee, stocked):
    posted = post(
        Kind.RECEIPT,
        Line(product=ghee, pack=ghee.packs.get(), pack_quantity=Decimal(3), unit_cost=Decimal(505)),
    )
    [movement] = posted.movements
    assert (movement.quantity, movement.entered_quantity, movement.entered_pack) == (36, 3, ghee.packs.get())
    assert stocked(ghee).on_hand == 60


@pytest.mark.parametrize(
    ("quantity", "code"),
    [("0", "must_be_positive"), ("-1", "must_be_positive"), ("1.5", "quantity_step"), ("0.0001", "too_many_decimals"),
     ("NaN", "not_a_number"), ("Infinity", "not_a_number"), ("1e10", "out_of_range")],
)  # fmt: skip
def test_wrong_quantities_are_refused_by_name(stocked, post, ghee, quantity, code):
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE, (ghee, quantity))
    assert refusal.value.lines[0][1:] == ("quantity", refusal.value.message, code)
    assert stocked(ghee).seq == 1


def test_every_wrong_line_is_named(stocked, post, ghee, atta):
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE, (ghee, "0.5"), (atta, "0.5"), (ghee, 0))
    assert [(index, code) for index, _field, _message, code in refusal.value.lines] == [
        (0, "quantity_step"),
        (2, "must_be_positive"),
    ]


def test_no_lines_and_too_many_lines_are_refused(post, stocked, ghee):
    with pytest.raises(InvalidDocument, match="at least one"):
        post(Kind.SALE)
    with pytest.raises(InvalidDocument, match="at most 500"):
        post(Kind.SALE, *[(ghee, 1)] * 501)


def test_the_number_of_queries_does_not_grow_with_the_lines(
    stocked, post, category, django_assert_num_queries
):
    products = Product.objects.bulk_create(
        [Product(sku=f"P-{n}", name=f"P {n}", category=category, selling_price=10) for n in range(500)]
    )
    post(Kind.RECEIPT, *[(product, 10, 5) for product in products])
    with django_assert_num_queries(4):  # prices, savepoint, posting, release
        post(Kind.SALE, (products[0], 1))
    fresh = list(Product.objects.filter(sku__startswith="P-"))
    with django_assert_num_queries(4):
        post(Kind.SALE, *[(product, 1) for product in fresh])


def test_price_is_the_stores_own_at_the_time(stocked, post, store, ghee):
    now = timezone.now()
    StorePrice.objects.create(store=store, product=ghee, price=540, effective_from=now - timedelta(days=2))
    StorePrice.objects.create(store=store, product=ghee, price=550, effective_from=now - timedelta(days=1))
    StorePrice.objects.create(store=store, product=ghee, price=999, effective_from=now + timedelta(days=1))

    def sold_at(hours):
        fresh = Product.objects.get(pk=ghee.pk)
        return post(Kind.SALE, (fresh, 1), occurred_at=now - timedelta(hours=hours)).movements[0].unit_price

    assert [sold_at(0), sold_at(30), sold_at(60)] == [550, 540, 560]


def test_later_price_edits_leave_history_alone(stocked, post, ghee):
    movement = post(Kind.SALE, (ghee, 1)).movements[0]
    Product.objects.update(selling_price=600, cost_price=590)
    movement.refresh_from_db()
    assert (movement.unit_price, movement.unit_cost) == (560, 510)


def test_unknown_cost_is_the_usual_one_and_flagged(post, ghee):
    [movement] = post(Kind.RECEIPT, (ghee, 5)).movements
    assert (movement.unit_cost, movement.cost_estimated) == (500, True)
    level = StockLevel.objects.get()
    assert (level.average_cost, level.cost_estimated) == (500, True)
    [sale] = post(Kind.SALE, (ghee, 1)).movements
    assert (sale.unit_cost, sale.cost_estimated) == (500, True)


def test_a_product_sold_before_it_ever_came_costs_its_usual_cost(post, ghee):
    [sale] = post(Kind.SALE, (ghee, 1), confirm_oversell=True).movements
    assert (sale.unit_cost, sale.cost_estimated, sale.balance_after) == (500, True, -1)
    post(Kind.RECEIPT, (ghee, 3, 520))
    level = StockLevel.objects.get()
    assert (level.on_hand, level.average_cost, level.cost_estimated) == (2, 520, False)


# Worked cases of the moving average: (steps, on hand, average, value). R = receive at, S = sell, B = customer return.
AVERAGE = {
    "two receipts and a sale": ("R10@10 R10@20 S15", "5", "15", "75"),
    "below zero, then a receipt takes the new cost": ("R1@100 S2 R2@120 R3@100", "4", "105", "420"),
    "sold before the first receipt": ("S1 R1@15", "0", "15", "0"),
    "nothing is left over at zero": ("R1@1.00 R1@1.00 R1@1.01 S3", "0", "1.0033", "0"),
    "a third of a paisa is half a paisa up": ("R1@1.00 R1@1.00 R1@1.01", "3", "1.0033", "3.01"),
    "uneven lots": ("R1000@0.17 R800@0.23", "1800", "0.1967", "354.06"),
    "a return comes back at the cost it left with": ("R1@13.13 R1@12.20 S2 B2", "2", "12.665", "25.33"),
    "the first receipt replaces an assumed cost": ("R1@100 R1@200 R1@200 R1@200", "4", "175", "700"),
    "half up at the fifth decimal": ("R1@0.0001 R1@0.0002", "2", "0.0002", "0"),
}


@pytest.mark.parametrize("case", AVERAGE)
def test_moving_average(case, post, ghee):
    steps, on_hand, average, value = AVERAGE[case]
    for step in steps.split():
        quantity, _at, cost = step[1:].partition("@")
        line = Line(product=ghee, quantity=Decimal(quantity), unit_cost=Decimal(cost) if cost else None)
        kind = {"R": Kind.RECEIPT, "S": Kind.SALE, "B": Kind.SALE_RETURN}[step[0]]
        post(kind, line, confirm_oversell=True)
    level = StockLevel.objects.get()
    assert (level.on_hand, level.average_cost, level.value) == (
        Decimal(on_hand),
        Decimal(average),
        Decimal(value),
    )


def test_the_average_belongs_to_one_store(post, other_store, ghee):
    post(Kind.RECEIPT, (ghee, 1, 100))
    post(Kind.RECEIPT, (ghee, 1, 80), where=other_store)
    post(Kind.RECEIPT, (ghee, 1, 80))
    assert list(StockLevel.objects.order_by("store").values_list("average_cost", flat=True)) == [90, 80]


def test_half_past_midnight_in_karachi_is_a_new_business_day(stocked, post, ghee):
    karachi = ZoneInfo("Asia/Karachi")
    with time_machine.travel(datetime(2026, 11, 22, 0, 30, tzinfo=karachi), tick=False):
        late = post(Kind.SALE, (ghee, 1), occurred_at=datetime(2026, 11, 21, 18, 59, 59, tzinfo=UTC))
        early = post(Kind.SALE, (ghee, 1), occurred_at=datetime(2026, 11, 21, 19, 0, 0, tzinfo=UTC))
        now = post(Kind.SALE, (ghee, 1))
    assert [str(p.document.business_date) for p in (late, early, now)] == [
        "2026-11-21",
        "2026-11-22",
        "2026-11-22",
    ]


def test_summer_time_of_2008_is_known(store):
    # Clocks went forward at 00:00 on 1 June 2008: 18:30 UTC was 23:30 the day before, but 00:30 the day after.
    assert str(store.business_date(datetime(2008, 5, 31, 18, 30, tzinfo=UTC))) == "2008-05-31"
    assert str(store.business_date(datetime(2008, 6, 1, 18, 30, tzinfo=UTC))) == "2008-06-02"


@pytest.mark.parametrize(("role", "days"), [("cashier", 3), ("manager", 30), ("owner", 30)])
def test_how_late_one_may_enter_depends_on_the_role(stocked, post, staff, ghee, role, days):
    actor = Actor.on_page(staff(role), role)
    just = timezone.now() - timedelta(days=days) + timedelta(minutes=1)
    assert post(Kind.SALE, (ghee, 1), actor=actor, occurred_at=just).document.occurred_at == just
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE, (ghee, 1), actor=actor, occurred_at=timezone.now() - timedelta(days=days, minutes=1))
    assert refusal.value.code == "too_old"


def test_the_future_and_naive_times_are_refused(stocked, post, ghee):
    for when, code in [
        (timezone.now() + timedelta(minutes=6), "in_future"),
        (datetime(2026, 11, 22, 10, 0), "naive_datetime"),
    ]:
        with pytest.raises(InvalidDocument) as refusal:
            post(Kind.SALE, (ghee, 1), occurred_at=when)
        assert refusal.value.code == code


@pytest.mark.parametrize(("status", "kinds"), [
    ("suspended", []),
    ("closed", []),
    ("closing", [Kind.SALE, Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT]),
    ("open", [Kind.SALE, Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT, Kind.RECEIPT]),
])  # fmt: skip
def test_what_a_stores_status_lets_through(stocked, post, store, ghee, status, kinds):
    store.status = status
    for kind in (Kind.SALE, Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT, Kind.RECEIPT):
        if kind in kinds:
            post(kind, (ghee, 1))
        else:
            with pytest.raises(StoreNotOpen):
                post(kind, (ghee, 1))


@pytest.mark.parametrize(("status", "kinds"), [
    ("draft", []),
    ("archived", []),
    ("merged", []),
    ("discontinued", [Kind.SALE, Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT]),
])  # fmt: skip
def test_what_a_products_status_lets_through(stocked, post, ghee, status, kinds):
    ghee.status = status
    for kind in (Kind.SALE, Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT, Kind.RECEIPT):
        if kind in kinds:
            post(kind, (ghee, 1))
        else:
            with pytest.raises(InvalidDocument):
                post(kind, (ghee, 1))


def test_an_adjustment_keeps_its_reason(stocked, post, ghee):
    missing = Reason.objects.get(code="MISSING")
    [movement] = post(Kind.ADJUSTMENT, (ghee, -2), reason=missing).movements
    assert Movement.objects.get(pk=movement.pk).reason == missing
    assert stocked(ghee).on_hand == 22
    with pytest.raises(InvalidDocument, match="zero"):
        post(Kind.ADJUSTMENT, (ghee, 0))


def test_posting_touches_the_store_it_names_and_no_other(stocked, post, store, other_store, ghee):
    post_document(
        store=other_store,
        kind=Kind.RECEIPT,
        lines=[Line(product=ghee, quantity=Decimal(7))],
        actor=Actor.playing(),
    )
    assert stocked(ghee).on_hand == 24
    assert StockLevel.objects.get(store=other_store).on_hand == 7


def test_stock_beyond_what_a_column_holds_is_refused_in_words(post, atta, ghee):
    post(Kind.RECEIPT, *[(ghee, 999_999_999, 1)] * 90)
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.RECEIPT, *[(ghee, 999_999_999, 1)] * 20)
    assert refusal.value.code == "out_of_range"
