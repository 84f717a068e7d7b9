"""Words, codes, choices, times and lists in bodies: every field of every body against every kind of wrong value."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from catalog.models import Product
from inventory.models import Document
from kiryana.tests.refusals import (
    ANY_VERSION,
    BATCH,
    DOCUMENTS,
    GHEE,
    HERE,
    HOOK,
    LEVEL,
    MOVEMENT,
    MOVEMENTS,
    PRODUCT,
    PRODUCTS,
    REVERSAL,
    SALE,
    WEBHOOKS,
    batch,
    everything,
    line,
    refuse,
    send,
    with_literal,
    wrong_with,
)
from stores.services import addresses
from stores.services.webhooks import create_webhook

pytestmark = pytest.mark.django_db
VOID = DOCUMENTS + "{sale}/reverse/"


def quoted(*texts: str) -> list[str]:
    return [json.dumps(text) for text in texts]


def each(literals: list[str], inner: str, code: str = "validation_error") -> list[tuple[str, str, str]]:
    return [(literal, code, inner) for literal in literals]


# The parser finds these anywhere.
NO_TEXT = [
    *each(['"\\u0000"', '"a\\u0000b"', '"\\u0000\\u0000"', '"x\\u0000"'], "null_character", "null_character"),
    *each(['"\\ud800"', '"\\udfff"', '"a\\udc00b"', '"\\ude00\\ud83d"', '"\\ud83d x"'], "bad_character"),
    *each(
        ['"\x01"', '"a\nb"', '"\t"', '"\\x41"', '"\\u12"', '"\\"', "'a'", '"a', "”a“"],
        "parse_error",
        "parse_error",
    ),
]
NO_STRING = each(
    ["5", "0", "-1", "1.5", "1e400", "true", "false", "null", "[]", "{}", '["a"]', '{"a":"b"}'], "wrong_type"
)
LINES = quoted(
    "two\nlines",
    "\n",
    "a\tb",
    "tab\t.",
    "a\rb",
    "a\r\nb",
    "a\u2028b",
    "a\u2029b",
    "a\x0bb",
    "a\x0cb",
    "a\x85b",
)
CONTROLS = quoted("\x07", "\x1b[31mred", "a\x01", "\x08", "a\x7fb", "a\x80b", "\x9f", "a\x1fb", "\x0e")
BIDI = quoted(*(f"a{mark}b" for mark in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"))
NO_CHARACTER = quoted("a\ufffe", "\uffffa", "a\ufdd0b", "\ufdef", "a\U0001fffe", "\U0010ffff", "x\U0005ffffy")
UNSEEN = quoted(
    "\u200b", "\u200c", "\u200d\u200c", "\ufeff", "\u2060\u2061", "\u00ad", "\u3164", "\u115f\u1160", "\u2800", "\u180e", "\u200e\u200f",
    "\u00a0", "\u3000 \u2003", "\U000e0041",
)  # fmt: skip
EMPTY = quoted("", " ", "     ")


def words(most: int, blank: bool, notes: bool = False) -> list[tuple[str, str, str]]:
    """What is wrong for a text of at most `most` letters."""
    rows = [*NO_TEXT, *NO_STRING]
    rows += each(
        quoted("x" * (most + 1), "چ" * (most + 1), "🍚" * (most + 1), "x" * 100_000, "x" * 900_000),
        "too_long",
    )
    rows += each(quoted("a" + "\u0301" * (4 * most + 1)), "too_long")
    rows += each(CONTROLS, "control_character") + each(NO_CHARACTER, "bad_character") + each(UNSEEN, "blank")
    if notes:
        return rows + each(quoted("a\rb", "a\x0bb", "a\x0cb", "a\x85b"), "control_character")
    rows += each(LINES, "control_character") + each(BIDI, "bidi_control")
    return rows if blank else rows + each(EMPTY, "blank")


def codes(most: int, new: bool = False) -> list[tuple[str, str, str]]:
    """What is wrong for a code of at most `most` letters; a `new` one has fewer signs to choose from."""
    rows = [
        *NO_TEXT,
        *NO_STRING,
        *each(quoted(""), "blank"),
        *each(quoted("x" * (most + 1), "x" * 100_000), "too_long"),
    ]
    texts = [
        "a b",
        " a",
        "a ",
        " ",
        "a\n",
        "\na",
        "a\t",
        "a\r\n",
        "\x7f",
        "\x1b",
        "۱۲",
        "چینی",
        "é",
        "a\u00a0",
        "\u200b",
        "\u202ea",
        "🍚",
        "ａ",
        "²",
    ]
    if new:
        texts += [
            "<b>",
            "a;b",
            "'",
            "=1",
            "a,b",
            "*",
            "?",
            "#",
            "a:b",
            "https://a",
            ".a",
            "-a",
            "_a",
            "/a",
            "a\\b",
            "{{7*7}}",
            "${x}",
            "%00",
            "a|b",
        ]
    return rows + each(quoted(*texts), "invalid_code")


def choices(*wrong: str) -> list[tuple[str, str, str]]:
    texts = ["", " ", "nothing", "x" * 5000, "۱", "<script>", *wrong]
    return [*NO_TEXT, *NO_STRING, *each(quoted(*texts), "invalid_choice")]


FLAG = [
    *NO_TEXT,
    *each([*quoted("true", "false", "True", "yes", "on", "1", "0", ""), "1", "0", "-1", "1.0", "null", "[]", "{}", "[true]"], "wrong_type"),
]  # fmt: skip
NO_TIME = [
    "", " ", "now", "2026-11-22", "2026-11-22T10:00", "2026-11-22T10:00Z", "2026-11-22 10:00:00Z", "20261122T100000Z", "2026-11-22T10:00:00.Z",
    "2026-11-22T10:00:00.1234567Z", "2026-11-22T10:00:00.123456789+05:00", "2026-11-22T10:00:00+5:00", "2026-11-22T10:00:00+0500",
    "2026-11-22T10:00:00+05", "2026-11-22T10:00:00+05:60", "2026-11-22T10:00:00+05:99", "2026-11-22T10:00:00 +05:00", "2026-02-30T10:00:00Z",
    "2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z", "2026-00-10T10:00:00Z", "2026-11-00T10:00:00Z", "2026-11-31T10:00:00Z",
    "2026-11-22T24:00:00Z", "2026-11-22T25:00:00Z", "2026-11-22T10:60:00Z", "2026-11-22T10:00:60Z", "2016-12-31T23:59:60Z",
    "2026-11-22T10:00:00+24:00", "2026-11-22T10:00:00+99:00", "2026-11-22T10:00:00-24:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    "+2026-11-22T10:00:00Z", "-2026-11-22T10:00:00Z", "2026-W01-1", "2026-W01-1T10:00:00Z", "2026-326T10:00:00Z", "1763800000", "2026",
    "۲۰۲۶-11-22T10:00:00Z", "2026-11-22T۱۰:00:00Z", "２０２６-11-22T10:00:00Z", "2026-11-22T10:00:00Ｚ", "2026-11-22T10:00:00Z ",
    " 2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z\n", "2026-11-22T10:00:00PKT", "22-11-2026T10:00:00Z", "11/22/2026 10:00", "9999-12-31Z",
    "0001-01-01T00:00:00+05:00", "x" * 5000, "Sun, 22 Nov 2026 10:00:00 GMT", "2026-11-22T10:00:00+05:00[Asia/Karachi]", "P1D",
]  # fmt: skip
INSTANT = [
    *NO_TEXT,
    *NO_STRING,
    *each(["1763800000", "1763800000.5", "20261122"], "wrong_type"),
    *each(quoted(*NO_TIME), "invalid_time"),
    *each(quoted("2026-11-22T10:00:00", "2026-11-22T10:00:00.5"), "naive_datetime"),
    *each(
        quoted("0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"),
        "out_of_range",
    ),
    *each(quoted("2000-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2008-06-01T00:00:00+05:00"), "too_old"),
    *each(quoted("2100-01-01T00:00:00Z", "2100-12-31T23:59:59.999999Z", "2099-12-31T23:59:59-23:59"), "in_future"),
]  # fmt: skip
ROWS = [*NO_TEXT, *each(['"x"', "5", "1.5", "true", "null", "{}", '{"0":{}}', '""'], "wrong_type")]
CATEGORY = [
    *NO_TEXT,
    *NO_STRING,
    *each(quoted("", " ", "Nothing", "1", "flour", "Flour & Grains ", "x" * 101, "x" * 5000, "%", "آٹا"), "invalid_choice"),
]  # fmt: skip
KINDS = choices(
    "SALE",
    "Sale",
    " sale",
    "sale ",
    "sale\n",
    "in",
    "out",
    "void",
    "transfer_in",
    "count",
    "sale_return2",
    "stock-in",
)
# Every field that is no number: (method, address, body, pointer, what is wrong there).
FIELDS = {
    "kind": ("POST", DOCUMENTS, SALE | {"kind": HERE}, "/kind", KINDS),
    "movement_type": ("POST", DOCUMENTS, {"movement_type": HERE} | {k: v for k, v in SALE.items() if k != "kind"}, "/movement_type", KINDS),
    "reference": ("POST", DOCUMENTS, SALE | {"reference": HERE}, "/reference", codes(100)),
    "occurred_at": ("POST", DOCUMENTS, SALE | {"occurred_at": HERE}, "/occurred_at", INSTANT),
    "reason": ("POST", DOCUMENTS, SALE | {"kind": "wastage", "reason": HERE}, "/reason", codes(30)),
    "notes": ("POST", DOCUMENTS, SALE | {"notes": HERE}, "/notes", words(500, True, notes=True)),
    "confirm_oversell": ("POST", DOCUMENTS, SALE | {"confirm_oversell": HERE}, "/confirm_oversell", FLAG),
    "lines": ("POST", DOCUMENTS, SALE | {"lines": HERE}, "/lines", [*ROWS, *each(["[]"], "empty")]),
    "a line": (
        "POST", DOCUMENTS, SALE | {"lines": [SALE["lines"][0], HERE]}, "/lines/1",
        [*NO_TEXT, *each(['"x"', "5", "null", "true", "[]", "1.5", '""'], "wrong_type"), *each(["{}"], "sku_or_barcode")],
    ),
    "sku": ("POST", DOCUMENTS, line(sku=HERE), "/lines/0/sku", codes(40)),
    "code": ("POST", DOCUMENTS, SALE | {"lines": [{"code": HERE, "quantity": "1"}]}, "/lines/0/code", codes(40)),
    "barcode": ("POST", DOCUMENTS, SALE | {"lines": [{"barcode": HERE, "quantity": "1"}]}, "/lines/0/barcode", codes(64)),
    "kind of one line": ("POST", MOVEMENTS, MOVEMENT | {"kind": HERE}, "/kind", KINDS),
    "reference of one line": ("POST", MOVEMENTS, MOVEMENT | {"reference": HERE}, "/reference", codes(100)),
    "occurred_at of one line": ("POST", MOVEMENTS, MOVEMENT | {"occurred_at": HERE}, "/occurred_at", INSTANT),
    "reason of one line": ("POST", MOVEMENTS, MOVEMENT | {"kind": "wastage", "reason": HERE}, "/reason", codes(30)),
    "notes of one line": ("POST", MOVEMENTS, MOVEMENT | {"notes": HERE}, "/notes", words(500, True, notes=True)),
    "confirm_oversell of one line": ("POST", MOVEMENTS, MOVEMENT | {"confirm_oversell": HERE}, "/confirm_oversell", FLAG),
    "sku of one line": ("POST", MOVEMENTS, MOVEMENT | {"sku": HERE}, "/sku", codes(40)),
    "reason of a void": ("POST", VOID, REVERSAL | {"reason": HERE}, "/reason", codes(30)),
    "reference of a void": ("POST", VOID, REVERSAL | {"reference": HERE}, "/reference", codes(100)),
    "notes of a void": ("POST", VOID, REVERSAL | {"notes": HERE}, "/notes", words(500, True, notes=True)),
    "documents": ("POST", BATCH, {"documents": HERE}, "/documents", [*ROWS, *each(["[]"], "empty")]),
    "new sku": ("POST", PRODUCTS, PRODUCT | {"sku": HERE}, "/sku", codes(40, new=True)),
    "name": ("POST", PRODUCTS, PRODUCT | {"name": HERE}, "/name", words(200, False)),
    "name_ur": ("POST", PRODUCTS, PRODUCT | {"name_ur": HERE}, "/name_ur", words(200, True)),
    "aliases": ("POST", PRODUCTS, PRODUCT | {"aliases": HERE}, "/aliases", words(300, True)),
    "brand": ("POST", PRODUCTS, PRODUCT | {"brand": HERE}, "/brand", words(100, True)),
    "category": ("POST", PRODUCTS, PRODUCT | {"category": HERE}, "/category", CATEGORY),
    "unit": ("POST", PRODUCTS, PRODUCT | {"unit": HERE}, "/unit", choices("KG", "lb", "pcs")),
    "status": ("POST", PRODUCTS, PRODUCT | {"status": HERE}, "/status", choices("merged", "archived", "Active")),
    "barcodes": ("POST", PRODUCTS, PRODUCT | {"barcodes": HERE}, "/barcodes", ROWS),
    "a new barcode": ("POST", PRODUCTS, PRODUCT | {"barcodes": ["8964000123401", HERE]}, "/barcodes/1", codes(64, new=True)),
    "changed name": ("PATCH", GHEE, {"name": HERE}, "/name", words(200, False)),
    "changed name_ur": ("PATCH", GHEE, {"name_ur": HERE}, "/name_ur", words(200, True)),
    "changed aliases": ("PATCH", GHEE, {"aliases": HERE}, "/aliases", words(300, True)),
    "changed brand": ("PATCH", GHEE, {"brand": HERE}, "/brand", words(100, True)),
    "changed category": ("PATCH", GHEE, {"category": HERE}, "/category", CATEGORY),
    "changed status": ("PATCH", GHEE, {"status": HERE}, "/status", choices("merged", "archived", "Active")),
    "changed barcodes": ("PATCH", GHEE, {"barcodes": HERE}, "/barcodes", [*ROWS, *each(["[]"], "barcode_stays")]),
    "an added barcode": ("PATCH", GHEE, {"barcodes": ["8964000123456", HERE]}, "/barcodes/1", codes(64, new=True)),
}  # fmt: skip


HOOKS = {
    "url": (
        "POST", WEBHOOKS, HOOK | {"url": HERE}, "/url",
        [*NO_TEXT, *NO_STRING, *each(['""'], "blank"), *each(quoted("x" * 900_000), "too_long")],
    ),
    "events": ("POST", WEBHOOKS, HOOK | {"events": HERE}, "/events", [*ROWS, *each(["[]"], "empty")]),
    "an event": ("POST", WEBHOOKS, HOOK | {"events": ["stock.low", HERE]}, "/events/1", choices("stock", "STOCK.LOW", "stock.low ")),
    "webhook's name": ("POST", WEBHOOKS, HOOK | {"name": HERE}, "/name", words(100, True)),
    "webhook's changed name": ("PATCH", WEBHOOKS + "{webhook}/", {"name": HERE}, "/name", words(100, True)),
    "enabled": ("PATCH", WEBHOOKS + "{webhook}/", {"enabled": HERE}, "/enabled", FLAG),
    "since": (
        "POST", WEBHOOKS + "{webhook}/retry/", {"since": HERE}, "/since",
        [row for row in INSTANT if row[2] not in ("too_old", "in_future")],
    ),
    "delivery": (
        "POST", WEBHOOKS + "{webhook}/retry/", {"delivery": HERE}, "/delivery",
        [*NO_TEXT, *each(['"1"', '""', "1.5", "1e3", "true", "null", "[]", "{}", '"۱"'], "wrong_type"),
         *each(["9223372036854775807", "9223372036854775808", "1" * 90], "invalid_choice")],
    ),
    "dry_run": ("POST", PRODUCTS + "batch/", {"products": [PRODUCT], "dry_run": HERE}, "/dry_run", FLAG),
    "products": ("POST", PRODUCTS + "batch/", {"products": HERE}, "/products", [*ROWS, *each(["[]"], "empty")]),
}  # fmt: skip
FIELDS |= HOOKS


def test_the_table_is_long():
    assert sum(len(rows) for *_rest, rows in FIELDS.values()) > 1500


@pytest.fixture
def sale(stocked, post, ghee) -> int:
    """A sale that could be voided."""
    return post("sale", (ghee, 1)).document.pk


@pytest.fixture
def there(sale, api_client, monkeypatch) -> dict:
    """A key that may do everything, a sale that could be voided and a webhook."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])
    partner = api_client(rate=10**6)
    webhook, _secret = create_webhook(key=partner.key, url=HOOK["url"] + "/first", events=["stock.low"])
    return {"partner": partner, "sale": sale, "webhook": webhook.pk}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_takes_what_it_is_for_and_nothing_else(there, name):
    method, url, body, pointer, rows = FIELDS[name]
    partner, before, wrong = there["partner"], everything(), {}
    for literal, code, inner in rows:
        answer, beyond = send(partner, method, url.format(**there), with_literal(body, literal), ANY_VERSION)
        where = "" if code == "parse_error" else pointer
        if found := wrong_with(answer, beyond, 400, code, inner, where):
            wrong[literal[:60]] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize("name", ["kind", "reference", "occurred_at", "notes", "lines", "sku"])
