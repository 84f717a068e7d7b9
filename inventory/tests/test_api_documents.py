"""Documents for partners: all lines or none, once, in the key's own stores."""

import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Product, StorePrice
from inventory.models import Document, Movement, StockLevel
from stores.models import Store

pytestmark = pytest.mark.django_db
DOCUMENTS = "/api/v1/documents/"
BATCH = DOCUMENTS + "batch/"


def sale(*lines, **fields) -> dict:
    made = [{"sku": sku, "quantity": quantity} for sku, quantity in lines] or [
        {"sku": "GHE-0001", "quantity": "2"}
    ]
    return {"store": "LHE-0001", "kind": "sale", "reference": "basket-1", "lines": made} | fields


def faults(answer) -> list[tuple[str, str]]:
    return [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


def counts() -> tuple:
    return (
        Document.objects.count(),
        Movement.objects.count(),
        sum(StockLevel.objects.values_list("on_hand", flat=True)),
    )


def test_a_sale_moves_stock_and_is_answered_with_its_lines(api_client, stocked, atta, ghee):
    body = sale(occurred_at=(timezone.now() - timedelta(minutes=10)).isoformat(), notes="counter 2")
    body["lines"] = [
        {"barcode": "2100001000004", "quantity": "1.250", "unit_price": "132.00"},
        {"sku": "GHE-0001", "quantity": 2},
    ]
    answer = api_client().post(DOCUMENTS, body)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"].endswith(f"/api/v1/documents/{made['id']}/")
    assert made["number"] == f"S-{made['id']:06}"
    assert (made["store"], made["kind"], made["reference"], made["total"]) == (
        "LHE-0001",
        "sale",
        "basket-1",
        "1285.00",
    )
    assert (made["oversold"], made["voided_by"], made["reverses"], made["notes"]) == (
        False,
        None,
        None,
        "counter 2",
    )
    flour, tin = made["lines"]
    assert (flour["sku"], flour["quantity"], flour["line_total"], flour["balance_after"], flour["seq"]) == (
        "FLR-0001", "-1.250", "165.00", "98.750", 2,
    )  # fmt: skip
    assert (tin["quantity"], tin["unit_price"], tin["unit_cost"]) == ("-2.000", "560.00", "510.0000")
    assert stocked(ghee).on_hand == 22
    document = Document.objects.get(pk=made["id"])
    assert (document.source, document.api_key.name, document.user) == ("api", "Till", None)


def test_cost_is_shown_only_with_reports_read(api_client, stocked):
    till = api_client(scopes=["movements:write", "movements:read"])
    made = till.post(DOCUMENTS, sale()).json()
    for line in (made["lines"][0], till.get(f"{DOCUMENTS}{made['id']}/").json()["lines"][0]):
        assert not {"unit_cost", "average_cost_after", "cost_estimated"} & line.keys()
    assert "unit_cost" in api_client().get(f"{DOCUMENTS}{made['id']}/").json()["lines"][0]


def test_sent_twice_it_is_done_once_and_answered_alike(api_client, stocked, ghee):
    till = api_client()
    first, again = till.post(DOCUMENTS, sale()), till.post(DOCUMENTS, sale())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert stocked(ghee).on_hand == 22
    # 2 and 2.000 say the same; another quantity does not.
    assert till.post(DOCUMENTS, sale(("GHE-0001", "2.000"))).status_code == 200
    other = till.post(DOCUMENTS, sale(("GHE-0001", "3")))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert stocked(ghee).on_hand == 22


def test_the_first_answer_stays_the_answer_after_a_void(api_client, stocked):
    till = api_client()
    first = till.post(DOCUMENTS, sale())
    till.post(f"{DOCUMENTS}{first.json()['id']}/reverse/", {"reason": "MISTAKE", "reference": "v"})
    assert till.post(DOCUMENTS, sale()).content == first.content


def test_the_reference_may_stand_in_the_header(api_client, stocked):
    till = api_client()
    body = sale()
    del body["reference"]
    missing = till.post(DOCUMENTS, body)
    assert (missing.status_code, missing.json()["code"]) == (400, "reference_required")
    made = till.post(DOCUMENTS, body, headers={"idempotency-key": "k-1"})
    assert (made.status_code, made.json()["reference"]) == (201, "k-1")
    assert till.post(DOCUMENTS, body | {"reference": "k-1"}).status_code == 200
    assert (
        till.post(DOCUMENTS, body | {"reference": "k-1"}, headers={"idempotency-key": "k-1"}).status_code
        == 200
    )
    both = till.post(DOCUMENTS, body | {"reference": "k-2"}, headers={"idempotency-key": "k-1"})
    assert (both.status_code, faults(both)) == (400, [("/reference", "reference_mismatch")])


@pytest.mark.parametrize("header", ["", " ", "a b", "x" * 101, "x" * 256, "چ", "a\tb"])
def test_a_header_that_is_no_reference_is_refused(api_client, stocked, header):
    body = sale()
    del body["reference"]
    before = counts()
    assert api_client().post(DOCUMENTS, body, headers={"idempotency-key": header}).status_code == 400
    assert counts() == before


def test_all_lines_or_none(api_client, stocked, atta, ghee):
    before = counts()
    answer = api_client().post(DOCUMENTS, sale(("FLR-0001", "1"), ("GHE-0001", "20"), ("GHE-0001", "5")))
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_stock")
    assert faults(answer) == [("/lines/2/quantity", "insufficient_stock")]
    assert "GHE-0001" in answer.json()["errors"][0]["detail"]
    assert counts() == before


def test_every_wrong_line_is_named(api_client, stocked):
    answer = api_client().post(
        DOCUMENTS, sale(("GHE-0001", "0"), ("FLR-0001", "1"), ("GHE-0001", "1.5"), ("FLR-0001", "-2"))
    )
    assert answer.json()["code"] == "validation_error"
    assert faults(answer) == [
        ("/lines/0/quantity", "must_be_positive"), ("/lines/2/quantity", "quantity_step"), ("/lines/3/quantity", "must_be_positive"),
    ]  # fmt: skip
    unknown = api_client().post(
        DOCUMENTS, sale() | {"lines": [{"sku": "NO", "quantity": "1"}, {"barcode": "NO", "quantity": "1"}]}
    )
    assert faults(unknown) == [("/lines/0/sku", "unknown_product"), ("/lines/1/barcode", "unknown_product")]


def test_a_fault_of_a_product_stands_where_the_sender_named_it(api_client, stocked, ghee):
    Product.objects.filter(pk=ghee.pk).update(status="draft")
    answer = api_client().post(DOCUMENTS, sale() | {"lines": [{"barcode": "8964000123456", "quantity": "1"}]})
    assert faults(answer) == [("/lines/0/barcode", "product_not_active")]


def test_packs_and_weight_labels(api_client, stocked, atta, ghee):
    till = api_client()
    delivery = {
        "store": "LHE-0001",
        "kind": "receipt",
        "reference": "d-1",
        "lines": [{"barcode": "18964000123453", "quantity": "2", "unit_cost": "505.5"}],
    }
    line = till.post(DOCUMENTS, delivery).json()["lines"][0]
    assert (line["quantity"], line["entered_quantity"], line["pack"], line["unit_cost"]) == (
        "24.000",
        "2.000",
        "Case of 12",
        "505.5000",
    )
    assert stocked(ghee).on_hand == 48
    label = till.post(DOCUMENTS, sale() | {"lines": [{"barcode": "2100001012502"}]}).json()["lines"][0]
    assert (label["sku"], label["quantity"], label["line_total"]) == ("FLR-0001", "-1.250", "162.50")
    missing = till.post(DOCUMENTS, sale(reference="b-2") | {"lines": [{"barcode": "8964000123456"}]})
    assert faults(missing) == [("/lines/0/quantity", "required")]


def test_loose_goods_by_amount(api_client, stocked, atta):
    line = (
        api_client()
        .post(DOCUMENTS, sale() | {"lines": [{"sku": "FLR-0001", "amount": "100"}]})
        .json()["lines"][0]
    )
    assert (line["quantity"], line["line_total"]) == ("-0.769", "100.00")


def test_the_price_is_the_store_s_own_where_none_is_sent(api_client, stocked, store, ghee):
    StorePrice.objects.create(
        store=store, product=ghee, price=Decimal(575), effective_from=timezone.now() - timedelta(days=1)
    )
    assert api_client().post(DOCUMENTS, sale()).json()["lines"][0]["unit_price"] == "575.00"


def test_what_had_happened_already_is_taken_beyond_stock_and_flagged(api_client, stocked, ghee):
    late = sale(("GHE-0001", "30"), occurred_at=(timezone.now() - timedelta(hours=3)).isoformat())
    answer = api_client().post(DOCUMENTS, late)
    assert (answer.status_code, answer.json()["oversold"], answer.json()["lines"][0]["oversold"]) == (
        201,
        True,
        True,
    )
    assert stocked(ghee).on_hand == -6


def test_overselling_has_to_be_confirmed_where_the_store_asks(api_client, stocked, store, ghee):
    till = api_client()
    assert till.post(DOCUMENTS, sale(("GHE-0001", "30"))).status_code == 409
    assert till.post(DOCUMENTS, sale(("GHE-0001", "30"), confirm_oversell=True)).json()["oversold"] is True
    Store.objects.update(oversell_policy="block")
    assert (
        till.post(DOCUMENTS, sale(("GHE-0001", "30"), confirm_oversell=True, reference="b-2")).status_code
        == 409
    )


def test_a_customer_brings_goods_back(api_client, stocked, ghee):
    till = api_client()
    sold = till.post(DOCUMENTS, sale(("GHE-0001", "3"))).json()
    back = sale(("GHE-0001", "2"), kind="sale_return", reference="r-1", returns=sold["id"])
    made = till.post(DOCUMENTS, back)
    assert (made.status_code, made.json()["returns"], made.json()["lines"][0]["returns"]) == (
        201,
        sold["id"],
        sold["lines"][0]["id"],
    )
    by_reference = till.post(DOCUMENTS, back | {"reference": "r-2", "returns": "basket-1"})
    assert (by_reference.status_code, by_reference.json()["code"]) == (400, "validation_error")
    assert faults(by_reference) == [("/lines", "returned_more_than_sold")]
    assert faults(till.post(DOCUMENTS, back | {"reference": "r-3", "returns": 10**9})) == [
        ("/returns", "unknown_document")
    ]
    assert faults(till.post(DOCUMENTS, back | {"reference": "r-3", "returns": 2**70})) == [
        ("/returns", "unknown_document")
    ]
    assert faults(till.post(DOCUMENTS, back | {"reference": "r-3", "returns": True})) == [
        ("/returns", "wrong_type")
    ]
    assert faults(till.post(DOCUMENTS, sale(reference="r-4", returns=sold["id"]))) == [
        ("/returns", "not_allowed")
    ]
    assert (
        till.post(f"{DOCUMENTS}{sold['id']}/reverse/", {"reason": "MISTAKE", "reference": "v"}).json()["code"]
        == "already_reversed"
    )


def test_reasons_are_coded(api_client, stocked, ghee):
    till = api_client()
    waste = sale(("GHE-0001", "1"), kind="wastage", reference="w-1", reason="DAMAGED")
    assert till.post(DOCUMENTS, waste).json()["reason"] == "DAMAGED"
    wrong = till.post(DOCUMENTS, waste | {"reference": "w-2", "reason": "COUNTED"})
    assert faults(wrong) == [("/reason", "invalid_choice")]
    assert "DAMAGED" in wrong.json()["detail"]
    assert faults(till.post(DOCUMENTS, sale(reason="DAMAGED"))) == [("/reason", "not_allowed")]
    found = till.post(
        DOCUMENTS, sale(("GHE-0001", "-4"), kind="adjustment", reference="a-1", reason="MISSING")
    )
    assert found.json()["lines"][0]["quantity"] == "-4.000"
    assert stocked(ghee).on_hand == 19


@pytest.mark.parametrize(
    ("kind", "letter", "why"), [("own_use", "U", "OWN_USE"), ("supplier_return", "D", "TO_SUPPLIER")]
)
def test_own_use_and_returns_to_the_supplier_leave_at_the_average_without_a_price(
    api_client, stocked, ghee, kind, letter, why
):
    till = api_client()
    body = sale(("GHE-0001", "4"), kind=kind, reference="k-1")
    first = till.post(DOCUMENTS, body)
    assert first.status_code == 201
    gone = first.json()
    [line] = gone["lines"]
    assert (gone["kind"], gone["number"][:2], gone["total"], gone["reason"]) == (
        kind,
        f"{letter}-",
        None,
        None,
    )
    assert (line["quantity"], line["unit_price"], line["unit_cost"]) == ("-4.000", None, "510.0000")
    again = till.post(DOCUMENTS, body)
    assert (again.status_code, again.json(), again["Idempotent-Replayed"]) == (200, gone, "true")
    # A reason is not needed, but if one is given it is one of this kind.
    assert till.post(DOCUMENTS, body | {"reference": "k-2", "reason": why}).json()["reason"] == why
    assert faults(till.post(DOCUMENTS, body | {"reference": "k-3", "reason": "DAMAGED"})) == [
        ("/reason", "invalid_choice")
    ]
    short = till.post(DOCUMENTS, sale(("GHE-0001", "17"), kind=kind, reference="k-4"))
    assert (short.status_code, short.json()["code"]) == (409, "insufficient_stock")
    for wrong in (
        {"quantity": "-1"},
        {"quantity": "0"},
        {"unit_price": "5"},
        {"unit_cost": "5"},
        {"amount": "5"},
    ):
        line = {"sku": "GHE-0001"} | ({} if "amount" in wrong else {"quantity": "1"}) | wrong
        answer = till.post(DOCUMENTS, body | {"reference": "k-5", "lines": [line]})
        assert answer.status_code == 400, wrong
    assert till.get(DOCUMENTS, {"kind": kind}).json()["results"][-1]["id"] == gone["id"]
    assert len(till.get("/api/v1/movements/", {"kind": kind}).json()["results"]) == 2
    undone = till.post(f"{DOCUMENTS}{gone['id']}/reverse/", {"reason": "MISTAKE", "reference": "k-6"})
    assert (undone.status_code, undone.json()["kind"]) == (201, kind)
    assert undone.json()["lines"][0]["unit_cost"] == "510.0000"
    assert stocked(ghee).on_hand == 20
    assert (
        till.post(
            "/api/v1/movements/",
            {
                "store": "LHE-0001",
                "sku": "GHE-0001",
                "kind": kind,
                "quantity": "1",
            },
        ).status_code
        == 201
    )
    assert stocked(ghee).on_hand == 19


def test_stock_in_is_a_receipt_by_its_older_name(api_client, stocked, ghee):
    body = {
        "store": "LHE-0001",
        "movement_type": "stock_in",
        "reference": "d-1",
        "lines": [{"code": "GHE-0001", "quantity": "5"}],
    }
    assert api_client().post(DOCUMENTS, body).json()["kind"] == "receipt"
    assert stocked(ghee).on_hand == 29


def test_prices_and_costs_where_they_mean_nothing_are_refused(api_client, stocked):
    till = api_client()
    priced = {
        "store": "LHE-0001",
        "kind": "receipt",
        "reference": "d-1",
        "lines": [{"sku": "GHE-0001", "quantity": "5", "unit_price": "1"}],
    }
    assert faults(till.post(DOCUMENTS, priced)) == [("/lines/0/unit_price", "not_allowed")]
    costed = sale() | {"lines": [{"sku": "GHE-0001", "quantity": "1", "unit_cost": "1"}]}
    assert faults(till.post(DOCUMENTS, costed)) == [("/lines/0/unit_cost", "not_allowed")]


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_store_that_is_not_open_takes_nothing(api_client, stocked, status):
    Store.objects.update(status=status)
    answer = api_client().post(DOCUMENTS, sale())
    assert (answer.status_code, answer.json()["code"]) == (409, "store_not_open")


def test_a_basket_of_eight_lines_costs_as_many_queries_as_one_of_one(api_client, stocked, category):
    till = api_client()
    for n in range(8):
        Product.objects.create(sku=f"P-{n}", name=f"Thing {n}", category=category, selling_price=10)
    goods = [{"sku": f"P-{n}", "quantity": "5"} for n in range(8)]
    till.post(DOCUMENTS, {"store": "LHE-0001", "kind": "receipt", "reference": "d", "lines": goods})

    def cost(count: int, kind: str = "sku") -> int:
        lines = [{"sku": f"P-{n}", "quantity": "1"} for n in range(count)]
        if kind == "mixed":
            lines += [{"barcode": "8964000123456", "quantity": "1"}, {"barcode": "2100001012502"}] * count
        with CaptureQueriesContext(connection) as captured:
            assert (
                till.post(DOCUMENTS, sale(reference=f"{kind}-{count}") | {"lines": lines}).status_code == 201
            )
        return len(captured)

    # the key with its count, everything that is named, savepoint, the one statement that posts, release
    assert cost(1) == cost(8) == 5
    assert cost(1, "mixed") == cost(8, "mixed") == 5


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"store": 1.5}, "/store", "wrong_type"),
        ({"store": 1}, "/store", "wrong_type"),
        ({"store": None}, "/store", "invalid_choice"),
        ({"store": []}, "/store", "invalid_choice"),
        ({"store": "۱"}, "/store", "invalid_choice"),
        ({"store": "XXX-0001"}, "/store", "invalid_choice"),
        ({"store": "KHI-0001"}, "/store", "invalid_choice"),
        ({"store": "x" * 5000}, "/store", "invalid_choice"),
        ({"kind": "theft"}, "/kind", "invalid_choice"),
        ({"kind": {}}, "/kind", "wrong_type"),
        ({"reference": ""}, "/reference", "blank"),
        ({"reference": 17}, "/reference", "wrong_type"),
        ({"reference": "a b"}, "/reference", "invalid_code"),
        ({"reference": "x" * 101}, "/reference", "too_long"),
        ({"occurred_at": "2026-11-22"}, "/occurred_at", "invalid_time"),
        ({"occurred_at": "2026-11-22T10:00:00"}, "/occurred_at", "naive_datetime"),
        ({"occurred_at": "2026-11-22T10:00:00+05:99"}, "/occurred_at", "invalid_time"),
        ({"occurred_at": 1763800000}, "/occurred_at", "wrong_type"),
        ({"occurred_at": "2026-11-22T10:00:00.123456789Z"}, "/occurred_at", "invalid_time"),
        ({"occurred_at": "۲۰۲۶-11-22T10:00:00Z"}, "/occurred_at", "invalid_time"),
        ({"occurred_at": "2020-01-01T00:00:00Z"}, "/occurred_at", "too_old"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "/occurred_at", "in_future"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "/occurred_at", "out_of_range"),
        ({"notes": 5}, "/notes", "wrong_type"),
        ({"notes": "x" * 100_000}, "/notes", "too_long"),
        ({"notes": "\x07"}, "/notes", "control_character"),
        ({"confirm_oversell": "yes"}, "/confirm_oversell", "wrong_type"),
        ({"confirm_oversell": 1}, "/confirm_oversell", "wrong_type"),
        ({"lines": []}, "/lines", "empty"),
        ({"lines": {}}, "/lines", "wrong_type"),
        ({"lines": None}, "/lines", "wrong_type"),
        ({"lines": [5]}, "/lines/0", "wrong_type"),
        ({"lines": [{}]}, "/lines/0", "sku_or_barcode"),
        ({"lines": [{"sku": "GHE-0001", "barcode": "1", "quantity": "1"}]}, "/lines/0", "sku_or_barcode"),
        ({"lines": [{"sku": "GHE-0001", "quantity": "1", "amount": "1"}]}, "/lines/0", "quantity_or_amount"),
        ({"lines": [{"sku": "GHE-0001", "quantity": "1", "colour": 1}]}, "/lines/0/colour", "unknown_field"),
        ({"lines": [{"sku": "GHE-0001", "quantity": "1"}] * 501}, "/lines", "too_many_lines"),
        ({"user": 1}, "/user", "unknown_field"),
    ],
)
def test_a_wrong_document_is_refused_with_its_field(api_client, stocked, other_store, change, pointer, code):
    before = counts()
    answer = api_client().post(DOCUMENTS, sale() | change)
    assert answer.status_code == 400
    assert faults(answer)[0] == (pointer, code)
    assert counts() == before


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        ("NaN", "not_a_number"),
        ("sNaN", "not_a_number"),
        ("Infinity", "not_a_number"),
        ("1e400", "out_of_range"),
        ("1e-400", "out_of_range"),
        ("1E+999999999", "out_of_range"),
        ("9" * 5000, "too_long"),
        ("1.2345", "too_many_decimals"),
        ("-1", "must_be_positive"),
        ("0", "must_be_positive"),
        ("-0", "must_be_positive"),
        ("1_000", "not_a_number"),
        (" 1 ", "not_a_number"),
        ("+5", "not_a_number"),
        ("1e2", "not_a_number"),
        ("1,000", "not_a_number"),
        ("0x10", "not_a_number"),
        ("", "not_a_number"),
        (None, "wrong_type"),
        (True, "wrong_type"),
        ([], "wrong_type"),
        ({}, "wrong_type"),
        ("۱۲", "not_ascii"),
        ("١٢", "not_ascii"),
        ("１", "not_ascii"),
        ("1۲", "not_ascii"),
        ("²", "not_ascii"),
        ("10000000000", "out_of_range"),
        (10**10, "out_of_range"),
        ("1.", "not_a_number"),
        (".5", "not_a_number"),
    ],
)
def test_numbers_that_are_none(api_client, stocked, quantity, code):
    before = counts()
    answer = api_client().post(DOCUMENTS, sale(("FLR-0001", quantity)))
    assert answer.status_code == 400
    assert faults(answer) == [("/lines/0/quantity", code)]
    assert counts() == before


