"""Sums of the days that are over: never other than daily stock, whatever comes late, and in no order of events."""

import random
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from catalog.models import Category, Product
from inventory.models import Kind
from inventory.services import Actor, Refused, reverse_document
from reports import queries
from reports.models import CategoryDay, ClosedDays, DailyStock, LateFigures, ProductDay, StoreDay
from reports.services import begin_closing, close_days, rebuild_sums, sum_up
from stores.models import Store

FIGURES = ("documents", "lines", "sold", "revenue", "cost")
OLD = 6  # days ago: closed, and still open to a manager


def closable():
    with connection.cursor() as cursor:
        cursor.execute("SELECT reports_closable()")
        return cursor.fetchone()[0]


def added_up(rows, *keys) -> dict:
    """The figures of `rows` by `keys`; nothing where they are all zero."""
    sums = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in keys)
        before = sums.get(key, (0,) * len(FIGURES))
        sums[key] = tuple(a + getattr(row, name) for a, name in zip(before, FIGURES, strict=True))
    return {key: figures for key, figures in sums.items() if any(figures)}


def holds() -> None:
    """Sums and late figures are daily stock of the closed days, by store and by product."""
    upto = dict(ClosedDays.objects.values_list("store", "upto"))
    closed = [
        row for row in DailyStock.objects.all() if row.business_date <= upto.get(row.store_id, closable().min)
    ]
    late = list(LateFigures.objects.all())
    for model, keys in (
        (StoreDay, ("store_id", "business_date")),
        (ProductDay, ("product_id", "business_date")),
    ):
        assert added_up([*model.objects.all(), *late], *keys) == added_up(closed, *keys), model
    assert not StoreDay.objects.filter(business_date__gt=closable())


def answers(stores, category, today) -> list:
    """What the reports say of some periods."""
    found = []
    for days in (0, 4, 12, 399):
        for end in (today, today - timedelta(5)):
            for within in (None, category):
                period = (stores, end - timedelta(days), end, within)
                found += [
                    queries.daily_sales(*period),
                    queries.top_products(*period, limit=None),
                    queries.movement_summary(*period),
                    queries.shrinkage(*period),
                    queries.shrinkage(*period, by="product"),
                ]
    return found


def without_sums(ask):
    """What `ask` gives while no day is closed: all of it from daily stock."""
    with transaction.atomic():
        before = ClosedDays.objects.count()
        StoreDay.objects.all().delete()
        ProductDay.objects.all().delete()
        CategoryDay.objects.all().delete()
        LateFigures.objects.all().delete()
        ClosedDays.objects.update(upto="0001-01-01")
        assert ClosedDays.objects.count() == before
        found = ask()
        transaction.set_rollback(True)
    return found


@pytest.fixture
def chain(db, category):
    """Stores in three time zones and a sandbox, and goods of two categories, one inside the other."""
    stores = [
        Store.objects.create(
            code=f"ST-{number}",
            name=f"Store {number}",
            timezone=zone,
            oversell_policy="allow",
            sandbox=sandbox,
        )
        for number, (zone, sandbox) in enumerate(
            [
                ("Asia/Karachi", False),
                ("Pacific/Auckland", False),
                ("America/Los_Angeles", False),
                ("Asia/Karachi", True),
            ]
        )
    ]
    inner = Category.objects.create(name="Rice", parent=category)
    other = Category.objects.create(name="Soap")
    goods = [
        Product.objects.create(
            sku=f"P-{n}", name=f"Product {n}", category=where, selling_price=10 + n, cost_price=5 + n
        )
        for n, where in enumerate([category, inner, inner, other])
    ]
    return stores, goods


