"""The feed of changes: each once, none left out, always in the same order, whoever commits when."""

import io
import json
import random
import threading
import time
from contextlib import contextmanager, suppress
from decimal import Decimal

import pytest
from django.core import signing
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from jsonschema_rs import validator_for
from rest_framework.test import APIClient

from catalog.models import Barcode, Pack, Product
from catalog.services import change_product, create_product
from inventory.api import events
from inventory.api.events import SCOPES, tell, types_for
from inventory.models import Document, Kind, StockLevel
from inventory.services import Actor, Line, post_document, reverse_document
from inventory.tests.test_import_history import MOVEMENTS, PRODUCTS, STORES
from stores.models import ApiKey, Change, Store
from stores.queries import FEW, IN_ORDER, LATEST, SCANNED, read_feed
from stores.services import create_key, rotate_key

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/changes/"
TYPES = Change.Type.values


def calm() -> None:
    """Waits until what was written is settled. Whoever writes on the same server holds it up, in other databases too."""
    late = time.monotonic() + 300
    while Change.objects.count() != Change.objects.settled().count():
        assert time.monotonic() < late, "somebody's transaction does not end"
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.01)")


def get(client, **params) -> dict:
    answer = client.get(URL, params)
    assert answer.status_code == 200, answer.json()
    return answer.json()


def follow(client, after=None, **params) -> tuple[list[dict], str]:
    """All events from a place to the end, and the place there."""
    seen = []
    while True:
        page = get(client, **params, **({"after": after} if after else {}))
        seen, after = seen + page["results"], page["after"]
        if not page["more"]:
            return seen, after


def ids(found: list[dict]) -> list[str]:
    return [event["id"] for event in found]


def refused(answer, status, code, inner=None):
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert [fault["code"] for fault in body["errors"]] == ([inner] if inner else [])
    return body


@pytest.fixture
def busy(api_client):
    """A key that reads as often as it likes."""
    return api_client(rate=1_000_000)


@contextmanager
def held(act):
    """Does `act` in a transaction that another thread keeps open until the block ends."""
    done, end, failed = threading.Event(), threading.Event(), []

    def work():
        try:
            with transaction.atomic():
                act()
                done.set()
                assert end.wait(60)
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert done.wait(60)
        yield
    finally:
        end.set()
        thread.join(60)
    assert not failed, failed


# -- What is told ---------------------------------------------------------------------------------------------------


def test_a_sale_that_runs_low_and_out_is_told_as_it_was(api_client, post, stocked, ghee, atta):
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=None)
    client = api_client()
    calm()
    start = get(client, after="latest")
    assert (start["results"], start["more"]) == ([], False)
    sale = post(Kind.SALE, (ghee, 20), (atta, "1.250")).document
    post(Kind.SALE, (ghee, 4))
    post(Kind.RECEIPT, (ghee, 48, 500))
    calm()
    found, _after = follow(client, start["after"])
    assert [event["type"] for event in found] == [
        "stock.low", "movement.created", "stock.out", "movement.created", "movement.created",
    ]  # fmt: skip
    assert all(event["store"] == "LHE-0001" for event in found)
    shown = client.get(reverse("api:document", args=[sale.pk])).json()
    del shown["voided_by"]
    assert found[1]["data"] == shown
    assert found[1]["timestamp"] == found[0]["timestamp"] == shown["recorded_at"]
    assert [line["sku"] for line in found[1]["data"]["lines"]] == ["GHE-0001", "FLR-0001"]
    level = {"store": "LHE-0001", "sku": "GHE-0001", "name": "Dalda Ghee 1 kg", "reorder_point": "10.000"}
    assert found[0]["data"] == level | {"on_hand": "4.000", "state": "low"}
    assert found[2]["data"] == level | {"on_hand": "0.000", "state": "out"}