@pytest.mark.parametrize(
    ("literal", "status", "outcome"),
    [
        ("0.1", 201, "-0.100"),
        ("1.5", 201, "-1.500"),
        ("3", 201, "-3.000"),
        ("1e1", 201, "-10.000"),
        ("1.1000000000000001", 400, "too_many_decimals"),
        ("1e400", 400, "out_of_range"),
        ("1e-400", 400, "out_of_range"),
        ("1e999999999999999999999", 400, "out_of_range"),
        ("1.0000", 400, "too_many_decimals"),
    ],
)
def test_json_numbers_are_read_without_float(api_client, stocked, literal, status, outcome):
    body = json.dumps(sale(("FLR-0001", "here"))).replace('"here"', literal)
    answer = api_client().post(DOCUMENTS, body, content_type="application/json")
    assert answer.status_code == status
    assert (answer.json()["lines"][0]["quantity"] if status == 201 else faults(answer)[0][1]) == outcome


def test_sums_that_no_column_holds_are_refused(api_client, stocked):
    line = {"sku": "FLR-0001", "quantity": "999999999", "unit_price": "999999999.99"}
    late = (timezone.now() - timedelta(hours=1)).isoformat()
    answer = api_client().post(DOCUMENTS, sale(occurred_at=late) | {"lines": [line]})
    assert (answer.status_code, faults(answer)) == (400, [("/lines", "out_of_range")])


