"""Whatever goes wrong under /api/ is application/problem+json, says what and never more."""

import json
import logging

import pytest
from django.db import OperationalError
from django.test import Client
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkSize

from inventory.models import Document
from stores.models import Store

pytestmark = pytest.mark.django_db
DOCUMENTS = "/api/v1/documents/"
FIELDS = ["type", "title", "status", "code", "detail", "request_id", "errors"]


def problem(answer, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert list(body) == FIELDS
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"/docs#{code}"
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/v2/",
        "/api/v1/",
        "/api/v1/nothing/",
        "/api/v1/products",
        "/api/v1/me/more/",
        "/api/v1/x.php",
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "delete", "options", "head"])
def test_what_is_no_address_is_not_found(client, method, path):
    answer = getattr(client, method)(path)
    if method == "head":
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    else:
        problem(answer, 404, "not_found")


def test_a_null_character_in_the_path(client):
    problem(client.get("/api/v1/a%00b/"), 400, "null_character")


def test_a_wrong_method_is_told_which_are_right(api_client):
    answer = api_client().delete("/api/v1/products/")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    problem(api_client().generic("FOO", "/api/v1/me/"), 405, "method_not_allowed")
    override = api_client().post("/api/v1/me/", headers={"x-http-method-override": "GET"})
    problem(override, 405, "method_not_allowed")


def test_a_wrong_host_is_refused_in_json(api_client):
    problem(api_client().get("/api/v1/me/", headers={"host": "evil.example"}), 400, "bad_request")


def test_a_fault_of_ours_is_told_without_its_insides(api_client, monkeypatch, caplog):
    def broken(key):
        raise RuntimeError("the secret of the house")

    partner = api_client()
    partner.raise_request_exception = False
    monkeypatch.setattr(Store.objects, "for_key", broken)
    with caplog.at_level(logging.ERROR):
        answer = partner.get("/api/v1/stores/")
    problem(answer, 500, "server_error")
    assert b"secret" not in answer.content
    assert "the secret of the house" in caplog.text
    assert "RateLimit" in answer.headers


def test_a_database_that_is_away_is_unavailable_for_a_moment(api_client, monkeypatch):
    def away(key):
        raise OperationalError("could not connect to server: /run/secret.sock")

    monkeypatch.setattr(Store.objects, "for_key", away)
    answer = api_client().get("/api/v1/stores/")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert b"secret.sock" not in answer.content


def test_words_follow_the_reader_and_codes_do_not(api_client):
    partner = api_client()
    english = partner.get("/api/v1/nothing/", headers={"accept-language": "en"})
    urdu = partner.get("/api/v1/nothing/", headers={"accept-language": "ur"})
    assert english.json()["code"] == urdu.json()["code"] == "not_found"
    assert (english.headers["Content-Language"], urdu.headers["Content-Language"]) == ("en", "ur")
    assert partner.get("/api/v1/me/", headers={"accept-language": "x," * 3000}).status_code == 200
    assert (
        partner.get("/api/v1/me/", headers={"accept": "text/html,image/*;q=0.1," * 300}).headers[
            "Content-Type"
        ]
        == "application/json"
    )


def test_answers_are_never_kept_by_caches(api_client):
    answer = api_client().get("/api/v1/me/")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


SALE = '{"store":"LHE-0001","kind":"sale","reference":"r","lines":[{"sku":"GHE-0001","quantity":"1"}]}'


