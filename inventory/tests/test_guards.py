"""What the database itself refuses, whoever asks (R1). Each rule is broken once, past every line of Python."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from inventory.models import Document, Kind, Movement, StockLevel
from inventory.services import InsufficientStock

pytestmark = pytest.mark.django_db


def refused(sql: str, *args) -> str:
    """Runs `sql`, which must be refused, and gives the name of the rule that did."""
    with pytest.raises(DatabaseError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, args)
    return refusal.value.__cause__.diag.constraint_name


def raw_movement(document: Document, product, **columns) -> None:
    """Inserts a movement as somebody would who has the database but not the service."""
    columns = {
        "document_id": document.pk, "store_id": document.store_id, "kind": document.kind, "line_no": 99, "product_id": product.pk,
        "occurred_at": timezone.now(), "business_date": document.business_date, **columns,
    }  # fmt: skip
    if document.kind in ("sale", "sale_return"):
        columns = {"unit_price": 1, "line_total": 1, **columns}
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO inventory_movement ({names}) VALUES ({places})", list(columns.values()))


def without(table: str, trigger: str) -> None:
    """Switches one trigger off for the rest of the test (which is rolled back)."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


def test_a_movement_is_never_edited_or_deleted(stocked):
    assert refused("UPDATE inventory_movement SET quantity = 1") == "movement_never_changes"
    assert refused("UPDATE inventory_movement SET balance_after = balance_after") == "movement_never_changes"
    assert refused("DELETE FROM inventory_movement") == "movement_never_changes"


def test_a_document_is_never_edited_or_deleted(stocked):
    assert refused("UPDATE inventory_document SET notes = 'x'") == "document_never_changes"
    assert refused("DELETE FROM inventory_document") == "document_never_changes"


@pytest.mark.parametrize("table", ["movement", "document", "stocklevel"])
def test_the_ledger_is_never_emptied(stocked, table):
    guard = {"stocklevel": "level"}.get(table, table) + "_never_truncated"
    with connection.cursor() as cursor:  # the test database lets its own clean-up through (conftest.py)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE inventory_{table} ENABLE TRIGGER {guard}")
    assert refused(f"TRUNCATE inventory_{table} CASCADE") == guard


@pytest.mark.parametrize(
    "column",
    ["on_hand = 1", "average_cost = 1", "seq = 7", "oversold_since = now()", "cost_estimated = true"],
)
def test_stock_cannot_be_set_without_a_movement(stocked, column):
    assert refused(f"UPDATE inventory_stocklevel SET {column}") == "level_changes_only_by_posting"


def test_a_level_cannot_begin_with_stock_or_lose_its_history(stocked, store, other_store, ghee):
    insert = "INSERT INTO inventory_stocklevel (store_id, product_id, {0}) VALUES (%s, %s, {1})"
    for column, value in [("on_hand", 5), ("average_cost", 5), ("seq", 5)]:
        assert refused(insert.format(column, value), other_store.pk, ghee.pk) == "level_begins_empty"
    assert refused("DELETE FROM inventory_stocklevel") == "level_with_history_stays"


def test_saving_a_level_that_was_read_before_a_sale_is_refused(stocked, post, ghee):
    stale = stocked(ghee)
    post(Kind.SALE, (ghee, 1))
    with pytest.raises(DatabaseError), transaction.atomic():
        stale.save()
    assert stocked(ghee).on_hand == 23


def test_settings_of_a_level_must_make_sense(stocked):
    assert refused("UPDATE inventory_stocklevel SET reorder_point = -1") == "level_settings_make_sense"
    assert (
        refused("UPDATE inventory_stocklevel SET reorder_point = 5, target_level = 4")
        == "level_settings_make_sense"
    )


@pytest.mark.parametrize(("kind", "quantity"), [
    ("sale", 1), ("wastage", 1), ("own_use", 1), ("supplier_return", 1), ("receipt", -1), ("opening", -1), ("sale_return", -1), ("adjustment", 0), ("sale", 0),
])  # fmt: skip
def test_the_sign_must_fit_the_kind(stocked, post, ghee, kind, quantity):
    document = post(Kind.SALE, (ghee, 1)).document
    document.kind = kind
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(document, ghee, quantity=quantity)
    assert refusal.value.__cause__.diag.constraint_name in (
        "movement_sign_fits_kind",
        "movement_returned_at_most_sold",
    )
    assert stocked(ghee).on_hand == 23