def test_a_void_mirrors_the_document_once(api_client, stocked, ghee):
    till = api_client()
    sold = till.post(DOCUMENTS, sale()).json()
    url = f"{DOCUMENTS}{sold['id']}/reverse/"
    assert till.post(url, {"reason": "MISTAKE"}).json()["code"] == "reference_required"
    assert faults(till.post(url, {"reference": "v-1"})) == [("/reason", "required")]
    assert faults(till.post(url, {"reason": "DAMAGED", "reference": "v-1"})) == [
        ("/reason", "invalid_choice")
    ]
    made = till.post(url, {"reason": "MISTAKE", "reference": "v-1", "notes": "wrong basket"})
    assert made.status_code == 201
    void = made.json()
    assert (void["number"][0], void["reverses"], void["reason"]) == ("V", sold["id"], "MISTAKE")
    assert (void["lines"][0]["quantity"], void["lines"][0]["reverses"]) == ("2.000", sold["lines"][0]["id"])
    assert stocked(ghee).on_hand == 24
    again = till.post(url, {"reason": "MISTAKE", "reference": "v-1", "notes": "wrong basket"})
    assert (again.status_code, again.content) == (200, made.content)
    other = till.post(url, {"reason": "MISTAKE", "reference": "v-2"})
    assert (other.status_code, other.json()["code"]) == (409, "already_reversed")
    of_void = till.post(f"{DOCUMENTS}{void['id']}/reverse/", {"reason": "MISTAKE", "reference": "v-3"})
    assert (of_void.status_code, of_void.json()["code"]) == (409, "already_reversed")
    assert till.get(f"{DOCUMENTS}{sold['id']}/").json()["voided_by"] == void["id"]
    assert stocked(ghee).on_hand == 24


