"""What every answer carries, and which methods there are: one address of every sort, through the whole WSGI stack."""

import io
from urllib.parse import unquote_to_bytes

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client

from kiryana.middleware import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.django_db
# All that kiryana.wsgi gives a server, but for the thread of the request log: begun in here, it would write for other tests too.
application = WSGIHandler()
NOT_KEPT = "private, no-store"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}


def ask(method: str, path: str, body: bytes = b"", **variables) -> tuple[int, dict[str, str], bytes]:
    """One request through the stack as a server makes it."""
    path, _mark, query = path.partition("?")
    began = {}
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "203.0.113.7",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    } | variables
    parts = application(environ, lambda status, headers, *_: began.update(status=status, headers=headers))
    try:
        content = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    names = [name.lower() for name, _value in began["headers"] if name.lower() != "set-cookie"]
    assert len(names) == len(set(names)), "a header stands there twice"
    return int(began["status"][:3]), dict(began["headers"]), content


@pytest.fixture(autouse=True)
def inside_a_test():
    """A web process closes stale connections; here a new one would not see the test's data."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


def cookie(user) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


# method, path, who, status
SORTS = [
    ("GET", "/", "", 302),
    ("GET", "/login/", "", 200),
    ("HEAD", "/login/", "", 200),
    ("POST", "/login/", "", 403),
    ("GET", "/healthz", "", 200),
    ("GET", "/readyz", "", 200),
    ("PUT", "/healthz", "", 405),
    ("GET", "/nowhere/", "", 404),
    ("GET", "/nowhere", "", 404),
    ("GET", "/%00", "", 404),
    ("GET", "/s/LHE-0001", "", 301),
    ("GET", "/docs", "", 200),
    ("GET", "/admin/", "", 302),
    ("GET", "/admin/login/", "", 200),
    ("GET", "/stores/", "cashier", 200),
    ("GET", "/s/LHE-0001/products/", "cashier", 200),
    ("GET", "/s/LHE-0001/products/", "", 302),
    ("GET", "/s/KHI-0001/products/", "cashier", 404),
    ("GET", "/admin/", "head_office", 200),
    ("GET", "/admin/stores/apikey/", "head_office", 200),
    ("GET", "/admin/jsi18n/", "head_office", 200),
    ("GET", "/admin/stores/apikey/", "cashier", 302),
    ("GET", "/static/css/shop.css", "", 200),
    ("GET", "/static/css/nothing.css", "", 404),
    ("GET", "/static/css/shop.css", "etag", 304),
    ("FOO", "/login/", "", 405),
    ("TRACE", "/", "", 405),
    ("PUT", "/s/LHE-0001/products/", "cashier", 405),
    ("PATCH", "/login/", "", 405),
    ("DELETE", "/admin/", "head_office", 405),
    ("OPTIONS", "/login/", "", 405),
    ("DELETE", "/static/css/shop.css", "", 405),
    ("get", "/login/", "", 405),
    ("CONNECT", "", "", 405),
    ("GET", "/api/v1/schema/", "", 200),
    ("GET", "/api/v1/me/", "", 401),
    ("GET", "/api/v1/me/", "key", 200),
    ("HEAD", "/api/v1/me/", "key", 200),
    ("GET", "/api/v1/products/GHE-0001/", "key", 200),
    ("GET", "/api/v1/products/?stor=1", "key", 400),
    ("GET", "/api/v1/nothing/", "", 404),
    ("GET", "/api/v1/a%00b/", "", 400),
    ("DELETE", "/api/v1/products/", "key", 405),
    ("FOO", "/api/v1/products/", "", 405),
    ("TRACE", "/api/v1/products/GHE-0001/", "key", 405),
    ("get", "/api/v1/schema/", "", 405),
    ("FOO", "/api/v1/nothing/", "", 404),
    ("POST", "/api/v1/documents/", "key", 415),
]  # fmt: skip


@pytest.fixture
def variables_of(request, stocked, other_store, api_client):
    def known(who: str, path: str) -> dict[str, str]:
        if who == "key":
            return {"HTTP_X_API_KEY": api_client().secret}
        if who == "etag":
            headers = ask("GET", path)[1]
            return {"HTTP_IF_MODIFIED_SINCE": headers["Last-Modified"]}
        return {"HTTP_COOKIE": cookie(request.getfixturevalue(who))} if who else {}

    return known


@pytest.mark.parametrize(("method", "path", "who", "status"), SORTS)
def test_every_answer_has_an_id_and_strict_headers(variables_of, method, path, who, status):
    got, headers, content = ask(method, path, **variables_of(who, path))
    assert got == status, content[:300]
    assert len(headers["X-Request-Id"]) == 32
    for name, value in ALWAYS.items():
        assert headers[name] == value, name
    policy = headers["Content-Security-Policy"]
    if path == "/docs":
        policy = policy.replace("style-src 'self' 'unsafe-inline'", "style-src 'self'")
    assert policy == CONTENT_SECURITY_POLICY
    kept = path.startswith("/static/") and got in (200, 304)
    assert ("no-store" in headers.get("Cache-Control", "")) is not kept
    if not kept:
        assert headers["Cache-Control"] == NOT_KEPT
    if path.startswith("/api/") and got >= 400:
        assert headers["Content-Type"] == "application/problem+json"
    if got == 405:
        assert "GET" in headers["Allow"]


def test_the_policy_lets_no_inline_script_run_and_nobody_frame_us():
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(("path", "allowed"), [
    ("/api/v1/me/", "GET, HEAD"),
    ("/api/v1/products/", "GET, HEAD, POST"),
    ("/api/v1/products/GHE-0001/", "GET, HEAD, PATCH"),
    ("/api/v1/schema/", "GET, HEAD"),
    ("/login/", "GET, HEAD, POST"),
])  # fmt: skip
def test_an_unknown_method_is_told_which_there_are(path, allowed):
    status, headers, _content = ask("FOO", path)
    assert (status, headers["Allow"]) == (405, allowed)


def test_no_header_turns_one_method_into_another(variables_of, stocked):
    for name in ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE"):
        variables = variables_of("key", "") | {name: "GET"}
        assert ask("POST", "/api/v1/me/", **variables)[0] == 405
    assert ask("POST", "/login/?_method=GET", b"_method=GET", HTTP_X_HTTP_METHOD_OVERRIDE="GET")[0] == 403


def test_a_request_id_of_the_caller_is_kept_when_it_is_well_formed():
    assert (
        ask("GET", "/healthz", HTTP_X_REQUEST_ID="till-7.basket_12")[1]["X-Request-Id"] == "till-7.basket_12"
    )
    for wrong in ("short", "x" * 65, "with space", "line\nbreak", "<script>"):
        assert ask("GET", "/healthz", HTTP_X_REQUEST_ID=wrong)[1]["X-Request-Id"] != wrong


def test_an_error_keeps_the_headers_that_the_answer_had(settings):
    """Over https the strict transport header stands on errors of the API as well."""
    settings.SECURE_HSTS_SECONDS = 1000
    headers = ask("GET", "/api/v1/nothing/", **{"wsgi.url_scheme": "https"})[1]
    assert headers["Strict-Transport-Security"].startswith("max-age=1000;")
    assert "Strict-Transport-Security" not in ask("GET", "/api/v1/nothing/")[1]