def test_a_wrong_sum_or_number_in_the_row_is_not_believed(stocked, post, ghee):
    document = post(Kind.SALE, (ghee, 1)).document
    raw_movement(document, ghee, quantity=-2, balance_after=500, seq=77, average_cost_after=1, unit_cost=1)
    movement = Movement.objects.get(line_no=99)
    assert (movement.balance_after, movement.seq, movement.unit_cost, movement.average_cost_after) == (
        21,
        3,
        510,
        510,
    )


def test_a_forked_chain_is_refused_by_its_key(stocked, post, ghee):
    post(Kind.SALE, (ghee, 1))
    copy = """INSERT INTO inventory_movement (document_id, line_no, store_id, product_id, kind, quantity, unit_price, line_total,
        unit_cost, balance_after, average_cost_after, seq, occurred_at, business_date)
        SELECT document_id, 50, store_id, product_id, kind, quantity, unit_price, line_total, unit_cost, balance_after,
        average_cost_after, seq, occurred_at, business_date FROM inventory_movement WHERE kind = 'sale'"""
    without("inventory_movement", "movement_10_post")
    without("inventory_movement", "movement_20_daily_stock")
    assert refused(copy) == "movement_seq_once"


def test_a_raw_sale_beyond_stock_is_refused_too(stocked, post, ghee):
    document = post(Kind.SALE, (ghee, 1)).document
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(document, ghee, quantity=-500)
    assert refusal.value.__cause__.diag.constraint_name == "movement_within_stock"


NUMBERS = [
    ("inventory_stocklevel", "reorder_point"), ("inventory_stocklevel", "target_level"),
    ("catalog_product", "cost_price"), ("catalog_product", "selling_price"), ("catalog_product", "quantity_step"),
    ("catalog_pack", "units_per_pack"), ("reports_dailystock", "revenue"), ("reports_dailystock", "opening"),
    ("reports_dailystock", "cost"), ("inventory_lowstockalert", "on_hand"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), NUMBERS)
def test_nan_is_kept_out_of(stocked, post, ghee, table, column):
    post(Kind.SALE, (ghee, 24))
    assert refused(f"UPDATE {table} SET {column} = 'NaN'").endswith(("_is_number", "_not_negative"))


@pytest.mark.parametrize("column", ["quantity", "unit_price", "line_total", "unit_cost", "entered_quantity"])
def test_nan_is_kept_out_of_the_ledger(stocked, post, ghee, column):
    document = post(Kind.SALE, (ghee, 1)).document
    with pytest.raises(DatabaseError) as refusal:
        raw_movement(document, ghee, **{"quantity": -1, column: "NaN"})
    assert refusal.value.__cause__.diag.constraint_name.endswith(("_is_number", "_not_negative"))


def test_every_number_in_the_database_has_a_type_that_keeps_nan_out(db):
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT table_name || '.' || column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name ~ '^(stores|catalog|inventory|reports)_'
              AND data_type IN ('numeric', 'double precision', 'real') AND domain_name IS NULL""")
        assert cursor.fetchall() == []


def test_unique_keys_of_store_data_lead_with_the_store(db):
    """Reasons are of no store; sums of a product are of all stores, and no posting writes them."""
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
              JOIN pg_attribute first ON first.attrelid = t.oid AND first.attnum = i.indkey[0]
            WHERE i.indisunique AND t.relname ~ '^(inventory|reports)_' AND t.relname NOT IN (
                'inventory_reason', 'reports_categoryproduct', 'reports_productday', 'reports_productstanding', 'reports_standingmark')
              AND first.attname <> 'store_id'""")
        assert cursor.fetchall() == []


def test_a_line_cannot_belong_to_a_document_of_another_store(stocked, post, other_store, ghee):
    document = post(Kind.RECEIPT, (ghee, 1)).document
    document.store_id = other_store.pk
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(document, ghee, quantity=1)
    assert refusal.value.__cause__.diag.constraint_name == "movement_document_own_store"


BROKEN = [
    ({"kind": "gift"}, "document_kind_known"),
    ({"line_count": 0}, "document_has_lines"),
    ({"reference": ""}, "document_reference_not_empty"),
    ({"total": -1}, "document_total_not_negative"),
    ({"user_id": "manager", "api_key_id": 1}, "document_one_actor"),
    ({"returns_id": "here"}, "document_only_returns_return"),
    ({"kind": "sale_return", "returns_id": "elsewhere"}, "document_returns_own_store"),
    ({"reverses_id": "elsewhere"}, "document_reverses_own_store"),
]