def test_in_a_batch_the_same_is_told_of_its_document(api_client, sale, name):
    _method, _url, body, pointer, rows = FIELDS[name]
    partner, before, wrong = api_client(rate=10**6), everything(), {}
    for literal, code, inner in rows:
        answer, beyond = send(partner, "POST", BATCH, with_literal(batch(body), literal))
        place = f"/documents/0{pointer}"
        if answer.status_code != 200:  # what is no JSON, or no text, is wrong with the whole body
            where = "" if code == "parse_error" else place
            allowed = code in ("parse_error", "null_character") or inner == "bad_character"
            found = wrong_with(answer, beyond, 400, code, inner, where) if allowed else f"{answer.content}"
        else:
            [verdict] = answer.json()["results"]
            told = [(one["pointer"], one["code"]) for one in verdict.get("errors", ())]
            found = "" if (verdict.get("code"), told) == (code, [(place, inner)]) else f"{verdict}"
        if found:
            wrong[literal[:60]] = found
    assert not wrong
    assert everything() == before


GOODS = ["sku", "code", "name", "name_ur", "aliases", "brand", "category", "unit", "status", "barcodes"]


@pytest.mark.parametrize("name", GOODS)
def test_in_a_batch_of_products_it_is_told_of_its_row(there, name):
    """The rows of a new product's fields, and of one that is there already."""
    field = {"sku": "new sku", "code": "new sku"}.get(name, name)
    rows, partner, before, wrong = FIELDS[field][4], there["partner"], everything(), {}
    for sku in {"sku": [HERE], "code": [HERE]}.get(name, ["TEA-0001", "GHE-0001"]):
        row = PRODUCT | {"barcodes": []} | {name: HERE} | ({} if name == "code" else {"sku": sku})
        if name == "code":
            del row["sku"]
        for literal, code, inner in rows:
            raw = with_literal({"products": [row]}, literal)
            answer, beyond = send(partner, "POST", PRODUCTS + "batch/", raw)
            if answer.status_code != 200:
                where = "" if code == "parse_error" else f"/products/0/{name}"
                found = wrong_with(answer, beyond, 400, code, inner, where)
            else:
                [verdict] = answer.json()["results"]
                told = [(one["pointer"], one["code"]) for one in verdict.get("errors", ())]
                fits = verdict["status"] == "rejected" and (f"/products/0/{name}", inner) in told
                found = "" if fits else f"{verdict}"
            if found:
                wrong[sku, literal[:60]] = found
    assert not wrong
    assert everything() == before


