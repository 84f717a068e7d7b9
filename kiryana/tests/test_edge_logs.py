"""What is written down of each request, and what never is."""

import io
import json
import logging
import os
import signal
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.http import StreamingHttpResponse
from django.test import RequestFactory
from django.utils import timezone

from kiryana import request_log as module
from kiryana.logs import Lines, redact, shown_path
from kiryana.middleware import RequestId
from kiryana.request_log import RequestLog, Row, request_log
from kiryana.tasks import forget_requests
from kiryana.tests.live import Web, address_of_tests
from kiryana.tests.test_cluster import until
from stores.models import ApiRequest
from stores.services import create_key

ME = "/api/v1/me/"
SECRET = "kir_live_Ab3dE6gH9j_" + "s3cr3tS3cr3ts3cr3tS3cr3ts3cr3t12" + "0Cksum"


@pytest.fixture
def lines():
    """lines() is what the log has said since, one dict for each line, as the handler of all loggers writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def access(lines):
    """The lines of the access log."""
    return lambda: [line for line in lines() if line["logger"] == "kiryana.access"]


# -- Secrets


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        SECRET.replace("live", "test"),
        f"Not Found: /api/v1/{SECRET}/",
        f"GET /x?a={SECRET}&b=1",
        SECRET.replace("_", "%5F"),
        SECRET.replace("_", "%5f"),
        SECRET.replace("_", "%255F"),
        json.dumps({"key": SECRET}),
        f"('{SECRET}',)",
        f"X-API-Key: {SECRET[9:]}",
        f"Authorization: Bearer {SECRET[9:]}",
        f"{{'Authorization': 'Bearer {SECRET[9:]}'}}",
        json.dumps({"headers": json.dumps({"authorization": f"Bearer {SECRET[9:]}"})}),
        f"/x?api_key={SECRET[9:]}",
        f"/x?a=1&token={SECRET[9:]}&b=2",
        f"/x?Access_Token={SECRET[9:]}",
        f"password={SECRET[9:]}",
        f"whsec_{SECRET[9:]}",
        f"whsec_{SECRET[9:]}+/=",
        f"postgresql://kiryana:{SECRET[9:]}@db:5432/kiryana",
    ],
)
def test_no_secret_gets_through(text):
    assert "s3cr3t" not in redact(text).lower()


@pytest.mark.parametrize(
    "text",
    [
        "Not Found: /s/LHE-0001/products/",
        "kir_live_ begins a key",
        "GET /api/v1/products/?barcode=8964000123456&limit=5",
        "postgresql://kiryana@db:5432/kiryana",
        "http://127.0.0.1:8000/a@b",
        "ہمارا اسٹور",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_messages_fields_and_tracebacks_lose_their_secrets_in_every_logger(lines):
    try:
        raise ValueError(f"cannot use {SECRET}")
    except ValueError:
        logging.getLogger("django.request").exception("Broke at %s", SECRET, extra={"given": {"key": SECRET}})
    logging.getLogger("anything").warning("whsec_%s", "s3cr3t")
    assert len(lines()) == 2
    assert "Traceback" in lines()[0]["exc_info"]
    assert "s3cr3t" not in json.dumps(lines()).lower()


def test_every_handler_of_the_process_redacts():
    """No logger has a handler of its own but those that write as all do."""
    names = ["", *logging.root.manager.loggerDict]
    handlers = {
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if type(handler) in (logging.StreamHandler, logging.FileHandler)
    }
    assert handlers
    assert all(isinstance(handler.formatter, Lines) for handler in handlers)


@pytest.mark.django_db
def test_a_fault_of_ours_tells_no_key_to_the_log(api_client, lines, monkeypatch):
    def broken(key):
        raise RuntimeError(f"failed for {SECRET}")

    partner = api_client()
    partner.raise_request_exception = False
    monkeypatch.setattr("stores.models.Store.objects.for_key", broken)
    assert partner.get("/api/v1/stores/").status_code == 500
    told = json.dumps(lines())
    assert "RuntimeError" in told
    assert "s3cr3t" not in told.lower()
    assert partner.secret[20:] not in told


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        ("/api/v1/me/", "", "/api/v1/me/"),
        (
            "/api/v1/products/",
            "barcode=8964000123456&limit=5",
            "/api/v1/products/?barcode=8964000123456&limit=5",
        ),
        ("/a", "search=%D8%A2%D9%B9%D8%A7&q=o'neill", "/a?search=…&q=…"),
        ("/a", "key=12345&sku=A-1", "/a?key=[redacted]&sku=A-1"),
        ("/a", f"{SECRET}=1", "/a?kir_live_[redacted]=1"),
        ("/a", "next=/login/", "/a?next=/login/"),
        ("/a", "text=" + "x" * 41, "/a?text=…"),
        ("/" + "x" * 1000, "", "/" + "x" * 299),
    ],
)
def test_paths_are_shown_with_names_and_harmless_values(path, query, shown):
    assert shown_path(path, query) == shown


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/products/?q={SECRET}",
        f"/api/v1/products/?{SECRET}=1",
        f"/api/v1/products/?a={SECRET.replace('_', '%5F')}",
        f"/api/v1/products/{SECRET}/",
        f"/api/v1/{SECRET}",
        f"/api/v1/schema/?q={SECRET}",
        "/api/v1/products/?api_key=1",
        "/api/v1/products/?X-API-Key=",
        "/api/v1/products/?Access_Token=x",
        "/api/v1/products/?sku=A&token",
    ],
)
def test_a_key_anywhere_in_the_address_is_refused_and_not_written_down(client, api_client, lines, path):
    for asking in (client, api_client()):
        answer = asking.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "key_in_url")
        assert "s3cr3t" not in answer.content.decode().lower()
    assert "s3cr3t" not in json.dumps(lines()).lower()


# -- The access log


@pytest.mark.django_db
def test_one_line_for_each_request_says_who_did_what_and_how_long_it_took(
    api_client, cashier, client, access
):
    partner = api_client(scopes=["stores:read"])
    partner.get("/api/v1/stores/LHE-0001/?a=1")
    client.get("/login/")
    client.force_login(cashier)
    page = client.get("/s/LHE-0001/products/?search=x")
    client.get("/nowhere/")
    refused, anonymous, signed_in, absent = access()
    assert refused["who"] == f"key {partner.key.public_id}"
    assert (refused["method"], refused["path"], refused["status"], refused["code"], refused["store"]) == (
        "GET", "/api/v1/stores/LHE-0001/?a=1", 400, "unknown_parameter", "LHE-0001",
    )  # fmt: skip
    assert "who" not in anonymous
    assert (signed_in["who"], signed_in["store"], signed_in["status"]) == (
        f"user {cashier.pk}",
        "LHE-0001",
        200,
    )
    assert signed_in["bytes"] == len(page.content)
    assert signed_in["request_id"] == page.headers["X-Request-Id"]
    assert signed_in["address"] == "127.0.0.1"
    assert signed_in["queries"] > 2
    assert 0 < signed_in["queries_ms"] <= signed_in["milliseconds"]
    assert absent["status"] == 404
    assert all(line["time"].endswith("+00:00") and line["level"] == "INFO" for line in access())


def test_an_answer_in_parts_is_written_down_after_its_last(access):
    def view(request):
        return StreamingHttpResponse(part for part in (b"one", b"twelve"))

    response = RequestId(view)(RequestFactory().get("/export/"))
    assert access() == []
    assert b"".join(response.streaming_content) == b"onetwelve"
    assert [line["bytes"] for line in access()] == [9]


# -- The request log


def rows() -> list[tuple]:
    request_log.flush()
    return list(ApiRequest.objects.order_by("id").values_list("method", "path", "status", "code"))


@pytest.fixture
def fresh():
    request_log.rows.clear()


@pytest.mark.django_db
def test_each_request_of_a_valid_key_has_a_row(fresh, api_client, client):
    partner, other = api_client(scopes=["stores:read"], rate=4), api_client()
    answers = [partner.get(path) for path in (ME, "/api/v1/products/?q=1", "/api/v1/nothing/")]
    answers += [partner.post(ME, {}), partner.get(ME), partner.get(ME)]
    other.get(f"/api/v1/products/{SECRET}/")
    client.get(ME)
    client.get(ME, headers={"x-api-key": SECRET})
    assert rows() == [
        ("GET", ME, 200, ""),
        ("GET", "/api/v1/products/", 403, "insufficient_scope"),
        ("GET", "/api/v1/nothing/", 404, "not_found"),
        ("POST", ME, 405, "method_not_allowed"),
        ("GET", ME, 429, "rate_limited"),
        ("GET", ME, 429, "rate_limited"),
        ("GET", "/api/v1/products/kir_live_[redacted]/", 400, "key_in_url"),
    ]
    made = list(partner.key.requests.order_by("id"))
    assert [row.request_id for row in made] == [answer.headers["X-Request-Id"] for answer in answers]
    assert {row.address for row in made} == {"127.0.0.1"}
    assert abs(made[0].at - timezone.now()) < timedelta(minutes=1)


@pytest.mark.django_db
def test_a_path_that_no_column_takes_is_cut(fresh, api_client):
    api_client().get("/api/v1/" + "x%00" * 200)
    assert rows() == [("GET", "/api/v1/" + "x" * 192, 400, "null_character")]


def row(key: int, path: str = ME) -> Row:
    return Row(key, timezone.now(), "a-request-id", "GET", path, 200, "", 3, None)


@pytest.mark.django_db
def test_rows_are_written_many_at_once_and_those_of_a_deleted_key_are_left_out(
    store, django_assert_num_queries
):
    key, _secret = create_key(name="Till", scopes=["stores:read"], stores=[store])
    log = RequestLog()
    for number in range(module.AT_ONCE):
        log.note(row(key.pk if number % 2 else key.pk + 1000))
    with django_assert_num_queries(3):  # a savepoint around the one statement
        assert log.flush() == module.AT_ONCE
    assert ApiRequest.objects.count() == module.AT_ONCE // 2
    assert log.flush() == 0


@pytest.mark.django_db
def test_a_database_that_is_away_costs_no_request_and_no_row_until_too_many_wait(store, monkeypatch, caplog):
    key, _secret = create_key(name="Till", scopes=["stores:read"], stores=[store])
    log = RequestLog()
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    for number in range(7):
        log.note(row(key.pk, f"/{number}"))

    def away(batch):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(module, "insert", away)
        with pytest.raises(OperationalError):
            log.flush()
    assert log.flush() == 5
    assert list(ApiRequest.objects.order_by("id").values_list("path", flat=True)) == [
        f"/{n}" for n in range(5)
    ]
    assert "2 rows of the request log were dropped" in caplog.text


def test_commands_and_tests_start_no_thread():
    log = RequestLog()
    log.note(row(1))
    assert log._thread is None
    log.end()
    assert len(log.rows) == 1


@pytest.mark.django_db(transaction=True)
def test_a_web_process_writes_by_itself_and_what_is_left_when_it_is_asked_to_end(store):
    key, secret = create_key(name="Till", scopes=["stores:read"], stores=[store])
    web = Web(address_of_tests())
    try:
        for _n in range(3):
            assert web.ask("GET", ME, key=secret)[0] == 200
        until(lambda: key.requests.count() == 3, "the rows are written", 20)
        # The thread waits a second for more; the process is asked to end long before.
        ended = 0
        while ended < 20:
            assert web.ask("GET", ME, key=secret)[0] == 200
            ended += 1
        os.kill(web.process.pid, signal.SIGTERM)
        assert web.process.wait(20) == 0
        assert key.requests.count() == 23
    finally:
        web.end()


@pytest.mark.django_db
def test_old_rows_are_deleted_some_at_a_time(store, settings, monkeypatch):
    settings.API_LOG_DAYS = 3
    monkeypatch.setattr("kiryana.tasks.FORGET_AT_ONCE", 2)
    monkeypatch.setattr("kiryana.tasks.close_old_connections", lambda: None)
    key, _secret = create_key(name="Till", scopes=["stores:read"], stores=[store])
    now = timezone.now()
    ages = [timedelta(days=days) for days in (10, 9, 8, 7, 3.1, 2.9, 0)]
    ApiRequest.objects.bulk_create(
        ApiRequest(
            key=key, at=now - age, request_id="x" * 8, method="GET", path=ME, status=200, milliseconds=1
        )
        for age in ages
    )
    deletes = []

    def watch(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            deletes.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(watch):
        forget_requests(0)
    assert deletes == [2, 2, 1]
    assert ApiRequest.objects.count() == 2


@pytest.mark.django_db
def test_writing_it_down_adds_no_query_to_the_request(fresh, api_client, django_assert_num_queries):
    partner = api_client()
    partner.get(ME)
    with django_assert_num_queries(2):  # the key, and its stores
        partner.get(ME)
    assert ApiRequest.objects.count() == 0
    assert len(rows()) == 2
