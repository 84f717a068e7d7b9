"""check_ledger names the first broken row, whatever breaks, and is silent over sound books."""

import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from inventory.models import Kind, StockLevel
from inventory.services import Actor, reverse_document
from reports.models import DailyStock
from reports.services import rebuild_daily_stock

pytestmark = pytest.mark.django_db

TABLES = (
    "inventory_movement",
    "inventory_document",
    "inventory_stocklevel",
    "inventory_lowstockalert",
    "reports_dailystock",
)


def check(code=None):
    """What the command says about a broken book; "" when it is silent."""
    out = io.StringIO()
    try:
        call_command("check_ledger", store=code, processes=1, stdout=out, stderr=out)
    except CommandError as error:
        return str(error)
    return out.getvalue()


@pytest.fixture
def busy(stocked, post, manager, cashier, reason, store, ghee, atta):
    """A store in which everything happened once: sales, a late one, returns with and without bill, voids, waste, an alert."""
    now = timezone.now()
    stocked(ghee).set_reorder(reorder_point=Decimal(12), target_level=Decimal(40))
    stocked(atta).set_reorder(reorder_point=Decimal(20), target_level=Decimal(200))
    first = post(Kind.SALE, (ghee, 5), (atta, "1.250"), (ghee, 1), reference="first").document
    post(Kind.SALE_RETURN, (ghee, 2), returns=first, reference="back")
    post(Kind.RECEIPT, (ghee, 7, "533.33"), (atta, "20.500", "121.37"))
    second = post(Kind.SALE, (atta, "3.333"), reference="second").document
    reverse_document(
        document=second, actor=Actor.on_page(manager, "manager"), reason=reason("MISTAKE"), reference="void"
    )
    post(Kind.SALE, (ghee, 3), occurred_at=now - timedelta(days=2), reference="late")
    post(Kind.SALE_RETURN, (atta, 1), reference="unbilled")
    post(Kind.WASTAGE, (atta, "0.500"), reason=reason("SPILLED"), reference="waste")
    post(Kind.ADJUSTMENT, (ghee, -1), (atta, "0.250"), reason=reason("COUNTED"))
    post(Kind.OWN_USE, (atta, "1.5"), reference="kitchen")
    spoilt = post(Kind.SUPPLIER_RETURN, (ghee, 2), (atta, 5), reason=reason("TO_SUPPLIER")).document
    reverse_document(document=spoilt, actor=Actor.on_page(manager, "manager"))
    other = post(Kind.RECEIPT, (ghee, 4, 610), reference="delivery").document
    reverse_document(document=other, actor=Actor.on_page(manager, "manager"))
    post(Kind.SALE, (ghee, 12), reference="low")