# -- Fields that are missing, unknown, foreign or twice

REQUIRED = {
    DOCUMENTS: (SALE, {"store": "required", "kind": "required", "lines": "required"}),
    MOVEMENTS: (MOVEMENT, {"store": "required", "kind": "required"}),
    PRODUCTS: (PRODUCT, dict.fromkeys(("sku", "name", "category", "selling_price"), "required")),
    BATCH: (batch(SALE), {"documents": "required"}),
    VOID: (REVERSAL, {"reason": "required"}),
}


@pytest.mark.parametrize(
    ("url", "field"), [(url, field) for url, (_body, fields) in REQUIRED.items() for field in fields]
)
def test_what_is_missing_is_named(api_client, sale, url, field):
    body = {name: value for name, value in REQUIRED[url][0].items() if name != field}
    refuse(
        api_client(), "POST", url.format(sale=sale), body, code="validation_error", inner="required", pointer=f"/{field}"
    )  # fmt: skip


STRANGE = [
    "colour", "Store", "store ", " kind", "LINES", "id", "user", "api_key", "__proto__", "constructor", "csrfmiddlewaretoken", "", "$where",
    "a/b", "a~b", "چ", "🍚", "fingerprint", "recorded_at", "business_date", "total", "store_id", "0", "null", "x" * 500,
]  # fmt: skip
BODIES = {
    "document": ("POST", DOCUMENTS, SALE, ""),
    "line": ("POST", DOCUMENTS, SALE, "/lines/0"),
    "movement": ("POST", MOVEMENTS, MOVEMENT, ""),
    "void": ("POST", VOID, REVERSAL, ""),
    "batch": ("POST", BATCH, batch(SALE), ""),
    "product": ("POST", PRODUCTS, PRODUCT, ""),
    "product's change": ("PATCH", GHEE, {"name": "Ghee"}, ""),
    "level": ("PATCH", LEVEL, {"reorder_point": "5"}, ""),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_field_that_is_not_known_is_refused_wherever_it_stands(api_client, sale, name):
    method, url, body, place = BODIES[name]
    partner, before, wrong = api_client(rate=10**6), everything(), {}
    for strange in STRANGE:
        changed = json.loads(json.dumps(body))
        (changed["lines"][0] if place else changed)[strange] = "1"
        answer, beyond = send(partner, method, url.format(sale=sale), changed, ANY_VERSION)
        step = strange[:100].replace("~", "~0").replace("/", "~1")
        if found := wrong_with(answer, beyond, 400, "unknown_field", "unknown_field", f"{place}/{step}"):
            wrong[strange] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize("name", BODIES)
def test_a_field_that_comes_twice_is_refused_however_it_is_spelled(api_client, sale, name):
    method, url, body, place = BODIES[name]
    partner, before, wrong = api_client(rate=10**6), everything(), {}
    inside = (body["lines"][0] if place else body).items()
    for field, value in inside:
        shown = json.dumps(field)
        for again in (
            shown,
            '"' + "".join(f"\\u{ord(letter):04x}" for letter in field) + '"',
            f'"\\u{ord(field[0]):04X}{field[1:]}"',
        ):
            for other in (json.dumps(value), "null", '"99"'):
                pair = f"{shown}: {json.dumps(value)}"
                raw = json.dumps(body).replace(pair, f"{pair}, {again}: {other}", 1)
                assert raw != json.dumps(body)
                answer, beyond = send(partner, method, url.format(sale=sale), raw, ANY_VERSION)
                if found := wrong_with(
                    answer, beyond, 400, "duplicate_key", "duplicate_key", f"{place}/{field}"
                ):
                    wrong[raw] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize(
    ("url", "body", "pointer"),
    [
        (DOCUMENTS, SALE | {"movement_type": "sale"}, "/movement_type"),
        (DOCUMENTS, SALE | {"movement_type": None}, "/movement_type"),
        (MOVEMENTS, MOVEMENT | {"movement_type": "stock_in"}, "/movement_type"),
        (MOVEMENTS, MOVEMENT | {"code": "FLR-0001"}, "/code"),
        (DOCUMENTS, line(code="GHE-0001"), "/lines/0/code"),
        (PRODUCTS, PRODUCT | {"code": "TEA-0001"}, "/code"),
    ],
)
def test_a_field_and_its_older_name_are_one_field(api_client, stocked, url, body, pointer):
    refuse(api_client(), "POST", url, body, code="duplicate_key", inner="duplicate_key", pointer=pointer)


@pytest.mark.parametrize(
    ("lines", "pointer", "inner"),
    [
        ([{"quantity": "1"}], "/lines/0", "sku_or_barcode"),
        ([{"sku": "FLR-0001", "barcode": "2100001000004", "quantity": "1"}], "/lines/0", "sku_or_barcode"),
        ([{"code": "FLR-0001", "barcode": "2100001000004", "quantity": "1"}], "/lines/0", "sku_or_barcode"),
        ([{"sku": "FLR-0001", "quantity": "1", "amount": "5"}], "/lines/0", "quantity_or_amount"),
        ([{"sku": "FLR-0001"}], "/lines/0/quantity", "required"),
        ([{"sku": "NO-SUCH", "quantity": "1"}], "/lines/0/sku", "unknown_product"),
        ([{"sku": "flr-0001", "quantity": "1"}], "/lines/0/sku", "unknown_product"),
        (
            [{"sku": "'; DROP TABLE x;--".replace(" ", ""), "quantity": "1"}],
            "/lines/0/sku",
            "unknown_product",
        ),
        ([{"barcode": "https://example.com/x", "quantity": "1"}], "/lines/0/barcode", "unknown_product"),
        ([{"barcode": "8964000123457", "quantity": "1"}], "/lines/0/barcode", "unknown_product"),
        ([{"sku": "GHE-0001", "quantity": "1.5"}], "/lines/0/quantity", "quantity_step"),
        ([{"sku": "GHE-0001", "quantity": "0.001"}], "/lines/0/quantity", "quantity_step"),
        ([{"barcode": "18964000123453", "amount": "5"}], "/lines/0/amount", "not_allowed"),
        ([{"sku": "FLR-0001", "quantity": "1", "unit_cost": "5"}], "/lines/0/unit_cost", "not_allowed"),
        ([{"sku": "FLR-0001", "quantity": "1"}] * 501, "/lines", "too_many_lines"),
        ([{"sku": "FLR-0001", "quantity": "1"}] * 15000, "/lines", "too_many_lines"),
    ],
)
def test_lines_that_make_no_sense(api_client, stocked, lines, pointer, inner):
    refuse(
        api_client(),
        "POST",
        DOCUMENTS,
        SALE | {"lines": lines},
        code="validation_error",
        inner=inner,
        pointer=pointer,
    )


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (kind, field, value)
        for kind in ("receipt", "opening", "adjustment", "wastage")
        for field, value in (("unit_price", "5"), ("line_total", "5"), ("amount", "5"))
    ],
)
def test_prices_where_nothing_is_sold(api_client, stocked, kind, field, value):
    row = {"sku": "FLR-0001", "quantity": "1", field: value}
    if field == "amount":
        del row["quantity"]
    refuse(
        api_client(), "POST", DOCUMENTS, SALE | {"kind": kind, "lines": [row]}, code="validation_error", inner="not_allowed",
        pointer=f"/lines/0/{field}",
    )  # fmt: skip