def test_a_delivery_whose_goods_are_gone_cannot_be_voided(api_client, stocked, post, ghee):
    post("sale", (ghee, 20))
    delivery = Document.objects.get(kind="receipt")
    answer = api_client().post(f"{DOCUMENTS}{delivery.pk}/reverse/", {"reason": "MISTAKE", "reference": "v"})
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_stock")
    assert faults(answer) == [("", "insufficient_stock")]
    assert "GHE-0001" in answer.json()["errors"][0]["detail"]
    assert stocked(ghee).on_hand == 4


def test_lists_and_filters(api_client, stocked, post, ghee):
    post("sale", (ghee, 1), reference="page-1")
    till = api_client()
    till.post(DOCUMENTS, sale())
    rows = till.get(DOCUMENTS).json()["results"]
    assert [row["kind"] for row in rows] == ["sale", "sale", "receipt"]
    assert "lines" not in rows[0]
    assert rows[0]["line_count"] == 1
    assert [row["reference"] for row in till.get(DOCUMENTS + "?reference=page-1").json()["results"]] == [
        "page-1"
    ]
    assert [
        row["kind"] for row in till.get(DOCUMENTS + "?kind=stock_in&store=LHE-0001").json()["results"]
    ] == ["receipt"]
    day = rows[0]["business_date"]
    assert (
        len(till.get(f"{DOCUMENTS}?business_date_from={day}&business_date_to={day}").json()["results"]) == 3
    )
    assert till.get(DOCUMENTS + "?business_date_from=2099-01-01").json()["results"] == []
    assert till.get(DOCUMENTS + "?occurred_to=2020-01-01T00:00:00Z").json()["results"] == []
    assert faults(till.get(DOCUMENTS + "?business_date_from=22.11.2026")) == [
        ("/business_date_from", "invalid_date")
    ]
    assert till.get(DOCUMENTS + "?store=XXX").status_code == 404


