"""Stock value, dead stock, movement summary and shrinkage: figures worked by hand, and worked out again from the ledger."""

import io
import random
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from catalog.models import Category, Product, StorePrice
from inventory import tests
from inventory.models import Document, Kind, Movement, StockLevel
from inventory.services import (
    Actor,
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    Line,
    post_document,
    reverse_document,
)
from reports import queries
from stores.models import Store

SAMPLE = Path(tests.__file__).parent / "data" / "sample_2w"
IMPORT = Actor.importing()


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
    soap = Category.objects.create(name="Soap", parent=home, name_ur="صابن")
    return Product.objects.create(
        sku="SOP-0001", name="Lux Soap", category=soap, cost_price=60, selling_price=75
    )


@pytest.fixture
def void(manager):
    return lambda posted, **options: reverse_document(
        document=posted.document, actor=Actor.on_page(manager, "manager"), **options
    )


def ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def by(report, name: str) -> dict:
    return {row.pop(name): row for row in report.rows}


# -- Stock value ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_stock_value_by_category_has_the_totals_of_the_value_page(
    stocked, post, ghee, lux, mine, store, django_assert_num_queries
):
    post(Kind.RECEIPT, (lux, 10, "60.005"))
    StorePrice.objects.create(store=store, product=ghee, price=550)
    with django_assert_num_queries(2):
        report = queries.stock_value(mine)
    flour, soap = report.rows
    # 100 x 118 + 24 x 510 = 24040; 100 x 130 + 24 x 550 = 26200.
    assert (flour["category"], flour["products"]) == ("Flour & Grains", 2)
    assert [flour[name] for name in ("value_at_cost", "value_at_price", "margin")] == [
        Decimal("24040.00"), Decimal("26200.00"), Decimal("2160.00"),
    ]  # fmt: skip
    # 10 x 60.005 = 600.05.
    assert (soap["category_ur"], soap["value_at_cost"], soap["margin"]) == (
        "صابن", Decimal("600.05"), Decimal("149.95"),
    )  # fmt: skip
    page = queries.inventory_value(mine).totals
    assert report.totals == page | {"margin": page["value_at_price"] - page["value_at_cost"]}
    summary = queries.inventory_summary(mine).totals
    assert (summary["value_at_cost"], summary["value_at_price"]) == (
        page["value_at_cost"],
        page["value_at_price"],
    )
    home = Category.objects.get(name="Household")
    assert [row["category"] for row in queries.stock_value(mine, home).rows] == ["Soap"]


# -- Dead stock -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_dead_is_what_lies_there_and_was_not_sold(
    stocked, post, atta, ghee, lux, mine, today, store, other_store, django_assert_num_queries
):
    post(Kind.RECEIPT, (lux, 10, 60), (ghee, 1, 510))
    post(Kind.SALE, (atta, 1), occurred_at=ago(10), actor=IMPORT)
    post(Kind.SALE, (lux, 4), occurred_at=ago(3), actor=IMPORT)
    with django_assert_num_queries(2):
        report = queries.dead_stock(mine, today, 7)
    assert report.rows == [
        {
            "store": "LHE-0001", "sku": "GHE-0001", "name": "Dalda Ghee 1 kg", "name_ur": "ڈالڈا گھی 1 کلو", "unit": "pc",
            "on_hand": Decimal(25), "value_at_cost": Decimal("12750.00"), "last_sold": None, "days": None,
        },
        {
            "store": "LHE-0001", "sku": "FLR-0001", "name": "Chakki Atta (loose)", "name_ur": "چکی آٹا (کھلا)",
            "unit": "kg", "on_hand": Decimal(99), "value_at_cost": Decimal("11682.00"),
            "last_sold": store.business_date(ago(10)), "days": 10,
        },
    ]  # fmt: skip
    assert report.totals == {"items": 2, "value_at_cost": Decimal("24432.00")}
    # Sold 3 days ago: dead for 3 days, not for 4.
    assert [row["sku"] for row in queries.dead_stock(mine, today, 3).rows] == [
        "GHE-0001",
        "FLR-0001",
        "SOP-0001",
    ]
    assert len(queries.dead_stock(mine, today, 4).rows) == 2
    # The limit cuts the rows, not the totals.
    first = queries.dead_stock(mine, today, 7, limit=1)
    assert ([row["sku"] for row in first.rows], first.totals) == (["GHE-0001"], report.totals)
    home = Category.objects.get(name="Household")
    assert queries.dead_stock(mine, today, 3, home).totals == {"items": 1, "value_at_cost": Decimal("360.00")}
    assert queries.dead_stock(mine, today, 7, home).rows == []
    assert queries.dead_stock(Store.objects.filter(pk=other_store.pk), today).totals == {
        "items": 0, "value_at_cost": Decimal("0.00"),
    }  # fmt: skip
    # What is gone, or below zero, is not dead.
    post(Kind.SALE, (ghee, 25), occurred_at=ago(200), actor=IMPORT)
    assert "GHE-0001" not in [row["sku"] for row in queries.dead_stock(mine, today, 7).rows]


