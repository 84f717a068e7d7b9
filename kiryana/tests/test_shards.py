"""Stores may be spread over servers: keys lead with the store, and one statement concerns one store (docs/scaling.md)."""

import ast
from datetime import timedelta

import pglast
import pytest
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connection
from django.db.models import F
from django.utils import timezone

from catalog.models import StorePrice
from inventory.models import Kind, LowStockAlert, StockLevel
from inventory.queries import levels_of
from kiryana.tests import shards
from kiryana.tests.test_architecture import APPS, part, sources
from stores.models import Store

OURS = tuple(f"{app}_" for app in APPS)


def asked(statement: str, *params) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


# -- Tables


def test_which_tables_are_store_data():
    """Whoever adds a table that names a store finds it here, and decides."""
    assert set(shards.store_data()) == {
        "catalog_storeprice",
        "inventory_alertdigest",
        "inventory_digestmail",
        "inventory_document",
        "inventory_lowstockalert",
        "inventory_movement",
        "inventory_stocklevel",
        "reports_dailystock",
        "reports_restated",
        "reports_standing",
        "reports_storestanding",
    }
    assert shards.SHARED.keys() <= {
        model._meta.db_table for model in apps.get_models(include_auto_created=True)
    }


def test_a_table_that_names_a_store_is_known_to_django(db):
    """What SQL alone had made would be seen by no rule here."""
    rows = asked(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'store_id'"
    )
    assert {name for [name] in rows} == set(shards.store_data()) | set(shards.SHARED)


def test_the_store_of_store_data_is_never_missing():
    for model in shards.store_data().values():
        try:
            field = model._meta.get_field("store")
        except FieldDoesNotExist:
            pytest.fail(f"{model.__name__} names its store by another word")
        assert not field.null, model.__name__


UNIQUE = """
SELECT t.relname, i.relname, a.attname FROM pg_index AS x
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_class AS i ON i.oid = x.indexrelid
LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]
WHERE (x.indisunique OR x.indisexclusion) AND t.relname = ANY(%s)
"""


def loose_keys() -> list[str]:
    """The unique keys of store data that begin with something else than the store."""
    return [
        f"{table}: {key}"
        for table, key, first in asked(UNIQUE, list(shards.store_data()))
        if first != "store_id"
    ]


def test_every_unique_key_of_store_data_leads_with_the_store(db):
    assert loose_keys() == []
    keyed = {table for table, _key, _first in asked(UNIQUE, list(shards.store_data()))}
    assert keyed == set(shards.store_data()), "each table has one"


def test_a_key_without_the_store_is_seen(db):
    asked_for = "CREATE UNIQUE INDEX loose ON inventory_document (reference) WHERE false"
    with connection.cursor() as cursor:
        cursor.execute(asked_for)
    assert loose_keys() == ["inventory_document: loose"]


FOREIGN = """
SELECT c.conname, f.relname, t.relname, ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (n, place)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY place)
FROM pg_constraint AS c JOIN pg_class AS f ON f.oid = c.conrelid JOIN pg_class AS t ON t.oid = c.confrelid
WHERE c.contype = 'f' AND t.relname = ANY(%s)
"""


def loose_links() -> list[str]:
    """Foreign keys to store data that do not go by the store, or come from what is no store data."""
    return [
        name
        for name, source, _target, columns in asked(FOREIGN, list(shards.store_data()))
        if source not in shards.store_data() or columns[0] != "store_id"
    ]


def test_links_between_rows_of_a_store_are_checked_together_with_the_store(db):
    assert loose_links() == []
    held = {name for name, _source, _target, _columns in asked(FOREIGN, list(shards.store_data()))}
    assert held == {"alert_digest_own_store", "digest_mail_own_store"}
    # Those of documents and lines are looked up by their triggers, with the store: each is broken once in
    # inventory/tests/test_guards.py.


