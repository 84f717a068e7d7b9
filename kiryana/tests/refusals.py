"""For tests of input: one request that is refused, looked at from all sides."""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connection

APPS = ("stores", "catalog", "inventory", "reports")
# Rows that say that a request was made, whatever became of it.
NOTED = {"stores_apikey", "stores_apirequest"}
FIELDS = ["type", "title", "status", "code", "detail", "request_id", "errors"]
JSON = "application/json"
PROBLEM = "application/problem+json"
HERE = "@@here@@"
# What a request may take of Python, in calls of functions: so many, and so many more for each byte of it. Work that grows faster
# than what was sent is far beyond it; the clock of a busy machine has no say.
MOST_CALLS, MOST_CALLS_A_BYTE = 50_000, 12
LARGE = 20_000  # bytes; smaller ones are not counted


def tables() -> list[str]:
    """Every table that a request could change: stores, catalogue, stock, ledger, alerts, changes, webhooks, reports."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    models = [
        model for app in APPS for model in apps.get_app_config(app).get_models(include_auto_created=True)
    ]
    return sorted({model._meta.db_table for model in models} & there - NOTED)


def everything() -> dict[str, tuple]:
    """How many rows each table has, and a sum over all that stands in them: another after any change at all."""
    names = tables()
    query = " UNION ALL ".join(
        f"SELECT '{name}', count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {name} t"
        for name in names
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name: (count, total) for name, count, total in cursor.fetchall()}


def with_literal(body: Any, literal: str) -> str:
    """`body` as JSON with `literal` where it says HERE: also what no JSON encoder would write."""
    return json.dumps(body).replace(json.dumps(HERE), literal)


def counted(act: Callable) -> tuple[Any, int]:
    """(what `act` returns, how many functions were called by it in this thread)."""
    calls = 0

    def heard(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        return act(), calls
    finally:
        sys.setprofile(before)


def send(client, method: str, url: str, body: Any = None, headers: dict | None = None, kind: str = JSON):
    """One request; (answer, calls beyond what it may take). `body` is JSON to be, or text or bytes as they are."""
    if body is None:
        raw = ""
    else:
        raw = body if isinstance(body, (str, bytes)) else json.dumps(body)

    def ask():
        return client.generic(method, url, raw, content_type=kind, headers=headers or {})

    if len(raw) < LARGE:
        return ask(), 0
    answer, calls = counted(ask)
    return answer, max(calls - MOST_CALLS - MOST_CALLS_A_BYTE * len(raw), 0)


def faults(answer) -> list[tuple[str, str]]:
    return [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


def wrong_with(answer, beyond: int, status: int, code: str, inner: str | None, pointer: str | None) -> str:
    """What is not as it should be about a refusal; nothing if all is well."""
    if answer.status_code != status:
        return f"{answer.status_code} instead of {status}: {answer.content[:300]!r}"
    if answer.headers["Content-Type"] != PROBLEM:
        return f"content type {answer.headers['Content-Type']}"
    if beyond:
        return f"took {beyond:,} calls more than it may"
    body = answer.json()
    if list(body) != FIELDS or body["status"] != status or body["type"] != f"/docs#{code}":
        return f"another shape: {body}"
    if body["request_id"] != answer.headers["X-Request-Id"] or not body["title"] or not body["detail"]:
        return f"no id or words: {body}"
    if body["code"] != code:
        return f"{body['code']} instead of {code}: {body}"
    found = body["errors"]
    if any(list(one) != ["pointer", "code", "detail"] or not one["detail"] for one in found):
        return f"another shape of errors: {found}"
    if inner is not None and not any(
        one["code"] == inner and pointer in (None, one["pointer"]) for one in found
    ):
        return f"no {inner} at {pointer}: {found}"
    if len(answer.content) > 64 * 1024:
        return f"an answer of {len(answer.content)} bytes"
    return ""


def refuse(
    client, method, url, body=None, *, code, status=400, inner=None, pointer=None, headers=None, kind=JSON
):
    """Sends one request that must be refused just so, quickly, and without a row changed anywhere."""
    before = everything()
    answer, beyond = send(client, method, url, body, headers, kind)
    assert not (found := wrong_with(answer, beyond, status, code, inner, pointer)), found
    assert everything() == before
    return answer


API = "/api/v1/"
DOCUMENTS, MOVEMENTS, PRODUCTS = API + "documents/", API + "movements/", API + "products/"
BATCH = DOCUMENTS + "batch/"
WEBHOOKS = API + "webhooks/"
HOOK = {"url": "https://partner.example.com/kiryana", "events": ["stock.low"]}
GHEE, LEVEL = PRODUCTS + "GHE-0001/", API + "inventory/LHE-0001/GHE-0001/"
SALE = {
    "store": "LHE-0001",
    "kind": "sale",
    "reference": "basket-1",
    "lines": [{"sku": "FLR-0001", "quantity": "1"}],
}
RECEIPT = SALE | {"kind": "receipt", "reference": "delivery-1"}
MOVEMENT = {"store": "LHE-0001", "kind": "sale", "sku": "FLR-0001", "quantity": "1", "reference": "line-1"}
REVERSAL = {"reason": "MISTAKE", "reference": "void-1"}
PRODUCT = {
    "sku": "TEA-0001",
    "name": "Tapal Danedar 190 g",
    "category": "Flour & Grains",
    "selling_price": "420.00",
    "barcodes": ["8964000123401"],
}
ANY_VERSION = {"if-match": "*"}


def line(**fields) -> dict:
    """A sale of one line of loose flour with these fields."""
    return SALE | {"lines": [{"sku": "FLR-0001", "quantity": "1"} | fields]}


def delivered(**fields) -> dict:
    return RECEIPT | {"lines": [{"sku": "FLR-0001", "quantity": "1"} | fields]}


def batch(document: dict) -> dict:
    return {"documents": [document]}