@pytest.mark.django_db
def test_a_sale_that_was_voided_was_no_sale(stocked, post, void, atta, ghee, mine, today, store):
    def last(days=60):
        return {
            sku: row["last_sold"] for sku, row in by(queries.dead_stock(mine, today, days), "sku").items()
        }

    old = post(Kind.SALE, (ghee, 1), (atta, 1), occurred_at=ago(100), actor=IMPORT)
    newer = post(Kind.SALE, (ghee, 1), occurred_at=ago(80), actor=IMPORT)
    young = post(Kind.SALE, (ghee, 1), (ghee, 1), occurred_at=ago(5), actor=IMPORT)
    assert last() == {"FLR-0001": store.business_date(ago(100))}
    void(young)  # on another day than the sale
    assert last() == {"FLR-0001": store.business_date(ago(100)), "GHE-0001": store.business_date(ago(80))}
    # A void of a sale from before the period is no sale the other way round: what is sold on that day counts.
    void(newer)
    assert last()["GHE-0001"] == store.business_date(ago(100))
    post(Kind.SALE, (ghee, 1), occurred_at=ago(2), actor=IMPORT)
    assert "GHE-0001" not in last()
    void(old)
    assert last() == {"FLR-0001": None}
    assert "GHE-0001" not in last(2 + 1)
    # A return is no sale, and does not undo that there was one.
    sale = post(Kind.SALE, (atta, 1), occurred_at=ago(1), actor=IMPORT)
    post(Kind.SALE_RETURN, (atta, 1), returns=sale.document)
    assert last() == {}


@pytest.mark.django_db
def test_a_sale_and_the_void_of_another_on_one_day_do_not_hide_each_other(
    stocked, post, void, ghee, mine, today, store
):
    """The day's net figure is nothing, yet something was sold on it."""
    before = post(Kind.SALE, (ghee, 1), occurred_at=ago(90), actor=IMPORT)
    void(before, now=ago(70))
    post(Kind.SALE, (ghee, 1), occurred_at=ago(70), actor=IMPORT)
    [row] = [row for row in queries.dead_stock(mine, today).rows if row["sku"] == "GHE-0001"]
    assert (row["last_sold"], row["days"]) == (store.business_date(ago(70)), 70)
    assert "GHE-0001" not in by(queries.dead_stock(mine, today, 75), "sku")


