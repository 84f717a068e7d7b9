"""What pages cost, as counts: no page reads the ledger from end to end, and a sale asks no more for more lines."""

import json
import logging
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import LIKELY, Barcode, Product
from inventory.models import Document, Movement, StockLevel
from kiryana.bench import pages
from kiryana.bench.seed import Size, write
from kiryana.bench.trade import sku, store_code
from reports.models import ClosedDays, DailyStock
from reports.services import close_days, restate
from stores.models import ApiKey, Membership, Store, User
from stores.services import create_key

SIZE = Size(stores=50, products=100, rounds=10)
LEDGER = {"inventory_movement", "inventory_document", "inventory_stocklevel", "reports_dailystock"}
LONG_REPORTS = ("daily-sales", "top-products", "movement-summary", "shrinkage")
BY_KIND = (
    "movement-summary",
    "shrinkage",
)  # they also look for what is no sale among the documents of the period
# Rows of those tables that one page may touch: a page of lines with their documents, or a store's products and their days,
# but not the past of a store (1,000 movements here), let alone that of the chain (50,000).
MOST_ROWS = 800
# What touches more here, by the beginning of its address: known. No other is to come here, and none of these to touch more.
# In so small a ledger the planner reads the past of a store where, among millions of lines, it would look up those of a
# product or of some days.
PAST_OF_A_STORE = SIZE.products * SIZE.rounds + 100
FILE_OF_A_STORE = f"/s/{store_code(1)}/movements/file/"
MORE_ROWS = {
    "/api/v1/movements/?": PAST_OF_A_STORE,
    f"/s/{store_code(1)}/movements/?": PAST_OF_A_STORE,
    "/admin/inventory/movement/?": PAST_OF_A_STORE,
    # A file of all lines of a store, each with its document: of so few documents the planner would rather read all.
    FILE_OF_A_STORE: 8_000,
    # Over all stores they walk back from the newest line until a page is full: 25 lines of one of 100 products.
    f"/admin/inventory/movement/?product={sku(1)}": 2_700,
    f"/admin/inventory/movement/?q={sku(1)}": 2_700,
    # Looks up each store's document by its reference; of so few documents the planner would rather read all.
    "/admin/inventory/document/?q=": 7_000,
    # Walks levels until a page is full: at most as many as there are products in stores, however long the ledger is.
    "/admin/inventory/stocklevel/?state=low": SIZE.levels,
}
# Round trips of a sale. By API: key and counter, what it names, the posting and, as tests run in a transaction, a savepoint
# around it. On its page: the session, the user with store and role, what the lines name, and the posting.
MOST_QUERIES = 5
MOST_QUERIES_OF_THE_PAGE = 6


def most_rows(path: str) -> int:
    return max((most for begin, most in MORE_ROWS.items() if path.startswith(begin)), default=MOST_ROWS)


@pytest.fixture
def chain(db, settings):
    """50 stores with 50,000 movements; gives clients by who asks."""
    settings.API_RATE = "100000/m"
    connection.ensure_connection()
    write(connection.connection, SIZE)
    assert close_days() > 0
    assert restate() == SIZE.levels
    store = Store.objects.get(code=store_code(1))
    _key, secret = create_key(name="Till", scopes=ApiKey.Scope.values, stores=[store])
    owner, head = User.objects.create_user("owner"), User.objects.create_superuser("head")
    Membership.objects.create(user=owner, store=store, role="owner")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    clients = {"partner": Client(headers={"x-api-key": secret}), "owner": Client(), "head": Client()}
    clients["owner"].force_login(owner)
    clients["head"].force_login(head)
    logging.disable(logging.WARNING)
    yield clients
    logging.disable(logging.NOTSET)


def asked(client: Client, path: str) -> tuple[int, list[tuple]]:
    """(status, statements with their parameters) of one page; the statements are those that read."""
    heard = []

    def listen(execute, statement, params, many, context):
        if str(statement).lstrip().upper().startswith(("SELECT", "WITH")):
            heard.append((statement, params))
        return execute(statement, params, many, context)

    with connection.execute_wrapper(listen):
        response = client.get(path)
        if response.streaming:
            b"".join(response)
    return response.status_code, heard


def steps(plan: dict):
    """Every step of a plan."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from steps(inner)


def plan_of(statement, params) -> dict:
    """How the statement was answered just now."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", params)
        [told] = cursor.fetchone()
    return (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]