def test_a_level_below_zero_is_out_and_says_so(api_client, post, stocked, ghee, store, manager):
    store.oversell_policy = "allow"
    store.save()
    post(Kind.SALE, (ghee, 30))
    calm()
    [event] = follow(api_client(), type="stock.out")[0]
    assert (event["data"]["on_hand"], event["data"]["state"]) == ("-6.000", "negative")


def test_a_document_is_told_in_the_same_bytes_after_it_was_voided(api_client, post, stocked, ghee, manager):
    sale = post(Kind.SALE, (ghee, 2)).document
    calm()
    client = api_client()
    before = {event["id"]: json.dumps(event) for event in follow(client, type="movement.created")[0]}
    reverse_document(document=sale, actor=Actor.on_page(manager, "manager"))
    post(Kind.SALE, (ghee, 22))
    calm()
    after = {event["id"]: json.dumps(event) for event in follow(client, type="movement.created")[0]}
    assert len(after) == len(before) + 2
    assert {name: after[name] for name in before} == before


def test_a_product_is_told_as_it_is_now(api_client, atta):
    client = api_client()
    calm()
    place = get(client, after="latest")["after"]
    change_product(product=atta, selling_price=Decimal(135))
    Barcode.objects.create(code="2100099000009", product=atta)
    Pack.objects.create(product=atta, name="Sack", units_per_pack=50)
    change_product(product=atta, selling_price=Decimal(140))
    calm()
    found, _place = follow(client, place)
    assert {event["type"] for event in found} == {"product.updated"}
    assert len(found) == 4
    assert {event["store"] for event in found} == {None}
    shown = client.get(reverse("api:product", args=[atta.sku])).json()
    assert shown["selling_price"] == "140.00"
    assert len(shown["barcodes"]) == 2
    assert [event["data"] for event in found] == [shown] * 4


def test_a_change_of_one_product_is_told_whoever_made_it(api_client, category):
    """Catalogue service, batches of rows, and a statement typed by hand alike."""
    client = api_client()
    create_product(sku="SOAP", name="Soap", category=category, selling_price=Decimal(90))
    Product.objects.bulk_create(
        Product(sku=f"B-{n}", name="B", category=category, selling_price=1) for n in range(3)
    )
    Product.objects.filter(sku__startswith="B-").update(brand="B")
    calm()
    skus = [event["data"]["sku"] for event in follow(client)[0]]
    assert skus == ["SOAP", "B-0", "B-1", "B-2", "B-0", "B-1", "B-2"]


def test_cost_is_told_with_reports_read_only(api_client, post, stocked, ghee):
    calm()
    every = follow(api_client())[0]
    without = follow(api_client(scopes=[scope for scope in ApiKey.Scope.values if scope != "reports:read"]))[
        0
    ]
    assert ids(every) == ids(without)
    text = json.dumps(without)
    assert "cost" not in text
    assert '"510.' not in text  # what the ghee cost; times and ids may hold these digits
    assert "unit_cost" in json.dumps(every)
    assert "cost_price" in json.dumps(every)


def test_what_is_told_fits_the_schema(api_client, post, stocked, ghee):
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=None)
    post(Kind.SALE, (ghee, 24))
    calm()
    schema = api_client().get("/api/v1/schema/").json()
    body = schema["paths"]["/api/v1/changes/"]["get"]["responses"]["200"]["content"]["application/json"]
    validator = validator_for({**body["schema"], "components": schema["components"]})
    for scopes in (ApiKey.Scope.values, ["movements:read", "inventory:read", "catalog:read"]):
        page = get(api_client(scopes=scopes))
        assert {event["type"] for event in page["results"]} == set(TYPES)
        validator.validate(page)
    page["results"][0]["data"] = {"sku": "X"}
    assert not validator.is_valid(page)