# -- Movement summary -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_movements_are_summed_by_kind_net_of_voids(
    stocked, post, void, atta, ghee, lux, mine, today, django_assert_num_queries
):
    # Fixture: one receipt of 100 at 118 and 24 at 510.
    post(Kind.OPENING, (lux, 10, 60))
    sale = post(Kind.SALE, (ghee, 4), (atta, "1.5"))
    post(Kind.SALE, (ghee, 1))
    void(post(Kind.SALE, (ghee, 7)))
    post(Kind.SALE_RETURN, (ghee, 1), returns=sale.document)
    post(Kind.ADJUSTMENT, (ghee, -2), (atta, "0.25"))
    void(post(Kind.ADJUSTMENT, (ghee, -3)))
    void(post(Kind.ADJUSTMENT, (ghee, 5)))
    post(Kind.WASTAGE, (atta, "0.5"))
    post(Kind.OWN_USE, (lux, 1))
    void(post(Kind.OWN_USE, (lux, 2)))
    post(Kind.SUPPLIER_RETURN, (ghee, 2))
    with django_assert_num_queries(2):
        report = queries.movement_summary(mine, today, today)
    assert [row["kind"] for row in report.rows] == Kind.values
    rows = by(report, "kind")
    told = {
        kind: (
            row["documents"],
            row["lines"],
            str(row["units_in"]),
            str(row["units_out"]),
            str(row["value_at_cost"]),
        )
        for kind, row in rows.items()
    }
    assert told == {
        "opening": (1, 1, "10.000", "0.000", "600.00"),
        "receipt": (1, 2, "124.000", "0.000", "24040.00"),
        "sale": (2, 3, "0.000", "6.500", "-2727.00"),  # 5 x 510 + 1.5 x 118
        "sale_return": (1, 1, "1.000", "0.000", "510.00"),
        "adjustment": (1, 2, "0.250", "2.000", "-990.50"),  # 2 x 510 - 0.25 x 118
        "wastage": (1, 1, "0.000", "0.500", "-59.00"),
        "own_use": (1, 1, "0.000", "1.000", "-60.00"),
        "supplier_return": (1, 1, "0.000", "2.000", "-1020.00"),
    }
    totals = report.totals
    on_hand = sum(StockLevel.objects.values_list("on_hand", flat=True))
    assert totals["units_in"] - totals["units_out"] == on_hand
    assert totals["value_at_cost"] == Decimal("20293.50")
    assert (totals["documents"], totals["lines"]) == (9, 12)
    # One category: a sale counts once, though one of its lines only belongs there.
    with django_assert_num_queries(2):
        home = by(queries.movement_summary(mine, today, today, lux.category), "kind")
    assert (home["own_use"]["units_out"], home["sale"]["documents"], home["receipt"]["lines"]) == (1, 0, 0)
    flour = by(queries.movement_summary(mine, today, today, ghee.category), "kind")
    assert (flour["sale"]["documents"], flour["sale"]["lines"], flour["opening"]["lines"]) == (2, 3, 0)


@pytest.mark.django_db
def test_a_period_holds_late_facts_and_not_the_voids_of_other_days(
    stocked, post, void, ghee, mine, today, store
):
    late, day = ago(20), store.business_date(ago(20))
    waste = post(Kind.WASTAGE, (ghee, 3), occurred_at=late, actor=IMPORT)
    sale = post(Kind.SALE, (ghee, 5), occurred_at=late, actor=IMPORT)
    void(waste)
    void(sale)
    then = by(queries.movement_summary(mine, day, day), "kind")
    assert (then["wastage"]["units_out"], then["sale"]["units_out"]) == (3, 5)
    assert (then["wastage"]["documents"], then["sale"]["lines"]) == (1, 1)
    now = by(queries.movement_summary(mine, today, today), "kind")
    assert (now["wastage"]["documents"], now["wastage"]["units_out"]) == (-1, -3)
    assert (now["sale"]["lines"], now["sale"]["units_out"]) == (-1, -5)
    both = by(queries.movement_summary(mine, day, today), "kind")
    assert (both["wastage"]["units_out"], both["sale"]["documents"], both["sale"]["value_at_cost"]) == (
        0,
        0,
        0,
    )
    with pytest.raises(queries.InvalidPeriod):
        queries.movement_summary(mine, today, day)