@pytest.fixture
def loose(busy):
    """The database lets everything through for the rest of the test."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(
            "SELECT format('ALTER TABLE %%s DROP CONSTRAINT IF EXISTS %%I CASCADE', conrelid::regclass, conname) FROM pg_constraint "
            "WHERE conrelid::regclass::text = ANY(%s) AND contype IN ('c', 'f', 'u', 'p')",
            [list(TABLES)],
        )
        for [statement] in cursor.fetchall():
            cursor.execute(statement)
        for index in (
            "document_reversed_once", "movement_reversed_once", "movement_seq_once", "movement_line_once",
            "document_reference_once", "alert_one_open",
        ):  # fmt: skip
            cursor.execute(f"DROP INDEX IF EXISTS {index}")


def test_sound_books_are_passed_over_in_silence(busy):
    assert check() == ""
    assert check("LHE-0001") == ""


def test_an_unknown_store_is_refused(busy):
    assert check("XXX-0001") == "There is no store XXX-0001."


FIRST = "(SELECT id FROM inventory_document WHERE reference = 'first')"
GHEE = "(SELECT id FROM catalog_product WHERE sku = 'GHE-0001')"
ATTA = "(SELECT id FROM catalog_product WHERE sku = 'FLR-0001')"
COPY = """INSERT INTO inventory_movement (document_id, line_no, store_id, product_id, kind, quantity, unit_price, line_total,
 unit_cost, cost_estimated, oversell, balance_after, average_cost_after, seq, reverses_id, returns_id, occurred_at, recorded_at, business_date)
 SELECT document_id, line_no + 1, store_id, product_id, kind, quantity, unit_price, line_total, unit_cost, cost_estimated, oversell,
 balance_after + quantity, average_cost_after, seq + 1, reverses_id, returns_id, occurred_at, recorded_at, business_date FROM inventory_movement """


# (what breaks it, where, what is said)
DAMAGES = [
    (
        f"UPDATE inventory_movement SET seq = seq + 1 WHERE seq >= 3 AND product_id = {GHEE}",
        "GHE-0001, movement 4",
        "seq is 4, expected 3",
    ),
    (
        f"UPDATE inventory_movement SET seq = 2 WHERE seq = 3 AND product_id = {GHEE}",
        "GHE-0001",
        "seq is 2, expected 3",
    ),
    (
        f"UPDATE inventory_movement SET balance_after = balance_after + 1 WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "balance_after is 20.000, expected 19.000",
    ),
    (
        f"UPDATE inventory_movement SET quantity = quantity - 1 WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "expected 18.000",
    ),
    (
        f"UPDATE inventory_movement SET kind = 'stolen' WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "stolen",
    ),
    (
        f"UPDATE inventory_movement SET kind = 'receipt', unit_price = NULL, line_total = NULL WHERE seq = 2 AND product_id = {GHEE}",
        "movement 2",
        "does not fit the kind receipt",
    ),
    (
        f"UPDATE inventory_movement SET line_total = NULL WHERE seq = 2 AND product_id = {GHEE}",
        "movement 2",
        "do not fit the kind sale",
    ),
    (
        f"UPDATE inventory_movement SET average_cost_after = 510.0001 WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "expected 510.0000",
    ),
    (
        f"UPDATE inventory_movement SET unit_cost = 1 WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "expected the average 510.0000",
    ),
    (
        f"UPDATE inventory_movement SET unit_cost = 1 WHERE seq = 1 AND product_id = {GHEE}",
        "GHE-0001, movement 1",
        "average_cost_after is 510.0000, expected 1.0000",
    ),
    (
        f"UPDATE inventory_movement SET late = true WHERE seq = 2 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "late",
    ),
    (
        f"UPDATE inventory_movement SET business_date = business_date + 1 WHERE seq = 1 AND product_id = {GHEE}",
        "GHE-0001, movement 2",
        "late",
    ),
    (
        f"UPDATE inventory_stocklevel SET on_hand = on_hand + 5 WHERE product_id = {GHEE}",
        "GHE-0001",
        "the sum of the movements",
    ),
    (
        f"UPDATE inventory_stocklevel SET average_cost = 1 WHERE product_id = {GHEE}",
        "GHE-0001",
        "average_cost is 1.0000, expected",
    ),
    (
        f"UPDATE inventory_stocklevel SET seq = 3 WHERE product_id = {GHEE}",
        "GHE-0001",
        "the level counts 3 movements",
    ),
    (
        f"UPDATE inventory_stocklevel SET oversold_since = now() WHERE product_id = {GHEE}",
        "GHE-0001",
        "oversold_since",
    ),
    (
        f"UPDATE inventory_stocklevel SET last_business_date = '2020-01-01' WHERE product_id = {GHEE}",
        "GHE-0001",
        "last_business_date",
    ),
    (f"DELETE FROM inventory_stocklevel WHERE product_id = {GHEE}", "GHE-0001", "no level"),
    ("UPDATE inventory_document SET total = total + 1 WHERE reference = 'first'", "(first)", "total is"),
    ("UPDATE inventory_document SET line_count = 4 WHERE reference = 'first'", "(first)", "expected 1 to 4"),
    (
        "UPDATE inventory_document SET kind = 'wastage' WHERE reference = 'first'",
        "(first)",
        "the kind is wastage",
    ),
    (
        "UPDATE inventory_document SET occurred_at = occurred_at - interval '1 minute' WHERE reference = 'first'",
        "(first)",
        "another time",
    ),
    (
        "UPDATE inventory_document SET business_date = business_date - 9 WHERE reference = 'first'",
        "(first)",
        "business_date is",
    ),
    ("UPDATE inventory_document SET reason_id = NULL WHERE reference = 'waste'", "(waste)", "another reason"),
    ("DELETE FROM inventory_document WHERE reference = 'first'", "document", "that is not there"),
    (
        f"UPDATE inventory_movement SET line_no = 9 WHERE document_id = {FIRST} AND line_no = 3",
        "(first)",
        "numbered 1 to 9",
    ),
    (
        "UPDATE inventory_document SET reference = 'first' WHERE reference = 'second'",
        "(first)",
        "stands for 2 documents",
    ),
    (
        "UPDATE inventory_document SET reverses_id = NULL WHERE reference = 'void'",
        "(void)",
        "1 of its 1 movements are reversals",
    ),
    (
        f"UPDATE inventory_document SET reverses_id = {FIRST} WHERE reference = 'void'",
        "(void)",
        "does not mirror",
    ),
    ("UPDATE inventory_document SET reverses_id = 999999 WHERE reference = 'void'", "(void)", "not there"),
    (
        "UPDATE inventory_movement SET reverses_id = (SELECT id FROM inventory_movement WHERE kind = 'receipt' ORDER BY id LIMIT 1) "
        "WHERE reverses_id IS NOT NULL AND kind = 'sale'",
        "FLR-0001",
        "reverses a movement of document",
    ),
    (
        "UPDATE inventory_movement SET line_total = line_total + 1 WHERE reverses_id IS NOT NULL AND kind = 'sale';"
        "UPDATE inventory_document SET total = total + 1 WHERE reference IN ('void', 'second')",
        "(second)",
        "total is",
    ),
    (
        "UPDATE inventory_movement SET unit_price = unit_price + 1 WHERE reverses_id IS NOT NULL AND kind = 'sale'",
        "FLR-0001",
        "is no mirror of movement",
    ),
    (
        f"UPDATE inventory_movement SET returns_id = (SELECT id FROM inventory_movement WHERE document_id = {FIRST} AND line_no = 3) WHERE returns_id IS NOT NULL",
        "GHE-0001",
        "2.000 came back of 1.000 sold",
    ),
    (
        f"UPDATE inventory_movement SET returns_id = 999999 WHERE returns_id IS NOT NULL AND product_id = {GHEE}",
        "GHE-0001",
        "not there",
    ),
    (
        "UPDATE inventory_movement SET unit_cost = unit_cost + 1 WHERE kind = 'sale_return' AND returns_id IS NULL",
        "FLR-0001",
        "average_cost_after is",
    ),
    (
        f"UPDATE reports_dailystock SET revenue = revenue + 1 WHERE product_id = {GHEE}",
        "GHE-0001",
        "revenue is",
    ),
    (
        f"UPDATE reports_dailystock SET documents = documents + 1, lines = lines - 1 WHERE product_id = {GHEE}",
        "GHE-0001",
        "lines is",
    ),
    (
        f"UPDATE reports_dailystock SET opening = opening + 1, closing = closing + 1 WHERE product_id = {ATTA}",
        "FLR-0001",
        "opening is",
    ),
    (f"UPDATE reports_dailystock SET cost = cost + 0.0001 WHERE product_id = {ATTA}", "FLR-0001", "cost is"),
    (
        f"DELETE FROM reports_dailystock WHERE product_id = {GHEE}",
        "GHE-0001",
        "is missing in the daily stock",
    ),
    (
        f"UPDATE reports_dailystock SET business_date = '2020-01-01' WHERE product_id = {ATTA}",
        "FLR-0001",
        "has no movements",
    ),
    (
        "INSERT INTO inventory_lowstockalert (store_id, product_id, on_hand, reorder_point) "
        "SELECT store_id, product_id, on_hand, reorder_point FROM inventory_lowstockalert WHERE closed_at IS NULL",
        "GHE-0001",
        "two open alerts",
    ),
    ("UPDATE inventory_stocklevel SET reorder_point = 0", "GHE-0001", "has an open alert"),
    ("UPDATE inventory_lowstockalert SET on_hand = 500", "GHE-0001", "above the reorder point"),
]


def test_each_broken_rule_is_named(loose):
    unnamed = []
    for damage, place, words in DAMAGES:
        assert check() == ""
        point = transaction.savepoint()
        with connection.cursor() as cursor:
            cursor.execute(damage)
        said = check()
        if not (said.startswith("LHE-0001, ") and place in said and words in said):
            unnamed.append((damage, said))
        transaction.savepoint_rollback(point)
    assert unnamed == []


def test_a_second_reversal_is_named(loose, ghee):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_document (store_id, kind, reference, fingerprint, occurred_at, business_date, total, line_count, notes, reverses_id, source) "
            "SELECT store_id, kind, 'again', fingerprint, occurred_at, business_date, total, line_count, notes, reverses_id, source "
            "FROM inventory_document WHERE reference = 'void'"
        )
        cursor.execute(
            COPY.replace(
                "SELECT document_id", "SELECT (SELECT id FROM inventory_document WHERE reference = 'again')"
            ).replace("line_no + 1, store", "line_no, store")
            + f"WHERE product_id = {ATTA} AND reverses_id IS NOT NULL"
        )
    assert "seq is" in check()  # a copy cannot have a place of its own
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM inventory_movement WHERE document_id = (SELECT id FROM inventory_document WHERE reference = 'again')"
        )
        cursor.execute(
            "UPDATE inventory_movement SET document_id = (SELECT id FROM inventory_document WHERE reference = 'again') "
            "WHERE document_id = (SELECT id FROM inventory_document WHERE reference = 'waste')"
        )
    assert "(again)" in check() or "(waste)" in check()


def test_only_a_sale_may_leave_less_than_nothing(stocked, post, ghee):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stocklevel DISABLE TRIGGER USER")
    post(Kind.SALE, (ghee, 25), confirm_oversell=True)
    assert check() == ""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_movement DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE inventory_movement SET kind = 'wastage', unit_price = NULL, line_total = NULL WHERE balance_after < 0"
        )
    assert "leaves -1.000 on hand, which only a sale may" in check()


def test_a_store_is_checked_by_itself(loose, other_store):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = 1")
    assert check("KHI-0001") == ""
    assert check("LHE-0001") != ""


def rows():
    return list(DailyStock.objects.order_by("store", "product", "business_date").values())


def test_rebuilding_gives_the_same_rows(busy, store):
    before = rows()
    assert sum(rebuild_daily_stock(store=store)) == 0
    assert rows() == before


def test_rebuilding_mends_what_was_wrong(loose, store, ghee, atta):
    before = [{name: value for name, value in row.items() if name != "id"} for row in rows()]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE reports_dailystock SET revenue = revenue + 1, sold = sold + 3 WHERE product_id = {GHEE}"
        )
        cursor.execute(
            f"DELETE FROM reports_dailystock WHERE product_id = {ATTA} AND business_date = (SELECT max(business_date) FROM reports_dailystock)"
        )
        cursor.execute("INSERT INTO reports_dailystock SELECT * FROM jsonb_populate_record(NULL::reports_dailystock, "
                       "(SELECT to_jsonb(d) || '{\"id\": 999999, \"business_date\": \"2020-01-01\"}' FROM reports_dailystock AS d LIMIT 1))")  # fmt: skip
        # Without the unique key there would be nothing to meet.
        cursor.execute("CREATE UNIQUE INDEX ON reports_dailystock (store_id, product_id, business_date)")
    assert check() != ""
    assert sum(rebuild_daily_stock(store=store)) == 4
    assert [{name: value for name, value in row.items() if name != "id"} for row in rows()] == before
    assert check() == ""


@pytest.mark.django_db(transaction=True)
def test_rebuilding_while_selling_loses_no_sale(stocked, post, store, ghee, atta, together):
    def sell():
        for _turn in range(12):
            post(Kind.SALE, (ghee, 1), (atta, "0.500"))

    def rebuild():
        return [sum(rebuild_daily_stock(store=store)) for _turn in range(12)]

    results = together([sell, rebuild, rebuild])
    assert results[1:] == [[0] * 12, [0] * 12]
    assert StockLevel.objects.get(product=ghee).on_hand == 12
    assert check() == ""


@pytest.mark.django_db(transaction=True)
def test_checking_while_selling_sees_one_instant(stocked, post, store, ghee, atta, together):
    def sell():
        for _turn in range(25):
            post(Kind.SALE, (atta, "0.500"))
            post(Kind.RECEIPT, (ghee, 1, 505), (atta, "0.250", 119))

    def look():
        return {check() for _turn in range(8)}

    assert together([sell, look, look, sell]) == [None, {""}, {""}, None]
