"""Whole bodies: what is no JSON, not UTF-8, too large, too deep or of another kind, at every address that takes a body."""

import gzip
import json
import zlib

import pytest
from django.conf import settings

from kiryana.tests.refusals import (
    ANY_VERSION,
    BATCH,
    DOCUMENTS,
    GHEE,
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
    refuse,
    send,
    wrong_with,
)
from stores.services import addresses
from stores.services.webhooks import create_webhook

pytestmark = pytest.mark.django_db
VOID = DOCUMENTS + "{sale}/reverse/"
DOORS = {
    "document": ("POST", DOCUMENTS, SALE),
    "movement": ("POST", MOVEMENTS, MOVEMENT),
    "void": ("POST", VOID, REVERSAL),
    "batch": ("POST", BATCH, batch(SALE)),
    "product": ("POST", PRODUCTS, PRODUCT),
    "product's change": ("PATCH", GHEE, {"name": "Ghee"}),
    "level": ("PATCH", LEVEL, {"reorder_point": "5"}),
    "products": ("POST", PRODUCTS + "batch/", {"products": [PRODUCT]}),
    "webhook": ("POST", WEBHOOKS, HOOK),
    "webhook's change": ("PATCH", WEBHOOKS + "{webhook}/", {"name": "Desk"}),
    "retry": ("POST", WEBHOOKS + "{webhook}/retry/", {"since": "2026-11-22T10:00:00Z"}),
}
MOST = settings.API_LIMITS["body_bytes"]