def test_a_link_without_the_store_is_seen(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE stores_note (store_id bigint, document_id bigint, FOREIGN KEY (store_id, document_id)"
            " REFERENCES inventory_document (store_id, id))"
        )
    assert len(loose_links()) == 1


# -- Statements, by their text


@pytest.mark.parametrize("statement", [
    "UPDATE inventory_stocklevel SET listed = false WHERE id = %s",
    "UPDATE inventory_stocklevel SET listed = false WHERE store_id IN (%s, %s)",
    "UPDATE inventory_stocklevel SET listed = false WHERE store_id = %s OR id = %s",
    "UPDATE inventory_stocklevel SET listed = false WHERE NOT store_id = %s",
    "UPDATE inventory_stocklevel AS l SET listed = false FROM stores_store AS s WHERE l.store_id = s.id AND s.code = %s",
    "UPDATE inventory_stocklevel AS l SET listed = false WHERE l.store_id = l.product_id",
    'DELETE FROM "inventory_digestmail" WHERE "inventory_digestmail"."id" IN (%s)',
    "WITH gone AS (DELETE FROM reports_dailystock WHERE product_id = %(p)s RETURNING 1) SELECT count(*) FROM gone",
    "SELECT * FROM inventory_stocklevel WHERE product_id = %s FOR UPDATE",
    "SELECT * FROM inventory_stocklevel AS l JOIN stores_store AS s ON s.id = l.store_id WHERE s.code = %s FOR UPDATE OF l",
    "SELECT * FROM inventory_stocklevel WHERE store_id > %s FOR NO KEY UPDATE SKIP LOCKED",
    "SELECT * FROM (SELECT * FROM inventory_stocklevel WHERE product_id = %s FOR SHARE) AS x WHERE store_id = %s",
])  # fmt: skip
def test_a_statement_that_is_bound_to_no_store_is_seen(statement):
    assert len(shards.unbound(statement)) == 1


@pytest.mark.parametrize("statement", [
    "UPDATE inventory_stocklevel SET listed = false WHERE store_id = %s AND (id = %s OR id = %s)",
    "UPDATE inventory_stocklevel AS l SET listed = false WHERE %(store)s::bigint = l.store_id",
    'DELETE FROM "reports_dailystock" WHERE ("reports_dailystock"."store_id" = %s AND "reports_dailystock"."id" IN (%s))',
    "SELECT * FROM inventory_stocklevel AS l JOIN stores_store AS s ON s.id = l.store_id WHERE l.store_id = 7 FOR UPDATE OF l",
    "SELECT * FROM inventory_stocklevel WHERE name LIKE '100%%'",
    "SELECT * FROM inventory_stocklevel",
    "UPDATE stores_store SET name = %s",
    "SELECT * FROM stores_store FOR UPDATE",
])  # fmt: skip
def test_a_statement_that_is_bound_to_a_store_is_let_be(statement):
    assert shards.unbound(statement) == ()


def test_what_the_system_sends_is_read(stocked, ghee, monkeypatch):
    """The rule reaches what Django makes of a call of ours; what a test asks by itself is its own business."""
    list(StockLevel.objects.filter(product=ghee).select_for_update())
    assert shards.found == []
    monkeypatch.setattr(shards, "asked_from", lambda: "inventory/services/example.py:1")
    list(StockLevel.objects.filter(product=ghee).select_for_update())
    assert len(shards.found) == 1
    assert "inventory_stocklevel without naming the store" in shards.found.pop()


def test_the_line_that_asks_is_found(store, monkeypatch):
    monkeypatch.setattr(shards, "unbound", lambda statement: ["x"])
    levels_of(store, [1])
    Store.objects.first()
    assert len(shards.found) == 1
    assert shards.found.pop().startswith("inventory/queries.py:")


FUNCTIONS = """
SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE l.lanname = 'plpgsql' AND p.pronamespace = 'public'::regnamespace AND p.proname LIKE ANY(%s)
"""


def statements_in(function: str) -> list[str]:
    """The statements in the text of a PL/pgSQL function."""
    found, waiting = [], [pglast.parse_plpgsql(function)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            found += [text for name, text in node.items() if name == "query" and isinstance(text, str)]
        waiting += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return found


def test_functions_and_triggers_touch_the_store_of_their_row(db):
    wrong, read = [], 0
    for name, text in asked(FUNCTIONS, [f"{app}%" for app in OURS]):
        for statement in statements_in(text):
            if shards.WRITES.search(statement):
                read += 1
                wrong += [f"{name}: {table}" for table in shards.unbound(statement.replace("%", "%%"), True)]
    assert wrong == []
    assert read >= 5


def test_a_function_that_touches_other_stores_is_seen():
    function = """
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE inventory_stocklevel SET listed = false WHERE product_id = NEW.product_id;
      UPDATE inventory_stocklevel SET listed = false WHERE store_id = NEW.store_id AND product_id = NEW.product_id;
      RETURN NEW;
    END $$
    """
    said = [shards.unbound(statement, True) for statement in statements_in(function)]
    assert sorted(each for each in said if each) == [("inventory_stocklevel",)]


# -- Statements, by their effect


@pytest.fixture
def both(stocked, post, other_store, ghee):
    """A level of ghee in two stores."""
    post(Kind.RECEIPT, (ghee, 5, 500), where=other_store)


def test_one_statement_that_writes_rows_of_two_stores_is_refused(both, ghee):
    with pytest.raises(DatabaseError, match=shards.TOLD):
        StockLevel.objects.filter(product=ghee).update(listed=False)
    shards.found.clear()


def test_so_is_one_that_does_it_in_two_tables_or_by_a_trigger(both, store, other_store, ghee):
    """The reorder point of one store, and a price of another."""
    with pytest.raises(DatabaseError, match=shards.TOLD), connection.cursor() as cursor:
        cursor.execute(
            "WITH one AS (UPDATE inventory_stocklevel SET reorder_point = 900 WHERE store_id = %s AND product_id = %s RETURNING 1) "
            "INSERT INTO catalog_storeprice (store_id, product_id, price) SELECT %s, %s, 1 FROM one",
            [store.pk, ghee.pk, other_store.pk, ghee.pk],
        )
    shards.found.clear()


def test_inserting_and_deleting_count_alike(both, store, other_store, ghee):
    prices = [StorePrice(store=where, product=ghee, price=1) for where in (store, other_store)]
    with pytest.raises(DatabaseError, match=shards.TOLD):
        StorePrice.objects.bulk_create(prices)
    shards.found.clear()


def test_two_statements_may_write_rows_of_two_stores(both, store, other_store, ghee):
    for where in (store, other_store):
        StockLevel.objects.filter(store=where).update(reorder_point=F("reorder_point") + 900)
    assert LowStockAlert.objects.count() == 3


def test_every_table_is_watched(db):
    rows = asked("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'tests_one_store%%'")
    assert len(rows) == 3 * len(shards.store_data())


# -- Rows


def test_a_row_that_is_saved_whole_is_seen(store, ghee, monkeypatch):
    now = timezone.now()
    price = StorePrice.objects.create(store=store, product=ghee, price=1, effective_from=now)
    price.save()
    assert shards.found == [], "what a test does by itself is its own business"
    monkeypatch.setattr(shards, "asked_from", lambda: "inventory/admin/example.py:1")
    price.save(update_fields=["price"])
    assert [told.split(" without")[0] for told in shards.found] == [
        "inventory/admin/example.py:1 writes or locks catalog_storeprice"
    ]
    price.save()
    assert "inventory/admin/example.py:1 saves a whole row of catalog_storeprice" in shards.found
    shards.found.clear()
    StorePrice.objects.create(store=store, product=ghee, price=2, effective_from=now + timedelta(hours=1))
    assert shards.found == [], "a new row is whole"


def whole_saves(tree: ast.AST) -> list[int]:
    """Lines that save a row (not a form) without saying which columns."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("save", "asave", "bulk_update")
        and not ast.unparse(node.func.value).endswith("form")
        and not {"update_fields", "force_insert"} & {word.arg for word in node.keywords}
    ]


def test_nothing_that_keeps_store_data_saves_whole_rows():
    """The apps whose tables belong to stores: what does not belong to one there, is not saved otherwise either."""
    wrong = [
        f"{file}:{line}"
        for file in sources("inventory", "reports")
        if part(file)[1] not in ("tests", "migrations")
        for line in whole_saves(ast.parse(file.read_text()))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "code", ["level.save()", "self.save(using='x')", "StockLevel.objects.bulk_update(levels, ['listed'])"]
)
def test_the_watch_sees_a_whole_save(code):
    assert whole_saves(ast.parse(code)) == [1]