def test_500_lines_with_several_faults_are_answered_at_once(api_client, stocked):
    rows = [
        {"sku": 5, "quantity": "x", "unit_price": "۱", "line_total": [], "unit_cost": {}, "barcode": None, "amount": "1e5", "free": 1},
        {"sku": "FLR-0001", "colour": 1},
        {"sku": "FLR-0001", "barcode": "1"},
        {"quantity": "-1"},
        {"sku": "GHE-0001", "quantity": "1.5"},
    ]  # fmt: skip
    for wrong in (rows, rows[4:]):
        body = SALE | {"lines": (wrong * 500)[:500]}
        answer = refuse(api_client(), "POST", DOCUMENTS, body, code="validation_error")
        assert len(answer.json()["errors"]) == 100


@pytest.mark.parametrize(
    ("url", "field"), [(PRODUCTS, "name"), (PRODUCTS, "sku"), (DOCUMENTS, "notes"), (DOCUMENTS, "reference")]
)
def test_a_text_of_nearly_a_mebibyte_is_too_long(api_client, stocked, url, field):
    body = (PRODUCT if url == PRODUCTS else SALE) | {field: "x" * 1_000_000}
    refuse(api_client(), "POST", url, body, code="validation_error", inner="too_long", pointer=f"/{field}")