def test_lists_cost_as_many_queries_however_long_they_are(
    api_client, stocked, post, ghee, django_assert_num_queries
):
    till = api_client()
    for n in range(6):
        post("sale", (ghee, 1), reference=f"s-{n}")
    till.get("/api/v1/me/")
    one = Document.objects.first().pk
    for limit in (1, 6):
        with django_assert_num_queries(3):
            assert len(till.get(f"{DOCUMENTS}?limit={limit}").json()["results"]) == limit
    with django_assert_num_queries(3):
        till.get(f"{DOCUMENTS}{one}/")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_what_was_written_stays(api_client, stocked, method):
    document, movement = Document.objects.first(), Movement.objects.first()
    before = counts()
    for url in (
        DOCUMENTS,
        f"{DOCUMENTS}{document.pk}/",
        "/api/v1/movements/",
        f"/api/v1/movements/{movement.pk}/",
    ):
        answer = getattr(api_client(), method)(url, {})
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.json()["errors"][0]["code"] == "ledger_is_append_only"
    assert counts() == before


@pytest.mark.parametrize("id", ["0", "999999999", "9223372036854775808", "abc", "-1", "1.5", "%00", "۱"])
def test_ids_that_are_none_are_not_found(api_client, stocked, id):
    assert api_client().get(f"{DOCUMENTS}{id}/").status_code == (400 if id == "%00" else 404)
    assert api_client().get(f"/api/v1/movements/{id}/").status_code == (400 if id == "%00" else 404)