def deep(levels: int) -> str:
    return SALE[:-1] + ',"notes":' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("body", "code", "inner"),
    [
        (b"", "parse_error", "parse_error"),
        (b"   ", "parse_error", "parse_error"),
        (b"{", "parse_error", "parse_error"),
        (SALE.encode() + b"x", "parse_error", "parse_error"),
        (SALE.encode() + SALE.encode(), "parse_error", "parse_error"),
        (b"\xef\xbb\xbf" + SALE.encode(), "parse_error", "parse_error"),
        (SALE.encode("utf-16"), "parse_error", "parse_error"),
        (b'{"store":"caf\xe9"}', "parse_error", "parse_error"),
        (b'{"store":"\xc0\xaf"}', "parse_error", "parse_error"),
        (b'{"store":"\xed\xa0\x80"}', "parse_error", "parse_error"),
        (b'{"store":"a\x00b"}', "parse_error", "parse_error"),
        (b"{'store':1}", "parse_error", "parse_error"),
        (b'{"store":1,}', "parse_error", "parse_error"),
        (b'{"store":01}', "parse_error", "parse_error"),
        (SALE.replace('"1"', "NaN").encode(), "parse_error", "parse_error"),
        (SALE.replace('"1"', "Infinity").encode(), "parse_error", "parse_error"),
        (SALE.replace('"1"', "-Infinity").encode(), "parse_error", "parse_error"),
        (SALE.replace('"1"', "9" * 5000).encode(), "parse_error", "parse_error"),
        (SALE.replace('"1"', "0." + "1" * 5000).encode(), "parse_error", "parse_error"),
        (b"[]", "validation_error", "wrong_type"),
        (b'"x"', "validation_error", "wrong_type"),
        (b"5", "validation_error", "wrong_type"),
        (b"null", "validation_error", "wrong_type"),
        (b"true", "validation_error", "wrong_type"),
        (SALE.replace('"kind"', '"store":"KHI-0001","kind"').encode(), "duplicate_key", "duplicate_key"),
        (SALE.replace('"quantity"', '"quantity":"99","quantity"').encode(), "duplicate_key", "duplicate_key"),
        (SALE.replace('"kind"', '"x\\u0000":1,"kind"').encode(), "null_character", "null_character"),
        (SALE.replace("GHE-0001", "GHE\\u0000").encode(), "null_character", "null_character"),
        (SALE.replace("GHE-0001", "\\ud800").encode(), "validation_error", "bad_character"),
        (SALE.replace('"kind"', '"\\udfff":1,"kind"').encode(), "validation_error", "bad_character"),
        (deep(32).encode(), "parse_error", "too_deep"),
        (deep(100_000).encode(), "parse_error", "too_deep"),
        (b"[" * 1_000_000, "parse_error", None),
        (SALE.replace('"kind"', '"colour":1,"kind"').encode(), "unknown_field", "unknown_field"),
    ],
)
def test_bodies_that_are_no_json_of_ours(api_client, stocked, body, code, inner):
    before = Document.objects.count()
    answer = api_client().generic("POST", DOCUMENTS, body, content_type="application/json")
    found = problem(answer, 400, code)
    assert inner is None or found["errors"][0]["code"] == inner
    assert Document.objects.count() == before


def test_32_levels_are_not_too_deep(api_client, stocked):
    answer = api_client().generic("POST", DOCUMENTS, deep(31), content_type="application/json")
    assert answer.json()["errors"] == [
        {"pointer": "/notes", "code": "wrong_type", "detail": "Send a string."}
    ]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ('Application/JSON; charset="UTF-8"', 201),
        ("", 415),
        ("text/xml", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 415),
        ("application/json; charset=bogus", 415),
        ("application/json; charset=bz2", 415),
        ("application/json; charset=utf-16", 415),
        ("application/jsonp", 415),
    ],
)
def test_only_json_in_utf_8_is_read(api_client, stocked, kind, status):
    answer = api_client().generic("POST", DOCUMENTS, SALE, content_type=kind)
    assert answer.status_code == status
    if status == 415:
        problem(answer, 415, "unsupported_media_type")


def test_packed_bodies_are_refused(api_client, stocked):
    answer = api_client().generic(
        "POST", DOCUMENTS, SALE, content_type="application/json", headers={"content-encoding": "gzip"}
    )
    assert problem(answer, 415, "unsupported_media_type")["errors"][0]["code"] == "unsupported_encoding"


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(api_client, stocked):
    class Unread:
        def read(self, *args):
            raise AssertionError("the body was read")

        readline = read

    partner = api_client()
    too_much = SALE[:-1] + ',"notes":"' + "x" * 1024 * 1024 + '"}'
    problem(
        partner.generic("POST", DOCUMENTS, too_much, content_type="application/json"), 413, "body_too_large"
    )
    answer = partner.generic(
        "POST",
        DOCUMENTS,
        "{}",
        content_type="application/json",
        CONTENT_LENGTH=str(2**40),
        **{"wsgi.input": Unread()},
    )
    problem(answer, 413, "body_too_large")
    just = SALE[:-1] + " " * (1024 * 1024 - len(SALE)) + "}"
    assert len(just) == 1024 * 1024
    assert partner.generic("POST", DOCUMENTS, just, content_type="application/json").status_code == 201


@pytest.mark.parametrize("error", [InvalidChunkSize(b"zz"), ChunkMissingTerminator(b"x"), OSError("gone")])
def test_chunks_that_cannot_be_read_are_a_broken_request(api_client, stocked, error):
    class Broken:
        def read(self, *args):
            raise error

        readline = read

    answer = api_client().generic(
        "POST",
        DOCUMENTS,
        "",
        content_type="application/json",
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input": Broken()},
    )
    problem(answer, 400, "bad_request")


def test_an_unknown_key_is_refused_before_the_body_is_looked_at(client):
    problem(client.generic("POST", DOCUMENTS, "{", content_type="text/xml"), 401, "unauthenticated")


def test_a_form_post_with_a_cookie_changes_nothing(head_office, stocked):
    client = Client(enforce_csrf_checks=True)
    client.force_login(head_office)
    problem(client.post(DOCUMENTS, json.loads(SALE), content_type="application/json"), 401, "unauthenticated")


def test_error_lists_are_bounded(api_client, stocked):
    body = json.loads(SALE)
    body["lines"] = [{"sku": f"NO-{n}", "quantity": "1"} for n in range(500)]
    assert len(problem(api_client().post(DOCUMENTS, body), 400, "validation_error")["errors"]) == 100