def test_a_batch_beyond_its_number_is_refused_whole(api_client, stocked):
    refuse(
        api_client(), "POST", BATCH, {"documents": [{}] * 201}, code="validation_error", inner="too_many_documents", pointer="/documents"
    )  # fmt: skip
    refuse(
        api_client(), "POST", BATCH, {"documents": [0] * 300_000}, code="validation_error", inner="too_many_documents",
        pointer="/documents",
    )  # fmt: skip


def test_the_same_product_twice_is_summed(api_client, stocked, atta):
    rows = [{"sku": "FLR-0001", "quantity": "1.5"}, {"barcode": "2100001000004", "quantity": "0.25"}] * 2
    answer, _beyond = send(api_client(), "POST", DOCUMENTS, SALE | {"lines": rows})
    assert answer.status_code == 201
    assert stocked(atta).on_hand == 100 - 2 * 1.75


# -- What looks odd and is right


HONEST = [
    "<script>alert(1)</script>", "{{7*7}}", "${x}", "=cmd|'/c calc'!A1", "'; DROP TABLE catalog_product;--", "%s %(x)s {0}", "../../etc/passwd",
    "🍚 Rice 👨‍👩‍👧", "𝔸𝕓𝕔", "می‌خواهم", "کھ‍انا", "چینی", "يوسف كريم", "Café", "a\u200cb", "null", "None", "0", "-5", "True", "\\", '"', "<!--", "&amp;",
    "a" * 200, "چ" * 200, "🍚" * 200, "x\ue000y", "ab\u0600c", "®™", "Sugar\u00a01 kg",
]  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_odd_but_honest_names_are_stored_as_typed(api_client, stocked, name):
    answer, _beyond = send(api_client(), "POST", PRODUCTS, PRODUCT | {"name": name})
    assert (answer.status_code, answer.json()["name"]) == (201, name)
    assert Product.objects.get(sku="TEA-0001").name == name


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"), ("dos\r\nlines", "dos\nlines"), ("a\u202eb\u061cc", "abc"), ("  spaces  ", "spaces"),
        ("\n\n", ""), ("   ", ""), ("", ""), ("\u202e", ""), ("a" * 500, "a" * 500), ("e\u0301", "é"), ("a\u2028b", "a\u2028b"),
    ],
)  # fmt: skip
def test_notes_keep_their_lines_and_lose_what_turns_the_writing(api_client, stocked, sent, stored):
    answer, _beyond = send(api_client(), "POST", DOCUMENTS, SALE | {"notes": sent})
    assert (answer.status_code, answer.json()["notes"]) == (201, stored)
    assert Document.objects.get(reference="basket-1").notes == stored


