"""What every request goes through and every answer carries: id, log line, strict headers, known methods, a language."""

import logging
import re
import time
import uuid
from urllib.parse import unquote

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import connection
from django.http import HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject
from django_otp.middleware import OTPMiddleware
from pghistory.middleware import HistoryMiddleware

from kiryana.logs import redact, shown_path
from kiryana.request_log import Row, request_log
from stores.access import client_address, who_is_asking
from stores.models import SECRET, holds_secret

access_log = logging.getLogger("kiryana.access")

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
KEPT_NOWHERE = "private, no-store"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Queries:
    """Counts the queries of one request, and their seconds."""

    def __init__(self):
        self.count, self.seconds = 0, 0.0

    def __call__(self, execute, sql, params, many, context):
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.count += 1
            self.seconds += time.perf_counter() - began


class RequestId:
    """Outermost: gives each request an id - the caller's own X-Request-Id when it is well formed, else a new one - and
    writes it down when it is answered: all in the access log, those of a partner's key also in its request log.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        began, queries = time.perf_counter(), Queries()
        given = request.headers.get("X-Request-Id", "")
        well = WELL_FORMED.fullmatch(given) and not holds_secret(given)
        request.id = given if well else uuid.uuid4().hex
        with connection.execute_wrapper(queries):
            response = self.get_response(request)
        response["X-Request-Id"] = request.id
        if response.streaming and not response.has_header("Content-Length"):
            parts = response.streaming_content
            response.streaming_content = self.counted(parts, request, response, began, queries)
        else:
            length = response.get("Content-Length") or (0 if response.streaming else len(response.content))
            write_down(request, response, began, queries, int(length))
        return response

    def counted(self, parts, request, response, began, queries):
        """The parts of an answer of unknown length; it is written down after the last, with the code of one that broke off."""
        sent, parts = 0, iter(parts)
        try:
            while True:
                with connection.execute_wrapper(queries):
                    part = next(parts, None)
                if part is None:
                    break
                sent += len(part)
                yield part
        except Exception:
            request.problem = "broken_off"
            raise
        finally:
            write_down(request, response, began, queries, sent)


def write_down(request, response, began: float, queries: Queries, length: int) -> None:
    """One line in the access log; one row in the request log when a valid key asked."""
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    key = getattr(request, "key", None)
    user = getattr(
        request, "_cached_user", None
    )  # asking request.user might read the session just for this line
    address, code = client_address(request), getattr(request, "problem", "")
    access_line(
        request_id=request.id,
        method=request.method,
        path=shown_path(request.path, request.META.get("QUERY_STRING", "")),
        status=response.status_code,
        code=code,
        milliseconds=milliseconds,
        bytes=length,
        who=f"key {key.public_id}" if key else f"user {user.pk}" if user and user.is_authenticated else "",
        store=store_named(request),
        address=address,
        queries=queries.count,
        queries_ms=round(queries.seconds * 1000, 1),
    )
    if key:
        request_log.note(
            Row(
                key=key.pk,
                at=timezone.now(),
                request_id=request.id,
                method=request.method[:10],
                path=redact(request.path.replace("\0", ""))[:200],
                status=response.status_code,
                code=code,
                milliseconds=int(milliseconds),
                address=None if address == "unknown" else address,
            )
        )


def access_line(**fields) -> None:
    """Writes one line of the access log; what is empty is left out."""
    access_log.info("request", extra={name: value for name, value in fields.items() if value != ""})


def store_named(request) -> str:
    """The code of the store that the request is about, as far as its address or its view say so."""
    if store := getattr(request, "store", None):
        return store.code
    match = getattr(request, "resolver_match", None)
    named = match.kwargs if match else {}
    return str(named.get("store") or named.get("code") or "")[:20]


def security_headers(secure: bool) -> dict[str, str]:
    """What every answer says to the browser; `secure`: whether it goes out over https."""
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
        "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
    }
    if secure and settings.SECURE_HSTS_SECONDS:
        headers["Strict-Transport-Security"] = (
            f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
        )
    return headers


class SecurityHeaders:
    """Strict headers on everything, also on what middleware further in answers; only files below /static/ are kept by a
    cache."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        for name, value in security_headers(request.is_secure()).items():
            response.headers.setdefault(name, value)
        if not (request.path.startswith("/static/") and response.status_code in (200, 206, 304)):
            response["Cache-Control"] = KEPT_NOWHERE
        return response


class SecretInAddress:
    """A key in the address of a page would stay in histories and be shown again by the page: the browser is led to the
    same address with no more of it than its public part. The API refuses it in its own words (`key_in_url`)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        address = request.get_full_path()
        if request.path_info.startswith("/api/") or not holds_secret(plain(address)):
            return self.get_response(request)
        # Never to another site: the answer keeps the one slash at the beginning.
        for target in (SECRET.sub(r"\1", address), request.path, "/"):
            if not holds_secret(plain(target)) and not target.startswith("//"):
                return HttpResponseRedirect(target)
        return HttpResponseRedirect("/")


def plain(address: str) -> str:
    """`address` without percent-encoding, also where that was done more than once."""
    for _time in range(3):
        address = unquote(address)
    return address


class KnownMethods:
    """Pages are read and posted to; any other method is refused before a form's token is asked for. The API does it in
    its own words (kiryana.api.errors)."""

    METHODS = ("GET", "HEAD", "POST")

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if sent_method(request) not in self.METHODS and not request.path_info.startswith("/api/"):
            return HttpResponseNotAllowed(self.METHODS, headers={"Content-Length": "0"})
        return self.get_response(request)


def sent_method(request) -> str:
    """The method as it was sent: methods have a case, which Django forgets."""
    return request.META.get("REQUEST_METHOD", "")


def of_pages(middleware: type) -> type:
    """`middleware` for pages alone: the API knows keys and nothing of sessions, so it is led past."""

    class OfPages(middleware):
        def __call__(self, request):
            if request.path_info.startswith("/api/"):
                return self.get_response(request)
            return super().__call__(request)

    return OfPages


Sessions = of_pages(SessionMiddleware)


@of_pages
class SignedIn(AuthenticationMiddleware):
    """`request.user`, found when it is first asked for."""

    def process_request(self, request):
        super().process_request(request)

        def found():
            request._cached_user = who_is_asking(request)
            return request._cached_user

        request.user = SimpleLazyObject(found)


SecondFactor = of_pages(OTPMiddleware)
Messages = of_pages(MessageMiddleware)


class PriceHistory(HistoryMiddleware):
    """Notes who stands behind a price change, where products are changed; all other statements are left as they are."""

    PLACES = ("/admin/", "/api/v1/products/")

    def __call__(self, request):
        if request.path_info.startswith(self.PLACES):
            return super().__call__(request)
        return self.get_response(request)


@of_pages
class UserLanguage:
    """A signed-in reader gets the language of his profile, whatever the phone asks for."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated and (language := request.user.language):
            translation.activate(language)
            request.LANGUAGE_CODE = language
        return self.get_response(request)