# -- Shrinkage ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_shrinkage_at_cost_beside_the_sales(
    stocked, post, void, atta, ghee, store, other_store, today, django_assert_num_queries
):
    post(Kind.SALE, (ghee, 10))  # Rs 5600
    post(Kind.WASTAGE, (ghee, 1), (atta, 2))
    post(Kind.OWN_USE, (atta, "0.5"))
    post(Kind.ADJUSTMENT, (ghee, -1), (atta, 3))
    post(Kind.SUPPLIER_RETURN, (ghee, 1))  # the supplier pays for it: nothing is lost
    void(post(Kind.WASTAGE, (ghee, 5)))
    void(post(Kind.ADJUSTMENT, (atta, 7)))
    stores = Store.objects.filter(pk__in=[store.pk, other_store.pk])
    with django_assert_num_queries(3):
        report = queries.shrinkage(stores, today, today)
    nobody = {"sku": None, "name": None, "name_ur": None, "unit": None}
    lost = {
        "wastage": Decimal("746.00"),  # 510 + 2 x 118
        "own_use": Decimal("59.00"),
        "adjusted_minus": Decimal("510.00"),
        "adjusted_plus": Decimal("354.00"),
        "lost": Decimal("961.00"),
        "units": Decimal("1.500"),
        "revenue": Decimal("5600.00"),
        "percent_of_sales": Decimal("17.16"),
    }
    nothing = dict.fromkeys(lost, Decimal("0.00")) | {"units": Decimal("0.000"), "percent_of_sales": None}
    assert report.rows == [
        {"store": "KHI-0001", **nobody, **nothing},
        {"store": "LHE-0001", **nobody, **lost},
    ]
    assert report.totals == lost
    assert not any(str(value).startswith("-") for row in report.rows for value in row.values())
    with django_assert_num_queries(3):
        goods = queries.shrinkage(stores, today, today, by="product")
    tin, flour = goods.rows
    assert (tin["store"], tin["sku"], tin["lost"], tin["percent_of_sales"]) == (
        None, "GHE-0001", Decimal("1020.00"), Decimal("18.21"),
    )  # fmt: skip
    # More flour was found than lost.
    assert (flour["sku"], flour["lost"], flour["percent_of_sales"]) == ("FLR-0001", Decimal("-59.00"), None)
    assert goods.totals == lost
    top = queries.shrinkage(stores, today, today, by="product", limit=1)
    assert ([row["sku"] for row in top.rows], top.totals) == (["GHE-0001"], lost)
    assert (
        queries.shrinkage(stores, today, today, Category.objects.create(name="Empty"), by="product").rows
        == []
    )


# -- The same, worked out again from the ledger ----------------------------------------------------------------------


def mess_up(stores, products, seed=5):
    """Hundreds of late facts of every kind, among them voids and returns, on top of an imported history."""
    chance = random.Random(seed)
    first = datetime(2016, 12, 30, tzinfo=UTC)
    posted = list(Document.objects.filter(kind=Kind.SALE, store__in=stores).order_by("reference")[:20])
    for number in range(400):
        store, when = chance.choice(stores), first + timedelta(minutes=chance.randrange(25 * 24 * 60))
        kind = chance.choice([
            Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT, Kind.SALE, Kind.RECEIPT, "void", "void", "return",
        ])  # fmt: skip
        try:
            with transaction.atomic():
                if kind == "void":
                    document = chance.choice(posted)
                    reverse_document(document=document, actor=IMPORT, now=max(when, document.occurred_at))
                elif kind == "return":
                    sale = chance.choice([one for one in posted if one.kind == Kind.SALE])
                    [line, *_rest] = sale.movements.select_related("product")
                    post_document(
                        store=sale.store, kind=Kind.SALE_RETURN, lines=[Line(product=line.product, quantity=-line.quantity)],
                        actor=IMPORT, returns=sale, occurred_at=max(when, sale.occurred_at),
                    )  # fmt: skip
                else:
                    lines = [
                        Line(
                            product=product,
                            quantity=Decimal(chance.randint(1, 3))
                            * (chance.choice([1, -1]) if kind == Kind.ADJUSTMENT else 1),
                        )
                        for product in chance.sample(products, chance.randint(1, 3))
                    ]
                    done = post_document(
                        store=store,
                        kind=kind,
                        lines=lines,
                        actor=IMPORT,
                        occurred_at=when,
                        reference=f"mess-{number}",
                    )
                    posted.append(done.document)
        except (InsufficientStock, AlreadyReversed, InvalidDocument):
            continue
    kinds = set(Document.objects.filter(reverses__isnull=False).values_list("kind", flat=True))
    assert len(kinds) >= 5, "too few voids to prove anything"