# -- Isolation


def test_the_key_of_one_store_cannot_see_or_move_the_stock_of_another(api_client, stocked, other_store, ghee):
    """The other store's key meets only absent things, in the very words in which absent things are answered."""
    own = api_client()
    sold = own.post(DOCUMENTS, sale()).json()
    foreign = api_client(stores=(other_store,))
    before = counts()

    def alike(method, path, absent, body=None):
        answers = [
            getattr(foreign, method)(url, body, headers={"x-request-id": "the-same-request"})
            for url in (path, absent)
        ]
        assert answers[0].status_code == answers[1].status_code == 404
        assert answers[0].content == answers[1].content

    line = sold["lines"][0]["id"]
    alike("get", f"{DOCUMENTS}{sold['id']}/", f"{DOCUMENTS}99999/")
    alike("get", f"/api/v1/movements/{line}/", "/api/v1/movements/99999/")
    alike("get", "/api/v1/inventory/LHE-0001/GHE-0001/", "/api/v1/inventory/XXX-0001/GHE-0001/")
    alike("get", "/api/v1/stores/LHE-0001/", "/api/v1/stores/XXX-0001/")
    alike(
        "post",
        f"{DOCUMENTS}{sold['id']}/reverse/",
        f"{DOCUMENTS}99999/reverse/",
        {"reason": "MISTAKE", "reference": "v"},
    )
    alike(
        "patch",
        "/api/v1/inventory/LHE-0001/GHE-0001/",
        "/api/v1/inventory/XXX-0001/GHE-0001/",
        {"reorder_point": "9"},
    )
    for name in ("documents", "movements", "inventory"):
        assert foreign.get(f"/api/v1/{name}/").json()["results"] == []
        alike("get", f"/api/v1/{name}/?store=LHE-0001", f"/api/v1/{name}/?store=XXX-0001")
    assert foreign.get(DOCUMENTS + "?reference=basket-1").json()["results"] == []
    assert foreign.get("/api/v1/movements/?reference=basket-1").json()["results"] == []
    for name in ("inventory-summary", "daily-sales", "low-stock", "top-products"):
        alike("get", f"/api/v1/reports/{name}/?store=LHE-0001", f"/api/v1/reports/{name}/?store=XXX-0001")
        assert "GHE-0001" not in foreign.get(f"/api/v1/reports/{name}/").content.decode()

    bodies = [
        foreign.post(
            DOCUMENTS, sale(reference="f-1", store=code), headers={"x-request-id": "the-same-request"}
        )
        for code in ("LHE-0001", "XXX-0001")
    ]
    assert [answer.status_code for answer in bodies] == [400, 400]
    assert bodies[0].content == bodies[1].content
    movement = {"store": "LHE-0001", "kind": "receipt", "sku": "GHE-0001", "quantity": "1"}
    assert foreign.post("/api/v1/movements/", movement).json()["errors"][0]["code"] == "invalid_choice"
    verdict = foreign.post(BATCH, {"documents": [sale(reference="f-2")]}).json()["results"][0]
    assert (verdict["status"], verdict["errors"][0]["code"]) == ("rejected", "invalid_choice")
    returned = sale(store="KHI-0001", kind="sale_return", reference="f-3", returns=sold["id"])
    assert faults(foreign.post(DOCUMENTS, returned)) == [("/returns", "unknown_document")]
    assert counts() == before
    # The same reference is free in the other store.
    receipt = sale(kind="receipt", store="KHI-0001")
    assert foreign.post(DOCUMENTS, receipt).status_code == 201