def trade(rng, post, chain, manager, count: int) -> None:
    """Random documents of the last days in all stores, and voids of some."""
    stores, goods = chain
    posted = []
    for _turn in range(count):
        where = rng.choice(stores)
        when = timezone.now() - timedelta(hours=rng.choice([0, 0, *range(1, 24 * 12)]))
        kind = rng.choice([Kind.RECEIPT, Kind.SALE, Kind.SALE, Kind.SALE, Kind.WASTAGE, "void"])
        try:
            if kind == "void" and posted:
                reverse_document(document=rng.choice(posted), actor=Actor.on_page(manager, "manager"))
                continue
            lines = [(product, rng.randint(1, 9), 7) for product in rng.sample(goods, rng.randint(1, 3))]
            made = post(Kind.SALE if kind == "void" else kind, *lines, where=where, occurred_at=when)
            posted.append(made.document)
        except Refused:
            pass  # more than there was, or voided before


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_reports_say_the_same_with_sums_and_without(chain, post, manager, category, seed):
    rng = random.Random(seed)
    stores, goods = chain
    today = timezone.now().date()
    for _round in range(4):
        trade(rng, post, chain, manager, 30)
        if rng.random() < 0.8:
            close_days()
        holds()
    inner, other = Category.objects.get(name="Rice"), Category.objects.get(name="Soap")
    if seed:  # goods and a category that are moved, and the job comes by or does not
        Product.objects.filter(pk=rng.choice(goods).pk).update(category=rng.choice([category, inner, other]))
        Category.objects.filter(pk=inner.pk).update(parent=rng.choice([category, other, None]))
    if seed == 2:
        close_days()
        call_command("check_ledger", processes=1)
    trade(rng, post, chain, manager, 30)  # late ones that no job has taken in yet
    holds()
    assert all(model.objects.exists() for model in (LateFigures, StoreDay, ProductDay, CategoryDay))
    for asked in (
        Store.objects.filter(sandbox=False),
        Store.objects.all(),
        Store.objects.filter(pk=stores[1].pk),
    ):
        for within in (category, other):
            told = answers(asked, within, today)
            assert told == without_sums(lambda asked=asked, within=within: answers(asked, within, today))
    close_days()
    assert not LateFigures.objects.exists()
    holds()
    call_command("check_ledger", processes=1)
    mine = Store.objects.filter(sandbox=False)
    assert answers(mine, category, today) == without_sums(lambda: answers(mine, category, today))


@pytest.mark.django_db
def test_a_report_reads_the_sums_and_not_the_days_again(stocked, post, ghee, store, category):
    post(Kind.SALE, (ghee, 5), occurred_at=timezone.now() - timedelta(OLD))
    close_days()
    with connection.cursor() as cursor:  # what no posting does: daily stock changes and nobody notes it
        cursor.execute("ALTER TABLE reports_dailystock DISABLE TRIGGER USER")
        DailyStock.objects.filter(business_date__lte=closable()).update(revenue=1)
    mine, today = Store.objects.filter(sandbox=False), timezone.now().date()
    period = (mine, today - timedelta(30), today)
    assert queries.daily_sales(*period).totals["revenue"] == 2800
    assert queries.daily_sales(*period, category).totals["revenue"] == 2800
    assert queries.top_products(*period).totals["revenue"] == 2800
    assert queries.shrinkage(*period).totals["revenue"] == 2800


@pytest.mark.django_db
def test_a_report_of_a_category_counts_a_sale_once_by_sums_that_know_what_is_in_it(chain, post, category):
    """Also what nests in it; and it goes back to the days themselves while a product was moved and not yet counted again."""
    stores, goods = chain
    when, mine = timezone.now() - timedelta(OLD), Store.objects.filter(sandbox=False)
    for where in stores[:2]:
        post(Kind.SALE, *[(product, 1) for product in goods], where=where, occurred_at=when)
        post(Kind.SALE, (goods[1], 1), (goods[2], 1), where=where, occurred_at=when)
    close_days()
    inner, other = Category.objects.get(name="Rice"), Category.objects.get(name="Soap")
    today = timezone.now().date()

    def documents(within):
        return queries.daily_sales(mine, today - timedelta(30), today, within).totals["documents"]

    def told():
        return [documents(within) for within in (category, inner, other)]

    assert told() == [4, 4, 2]
    CategoryDay.objects.update(
        documents=1
    )  # so that it is seen who is asked: of each there is a day in two stores
    assert told() == [2, 2, 2]
    Product.objects.filter(pk=goods[1].pk).update(category=other)
    assert told() == [4, 4, 4]
    close_days()
    assert told() == [4, 4, 4]
    CategoryDay.objects.update(documents=5)
    assert told() == [10, 10, 10]
    Category.objects.filter(pk=inner.pk).update(parent=None)
    assert told() == [2, 10, 10]
    Product.objects.create(sku="NEW", name="New", category=other, selling_price=1)
    assert documents(other) == 10  # what nobody sold on a closed day changes none


