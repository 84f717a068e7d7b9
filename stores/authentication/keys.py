"""Doors of the API: which partner's key is asking, how often, and what it may do."""

import hmac
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django_ratelimit.core import get_usage
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied, Throttled, ValidationError
from rest_framework.permissions import BasePermission

from stores.access import client_address
from stores.models import ApiKey

REALM = 'Bearer realm="kiryana"'
USED_COARSELY = timedelta(minutes=1)
KEY_PARAMETERS = frozenset(
    {"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "authorization"}
)
NOBODY = ApiKey.hash("")


class KeyAuthentication(BaseAuthentication):
    """`X-API-Key: <key>` or `Authorization: Bearer <key>`; the key is then `request.auth`.

    A key that is malformed, unknown, revoked or run out gets one and the same 401. Each request of a key is counted
    before anything else is done for it, so that one that fails was still made.
    """

    def authenticate(self, request):
        refuse_key_in_address(request)
        given = key_given(request)
        if given is None:
            return None
        key = find_key(given)
        if key is None:
            count_guess(request)
            raise unauthenticated()
        count_request(request, key)
        note_use(key)
        return AnonymousUser(), key

    def authenticate_header(self, request):
        return REALM


class HasScope(BasePermission):
    """The view names the scope of each of its actions in `scopes`; None lets any key in, an action that is not named nobody."""

    def has_permission(self, request, view):
        if request.auth is None:
            raise unauthenticated()
        if view.action is None:
            return True  # a method that this address does not have: 405 follows
        scope = view.scopes.get(view.action, "")
        if scope is not None and not request.auth.allows(scope):
            raise PermissionDenied(_("This needs a key with the scope %(scope)s.") % {"scope": scope})
        return True


def unauthenticated() -> NotAuthenticated:
    """One answer for every key that opens nothing."""
    return NotAuthenticated(_("Send a valid key in the header X-API-Key."))


def refuse_key_in_address(request) -> None:
    """A key in an address ends up in logs and histories: refused, valid or not, so that nobody gets used to it."""
    for name, values in request.query_params.lists():
        if name.lower() in KEY_PARAMETERS or any(
            "kir_live_" in value or "kir_test_" in value for value in values
        ):
            raise ValidationError(
                _("Send the key in the header X-API-Key, never in the address."), code="key_in_url"
            )


def key_given(request) -> str | None:
    """The key as sent; "" for one that cannot be one, None when there is none."""
    plain, bearer = request.META.get("HTTP_X_API_KEY"), request.META.get("HTTP_AUTHORIZATION")
    if bearer is not None:
        scheme, _space, token = bearer.partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if plain is not None and plain != token:
            return ""
        return token
    return plain


def find_key(given: str) -> ApiKey | None:
    """The usable key behind `given`. One query, and only for what could be a key."""
    public_id = ApiKey.public_id_of(given)
    if public_id is None:
        return None
    key = ApiKey.objects.filter(public_id=public_id).first()
    fits = hmac.compare_digest(key.digest if key else NOBODY, ApiKey.hash(given))
    return key if key and fits and key.is_usable else None


def count_guess(request) -> None:
    """Counts one wrong key from this address; too many have to wait.

    A right key is let in however many wrong ones its address has sent: shops share addresses, and a guess hits one of
    2^190 keys.
    """
    address = client_address(request)
    usage = get_usage(
        request._request,
        group="api:guess",
        key=lambda _group, _request: address,
        rate=settings.API_GUESS_RATE,
        increment=True,
    )
    if usage and usage["should_limit"]:
        raise too_many(usage, _("Too many wrong keys from this address."))


def too_many(usage: dict, words: str) -> Throttled:
    """A refusal until the counter begins anew."""
    refusal = Throttled(detail=words)
    refusal.wait = max(usage["time_left"], 1)
    return refusal


def rate_of(key: ApiKey) -> str:
    """What `key` may do in which time, such as 600/m."""
    return f"{key.rate}/m" if key.rate is not None else settings.API_RATE


def count_request(request, key: ApiKey) -> None:
    """Counts one request of `key` and notes on the request what is left; refuses what goes beyond its rate."""
    usage = get_usage(
        request._request,
        group="api:key",
        key=lambda _group, _request: str(key.pk),
        rate=rate_of(key),
        increment=True,
    )
    if usage is None:
        return
    if not usage["limit"] and key.rate != 0:  # the counter itself could not be reached
        raise OperationalError("The counter of requests cannot be reached.")
    request._request.usage = usage | {"rate": rate_of(key)}
    if usage["should_limit"]:
        raise too_many(usage, _("This key has made all its requests for now."))


def note_use(key: ApiKey) -> None:
    """Keeps `last_used_at` right to the minute: one write a minute, not one a request."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USED_COARSELY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_COARSELY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