def test_what_is_gone_is_told_without_data(api_client, stocked, ghee):
    key = api_client().key
    gone = [
        Change(pk=number, type=type, subject=10**12, store_id=10**9, created_at=ghee.created_at)
        for number, type in enumerate(TYPES)
    ]
    assert [(event["store"], event["data"]) for event in tell(gone, key)] == [(None, None)] * len(TYPES)
    gone = [
        Change(pk=1, type="stock.low", subject=ghee.pk, store_id=10**9, created_at=ghee.created_at, data={})
    ]
    assert tell(gone, key)[0]["data"]["sku"] == ghee.sku


# -- Who hears what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "types"),
    [
        (["movements:read"], {"movement.created"}),
        (["inventory:read"], {"stock.low", "stock.out"}),
        (["catalog:read"], {"product.updated"}),
        (["movements:read", "catalog:read", "reports:read"], {"movement.created", "product.updated"}),
    ],
)
def test_scopes_decide_the_types(api_client, post, stocked, ghee, scopes, types):
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=None)
    post(Kind.SALE, (ghee, 24))
    calm()
    client = api_client(scopes=scopes)
    assert {event["type"] for event in follow(client)[0]} == types == set(types_for(client.key))
    for type in TYPES:
        if type in types:
            assert {event["type"] for event in follow(client, type=type)[0]} == {type}
        else:
            refused(client.get(URL, {"type": type}), 403, "insufficient_scope")


def test_without_one_of_the_three_scopes_nobody_enters(api_client):
    none = [scope for scope in ApiKey.Scope.values if scope not in set(SCOPES.values())]
    refused(api_client(scopes=none).get(URL), 403, "insufficient_scope")
    refused(api_client(scopes=none).get(URL, {"after": "latest"}), 403, "insufficient_scope")


def test_a_key_hears_of_its_stores_only(api_client, post, other_store, stocked, ghee):
    sandbox = Store.objects.create(code="BOX-1", name="Practice", sandbox=True)
    post(Kind.RECEIPT, (ghee, 5, 500), where=other_store)
    post(Kind.RECEIPT, (ghee, 5, 500), where=sandbox)
    calm()

    def stores(client, **params):
        return [event["store"] for event in follow(client, **params)[0] if event["store"]]

    mine, theirs, both = api_client(), api_client([other_store]), api_client([], all_stores=True)
    assert stores(mine) == ["LHE-0001"]
    assert stores(theirs) == ["KHI-0001"]
    assert stores(both) == ["LHE-0001", "KHI-0001"]
    assert stores(both, store="KHI-0001") == ["KHI-0001"]
    assert follow(both, store="KHI-0001", type="product.updated")[0] == []
    for client, code in ((mine, "KHI-0001"), (mine, "NONE-1"), (both, "BOX-1"), (mine, "x")):
        refused(client.get(URL, {"store": code}), 404, "not_found")
    lost = api_client()
    lost.key.stores.clear()
    assert get(lost, type="movement.created")["results"] == []
    assert len(follow(lost)[0]) == Change.objects.filter(store=None).count() > 0


def test_a_test_key_hears_of_sandboxes_and_products(api_client, post, stocked, ghee):
    sandbox = Store.objects.create(code="BOX-1", name="Practice", sandbox=True)
    post(Kind.RECEIPT, (ghee, 5, 500), where=sandbox)
    calm()
    scopes = ["movements:read", "inventory:read", "catalog:read"]
    for options in ({"stores": [sandbox]}, {"stores": [], "all_stores": True}):
        _key, secret = create_key(name="Test", scopes=scopes, is_test=True, **options)
        found = [event["store"] for event in follow(APIClient(headers={"x-api-key": secret}))[0]]
        assert set(found) == {None, "BOX-1"}
        assert found.count("BOX-1") == 1


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_few_stores_and_many_are_read_the_same(api_client, post, manager, ghee, count):
    """Few are put together each from its own index, many are picked from the whole feed."""
    stores = [Store.objects.create(code=f"S-{n}", name="S") for n in range(FEW + 2)]
    for _round in range(2):
        for place in stores:
            post(Kind.RECEIPT, (ghee, 1, 500), where=place)
    calm()
    client = api_client(stores[:count], rate=1_000_000)
    wanted = [
        change.event_id
        for change in Change.objects.order_by("moment", "pk")
        if change.store_id is None or change.store_id in {store.pk for store in stores[:count]}
    ]
    assert ids(follow(client)[0]) == ids(follow(client, limit=7)[0]) == wanted


