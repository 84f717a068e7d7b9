"""Levels, and the ledger line by line, for partners."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inventory import filters
from inventory.models import Document, Kind, LowStockAlert, Movement, StockLevel
from inventory.services import MAX_LINES
from stores.models import Store

pytestmark = pytest.mark.django_db
INVENTORY = "/api/v1/inventory/"
GHEE = INVENTORY + "LHE-0001/GHE-0001/"
MOVEMENTS = "/api/v1/movements/"


def line(**fields) -> dict:
    return {"store": "LHE-0001", "kind": "sale", "sku": "GHE-0001", "quantity": "2"} | fields


def faults(answer) -> list[tuple[str, str]]:
    return [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


# -- Levels


def test_a_level_is_shown_under_its_new_and_its_older_name(api_client, stocked):
    row = api_client().get(GHEE).json()
    assert (row["store"], row["sku"], row["on_hand"], row["current_quantity"]) == (
        "LHE-0001",
        "GHE-0001",
        "24.000",
        "24.000",
    )
    assert (row["average_cost"], row["state"], row["seq"], row["unit"]) == ("510.0000", "ok", 1, "pc")
    till = api_client(scopes=["inventory:read"])
    assert "average_cost" not in till.get(GHEE).json()
    assert "average_cost" not in till.get(INVENTORY).json()["results"][0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["FLR-0001", "GHE-0001"]),
        ("store=LHE-0001", ["FLR-0001", "GHE-0001"]),
        ("sku=GHE-0001", ["GHE-0001"]),
        ("sku=NOTHING", []),
        ("state=ok", ["FLR-0001"]),
        ("state=out", ["GHE-0001"]),
        ("state=low", []),
        ("state=negative", []),
        ("category=Flour %26 Grains", ["FLR-0001", "GHE-0001"]),
        ("updated_since=2099-01-01T00:00:00Z", []),
        ("ordering=-sku", ["GHE-0001", "FLR-0001"]),
    ],
)
def test_filters_of_levels(api_client, stocked, post, ghee, query, found):
    post("sale", (ghee, 24))
    assert [row["sku"] for row in api_client().get(f"{INVENTORY}?{query}").json()["results"]] == found


def test_lists_page_by_sku(api_client, stocked):
    till = api_client()
    first = till.get(INVENTORY + "?ordering=sku&limit=1").json()
    second = till.get(first["next"]).json()
    assert [first["results"][0]["sku"], second["results"][0]["sku"]] == ["FLR-0001", "GHE-0001"]
    assert till.get(second["previous"]).json()["results"] == first["results"]


def test_levels_of_one_store_page_by_id_both_ways(api_client, stocked, post, ghee, other_store):
    post("receipt", (ghee, 5, 500), where=other_store)
    for client, query in (
        (api_client(), "?limit=1"),
        (api_client(stores=(), all_stores=True), "?store=LHE-0001&limit=1"),
    ):
        for order, skus in (("id", ["FLR-0001", "GHE-0001"]), ("-id", ["GHE-0001", "FLR-0001"])):
            first = client.get(f"{INVENTORY}{query}&ordering={order}").json()
            second = client.get(first["next"]).json()
            assert [row["sku"] for row in first["results"] + second["results"]] == skus
            assert second["next"] is None
            assert client.get(second["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize("path", [INVENTORY, MOVEMENTS, "/api/v1/documents/"])
def test_a_list_of_one_store_is_found_by_that_store_and_not_past_those_of_others(
    api_client, stocked, store, other_store, path
):
    def asked(client, query="") -> str:
        with CaptureQueriesContext(connection) as heard:
            assert client.get(path + query).json()["results"]
        return heard[-1]["sql"]

    named = f'"store_id" = {store.pk}'
    assert named in asked(api_client())
    assert named in asked(api_client(stores=(), all_stores=True), "?store=LHE-0001")
    assert named not in asked(api_client(stores=(store, other_store)))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Karachi"])
def test_an_instant_is_found_whatever_day_it_is_in_the_store(api_client, ghee, post, store, zone):
    Store.objects.filter(pk=store.pk).update(timezone=zone)
    store.refresh_from_db()
    yesterday = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    for hour in (0, 11, 13, 23):
        at = yesterday.replace(hour=hour)
        post("receipt", (ghee, 1 + hour, 500), occurred_at=at)
        query = f"?occurred_from={at:%Y-%m-%dT%H:%M:%SZ}&occurred_to={at:%Y-%m-%dT%H:%M:%SZ}"
        [row] = api_client().get(MOVEMENTS + query).json()["results"]
        assert row["quantity"] == f"{1 + hour}.000"


def test_a_list_of_levels_costs_three_queries(api_client, stocked, django_assert_num_queries):
    till = api_client()
    till.get(INVENTORY)
    for limit in (1, 2):
        # the key and its limit, its store, the rows
        with django_assert_num_queries(3):
            assert len(till.get(f"{INVENTORY}?limit={limit}").json()["results"]) == limit


def test_reorder_settings_change_and_stock_does_not(api_client, stocked, ghee):
    till = api_client()
    answer = till.patch(GHEE, {"reorder_point": "30", "target_level": "60"})
    assert (answer.status_code, answer.json()["reorder_point"], answer.json()["state"]) == (
        200,
        "30.000",
        "low",
    )
    assert LowStockAlert.objects.open().filter(product=ghee).count() == 1
    assert till.patch(GHEE, {"target_level": None}).json()["target_level"] is None
    assert till.patch(GHEE, {"reorder_point": "5"}).json()["state"] == "ok"
    assert LowStockAlert.objects.open().count() == 0
    assert stocked(ghee).on_hand == 24


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "empty"),
        ({"on_hand": "5"}, "/on_hand", "unknown_field"),
        ({"reorder_point": "-1"}, "/reorder_point", "out_of_range"),
        ({"reorder_point": None}, "/reorder_point", "wrong_type"),
        ({"reorder_point": "1.2345"}, "/reorder_point", "too_many_decimals"),
        ({"reorder_point": "NaN"}, "/reorder_point", "not_a_number"),
        ({"target_level": ""}, "/target_level", "not_a_number"),
        ({"reorder_point": "5", "target_level": "4"}, "/target_level", "below_reorder_point"),
    ],
)
def test_reorder_settings_that_make_no_sense(api_client, stocked, ghee, body, pointer, code):
    answer = api_client().patch(GHEE, body)
    assert (answer.status_code, faults(answer)) == (400, [(pointer, code)])
    assert stocked(ghee).reorder_point == 0


def test_a_level_that_is_not_there(api_client, stocked):
    till = api_client()
    assert till.get(INVENTORY + "LHE-0001/NOTHING/").status_code == 404
    assert till.patch(INVENTORY + "LHE-0001/NOTHING/", {"reorder_point": "1"}).status_code == 404
    for method in ("put", "post", "delete"):
        assert getattr(till, method)(GHEE, {"on_hand": "5"}).status_code == 405


# -- Movements


def test_one_line_is_a_document_of_one_line(api_client, stocked, ghee):
    till = api_client()
    answer = till.post(MOVEMENTS, line(reference="one", notes="x"))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"].endswith(f"/api/v1/movements/{made['id']}/")
    assert (made["number"][0], made["reference"], made["kind"], made["movement_type"]) == (
        "S",
        "one",
        "sale",
        "sale",
    )
    assert (made["quantity"], made["balance_after"], made["line_total"]) == ("-2.000", "22.000", "1120.00")
    assert till.get(f"{MOVEMENTS}{made['id']}/").json() == made
    again = till.post(MOVEMENTS, line(reference="one", notes="x"))
    assert (again.status_code, again.content, again.headers["Idempotent-Replayed"]) == (
        200,
        answer.content,
        "true",
    )
    assert till.post(MOVEMENTS, line(reference="one")).json()["code"] == "idempotency_key_reused"
    assert stocked(ghee).on_hand == 22


def test_without_a_reference_each_call_is_an_act_of_its_own(api_client, stocked, ghee):
    till = api_client()
    assert [till.post(MOVEMENTS, line()).status_code for _n in range(2)] == [201, 201]
    assert stocked(ghee).on_hand == 20
    assert till.post(MOVEMENTS, line(), headers={"idempotency-key": "k"}).json()["reference"] == "k"
    assert till.post(MOVEMENTS, line(), headers={"idempotency-key": "k"}).status_code == 200
    assert stocked(ghee).on_hand == 18


def test_the_first_system_s_words_still_work(api_client, stocked, ghee):
    body = {
        "store": "LHE-0001",
        "movement_type": "stock_in",
        "code": "GHE-0001",
        "quantity": "6",
        "unit_cost": "500",
    }
    made = api_client().post(MOVEMENTS, body).json()
    assert (made["kind"], made["movement_type"], made["average_cost_after"]) == (
        "receipt",
        "stock_in",
        "508.0000",
    )
    both = api_client().post(MOVEMENTS, body | {"kind": "receipt"})
    assert faults(both) == [("/movement_type", "duplicate_key")]


@pytest.mark.parametrize(
    ("fields", "pointer", "code", "status"),
    [
        ({"quantity": "0"}, "/quantity", "must_be_positive", 400),
        ({"quantity": "1.5"}, "/quantity", "quantity_step", 400),
        ({"quantity": "25"}, "/quantity", "insufficient_stock", 409),
        ({"sku": "NO"}, "/sku", "unknown_product", 400),
        ({"kind": "receipt", "unit_price": "5"}, "/unit_price", "not_allowed", 400),
        ({"kind": "adjustment", "quantity": "0"}, "/quantity", "must_not_be_zero", 400),
        ({"lines": []}, "/lines", "unknown_field", 400),
    ],
)
def test_faults_of_one_line_point_into_it(api_client, stocked, fields, pointer, code, status):
    before = Movement.objects.count()
    answer = api_client().post(MOVEMENTS, line(**fields))
    assert (answer.status_code, faults(answer)) == (status, [(pointer, code)])
    assert Movement.objects.count() == before


def test_a_quantity_that_is_left_out_is_asked_for(api_client, stocked):
    body = line()
    del body["quantity"]
    assert faults(api_client().post(MOVEMENTS, body)) == [("/quantity", "required")]


@pytest.mark.parametrize(
    ("query", "quantities"),
    [
        ("", ["-2.000", "24.000", "100.000"]),
        ("ordering=id", ["100.000", "24.000", "-2.000"]),
        ("sku=GHE-0001", ["-2.000", "24.000"]),
        ("store=LHE-0001&sku=GHE-0001&kind=sale", ["-2.000"]),
        ("kind=stock_in", ["24.000", "100.000"]),
        ("kind=receipt", ["24.000", "100.000"]),
        ("reference=s-1", ["-2.000"]),
        ("reference=none", []),
        ("occurred_from=2099-01-01T00:00:00Z", []),
        ("occurred_from=2020-01-01T00:00:00%2B05:00", ["-2.000", "24.000", "100.000"]),
        ("occurred_from=2020-01-01T00:00:00+05:00", ["-2.000", "24.000", "100.000"]),
        ("business_date_to=2020-01-01", []),
    ],
)
def test_filters_of_the_ledger(api_client, stocked, post, ghee, query, quantities):
    post("sale", (ghee, 2), reference="s-1")
    assert [
        row["quantity"] for row in api_client().get(f"{MOVEMENTS}?{query}").json()["results"]
    ] == quantities


def test_the_ledger_costs_three_queries_a_page(api_client, stocked, post, ghee, django_assert_num_queries):
    till = api_client()
    for n in range(5):
        post("sale", (ghee, 1), reference=f"s-{n}")
    till.get("/api/v1/me/")
    for limit in (1, 7):
        # the key and its limit, its store, the rows
        with django_assert_num_queries(3):
            assert len(till.get(f"{MOVEMENTS}?limit={limit}").json()["results"]) == limit


def test_the_ledger_pages_by_cursor_while_it_grows(api_client, stocked, post, ghee):
    till = api_client()
    first = till.get(MOVEMENTS + "?limit=1").json()
    post("sale", (ghee, 1))
    second = till.get(first["next"]).json()
    assert [first["results"][0]["quantity"], second["results"][0]["quantity"]] == ["24.000", "100.000"]
    assert second["next"] is None


@pytest.mark.parametrize("few", [True, False])
def test_lists_over_stores_page_through_every_row_once_by_either_road(
    api_client, stocked, post, ghee, atta, store, other_store, monkeypatch, few
):
    """Rows that are few are looked up and then paged, of many the ledger is read back: both give the same pages."""
    monkeypatch.setattr(filters, "PAGES", 1000 if few else 1)
    now = timezone.now()
    for number in range(5):
        where = [store, other_store][number % 2]
        post(
            Kind.RECEIPT, (atta, 5, 40), (ghee, 5, 400), where=where, occurred_at=now - timedelta(days=number)
        )
    client = api_client(stores=[store, other_store])
    since = now - timedelta(days=3, hours=1)
    wanted = {
        "movements/?sku=GHE-0001": Movement.objects.filter(product=ghee),
        f"movements/?occurred_from={since:%Y-%m-%dT%H:%M:%SZ}": Movement.objects.filter(
            occurred_at__gte=since
        ),
        f"movements/?business_date_from={since:%Y-%m-%d}": Movement.objects.filter(
            business_date__gte=since.date()
        ),
        f"documents/?occurred_from={since:%Y-%m-%dT%H:%M:%SZ}": Document.objects.filter(
            occurred_at__gte=since
        ),
        f"movements/?sku=GHE-0001&occurred_from={since:%Y-%m-%dT%H:%M:%SZ}": Movement.objects.filter(
            product=ghee, occurred_at__gte=since
        ),
    }
    for query, rows in wanted.items():
        for order in ("-id", "id"):
            place, told = f"/api/v1/{query}&limit=2&ordering={order}", []
            while place:
                page = client.get(place).json()
                told += [row["id"] for row in page["results"]]
                place = page["next"]
            assert told == list(rows.order_by(order).values_list("pk", flat=True)), (query, order)
            assert len(told) >= 4
    assert client.get("/api/v1/movements/?sku=NOTHING").json()["results"] == []


def test_the_limits_that_a_key_is_told_are_the_ledger_s(api_client, store):
    assert api_client().get("/api/v1/me/").json()["limits"]["lines"] == MAX_LINES


def test_levels_follow_from_movements_alone(api_client, stocked, ghee):
    till = api_client()
    for method in ("put", "patch", "post"):
        getattr(till, method)(GHEE, {"on_hand": "1000", "current_quantity": "1000"})
    assert StockLevel.objects.get(product=ghee).on_hand == 24
