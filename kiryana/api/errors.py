"""One shape for everything that goes wrong under /api/: application/problem+json (RFC 9457)."""

import io
import logging
import math
import time

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from gunicorn.http.errors import ParseException
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from kiryana.middleware import sent_method
from stores.authentication.keys import remembered
from stores.authentication.problems import (
    CODES,
    RETRY,
    Fault,
    Invalid,
    Problem,
    faults_of,
    problem_of_database,
)

log = logging.getLogger(__name__)
PROBLEM = "application/problem+json"
MOST_FAULTS = 100
# What the views of the API choose from. Any other method is none of HTTP's or none that we have anywhere.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_SUCH_METHOD = gettext_lazy("This address does not have that method.")
MOST_DISCARDED, LONGEST_DISCARDING = 8 * 1024 * 1024, 3.0  # bytes, seconds
# What Django or the server answers by itself, before any view of the API.
BY_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "insufficient_scope",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    414: "address_too_long",
    415: "unsupported_media_type",
    429: "rate_limited",
    431: "headers_too_large",
    503: "unavailable",
}


def problem_of(error: Exception, view) -> Problem | None:
    """The problem behind whatever a view raised; None for a fault of ours."""
    match error:
        case Problem():
            return error
        case Http404() | exceptions.NotFound():
            return Problem("not_found", _("There is no such thing here."))
        case exceptions.PermissionDenied():
            return Problem("insufficient_scope", error.detail)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            problem = Problem("unauthenticated", error.detail)
            problem.auth_header = error.auth_header
            return problem
        case exceptions.Throttled():
            return Problem("rate_limited", error.detail, wait=error.wait)
        case exceptions.MethodNotAllowed():
            if getattr(view, "append_only", False):
                words = _("The ledger is only added to: post a reversal instead.")
                return Problem("method_not_allowed", words, [Fault("", "ledger_is_append_only", words)])
            return Problem("method_not_allowed", NO_SUCH_METHOD)
        case exceptions.UnsupportedMediaType():
            return Problem("unsupported_media_type")
        case exceptions.ParseError():
            return Problem("parse_error")
        case exceptions.ValidationError():
            return Invalid(faults_of(error.detail))
        case DatabaseError():
            return problem_of_database(error)
    return None


def body_of(problem: Problem, request) -> dict:
    """The problem as RFC 9457 has it."""
    status, title = CODES[problem.code]
    return {
        "type": f"/docs#{problem.code}",
        "title": str(title),
        "status": status,
        "code": problem.code,
        "detail": problem.sentence,
        "request_id": getattr(request, "id", ""),
        "errors": [
            {"pointer": found.pointer, "code": str(found.code), "detail": str(found.detail)}
            for found in problem.faults[:MOST_FAULTS]
        ],
    }


def headers_of(problem: Problem) -> dict:
    headers = {}
    if auth := getattr(problem, "auth_header", None):
        headers["WWW-Authenticate"] = auth
    if (wait := getattr(problem, "wait", None)) is not None:
        headers["Retry-After"] = str(math.ceil(wait))
    return headers


def exception_handler(error: Exception, context) -> Response | None:
    """REST framework's hook. What is a fault of ours is left to Django, which logs it; ApiEdge gives it its shape."""
    problem = problem_of(error, context.get("view"))
    if problem is None:
        return None
    if isinstance(error, DatabaseError):
        log.warning("Answered %s: %s", problem.code, error)
    set_rollback()
    request = context["request"]._request
    request.problem = problem.code
    return Response(
        body_of(problem, request), problem.status_code, headers=headers_of(problem), content_type=PROBLEM
    )