@pytest.mark.parametrize(("change", "rule"), BROKEN, ids=[rule for _change, rule in BROKEN])
def test_a_document_must_be_whole(stocked, post, other_store, manager, ghee, change, rule):
    here = post(Kind.SALE, (ghee, 1)).document
    elsewhere = post(Kind.RECEIPT, (ghee, 1), where=other_store).document
    real = {"here": here.pk, "elsewhere": elsewhere.pk, "manager": manager.pk}
    columns = {
        "store_id": here.store_id, "kind": "sale", "reference": "raw", "fingerprint": b"", "occurred_at": timezone.now(),
        "business_date": here.business_date, "total": 1, "line_count": 1, "notes": "", "source": "api",
    } | {name: real.get(value, value) for name, value in change.items()}  # fmt: skip
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    assert refused(f"INSERT INTO inventory_document ({names}) VALUES ({places})", *columns.values()) == rule


LINES = [
    ({"unit_price": None}, "movement_priced_when_sold"),
    ({"line_total": -1}, "movement_priced_when_sold"),
    ({"kind": "wastage"}, "movement_priced_when_sold"),
    ({"entered_quantity": -1}, "movement_entered_is_positive"),
    ({"kind": "receipt", "quantity": 1, "unit_price": None, "line_total": None, "oversell": "late"}, "movement_only_sales_oversell"),
    ({"returns_id": 1}, "movement_only_returns_return"),
    ({"line_no": 0}, "movement_line_from_one"),
    ({"kind": "gift"}, "movement_sign_fits_kind"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule"), LINES, ids=str)
def test_a_line_must_be_whole(stocked, post, ghee, change, rule):
    document = post(Kind.SALE, (ghee, 1)).document
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(document, ghee, **{"quantity": -1} | change)
    assert refusal.value.__cause__.diag.constraint_name == rule
    assert stocked(ghee).on_hand == 23


def test_a_line_of_a_key_that_never_was_is_refused(stocked, post, ghee):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_document (store_id, kind, reference, fingerprint, occurred_at, business_date, total, line_count, "
            "notes, source, api_key_id) SELECT store_id, kind, 'raw', '', occurred_at, business_date, total, 1, '', 'api', 999999 "
            "FROM inventory_document LIMIT 1"
        )
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(Document.objects.get(reference="raw"), ghee, quantity=1)
    assert refusal.value.__cause__.diag.constraint_name == "document_api_key_exists"


def test_a_store_and_a_key_are_never_deleted(stocked, api_client):
    api_client()
    assert refused("DELETE FROM stores_store") == "store_never_deleted"
    assert refused("DELETE FROM stores_apikey") == "api_key_never_deleted"
    assert refused("UPDATE stores_store SET id = id + 1000") == "store_never_deleted"


def test_a_reversal_must_mirror_what_it_reverses(stocked, post, ghee, atta):
    sale = post(Kind.SALE, (ghee, 2))
    void = post(Kind.SALE, (atta, 1)).document
    original = sale.movements[0]
    mirror = {
        "reverses_id": original.pk,
        "unit_price": original.unit_price,
        "line_total": original.line_total,
    }
    for change in [{"quantity": 1}, {"quantity": 2, "line_total": 5}]:
        with pytest.raises(IntegrityError) as refusal:
            raw_movement(void, ghee, **{**mirror, **change})
        assert refusal.value.__cause__.diag.constraint_name == "movement_mirrors_what_it_reverses"
    raw_movement(void, ghee, **mirror, quantity=2)
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(void, ghee, **mirror, quantity=2, line_no=100)
    assert refusal.value.__cause__.diag.constraint_name == "movement_reversed_once"


def test_the_flag_and_the_sign_of_a_level_go_together(stocked, ghee):
    without("inventory_stocklevel", "level_changes_only_by_posting")
    assert refused("UPDATE inventory_stocklevel SET on_hand = -1") == "level_below_zero_only_flagged"
    assert (
        refused("UPDATE inventory_stocklevel SET oversold_since = now()") == "level_below_zero_only_flagged"
    )


def test_the_service_says_in_words_what_the_database_refused(stocked, post, ghee):
    with pytest.raises(InsufficientStock, match="Not enough stock"):
        post(Kind.WASTAGE, (ghee, Decimal(25)))
    assert StockLevel.objects.get(product=ghee).on_hand == 24
