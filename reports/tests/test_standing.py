"""How levels stand: reports with the kept sums say what they would say if they valued every level, whatever happens when."""

import random
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from catalog.models import Category, Product, StorePrice
from inventory.models import Kind, StockLevel
from inventory.services import Actor, Refused, reverse_document
from reports import queries
from reports.models import ProductStanding, Restated, Standing, StandingMark, StoreStanding
from reports.queries.levels import asked_of_levels, short_counts, short_levels
from reports.services import count_standing, restate
from stores.models import Store

# -- The same questions, asked of every level


SUMMARY = """
SELECT store_id, count(*), count(*) FILTER (WHERE on_hand > 0 AND on_hand <= reorder_point AND listed),
       count(*) FILTER (WHERE on_hand = 0), count(*) FILTER (WHERE on_hand < 0), sum(at_cost), sum(at_price)
FROM valued GROUP BY store_id
"""
DEAD = """
WITH voided AS (
    SELECT r.store_id, r.product_id, 1 AS lines
    FROM inventory_document AS v
    JOIN inventory_movement AS r ON r.store_id = v.store_id AND r.document_id = v.id
    JOIN inventory_movement AS m ON m.store_id = r.store_id AND m.id = r.reverses_id
    WHERE v.store_id = ANY(%(stores)s) AND v.kind = 'sale' AND v.reverses_id IS NOT NULL
      AND v.business_date > %(since)s AND m.business_date <= %(since)s
), sold AS (
    SELECT store_id, product_id FROM (
        SELECT store_id, product_id, lines FROM reports_dailystock
        WHERE store_id = ANY(%(stores)s) AND business_date > %(since)s AND lines <> 0
        UNION ALL SELECT * FROM voided
    ) AS days GROUP BY store_id, product_id HAVING sum(lines) > 0
)
SELECT s.code, p.sku, l.on_hand, round(l.on_hand * l.average_cost, 2) AS value
FROM inventory_stocklevel AS l
JOIN stores_store AS s ON s.id = l.store_id
JOIN catalog_product AS p ON p.id = l.product_id
WHERE l.store_id = ANY(%(stores)s) AND l.on_hand > 0 AND p.category_id = ANY(%(categories)s)
  AND NOT EXISTS (SELECT FROM sold WHERE sold.store_id = l.store_id AND sold.product_id = l.product_id)
ORDER BY value DESC, sku, code
"""


def summary(stores, category):
    codes = dict(stores.values_list("pk", "code"))
    found = {codes[row[0]]: row[1:] for row in asked_of_levels(stores, SUMMARY, category)}
    return {code: found.get(code, (0,) * 6) for code in codes.values()}


def dead(stores, category, today, days):
    inside = Category.objects.all()
    if category:
        inside = Category.objects.filter(pk=category.pk) | Category.objects.filter(parent=category)
    given = {
        "stores": list(stores.values_list("pk", flat=True)),
        "since": today - timedelta(days),
        "categories": list(inside.values_list("pk", flat=True)),
    }
    with connection.cursor() as cursor:
        cursor.execute(DEAD, given)
        return cursor.fetchall()


def check(stores, category, today) -> None:
    """The four reports about `stores` are what all their levels say."""
    names = ("products", "low", "out", "negative", "value_at_cost", "value_at_price")
    told = queries.inventory_summary(stores, category).rows
    assert {row["store"]: tuple(row[name] for name in names) for row in told} == summary(stores, category)

    told = queries.stock_value(stores, category).rows
    assert [{name: value for name, value in row.items() if name != "margin"} for row in told] == (
        queries.inventory_value(stores, 0, category).rows
    )

    short = [{"store": row.pop("code"), **row} for row in short_levels(stores, category)]
    told = queries.low_stock(stores, category)
    assert (told.rows, told.totals) == (short, short_counts(stores, category))
    told = queries.low_stock(stores, category, limit=3)
    assert (told.rows, told.totals) == (short[:3], short_counts(stores, category))
    for state in queries.SHORT:
        told = queries.low_stock(stores, category, state, limit=2)
        right = [row for row in short if row["state"] == state]
        assert (told.rows, told.totals["items"], told.totals[state]) == (right[:2], len(right), len(right))

    for days in (0, 3, 8):
        right = dead(stores, category, today, days)
        for limit in (None, 2):
            told = queries.dead_stock(stores, today, days, category, limit)
            names = ("store", "sku", "on_hand", "value_at_cost")
            assert [tuple(row[name] for name in names) for row in told.rows] == right[:limit]
            assert (told.totals["items"], told.totals["value_at_cost"]) == (
                len(right),
                sum(row[3] for row in right),
            )