def test_a_key_of_all_stores_reaches_all(api_client, stocked, other_store):
    office = api_client(stores=(), all_stores=True)
    for code in ("LHE-0001", "KHI-0001"):
        assert office.post(DOCUMENTS, sale(kind="receipt", store=code)).status_code == 201
    assert {row["store"] for row in office.get(DOCUMENTS).json()["results"]} == {"LHE-0001", "KHI-0001"}


# -- Batches


def test_one_bad_document_never_blocks_the_others(api_client, stocked, ghee):
    till = api_client()
    till.post(DOCUMENTS, sale(reference="known"))
    late = (timezone.now() - timedelta(hours=2)).isoformat()
    answer = till.post(
        BATCH,
        {
            "documents": [
                sale(reference="one"),
                sale(("GHE-0001", "500"), reference="two"),
                sale(reference="known"),
                sale(("GHE-0001", "3"), reference="known"),
                {"store": "LHE-0001"},
                17,
                sale(("GHE-0001", "30"), reference="late", occurred_at=late),
                {key: value for key, value in sale().items() if key != "reference"},
                sale(("NO", "1"), reference="three"),
            ]
        },
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [row["index"] for row in results] == list(range(9))
    assert [row["status"] for row in results] == [
        "created", "rejected", "replayed", "rejected", "rejected", "rejected", "accepted_with_flag", "rejected", "rejected",
    ]  # fmt: skip
    assert [row.get("code") for row in results] == [
        None, "insufficient_stock", None, "idempotency_key_reused", "validation_error", "validation_error", None,
        "reference_required", "validation_error",
    ]  # fmt: skip
    assert results[0]["document"]["reference"] == results[0]["reference"] == "one"
    assert results[8]["errors"][0]["pointer"] == "/documents/8/lines/0/sku"
    assert stocked(ghee).on_hand == 24 - 2 - 2 - 30


def test_a_batch_sent_twice_is_done_once(api_client, stocked, ghee):
    till = api_client()
    batch = {"documents": [sale(reference=f"b-{n}") for n in range(5)]}
    first, again = till.post(BATCH, batch).json()["results"], till.post(BATCH, batch).json()["results"]
    assert {row["status"] for row in first} == {"created"}
    assert {row["status"] for row in again} == {"replayed"}
    assert [row["document"] for row in first] == [row["document"] for row in again]
    assert stocked(ghee).on_hand == 14


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"documents": []}, "/documents", "empty"),
        ({"documents": {}}, "/documents", "wrong_type"),
        ({}, "/documents", "required"),
        ({"documents": [{}] * 201}, "/documents", "too_many_documents"),
        ({"documents": [{}], "x": 1}, "/x", "unknown_field"),
    ],
)
def test_a_batch_that_is_none(api_client, stocked, body, pointer, code):
    answer = api_client().post(BATCH, body)
    assert (answer.status_code, faults(answer)) == (400, [(pointer, code)])