# -- The place ---------------------------------------------------------------------------------------------------------


def test_the_answer_says_where_to_go_on(api_client, stocked):
    calm()
    client = api_client()
    first = get(client, limit=1, type="product.updated")
    assert first["more"] is True
    assert len(first["results"]) == 1
    assert "limit=1" in first["next"]
    assert "type=product.updated" in first["next"]
    by_link = client.get(first["next"]).json()
    assert by_link["results"] == get(client, limit=1, type="product.updated", after=first["after"])["results"]
    end = follow(client)[1]
    at_end = get(client, after=end)
    assert (at_end["results"], at_end["more"]) == ([], False)
    assert at_end["next"].startswith("http")


def test_a_place_is_good_for_other_stores_and_types_and_for_the_successor_of_a_key(
    api_client, post, stocked, ghee
):
    client = api_client()
    calm()
    place = follow(client)[1]
    sale = post(Kind.SALE, (ghee, 1)).document
    calm()
    _key, secret = rotate_key(key=client.key)
    successor = APIClient(headers={"x-api-key": secret})
    for params in ({}, {"type": "movement.created"}, {"store": "LHE-0001"}, {"limit": 1}):
        assert [event["data"]["id"] for event in follow(successor, place, **params)[0]] == [sale.pk]


@pytest.mark.parametrize(
    "after",
    [
        "junk", "", "Latest", "ü", "a" * 3000, "WzEsMV0", "WzEsMV0:x:y", "0", "9" * 30, ".eJw:1:2",
        "other list", "tampered", "cut", "unsigned place",
    ],
)  # fmt: skip
def test_a_place_that_was_not_given_out_is_refused(api_client, stocked, after):
    client = api_client()
    good = get(client, after="latest")["after"]
    after = {
        "other list": client.get("/api/v1/products/?limit=1").json()["next"].partition("cursor=")[2],
        "tampered": "A" + good[1:],
        "cut": good[:-1],
        "unsigned place": signing.dumps([1, 1]),
    }.get(after, after)
    refused(client.get(URL, {"after": after}), 400, "invalid_cursor", "invalid_cursor")


@pytest.mark.parametrize(
    ("query", "code", "inner"),
    [
        ("limit=0", "validation_error", "out_of_range"),
        ("limit=501", "validation_error", "out_of_range"),
        ("limit=x", "validation_error", "out_of_range"),
        ("type=sale", "validation_error", "invalid_choice"),
        ("type=", "validation_error", "blank"),
        ("stor=A", "unknown_parameter", "unknown_parameter"),
        ("cursor=a", "unknown_parameter", "unknown_parameter"),
        ("ordering=id", "unknown_parameter", "unknown_parameter"),
        ("limit=1&limit=2", "repeated_parameter", "repeated_parameter"),
        ("after=%00", "null_character", "null_character"),
    ],
)
def test_wrong_parameters_are_refused(api_client, query, code, inner):
    refused(api_client().get(f"{URL}?{query}"), 400, code, inner)


def test_nobody_writes_to_the_feed(api_client):
    client = api_client()
    for method in (client.post, client.put, client.patch, client.delete):
        refused(method(URL), 405, "method_not_allowed")


# -- Order and completeness ---------------------------------------------------------------------------------------------