class ApiEdge:
    """Middleware around everything under /api/: no cookies in, only problem+json out, and what is left of the key's rate.

    A key that the shared counter has refused is refused here again until its window ends, without any query: a flood
    costs the others next to nothing.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not request.path_info.startswith("/api/"):
            return self.get_response(request)
        # The API knows keys only: a session that a browser happens to send is not even looked at.
        request.COOKIES = {}
        request.META.pop("HTTP_COOKIE", None)
        response = self.refusal(request) or self.get_response(request)
        if response.status_code >= 400 and response.get("Content-Type") != PROBLEM:
            response = self.reshaped(request, response)
        if response.status_code >= 400:
            discard_body(request)
        limit_headers(request, response)
        return response

    def refusal(self, request) -> HttpResponse | None:
        """What is refused before any view of the API is asked."""
        if found := remembered(request):
            refused, words = found
            request.usage, wait = refused.again()
            request.key = refused.key
            return self.answered(request, "rate_limited", words, wait)
        if sent_method(request) not in METHODS and (allowed := methods_of(request)):
            response = self.answered(request, "method_not_allowed", NO_SUCH_METHOD)
            response["Allow"] = ", ".join(allowed)
            return response
        if not accept_chunks(request):
            return HttpResponse(status=400)
        return None

    def reshaped(self, request, response):
        """An error that did not come from a view of the API, in the API's shape; its headers stay."""
        code = BY_STATUS.get(
            response.status_code, "server_error" if response.status_code >= 500 else "bad_request"
        )
        wait = RETRY if code == "unavailable" else None
        made = self.answered(request, code, wait=wait, status=response.status_code)
        for name, value in response.items():
            if name.lower() not in ("content-type", "content-length", "content-encoding", "retry-after"):
                made.headers.setdefault(name, value)
        return made

    def answered(self, request, code: str, words=None, wait: int | None = None, status: int | None = None):
        """The answer that says the problem `code`, in the reader's language."""
        language = translation.get_language_from_request(request)
        with translation.override(language):
            problem = Problem(code, words, wait=wait)
            body = body_of(problem, request)
        body["status"] = status = status or body["status"]
        made = JsonResponse(
            body,
            status=status,
            content_type=PROBLEM,
            headers=headers_of(problem),
            json_dumps_params={"ensure_ascii": False, "separators": (",", ":")},
        )
        made["Content-Length"] = str(len(made.content))
        made["Content-Language"], made["Vary"] = language, "Accept-Language"
        request.problem = code
        return made


def methods_of(request) -> list[str]:
    """The methods that the address of `request` has; none for what is no address."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return []
    actions = getattr(view, "actions", None)
    names = set(actions or (name for name in view.cls.http_method_names if hasattr(view.cls, name)))
    names |= {"head"} if "get" in names else set()
    return sorted(name.upper() for name in names)


def accept_chunks(request) -> bool:
    """A body sent in chunks has no length: it is read here up to the limit, one byte more being too much.

    False for chunks that cannot be read.
    """
    meta = request.META
    if meta.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked" or meta.get("CONTENT_LENGTH"):
        return True
    try:
        body = meta["wsgi.input"].read(settings.API_LIMITS["body_bytes"] + 1)
    except (ParseException, OSError):
        return False
    meta["CONTENT_LENGTH"] = str(len(body))
    request._stream = io.BytesIO(body)
    return True


def discard_body(request) -> None:
    """Reads what a refused request still has to send, in pieces that are thrown away, so that its connection stays usable.

    Not for ever: beyond some megabytes or seconds the server closes the connection instead.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    chunked = "HTTP_TRANSFER_ENCODING" in request.META
    if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= MOST_DISCARDED) or (
        length == "0" and not chunked
    ):
        return
    stream = request.META["wsgi.input"] if chunked else request._stream
    left, end = MOST_DISCARDED, time.monotonic() + LONGEST_DISCARDING
    try:
        while left > 0 and time.monotonic() < end and (piece := stream.read(65536)):
            left -= len(piece)
    except (ParseException, OSError, ValueError):
        return  # the sender has gone, or the body is broken: there is nothing to keep usable


def limit_headers(request, response) -> None:
    """How much of its rate a key has left, in the words of the IETF draft on RateLimit header fields."""
    usage = getattr(request, "usage", None)
    if usage is None:
        return
    response["RateLimit-Policy"] = f'"key";q={usage["limit"]};w={usage["window"]}'
    response["RateLimit"] = (
        f'"key";r={max(usage["limit"] - usage["count"], 0)};t={max(usage["time_left"], 0) + 1}'
    )