# -- Races


@pytest.mark.django_db(transaction=True)
def test_a_sale_is_three_statements_and_no_more_round_trips(api_client, stocked):
    till = api_client()
    till.get("/api/v1/me/")  # what is written once a minute
    for count in (1, 8):
        with CaptureQueriesContext(connection) as asked:
            answer = till.post(DOCUMENTS, sale(*[("GHE-0001", "1")] * count, reference=f"r-{count}"))
        assert answer.status_code == 201
        assert [query["sql"].split()[0] for query in asked] == ["WITH", "SELECT", "WITH"]


@pytest.mark.django_db(transaction=True)
def test_one_reference_from_eight_tills_at_once_is_one_document(api_client, stocked, ghee, together):
    tills = [api_client() for _n in range(8)]
    answers = together([lambda till=till: till.post(DOCUMENTS, sale()) for till in tills])
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.content for answer in answers}) == 1
    assert stocked(ghee).on_hand == 22


@pytest.mark.django_db(transaction=True)
def test_a_level_that_somebody_holds_is_busy_not_broken(api_client, stocked, ghee, together):
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(StockLevel.objects.select_for_update())
            held.set()
            done.wait(20)

    def sell():
        held.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            till = api_client()
            return till.post(DOCUMENTS, sale()), till.post(BATCH, {"documents": [sale()]})
        finally:
            done.set()

    _none, (one, batch) = together([hold, sell])
    assert (one.status_code, one.json()["code"], one.headers["Retry-After"]) == (503, "busy", "2")
    assert batch.json()["results"][0]["code"] == "busy"
    assert Document.objects.filter(kind="sale").count() == 0


def test_a_batch_takes_each_price_from_its_own_store_and_instant(
    api_client, store, other_store, stocked, post, ghee
):
    post("receipt", (ghee, 9, 510), where=other_store)
    StorePrice.objects.create(store=other_store, product=ghee, price=600)
    hour = timedelta(hours=1)
    StorePrice.objects.create(store=store, product=ghee, price=580, effective_from=timezone.now() - hour)
    till = api_client(stores=[store, other_store])
    before = (timezone.now() - 2 * hour).isoformat()
    sent = [
        sale(("GHE-0001", "1"), reference="a"),
        sale(("GHE-0001", "1"), reference="b", store="KHI-0001"),
        sale(("GHE-0001", "1"), reference="c", occurred_at=before),
        sale(reference="d") | {"lines": [{"barcode": "8964000123456", "quantity": "1"}]},
    ]
    with CaptureQueriesContext(connection) as asked:
        results = till.post(BATCH, {"documents": sent}).json()["results"]
    totals = [result["document"]["total"] for result in results]
    assert totals == ["580.00", "600.00", "560.00", "580.00"]
    assert len(asked) <= 2 + 1 + 3 * len(
        sent
    )  # the key and its use, all that is named, each document by itself