def test_what_commits_late_is_told_in_its_place_and_not_passed_over(busy, post, other_store, stocked, ghee):
    """A has its number and waits, B commits with a later one: a reader who sees B first must never lose A."""
    calm()
    place = follow(busy)[1]
    [last] = Change.objects.order_by("-pk")[:1]
    with held(lambda: post(Kind.RECEIPT, (ghee, 1, 500), where=other_store, reference="A")):
        post(Kind.SALE, (ghee, 1), reference="B")
        mine = read_all(place, limit=1)
        # The control: read by their ids alone, B is seen now, and A is behind it for ever.
        careless = list(Change.objects.filter(pk__gt=last.pk).order_by("pk"))
    calm()
    careless += Change.objects.filter(pk__gt=careless[-1].pk).order_by("pk")
    assert references(careless) == ["B"]
    assert references(mine[0]) == []
    mine = mine[0] + read_all(mine[1], limit=1)[0]
    assert references(mine) == ["A", "B"]
    assert references(read_all(place, limit=500)[0]) == ["A", "B"]


def read_all(place, limit) -> tuple[list[Change], str]:
    """As `follow` does, for all stores, as rows."""
    key = ApiKey(all_stores=True)
    at = tuple(signing.loads(place, salt="feed"))
    found = []
    while True:
        page = read_feed(key, types=TYPES, after=at, limit=limit)
        found, at = found + page.changes, page.place
        if not page.more:
            return found, signing.dumps(at, salt="feed")


def references(changes) -> list[str]:
    named = dict(Document.objects.values_list("pk", "reference"))
    return [named[change.subject] for change in changes if change.type == "movement.created"]


class Thrown(Exception):
    """Something in a transaction went wrong."""


def test_nothing_is_lost_or_told_twice_while_sixteen_write(api_client, manager, category, together):
    """Four stores, baskets that run low, some taken back to a savepoint or whole, some that take their time."""
    stores = [Store.objects.create(code=f"S-{n}", name="S") for n in range(4)]
    goods = [
        Product.objects.create(sku=f"P-{n}", name="P", category=category, selling_price=10) for n in range(6)
    ]
    actor, stopped = Actor.on_page(manager, "manager"), []

    def basket(where, dice, kind=Kind.SALE, quantity=1):
        chosen = goods if kind == Kind.RECEIPT else dice.sample(goods, 2)
        cost = Decimal(5) if kind == Kind.RECEIPT else None
        lines = [Line(product=product, quantity=Decimal(quantity), unit_cost=cost) for product in chosen]
        post_document(store=where, kind=kind, lines=lines, actor=actor)

    for where in stores:
        basket(where, None, Kind.RECEIPT, 9000)
        StockLevel.objects.filter(store=where).update(reorder_point=8995)

    def writer(number):
        dice = random.Random(number)

        def act(where):
            if dice.random() < 0.3:
                Product.objects.filter(pk=dice.choice(goods).pk).update(brand=f"{number}")
            basket(where, dice)
            if dice.random() < 0.3:
                with suppress(Thrown), transaction.atomic():
                    basket(where, dice)
                    raise Thrown
            if dice.random() < 0.3:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(0.02)")
            if dice.random() < 0.2:
                raise Thrown

        def write():
            try:
                for _turn in range(12):
                    # Of two baskets that lock each other out, one goes back as a whole: all the better.
                    with suppress(Thrown, OperationalError), transaction.atomic():
                        act(dice.choice(stores))
            finally:
                stopped.append(number)
            return len(stopped)

        return write

    client = api_client(stores, rate=10_000_000)

    def read():
        """Polls from the beginning in small pages for as long as others write."""
        after, seen = None, []
        while True:
            last = len(stopped) == 16
            page = get(client, limit=1 + len(seen) % 7, **({"after": after} if after else {}))
            after, seen = page["after"], seen + [(event["id"], event["type"]) for event in page["results"]]
            if last and not page["more"]:
                return seen, after

    (seen, after), *numbers = together([read, *(writer(number) for number in range(16))])
    assert sorted(numbers) == list(range(1, 17)), numbers
    calm()
    seen += [(event["id"], event["type"]) for event in follow(client, after)[0]]
    wanted = [(change.event_id, change.type) for change in Change.objects.order_by("moment", "pk")]
    assert len(seen) == len(set(seen)), "told twice"
    assert set(seen) == set(wanted), "left out"
    assert seen == wanted, "in another order"
    assert [(event["id"], event["type"]) for event in follow(client, limit=500)[0]] == wanted
    assert Change.objects.filter(type="movement.created").count() == Document.objects.count() > 100