def test_decomposed_letters_are_composed_and_searched_folded(api_client, stocked):
    partner = api_client()
    answer, _beyond = send(partner, "POST", PRODUCTS, PRODUCT | {"name": "آم کا اچار", "name_ur": "ا\u0653م"})
    assert answer.json()["name_ur"] == "\u0622م"
    send(partner, "POST", PRODUCTS, PRODUCT | {"sku": "SGR-1", "barcodes": [], "name": "چيني كھلي"})
    found = partner.get(PRODUCTS, {"search": "چینی کھلی"}).json()["results"]
    assert [row["sku"] for row in found] == ["SGR-1"]
    assert found[0]["name"] == "چيني كھلي"


@pytest.mark.parametrize("sign", ["-", "+"])
def test_times_within_the_window_are_taken_whatever_their_offset(api_client, stocked, sign):
    zone = timedelta(hours=5, minutes=30)
    for hours in (0, 1, 24 * 6):
        moment = datetime.now(UTC) - timedelta(hours=hours)
        local = moment + (zone if sign == "+" else -zone)
        text = local.strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{sign}05:30"
        answer, _beyond = send(
            api_client(), "POST", DOCUMENTS, SALE | {"occurred_at": text, "reference": f"t{hours}"}
        )
        assert answer.status_code == 201, answer.content
        assert datetime.fromisoformat(answer.json()["occurred_at"]) == moment


@pytest.mark.parametrize(
    ("ago", "inner"),
    [
        (timedelta(days=7, minutes=1), "too_old"), (timedelta(days=8), "too_old"), (timedelta(days=400), "too_old"),
        (timedelta(minutes=-6), "in_future"), (timedelta(days=-1), "in_future"), (timedelta(days=-400), "in_future"),
    ],
)  # fmt: skip
def test_times_beyond_the_window(api_client, stocked, ago, inner):
    text = (datetime.now(UTC) - ago).isoformat()
    refuse(
        api_client(), "POST", DOCUMENTS, SALE | {"occurred_at": text}, code="validation_error", inner=inner, pointer="/occurred_at"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("instant", "day"), [("2026-11-21T18:59:59Z", "2026-11-21"), ("2026-11-21T19:00:00Z", "2026-11-22")]
)
def test_midnight_is_the_store_s_own(api_client, stocked, time_machine, instant, day):
    time_machine.move_to("2026-11-22T06:00:00Z")
    answer, _beyond = send(api_client(), "POST", DOCUMENTS, SALE | {"occurred_at": instant})
    assert answer.json()["business_date"] == day