@pytest.fixture
def chain(db, category):
    """Three stores and a sandbox, and goods of two categories, one inside the other."""
    stores = [
        Store.objects.create(
            code=f"ST-{number}", name=f"Store {number}", oversell_policy="allow", sandbox=number == 3
        )
        for number in range(4)
    ]
    inner = Category.objects.create(name="Rice", parent=category)
    other = Category.objects.create(name="Soap")
    goods = [
        Product.objects.create(
            sku=f"P-{n}", name=f"Product {n % 4}", category=where, selling_price=10 + n, cost_price=5 + n
        )
        for n, where in enumerate([category, inner, inner, other, other, category])
    ]
    return stores, goods


def happen(rng, post, chain, manager, posted) -> None:
    """One thing that changes what a report says."""
    stores, goods = chain
    where, product = rng.choice(stores), rng.choice(goods)
    when = timezone.now() - timedelta(hours=rng.choice([0, 0, *range(1, 24 * 12)]))
    level = StockLevel.objects.filter(store=where, product=product)
    kind = rng.choice(
        [
            Kind.RECEIPT,
            Kind.SALE,
            Kind.SALE,
            Kind.SALE,
            Kind.WASTAGE,
            "void",
            "void",
            "price",
            "own price",
            "later price",
            "forget price",
            "status",
            "category",
            "reorder",
            "list",
            "new",
        ]
    )
    try:
        match kind:
            case "void" if posted:
                reverse_document(document=rng.choice(posted), actor=Actor.on_page(manager, "manager"))
            case "price":
                Product.objects.filter(pk=product.pk).update(selling_price=rng.randint(1, 40))
            case "own price" | "later price":
                StorePrice.objects.update_or_create(
                    store=where,
                    product=product,
                    effective_from=timezone.now().replace(minute=rng.randrange(60), second=0, microsecond=0)
                    + timedelta(hours=2 if kind == "later price" else -2),
                    defaults={"price": rng.randint(1, 40)},
                )
            case "forget price":
                StorePrice.objects.filter(store=where, product=product).delete()
            case "status":
                Product.objects.filter(pk=product.pk).update(
                    status=rng.choice(["active", "active", "discontinued", "archived"])
                )
            case "category":
                Product.objects.filter(pk=product.pk).update(category=rng.choice(goods).category_id)
            case "reorder":
                level.update(reorder_point=rng.randint(0, 12))
            case "list":
                level.update(listed=rng.random() < 0.6)
            case "new":
                level.filter(seq=0).delete()
                level.exists() or StockLevel.objects.create(store=where, product=product)
            case Kind():
                lines = [(each, rng.randint(1, 9), 7) for each in rng.sample(goods, rng.randint(1, 3))]
                posted.append(post(kind, *lines, where=where, occurred_at=when).document)
    except Refused:
        pass  # more than there was, voided before, or no longer sold


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_reports_say_what_every_level_says_whenever_the_job_was_here(chain, post, manager, category, seed):
    rng, posted = random.Random(seed), []
    stores, _goods = chain
    today = timezone.now().date()
    live = Store.objects.filter(sandbox=False)
    for turn in range(6):
        for _ in range(20):
            happen(rng, post, chain, manager, posted)
        if turn and rng.random() < 0.6:
            restate()
        if rng.random() < 0.2:
            stores.append(Store.objects.create(code=f"NEW-{turn}", name="New", oversell_policy="allow"))
        for asked in (live, Store.objects.all(), live.filter(pk__in=[stores[0].pk, stores[-1].pk])):
            for within in (None, category):
                check(asked, within, today)
    assert StandingMark.objects.count() == 1
    assert Standing.objects.exists()
    call_command("check_ledger", processes=1)


@pytest.mark.django_db
def test_a_price_that_begins_counts_from_its_instant_on(stocked, ghee, store):
    mine, later = Store.objects.filter(pk=store.pk), timezone.now() + timedelta(days=1)
    StorePrice.objects.create(store=store, product=ghee, price=1, effective_from=later)
    restate()
    before = queries.stock_value(mine).totals["value_at_price"]
    assert not Restated.objects.exists()
    # A day goes by: at the mark the price had not begun yet, now it has, and nobody notes it.
    StorePrice.objects.filter(store=store).update(effective_from=timezone.now())
    Restated.objects.filter(store=store).delete()
    assert queries.stock_value(mine).totals["value_at_price"] < before
    check(mine, None, store.today())