def test_a_page_may_end_inside_a_transaction(busy, post, stocked, other_store, ghee, atta):
    """Several documents, products, a savepoint that was kept and one that was not: one number, told in one order."""
    calm()
    place = follow(busy)[1]
    with transaction.atomic():
        for number in range(3):
            post(Kind.SALE, (ghee, 1), reference=f"one-{number}")
        Product.objects.update(brand="B")
        with suppress(Thrown), transaction.atomic():
            post(Kind.SALE, (atta, 1), reference="never")
            raise Thrown
        with transaction.atomic():
            post(Kind.SALE, (atta, 1), reference="kept")
        post(Kind.SALE, (ghee, 1), reference="last")
    calm()
    whole = follow(busy, place)[0]
    assert [follow(busy, place, limit=limit)[0] for limit in (1, 2, 3, 500)] == [whole] * 4
    told = [event["data"].get("reference", event["type"]) for event in whole]
    assert told == ["one-0", "one-1", "one-2", "product.updated", "product.updated", "kept", "last"]
    assert len(set(Change.objects.order_by("-pk").values_list("moment", flat=True)[:7])) == 1


def test_a_batch_of_the_api_is_told_document_by_document(busy, stocked, ghee):
    calm()
    place = follow(busy)[1]
    lines = [{"sku": ghee.sku, "quantity": "1", "unit_price": "560"}]
    sent = [{"store": "LHE-0001", "kind": "sale", "reference": f"b-{n}", "lines": lines} for n in range(5)]
    sent[2] = sent[2] | {"lines": [{"sku": "NONE", "quantity": "1"}]}
    verdicts = busy.post("/api/v1/documents/batch/", {"documents": sent}).json()["results"]
    busy.post("/api/v1/documents/batch/", {"documents": sent})
    calm()
    told = [event["data"]["reference"] for event in follow(busy, place)[0]]
    assert told == [one["reference"] for one in verdicts if one["status"] == "created"]
    assert told == ["b-0", "b-1", "b-3", "b-4"]


def test_an_import_is_told(busy, tmp_path):
    for name, text in {"stores": STORES, "products": PRODUCTS, "movements": MOVEMENTS}.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    call_command("import_history", str(tmp_path), processes=1, stdout=io.StringIO(), stderr=io.StringIO())
    calm()
    found = read_feed(ApiKey(all_stores=True), types=TYPES, after=None, limit=500).changes
    documents = [change.subject for change in found if change.type == "movement.created"]
    assert sorted(documents) == sorted(Document.objects.values_list("pk", flat=True))
    assert {change.subject for change in found if change.type == "product.updated"} == set(
        Product.objects.values_list("pk", flat=True)
    )


# -- What it costs -------------------------------------------------------------------------------------------------------


def test_a_page_costs_the_same_queries_however_full(busy, post, stocked, ghee, atta):
    stocked(ghee).set_reorder(reorder_point=Decimal(22), target_level=None)
    for _turn in range(6):
        post(Kind.SALE, (ghee, 4), (atta, 1))
    Product.objects.update(brand="B")
    calm()
    get(busy)  # notes the use of the key, which is done once a minute
    counts = {}
    whole = follow(busy, limit=500)[0]
    kinds = [event["type"] for event in whole]
    full = max(kinds.index(type) for type in TYPES) + 1  # a page that holds one of each
    for limit in (full, full + 3, 500):
        with CaptureQueriesContext(connection) as queries:
            assert get(busy, limit=limit)["results"] == whole[:limit]
        counts[limit] = len(queries)
    # The key and its counter, its stores, the feed in a transaction, its documents, and seven to tell all types.
    assert len(set(counts.values())) == 1, counts
    assert counts[500] <= 14, counts