@pytest.mark.django_db
def test_categories_are_counted_anew_store_by_store_and_are_right_at_every_step(chain, post, category):
    """Killed between two stores, the job leaves some that are read afresh and others that are read from their sums."""
    stores, goods = chain
    when, mine = timezone.now() - timedelta(OLD), Store.objects.filter(sandbox=False)
    for where in stores[:2]:
        post(Kind.SALE, *[(product, 1) for product in goods], where=where, occurred_at=when)
    close_days()
    other, today = Category.objects.get(name="Soap"), timezone.now().date()
    Product.objects.filter(pk=goods[1].pk).update(category=other)
    post(Kind.SALE, (goods[1], 2), where=stores[1], occurred_at=when)  # comes late meanwhile

    def waiting() -> int:
        return ClosedDays.objects.exclude(uncounted=[]).count()

    def right() -> bool:
        for within in (category, other):
            asked = (mine, today - timedelta(30), today, within)
            told = without_sums(lambda asked=asked: queries.daily_sales(*asked))
            assert queries.daily_sales(*asked) == told
        call_command("check_ledger", processes=1)
        return True

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT reports_note_categories()")
        assert cursor.fetchone()[0] == waiting() == mine.count()
    # Of a store that waits the sums are not asked, of one that was counted they are.
    CategoryDay.objects.update(documents=9)
    assert right()
    for left in range(waiting() - 1, -1, -1):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT reports_recount_store()")
            assert cursor.fetchone()[0] is True
        assert waiting() == left
        assert right()
    close_days()
    assert right()
    assert not LateFigures.objects.exists()


@pytest.mark.django_db
def test_a_late_sale_is_in_the_report_before_and_after_the_job_took_it_in(stocked, post, ghee, store):
    when = timezone.now() - timedelta(OLD)
    post(Kind.SALE, (ghee, 5), occurred_at=when)
    assert close_days() > 0
    day = store.business_date(when)

    def sold():
        mine = Store.objects.filter(pk=store.pk)
        return queries.daily_sales(mine, day, day).totals["units"], queries.top_products(
            mine, day, day
        ).totals["units"]

    post(Kind.SALE, (ghee, 2), occurred_at=when)
    assert (sold(), LateFigures.objects.count()) == ((7, 7), 1)
    assert close_days() == 1
    assert (sold(), LateFigures.objects.count()) == ((7, 7), 0)
    assert close_days() == 0


@pytest.mark.django_db
def test_a_sale_of_today_touches_nothing_of_it(stocked, post, ghee, store):
    close_days()
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin, xmax, upto FROM reports_closeddays WHERE store_id = %s", [store.pk])
        before = cursor.fetchone()
        post(Kind.SALE, (ghee, 1))
        post(Kind.SALE, (ghee, 1), occurred_at=timezone.now() - timedelta(hours=20))
        cursor.execute("SELECT xmin, xmax, upto FROM reports_closeddays WHERE store_id = %s", [store.pk])
        assert cursor.fetchone() == before
    assert not LateFigures.objects.exists()


@pytest.mark.django_db
def test_sandboxes_and_days_that_are_not_over_are_not_closed(chain, post):
    stores, goods = chain
    for where in stores:
        for days in (0, 1, OLD):
            post(Kind.RECEIPT, (goods[0], 5, 7), where=where, occurred_at=timezone.now() - timedelta(days))
    close_days()
    assert set(StoreDay.objects.values_list("store", flat=True)) == {where.pk for where in stores[:3]}
    assert max(StoreDay.objects.values_list("business_date", flat=True)) <= closable()
    assert (timezone.now().date() - closable()).days >= 2