def explained(statement, params) -> tuple[list[str], int]:
    """(ledger tables that the statement reads from end to end, rows of ledger tables that it touches)."""
    whole, rows = [], 0
    for step in steps(plan_of(statement, params)):
        if step.get("Relation Name") in LEDGER:
            touched = step["Actual Rows"] + sum(
                value for name, value in step.items() if name.startswith("Rows Removed")
            )
            rows += round(touched * step["Actual Loops"])
            if step["Node Type"] == "Seq Scan":
                whole.append(step["Relation Name"])
    return whole, rows


def test_no_page_reads_the_ledger_from_end_to_end(chain):
    with connection.cursor() as cursor:
        found = pages.addresses(cursor)
    wrong, shown = [], 0
    for address in found:
        status, heard = asked(chain[address.who], address.path)
        if address.needed and status != 200:
            wrong.append(f"{address.path} was answered {status}")
        if status != 200:
            continue
        shown += 1
        rows = 0
        for statement, params in heard:
            whole, touched = explained(statement, params)
            rows += touched
            if address.path.startswith(FILE_OF_A_STORE):
                whole = [table for table in whole if table != "inventory_document"]
            wrong += [f"{address.path} reads {table} from end to end: {statement}" for table in whole]
        if rows > most_rows(address.path):
            wrong.append(f"{address.path} touches {rows} rows")
    assert not wrong, "\n".join(wrong)
    assert shown > 200


@pytest.mark.parametrize("within", ["", "&category=1"])
@pytest.mark.parametrize("name", LONG_REPORTS)
def test_a_report_over_all_stores_and_a_year_reads_sums_and_not_every_day_of_every_product(
    chain, name, within
):
    """A year of all stores: 5,000 products' days, of which those of the last two days are not summed up yet.

    Of a category the sales of these two days are counted in the ledger besides.
    """
    _key, secret = create_key(name="Chain", scopes=ApiKey.Scope.values, all_stores=True)
    today = timezone.now().date()
    path = f"/api/v1/reports/{name}/?from={today - timedelta(364)}&to={today}{within}"
    status, heard = asked(Client(headers={"x-api-key": secret}), path)
    assert status == 200
    told = [explained(statement, params) for statement, params in heard]
    assert [whole for whole, _rows in told if whole] == []
    open_days = DailyStock.objects.filter(business_date__gt=ClosedDays.objects.first().upto).count()
    documents = Document.objects.filter(business_date__gt=today - timedelta(365)).count()
    most = open_days * (2 if within else 1) + (documents if name in BY_KIND else 0)
    assert sum(rows for _whole, rows in told) <= most
    assert open_days < SIZE.levels / 4


@pytest.mark.parametrize("name", ["inventory-summary", "stock-value"])
def test_a_report_of_what_lies_in_all_stores_reads_sums_and_no_level(chain, name):
    """But those that changed since the mark: here none."""
    _key, secret = create_key(name="Chain", scopes=ApiKey.Scope.values, all_stores=True)
    status, heard = asked(Client(headers={"x-api-key": secret}), f"/api/v1/reports/{name}/")
    assert status == 200
    told = [explained(statement, params) for statement, params in heard]
    assert [whole for whole, _rows in told if whole] == []
    assert sum(rows for _whole, rows in told) == 0


@pytest.mark.parametrize(
    ("query", "shown", "most"),
    [
        # Levels and all lines of the product in 50 stores, and then a page of them with their documents.
        (f"sku={sku(1)}", 50, SIZE.stores * SIZE.rounds + 700),
        # At most the trade of that time, a tenth of all.
        ("occurred_from={month}T00:00:00Z", 50, SIZE.levels + 400),
        ("occurred_from={tomorrow}T00:00:00Z", 0, 50),
        ("business_date_from={month}", 50, 1_500),
        ("business_date_from={tomorrow}", 0, 50),
    ],
)
def test_a_list_of_all_stores_reads_no_more_than_what_it_is_asked_for(chain, query, shown, most):
    _key, secret = create_key(name="Chain", scopes=ApiKey.Scope.values, all_stores=True)
    today = timezone.now().date()
    query = query.format(month=today - timedelta(60), tomorrow=today + timedelta(3))
    client = Client(headers={"x-api-key": secret})
    status, heard = asked(client, f"/api/v1/movements/?{query}")
    assert status == 200
    assert len(client.get(f"/api/v1/movements/?{query}").json()["results"]) == shown
    told = [explained(statement, params) for statement, params in heard]
    assert [whole for whole, _rows in told if whole] == []
    assert sum(rows for _whole, rows in told) <= most


def test_reading_the_ledger_from_end_to_end_is_seen(chain):
    whole, rows = explained("SELECT count(*) FROM inventory_movement WHERE quantity < %s", [-5])
    assert (whole, rows) == (["inventory_movement"], SIZE.movements)
    whole, rows = explained(
        "SELECT * FROM inventory_stocklevel WHERE store_id = %s AND product_id = %s", [1, 1]
    )
    assert (whole, rows) == ([], 1)