def cents(value) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.django_db(transaction=True)
def test_the_reports_of_a_history_are_what_its_ledger_adds_up_to():
    call_command("import_history", str(SAMPLE), processes=2, stdout=io.StringIO(), stderr=io.StringIO())
    stores = list(Store.objects.order_by("code"))[:5]
    full = StockLevel.objects.filter(store__in=stores, product__status="active").order_by("-on_hand", "pk")
    mess_up(stores, [level.product for level in full.select_related("product")[:60]])
    call_command("check_ledger", processes=1)
    everything = list(Movement.objects.filter(store__in=stores).select_related("product__category"))
    undone = {line.reverses_id for line in everything}
    categories = [None, *Category.objects.filter(parent__isnull=False).order_by("pk")[:2]]
    for store in stores:
        mine = Store.objects.filter(pk=store.pk)
        levels = list(StockLevel.objects.filter(store=store).select_related("product__category"))
        for category in categories:
            lines = [
                line for line in everything
                if line.store_id == store.pk and category in (None, line.product.category)
            ]  # fmt: skip
            for start, end in [(date(2016, 12, 1), date(2017, 2, 1)), (date(2017, 1, 5), date(2017, 1, 8))]:
                inside = [line for line in lines if start <= line.business_date <= end]
                check_summary(queries.movement_summary(mine, start, end, category), inside)
                check_shrinkage(mine, start, end, category, inside, store)
            for today, days in [(date(2017, 1, 31), 9), (date(2017, 1, 12), 3), (date(2017, 2, 1), 30)]:
                check_dead(mine, levels, category, today, days, lines, undone)
        value = queries.stock_value(mine)
        assert value.totals["value_at_cost"] == sum(
            cents(level.on_hand * level.average_cost) for level in levels
        )
        assert value.totals["margin"] == sum(row["margin"] for row in value.rows)


def check_summary(report, lines):
    for row in report.rows:
        mine = [line for line in lines if line.kind == row["kind"]]
        signs = [-1 if line.reverses_id else 1 for line in mine]
        documents = {(line.document_id, sign) for line, sign in zip(mine, signs, strict=True)}
        came = [line.quantity for line, sign in zip(mine, signs, strict=True) if line.quantity * sign > 0]
        went = [-line.quantity for line, sign in zip(mine, signs, strict=True) if line.quantity * sign < 0]
        worth = sum(
            (line.quantity * line.unit_cost).quantize(Decimal("0.0001"), ROUND_HALF_UP) for line in mine
        )
        assert (row["documents"], row["lines"]) == (sum(sign for _document, sign in documents), sum(signs)), (
            row
        )
        assert (row["units_in"], row["units_out"]) == (sum(came), sum(went)), row
        assert row["value_at_cost"] == cents(Decimal(worth)), row


def check_shrinkage(mine, start, end, category, lines, store):
    [row] = queries.shrinkage(mine, start, end, category).rows
    goods = by(queries.shrinkage(mine, start, end, category, by="product"), "sku")
    of_sku = {}
    for line in lines:
        of_sku.setdefault(line.product.sku, []).append(line)
    for subject, of in [(row, lines), *((goods[sku], of_sku[sku]) for sku in goods)]:
        sums = dict.fromkeys(("wastage", "own_use", "adjusted_minus", "adjusted_plus"), Decimal(0))
        for line in of:
            downwards = (line.quantity < 0) == (line.reverses_id is None)
            name = {"adjustment": "adjusted_minus" if downwards else "adjusted_plus"}.get(
                line.kind, line.kind
            )
            if name in sums:
                worth = (line.quantity * line.unit_cost).quantize(Decimal("0.0001"), ROUND_HALF_UP)
                sums[name] += worth if name == "adjusted_plus" else -worth
        revenue = sum(
            (
                (1 if line.quantity < 0 else -1) * line.line_total
                for line in of
                if line.kind in ("sale", "sale_return")
            ),
            Decimal(0),
        )
        for name, worth in sums.items():
            assert subject[name] == cents(worth), (name, subject)
        assert subject["revenue"] == revenue
    moved = {line.product.sku for line in lines if line.kind in ("wastage", "own_use", "adjustment")}
    assert goods.keys() == moved


def check_dead(mine, levels, category, today, days, lines, undone):
    sold = {}
    for line in lines:
        if line.kind == "sale" and line.reverses_id is None and line.pk not in undone:
            sold[line.product_id] = sorted({*sold.get(line.product_id, ()), line.business_date})
    since = today - timedelta(days=days)
    expected = {}
    for level in levels:
        when = sold.get(level.product_id, [])
        if (
            category in (None, level.product.category)
            and level.on_hand > 0
            and not any(day > since for day in when)
        ):
            expected[level.product.sku] = (level.on_hand, when[-1] if when else None)
    report = queries.dead_stock(mine, today, days, category)
    assert {row["sku"]: (row["on_hand"], row["last_sold"]) for row in report.rows} == expected
    assert report.totals["items"] == len(expected)
    worth = [row["value_at_cost"] for row in report.rows]
    assert worth == sorted(worth, reverse=True)
    assert report.totals["value_at_cost"] == sum(worth)