@pytest.mark.django_db(transaction=True)
def test_a_late_fact_is_written_down_only_by_who_would_see_that_its_day_was_closed(stocked, post, ghee):
    with pytest.raises(DatabaseError, match="read committed"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        post(Kind.SALE, (ghee, 1), occurred_at=timezone.now() - timedelta(OLD))


# -- Races. Each fails when the lock, or the waiting, is taken away.


@pytest.mark.django_db(transaction=True)
def test_a_late_fact_under_way_is_not_lost_to_the_job(stocked, post, ghee, store):
    """It has been written but is not committed when the job comes by."""
    when = timezone.now() - timedelta(OLD)
    post(Kind.SALE, (ghee, 3), occurred_at=when)
    begin_closing()
    target = closable()
    with transaction.atomic():
        post(Kind.SALE, (ghee, 2), occurred_at=when)
        in_a_thread(lambda: list(sum_up(target)))
    holds()
    list(sum_up(target))
    holds()
    assert StoreDay.objects.get(business_date=store.business_date(when)).sold == 5


@pytest.mark.django_db(transaction=True)
def test_who_wrote_a_day_before_it_was_over_is_waited_for(stocked, post, ghee, store):
    """Such a posting looks at no lock: here one of an old day, with the trigger away, stands for it."""
    close_days()
    when = timezone.now() - timedelta(OLD)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE reports_closeddays SET upto = %s", [store.business_date(when) - timedelta(3)])
        StoreDay.objects.all().delete()
        ProductDay.objects.all().delete()
        with transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "INSERT INTO reports_dailystock (store_id, product_id, business_date, opening, received, sold, other, closing, "
                "revenue, cost, documents, lines) VALUES (%s, %s, %s, 24, 0, 4, 0, 20, 2240, 2040, 1, 1)",
                [store.pk, ghee.pk, store.business_date(when)],
            )
            assert in_a_thread(lambda: close_days(patience=0)) == 0
    assert close_days() > 0
    holds()
    assert StoreDay.objects.get(business_date=store.business_date(when)).sold == 4


@pytest.mark.django_db(transaction=True)
def test_many_late_facts_while_several_jobs_run_lose_nothing(chain, post, together):
    stores, goods = chain
    for where in stores[:3]:
        post(Kind.RECEIPT, *[(product, 1000, 7) for product in goods], where=where)
    rng = random.Random(7)

    def sell(where, product, days):
        return lambda: [
            post(Kind.SALE, (product, 1), where=where, occurred_at=timezone.now() - timedelta(days))
            for _ in range(6)
        ]

    acts = [sell(rng.choice(stores[:3]), rng.choice(goods), rng.randint(2, 20)) for _ in range(8)]
    failed = [
        error
        for error in together([*acts, *[lambda: close_days(patience=5)] * 3])
        if isinstance(error, Exception)
    ]
    assert not failed
    holds()
    close_days()
    holds()
    assert not LateFigures.objects.exists()
    assert sum(row.sold for row in StoreDay.objects.all()) == sum(
        row.sold for row in DailyStock.objects.filter(business_date__lte=closable())
    )


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
    ("table", "words"),
    [
        ("storeday", "LHE-0001: the sums of the closed day"),
        ("productday", "All stores, GHE-0001"),
        ("categoryday", "LHE-0001: the sums of the closed day"),
    ],
)
def test_wrong_sums_are_named_and_put_right(stocked, post, ghee, store, table, words):
    post(Kind.SALE, (ghee, 5), occurred_at=timezone.now() - timedelta(OLD))
    close_days()
    call_command("check_ledger", processes=1)
    for change in ("UPDATE reports_{} SET sold = 4 WHERE sold = 5", "DELETE FROM reports_{} WHERE sold = 5"):
        with connection.cursor() as cursor:
            cursor.execute(change.format(table))
        with pytest.raises(CommandError, match=words):
            call_command("check_ledger", processes=1)
        call_command("rebuild_daily_stock")
        call_command("check_ledger", processes=1)
        holds()


@pytest.mark.django_db
def test_daily_stock_that_is_put_right_puts_the_reports_right(stocked, post, ghee, store):
    when = timezone.now() - timedelta(OLD)
    post(Kind.SALE, (ghee, 5), occurred_at=when)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE reports_dailystock DISABLE TRIGGER USER")
        DailyStock.objects.filter(sold=5).update(sold=9)
        cursor.execute("ALTER TABLE reports_dailystock ENABLE TRIGGER USER")
    close_days()
    call_command("rebuild_daily_stock", store=store.code)
    holds()
    day = store.business_date(when)
    assert queries.daily_sales(Store.objects.all(), day, day).totals["units"] == Decimal(5)
    assert (rebuild_sums(store=store), rebuild_sums()) == (0, 0)