def test_what_the_bench_fills_in_is_a_ledger_like_any_other(chain):
    assert Movement.objects.count() == SIZE.movements
    level = StockLevel.objects.get(store__code=store_code(7), product__sku=sku(33))
    newest = Movement.objects.filter(store=level.store_id, product=level.product_id).order_by("-seq").first()
    assert (level.on_hand, level.seq) == (newest.balance_after, newest.seq)


@pytest.fixture
def shelf(stocked, category):
    """Eight products that may be sold beyond stock."""
    for number in range(8):
        product = Product.objects.create(
            sku=f"SHE-{number}", name=f"Soap {number}", category=category, selling_price=50
        )
        Barcode.objects.create(code=f"896000000{number:04}", product=product)
    Store.objects.update(oversell_policy="allow")


def test_a_sale_asks_as_little_for_eight_lines_as_for_one(shelf, api_client):
    partner = api_client()

    def queries(lines: int) -> int:
        rows = [{"sku": f"SHE-{number}", "quantity": "1"} for number in range(lines)]
        body = {"store": "LHE-0001", "kind": "sale", "reference": f"sale-{lines}", "lines": rows}
        with CaptureQueriesContext(connection) as heard:
            assert partner.post("/api/v1/documents/", body).status_code == 201
        return len(heard)

    queries(2)  # the first request of a key also notes that it was used
    assert queries(1) == queries(8) == MOST_QUERIES


def test_the_sale_page_asks_as_little_for_eight_lines_as_for_one(shelf, client, cashier, store):
    client.force_login(cashier)

    def queries(lines: int) -> int:
        form = {
            "act": "save",
            "reference": f"page-{lines}",
            "lines-TOTAL_FORMS": lines,
            "lines-INITIAL_FORMS": 0,
        }
        for number in range(lines):
            named = f"SHE-{number}" if number % 2 else f"896000000{number:04}"
            form |= {f"lines-{number}-item": named, f"lines-{number}-quantity": "1"}
        with CaptureQueriesContext(connection) as heard:
            assert client.post(f"/s/{store.code}/movements/sale/", form).status_code == 302
        return len(heard)

    assert queries(1) == queries(8) == MOST_QUERIES_OF_THE_PAGE
    assert Movement.objects.filter(kind="sale").count() == 9


@pytest.fixture
def long_catalogue(db):
    """20,000 products in one store, and clients by who asks."""
    connection.ensure_connection()
    write(connection.connection, Size(stores=1, products=20_000, rounds=1))
    store = Store.objects.get()
    _key, secret = create_key(name="Till", scopes=ApiKey.Scope.values, stores=[store])
    owner = User.objects.create_user("owner")
    Membership.objects.create(user=owner, store=store, role="owner")
    with connection.cursor() as cursor:
        # As autovacuum does: what an index has not sorted in yet makes it dear.
        cursor.execute("SELECT gin_clean_pending_list('product_search')")
        cursor.execute("ANALYZE")
    clients = {"partner": Client(headers={"x-api-key": secret}), "owner": Client()}
    clients["owner"].force_login(owner)
    return clients


# Roman Urdu, Urdu, English and a brand, a part of a word and a number: each fits a hundred products or some more.
SOUGHT = ("cheeni", "چینی", "sugar tapal", "دال 5", "chawal 12")
SEARCHES = {
    f"/s/{store_code(1)}/products/find/?q=": "owner",
    "/api/v1/products/?search=": "partner",
}


def test_no_search_reads_the_catalogue_from_end_to_end_and_a_till_puts_few_in_order(long_catalogue):
    wrong, by_trigrams = [], set()
    for path, who in SEARCHES.items():
        for words in SOUGHT:
            status, heard = asked(long_catalogue[who], path + quote(words))
            assert status == 200
            for statement, params in heard:
                for step in steps(plan_of(statement, params)):
                    if step.get("Relation Name") == "catalog_product" and step["Node Type"] == "Seq Scan":
                        wrong.append(f"{path}{words} reads all products")
                    if step.get("Relation Name") == "catalog_storeprice" and step["Actual Loops"] > LIKELY:
                        wrong.append(f"{path}{words} asks {step['Actual Loops']} prices")
                    if step.get("Index Name") == "product_search":
                        by_trigrams.add((path, words))
    assert not wrong, "\n".join(wrong)
    finds = [path for path in SEARCHES if "find" in path]
    assert by_trigrams >= {(path, words) for path in finds for words in SOUGHT}