@pytest.mark.django_db
def test_a_report_reads_the_sums_and_the_levels_that_changed_since_and_no_others(stocked, post, ghee, store):
    restate()
    Standing.objects.all().update(value_at_cost=1)
    StoreStanding.objects.update(value_at_cost=7000)
    ProductStanding.objects.filter(product=ghee).update(value_at_cost=9000)
    mine = Store.objects.filter(pk=store.pk)
    assert queries.inventory_summary(mine).totals["value_at_cost"] == 7000
    post(Kind.SALE, (ghee, 1))
    now = StockLevel.objects.get(store=store, product=ghee).value
    assert queries.inventory_summary(mine).totals["value_at_cost"] == 7000 - 1 + now


@pytest.mark.django_db
def test_a_posting_writes_nothing_for_it(stocked, post, ghee, store):
    restate()
    post(Kind.SALE, (ghee, 1))
    post(Kind.RECEIPT, (ghee, 1, 500))
    assert not Restated.objects.exists()
    assert restate() == 1
    assert restate() == 0


# -- Races


@pytest.mark.django_db(transaction=True)
def test_a_sale_under_way_is_waited_for(stocked, post, ghee, store):
    restate()
    with transaction.atomic():
        post(Kind.SALE, (ghee, 2))
        assert in_a_thread(lambda: restate(patience=0)) == 0
    assert StandingMark.objects.get().movement < latest()
    assert restate() == 1
    check(Store.objects.filter(pk=store.pk), None, store.today())


@pytest.mark.django_db(transaction=True)
def test_what_was_posted_after_the_numbers_were_read_is_looked_at_again(stocked, post, ghee, store):
    restate()
    before = latest()
    post(Kind.SALE, (ghee, 2))
    count_standing(before, StandingMark.objects.get().level)
    post(Kind.SALE, (ghee, 1))
    assert StandingMark.objects.get().movement == before
    check(Store.objects.filter(pk=store.pk), None, store.today())
    assert restate() == 1
    check(Store.objects.filter(pk=store.pk), None, store.today())


@pytest.mark.django_db(transaction=True)
def test_many_sales_while_several_jobs_run_lose_nothing(chain, post, together):
    stores, goods = chain
    for where in stores[:3]:
        post(Kind.RECEIPT, *[(product, 1000, 7) for product in goods], where=where)
    rng = random.Random(7)

    def sell(where, product):
        return lambda: [post(Kind.SALE, (product, 1), where=where) for _ in range(6)]

    acts = [sell(rng.choice(stores[:3]), rng.choice(goods)) for _ in range(8)]
    found = together([*acts, *[lambda: restate(patience=5)] * 3])
    assert not [error for error in found if isinstance(error, Exception)]
    check(Store.objects.filter(sandbox=False), None, timezone.now().date())
    call_command("check_ledger", processes=1)
    restate()
    call_command("check_ledger", processes=1)


def latest() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM inventory_movement")
        return cursor.fetchone()[0]


def in_a_thread(act):
    """What `act` gives on a connection of its own."""
    found = []

    def work():
        try:
            found.append(act())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive(), "it waits for us"
    return found[0]


# -- Proving and putting right


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE reports_standing SET value_at_cost = 4", "LHE-0001, .*the kept standing"),
        ("UPDATE reports_standing SET last_sold = '2001-01-01'", "LHE-0001, .*the kept standing"),
        ("DELETE FROM reports_standing", "LHE-0001"),
        ("UPDATE reports_storestanding SET low = low + 1", "LHE-0001: the sums of the kept standing"),
        ("UPDATE reports_productstanding SET levels = levels + 1", "All stores, .*the sums of the kept standing"),
    ],
)  # fmt: skip
def test_a_wrong_standing_is_named_and_put_right(stocked, post, ghee, store, change, words):
    restate()
    call_command("check_ledger", processes=1)
    with connection.cursor() as cursor:
        cursor.execute(change)
    with pytest.raises(CommandError, match=words):
        call_command("check_ledger", processes=1)
    call_command("rebuild_daily_stock")
    call_command("check_ledger", processes=1)
    assert StoreStanding.objects.get(store=store).value_at_cost == sum(
        (level.value for level in StockLevel.objects.filter(store=store)), Decimal(0)
    )