@pytest.fixture
def there(stocked, post, ghee, api_client, monkeypatch) -> dict:
    """A key that may do everything, a sale that could be voided and a webhook."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])
    partner = api_client(rate=10**6)
    webhook, _secret = create_webhook(key=partner.key, url=HOOK["url"] + "/first", events=["stock.low"])
    return {"partner": partner, "sale": post("sale", (ghee, 1)).document.pk, "webhook": webhook.pk}


def nested(opening: str, closing: str, levels: int) -> str:
    return opening * levels + "1" + closing * levels


def bodies(good: str) -> list[tuple[str | bytes, str, str | None]]:
    """(body, code, inner code) of what is wrong whatever it was meant to say; `good` is a body that is right."""
    first = json.loads(good)
    name = next(iter(first))
    opened = good[:-1]
    return [
        *[(raw, "parse_error", "parse_error") for raw in (
            "", " ", "\n\n", "{", "}", "{]", '{"', '{"a', '{"a"', '{"a":', '{"a":1', '{"a":1,', "{'a':1}", "{a:1}", '{"a":1,}', '{"a" 1}', '{"a":1 "b":2}',
            "{,}", "[", "]", "[1,]", "undefined", "nul", "tru", "NULL", "None", "x", "<xml/>", "a=1&b=2", good + "x", good + good, good + "{}", good + ",",
            good + "]", "/*x*/" + good, good + "//x", "\ufeff" + good, "\x00" + good, good + "\x00", ")]}'," + good, f"callback({good})", good[:-1],
            good.replace('"', "'"), good.replace(":", "=", 1), opened + ',"x":NaN}', opened + ',"x":Infinity}', opened + ',"x":-Infinity}',
            opened + ',"x":01}', opened + ',"x":1.}', opened + ',"x":"\t"}', opened + ',"x":"\\x"}', opened + f',"x":{"9" * 5000}}}',
            opened + ',"x":0.' + "3" * 5000 + "}", opened + ',"x":1e' + "9" * 200 + "}", "{" * 500, "[" * 500,
        )],
        *[(raw, "parse_error", "parse_error") for raw in (
            good.encode("utf-16"), good.encode("utf-16-le"), good.encode("utf-16-be"), good.encode("utf-32"), good.encode("utf-8-sig"), good.encode("utf-7") + b"+",
            b"\xff\xfe", b"\xef\xbb\xbf", b"\xff", b"\x80", opened.encode() + b',"x":"caf\xe9"}', opened.encode() + b',"x":"\xc0\xaf"}',
            opened.encode() + b',"x":"\xe0\x80\xaf"}', opened.encode() + b',"x":"\xf0\x80\x80\xaf"}', opened.encode() + b',"x":"\xed\xa0\x80"}',
            opened.encode() + b',"x":"\xf4\x90\x80\x80"}', opened.encode() + b',"x":"\xf8\x88\x80\x80\x80"}', opened.encode() + b',"x":"\xe2\x82"}',
            opened.encode() + b',"\xe9":1}', gzip.compress(good.encode()), zlib.compress(good.encode()), b"\x1f\x8b", b"PK\x03\x04", b"%PDF-1.7",
        )],
        *[(raw, "validation_error", "wrong_type") for raw in (
            "[]", "[{}]", f"[{good}]", '""', '"x"', json.dumps(good), "0", "5", "-1.5", "1e400", "1E999999999", "true", "false", "null", "[[]]",
        )],
        *[(raw, "parse_error", "too_deep") for raw in (
            "[" * 1_000_000, '{"a":' * 200_000, nested("[", "]", 33), nested("[", "]", 100_000), nested('{"a":', "}", 33), nested('{"a":', "}", 150_000),
            nested('[{"a":', "}]", 17), opened + ',"x":' + nested("[", "]", 32) + "}", opened + ',"x":' + nested('{"a":', "}", 32) + "}",
            opened + ',"x":' + nested("[", "]", 400_000) + "}", f'{{"{name}":' + nested("[", "]", 32) + "}",
        )],
        *[(raw, "duplicate_key", "duplicate_key") for raw in (
            '{"a":1,"a":1}', '{"a":1,"a":2,"a":3}', '{"a":1,"\\u0061":2}', '{"\\u0061":1,"\\u0061":2}', '{"":1,"":2}', '{"چ":1,"\\u0686":2}',
            '{"\\ud83c\\udf5a":1,"🍚":2}', opened + f',"{name}":null}}', opened + ',"x":{"y":1,"y":1}}', opened + ',"x":[[{"y":1,"y":1}]]}',
            '{"' + "k" * 500_000 + '":1,"' + "k" * 500_000 + '":2}', "{" + ",".join(['"a":1'] * 100_000) + "}", opened + ',"x":[{"a/b":1,"a/b":2}]}',
        )],
        *[(raw, "null_character", "null_character") for raw in (
            opened + ',"x":"\\u0000"}', opened + ',"\\u0000":1}', opened + ',"x\\u0000y":1}', opened + ',"x":["\\u0000"]}', opened + ',"x":{"y":"a\\u0000"}}',
            opened + ',"x":[[{"\\u0000":{}}]]}',
        )],
        *[(raw, "validation_error", "bad_character") for raw in (
            opened + ',"x":"\\ud800"}', opened + ',"\\udfff":1}', opened + ',"x":["\\udc00\\ud800"]}', opened + ',"x":{"\\ud83d":1}}',
        )],
        *[(raw, "unknown_field", "unknown_field") for raw in (
            opened + ',"x":1}', opened + ',"x":null}', opened + ',"x":1e400}', opened + ',"' + "k" * 900_000 + '":1}',
            opened + "," + ",".join(f'"{number}":1' for number in range(80_000)) + "}", opened + ',"x":' + nested("[", "]", 31) + "}",
            opened + ',"x":"' + "x" * 900_000 + '"}', opened + ',"x":[' + ",".join(["[]"] * 300_000) + "]}", opened + ',"x":[' + ",".join(["{}"] * 300_000) + "]}",
            opened + ',"x":[' + ",".join(['""'] * 300_000) + "]}",
        )],
        ("{}", "validation_error", None),
    ]  # fmt: skip


def test_the_table_is_long():
    assert len(bodies(json.dumps(SALE))) > 130


@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_is_not_what_it_should_be_changes_nothing(there, door):
    method, url, good = DOORS[door]
    partner, before, wrong = there["partner"], everything(), {}
    for raw, code, inner in bodies(json.dumps(good)):
        answer, beyond = send(partner, method, url.format(**there), raw, ANY_VERSION)
        pointer = "" if code == "parse_error" else None
        if found := wrong_with(answer, beyond, 400, code, inner, pointer):
            wrong[raw[:80]] = found
    assert not wrong
    assert everything() == before


def test_the_place_of_a_name_that_comes_twice_is_told(api_client, stocked):
    raw = json.dumps(SALE).replace('"quantity": "1"', '"quantity": "1", "quantity": "99"')
    refuse(
        api_client(),
        "POST",
        DOCUMENTS,
        raw,
        code="duplicate_key",
        inner="duplicate_key",
        pointer="/lines/0/quantity",
    )
    raw = '{"a/b":{"c~d":{"e":1,"e":2}}}'
    refuse(
        api_client(),
        "POST",
        DOCUMENTS,
        raw,
        code="duplicate_key",
        inner="duplicate_key",
        pointer="/a~1b/c~0d/e",
    )


def test_32_levels_are_not_too_deep_and_33_are(api_client, stocked):
    for levels, code, inner in ((31, "unknown_field", "unknown_field"), (32, "parse_error", "too_deep")):
        raw = json.dumps(SALE)[:-1] + ',"x":' + nested("[", "]", levels) + "}"
        refuse(api_client(), "POST", DOCUMENTS, raw, code=code, inner=inner)


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(SALE, indent=8), "\n\t " + json.dumps(SALE) + "\r\n ", json.dumps(SALE).replace("sku", "\\u0073ku"), json.dumps(SALE, ensure_ascii=True),
        json.dumps(SALE)[:-1] + " " * (MOST - len(json.dumps(SALE))) + "}",
    ],
    ids=["indented", "spaced", "escaped", "ascii", "1 MiB"],
)  # fmt: skip
def test_the_same_object_written_otherwise_is_the_same(api_client, stocked, raw):
    partner = api_client()
    assert send(partner, "POST", DOCUMENTS, raw)[0].status_code == 201
    assert send(partner, "POST", DOCUMENTS, SALE)[0].status_code == 200


# -- Kinds and codings

KINDS = [
    "", "text/xml", "application/xml", "text/plain", "text/html", "text/json", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "multipart/form-data; boundary=", "application/jsonp", "application/json5", "application/x-json", "application",
    "application/", "/json", "*/*", "application/*", "application/vnd.api+json", "application/problem+json", "application/octet-stream", "json", ";",
    "application/ json", "image/png", "application/json-patch+json", "application/merge-patch+json", "x" * 4000,
]  # fmt: skip
CHARSETS = [
    "bogus", "bz2", "zip", "hex", "rot13", "base64", "idna", "punycode", "utf-16", "utf-16le", "utf-32", "utf-7", "latin-1", "iso-8859-1", "cp1252", "ascii",
    "unicode_escape", "raw_unicode_escape", "undefined", "", "utf-8-sig", "utf-8x", "'utf-8'", "x" * 3000,
]  # fmt: skip
CODINGS = [
    "gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "x-gzip",
    "GZIP",
    "identity, gzip",
    "gzip, gzip",
    "bogus",
    "chunked",
    "aws-chunked",
]


@pytest.mark.parametrize("door", DOORS)
def test_only_json_in_utf_8_and_unpacked_is_read(there, door):
    method, url, good = DOORS[door]
    url, raw = url.format(**there), json.dumps(good)
    partner, before, wrong = there["partner"], everything(), {}
    rows = [(kind, {}, None) for kind in KINDS]
    rows += [(f"application/json; charset={name}", {}, "unsupported_charset") for name in CHARSETS]
    rows += [("application/json", {"content-encoding": name}, "unsupported_encoding") for name in CODINGS]
    for kind, headers, inner in rows:
        for body in (raw, "" if inner is None else "{", gzip.compress(raw.encode())):
            answer, beyond = send(partner, method, url, body, ANY_VERSION | headers, kind)
            if found := wrong_with(answer, beyond, 415, "unsupported_media_type", inner, None):
                wrong[kind[:60], str(headers), body[:9]] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize(
    "kind",
    [
        "application/json", "application/json;charset=utf-8", "application/json; charset=UTF-8", 'application/json; charset="utf-8"', "Application/JSON",
        "application/json ; charset=utf8", "application/json;", "application/json; version=1", "application/json; charset=utf-8; version=1",
    ],
)  # fmt: skip
def test_json_by_any_of_its_names_is_read(api_client, stocked, kind):
    assert send(api_client(), "POST", DOCUMENTS, SALE, kind=kind)[0].status_code == 201


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("extra", [1, 1024, 1024 * 1024])
def test_a_body_beyond_the_limit_is_too_large(there, door, extra):
    method, url, good = DOORS[door]
    raw = json.dumps(good)
    for body in (
        raw[:-1] + " " * (MOST + extra - len(raw)) + "}",
        "x" * (MOST + extra),
        b"\xff" * (MOST + extra),
    ):
        refuse(
            there["partner"], method, url.format(**there), body, headers=ANY_VERSION, status=413, code="body_too_large"
        )  # fmt: skip


@pytest.mark.parametrize("length", ["99999999999999999999", "1073741824", str(2**63)])
def test_a_length_beyond_the_limit_is_believed_before_anything_is_read(api_client, stocked, length):
    class Unread:
        def read(self, *args):
            raise AssertionError("the body was read")

        readline = read

    before = everything()
    partner = api_client()
    before = everything()
    answer = partner.generic(
        "POST", DOCUMENTS, "{}", content_type="application/json", CONTENT_LENGTH=length, **{"wsgi.input": Unread()}
    )  # fmt: skip
    assert not wrong_with(answer, 0, 413, "body_too_large", None, None)
    assert everything() == before


@pytest.mark.parametrize(
    "url", [DOCUMENTS, MOVEMENTS, BATCH, PRODUCTS, GHEE, LEVEL, PRODUCTS + "batch/", WEBHOOKS]
)
def test_methods_that_are_not_there(api_client, stocked, url):
    partner = api_client(rate=10**6)
    for method in ("PUT", "TRACE", "OPTIONS", "FOO", "LINK", "PROPFIND", "get", "Post", "X" * 200):
        answer = refuse(
            partner, method, url, SALE, status=405, code="method_not_allowed", headers={"x-http-method-override": "POST"}
        )  # fmt: skip
        assert set(answer.headers["Allow"].split(", ")) <= {"GET", "HEAD", "POST", "PATCH", "DELETE"}


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_a_method_in_a_header_is_not_looked_at(api_client, stocked, header):
    before = everything()
    partner = api_client()
    before = everything()
    for value in ("POST", "DELETE", "PATCH", "FOO"):
        answer, _beyond = send(partner, "GET", DOCUMENTS, None, {header: value})
        assert (answer.status_code, len(answer.json()["results"])) == (200, 1)
    assert everything() == before