def test_a_page_ends_where_its_documents_grow_too_long(busy, post, stocked, ghee, monkeypatch):
    calm()
    place = follow(busy)[1]
    for lines in (3, 2, 9, 1, 1):
        post(Kind.SALE, *[(ghee, 1)] * lines)
    calm()
    monkeypatch.setattr(events, "MOST_LINES", 5)
    sizes, more = [], True
    while more:
        page = get(busy, after=place)
        sizes.append([event["data"]["line_count"] for event in page["results"]])
        place, more = page["after"], page["more"]
    assert sizes == [[3, 2], [9], [1, 1]]


@pytest.fixture
def long_feed(store, other_store, ghee):
    """20,000 changes of `store`, 20,000 of `other_store` after them, and one rare type in between."""
    with connection.cursor() as cursor:
        for where, first in ((store, "movement.created"), (other_store, "stock.out")):
            cursor.execute(
                "INSERT INTO stores_change (type, store_id, subject)"
                " SELECT CASE n WHEN 1 THEN %s ELSE 'movement.created' END, %s, n FROM generate_series(1, 20000) AS n",
                [first, where.pk],
            )
        cursor.execute("ANALYZE stores_change")
    calm()


def looked_at(plan: dict) -> int:
    """Rows of stores_change that a plan touched, shown or not."""
    mine = 0
    if plan.get("Relation Name") == "stores_change":
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        mine = rows * plan["Actual Loops"]
    return mine + sum(looked_at(inner) for inner in plan.get("Plans", ()))


def cost(key, **options) -> tuple[int, list[Change]]:
    """How many changes the database looks at for a page, and the page."""
    with CaptureQueriesContext(connection) as queries:
        page = read_feed(key, **{"types": TYPES, "after": None, "limit": 50} | options)
    [sql] = [query["sql"] for query in queries if "stores_horizon" in query["sql"]]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(IN_ORDER)
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
        [[[plan]]] = cursor.fetchall()
    return looked_at(plan["Plan"]), page


def test_a_page_looks_at_its_own_rows_only(long_feed, api_client, store, other_store):
    mine, theirs, every = (
        api_client().key, api_client([other_store]).key, api_client([], all_stores=True).key,
    )  # fmt: skip
    for key in (mine, theirs, every):
        rows, page = cost(key)
        assert len(page.changes) == 50
        assert page.more
        assert rows <= 3 * 52, "it reads more than it shows"
        halfway = Change.objects.filter(store=other_store).order_by("pk")[10_000]
        rows, page = cost(key, after=(halfway.moment, halfway.pk))
        assert rows <= 3 * 52
        rows, page = cost(key, after=LATEST)
        assert (page.changes, page.more) == ([], False)
        assert rows <= 4
    # All that is before his own is not looked at by the reader of one store.
    assert cost(theirs, store=other_store)[0] <= 53


def test_rare_types_are_looked_for_in_steps(long_feed, api_client, other_store):
    """No page costs more than a few thousand rows; one that found nothing yet says that there is more."""
    for key in (
        api_client([other_store], scopes=["inventory:read"]).key,
        api_client([], all_stores=True).key,
    ):
        after, found, pages = None, [], 0
        while True:
            rows, page = cost(key, after=after, types=["stock.out"])
            assert rows <= SCANNED + 2
            found, after, pages = found + page.changes, page.place, pages + 1
            if not page.more:
                break
        assert [change.subject for change in found] == [1]
        assert 4 <= pages <= 10
