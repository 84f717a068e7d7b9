"""What every answer carries: a request id, strict headers and the reader's language."""

import re
import uuid

from django.utils import translation

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
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Gives each request an id: the caller's own X-Request-Id when it is well formed, else a new one."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request.headers.get("X-Request-Id", "")
        request.id = given if WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
        response = self.get_response(request)
        response["X-Request-Id"] = request.id
        return response


class SecurityHeaders:
    """A strict content policy on everything; answers to somebody known are never kept by a cache."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class UserLanguage:
    """A signed-in reader gets the language of his profile, whatever the phone asks for."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated and (language := request.user.language):
            translation.activate(language)
            request.LANGUAGE_CODE = language
        return self.get_response(request)
