"""Doors of the API: which partner's key is asking, how often, and what it may do."""

import hmac
import time
import zlib
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from urllib.parse import unquote_plus

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.cache import caches
from django.db import OperationalError, connection
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_ratelimit.core import get_usage
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied, Throttled, ValidationError
from rest_framework.permissions import BasePermission

from stores.access import client_address
from stores.models import ApiKey
from stores.models.keys import PREFIXES

REALM = 'Bearer realm="kiryana"'
USED_COARSELY = timedelta(minutes=1)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SPARE = 5  # seconds that a counter outlives its window
KEY_PARAMETERS = frozenset(
    {"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "authorization"}
)
RATE_IS_USED_UP = gettext_lazy("This key has made all its requests for now.")
TOO_MANY_GUESSES = gettext_lazy("Too many wrong keys from this address.")
NOBODY = ApiKey.hash("")


class KeyAuthentication(BaseAuthentication):
    """`X-API-Key: <key>` or `Authorization: Bearer <key>`; the key is then `request.auth`.

    A key that is malformed, unknown, revoked or run out gets one and the same 401. Each request of a key is counted
    before anything else is done for it, so that one that fails was still made. The key stands on Django's request as
    `key` also when the request is refused: the logs name it.
    """

    def authenticate(self, request):
        given, now = key_given(request), int(time.time())
        key, count = (None, None) if given is None else find_key(given, now)
        request._request.key = key
        refuse_key_in_address(request)
        if given is None:
            return None
        if key is None:
            count_guess(request, given)
            raise unauthenticated()
        check_rate(request, key, count, now)
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
    """A key in an address ends up in logs and histories: refused, valid or not, so that nobody gets used to it.

    It may stand in the path, or in the name or the value of a parameter.
    """
    query = request.META.get("QUERY_STRING", "")
    names = {unquote_plus(part.partition("=")[0]).lower() for part in query.split("&")}
    address = f"{request.path}?{unquote_plus(query)}"
    if not KEY_PARAMETERS.isdisjoint(names) or any(prefix in address for prefix in PREFIXES):
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


COLUMNS = [field.column for field in ApiKey._meta.concrete_fields]
FIND = f"""
SELECT {", ".join(COLUMNS)} FROM stores_apikey WHERE public_id = %(public_id)s
"""  # noqa: S608  (names of columns only)
# Who sends the right secret, and may still use it, has made a request: whatever becomes of it. No transaction is open
# yet, so this one statement commits by itself, and no counter stays locked until an answer is ready.
FIND_AND_COUNT = f"""
WITH found AS ({FIND}), counted AS ({{counting}})
SELECT found.*, number FROM found LEFT JOIN counted ON true
"""  # noqa: S608  (no values)
USABLE = """
SELECT CASE WHEN rate IS NULL THEN %(usual)s ELSE %(own)s END,
       CASE WHEN rate IS NULL THEN %(usual_seconds)s::float8 ELSE 60 END
FROM found
WHERE digest = %(digest)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(moment)s::timestamptz)
"""


def find_key(given: str, now: int) -> tuple[ApiKey | None, int | None]:
    """The usable key behind `given`, and how many requests it has made in its window: this one is counted.

    One query, and only for what could be a key; one call more where the counters are not kept in PostgreSQL.
    """
    public_id = ApiKey.public_id_of(given)
    if public_id is None:
        return None, None
    counters, seconds = caches[settings.RATELIMIT_USE_CACHE], limits(settings.API_RATE)[1]
    together = hasattr(counters, "counting")
    asked = {
        "public_id": public_id,
        "digest": ApiKey.hash(given),
        "moment": timezone.now().isoformat(),
        "usual": counters.make_key(counter_name(public_id, seconds, now)),
        "usual_seconds": str(seconds + SPARE),
        "own": counters.make_key(counter_name(public_id, 60, now)),
    }
    with connection.prepared() as cursor:
        cursor.execute(FIND_AND_COUNT.format(counting=counters.counting(USABLE)) if together else FIND, asked)
        row = cursor.fetchone()
    key = row and ApiKey.from_db(connection.alias, COLUMNS, row[: len(COLUMNS)])
    fits = hmac.compare_digest(key.digest if key else NOBODY, asked["digest"])
    if not (key and fits and key.is_usable):
        return None, None
    if together:
        counters.counted(count := row[-1])
    else:
        count = count_in(counters, counter_name(public_id, limits(rate_of(key))[1], now), key)
    return key, count


def count_in(counters, name: str, key: ApiKey) -> int:
    """Counts one request in a cache of another make."""
    seconds = limits(rate_of(key))[1] + SPARE
    try:
        return 1 if counters.add(name, 1, seconds) else counters.incr(name)
    except ValueError:
        raise OperationalError("The counter of requests cannot be reached.") from None


def counter_name(public_id: str, seconds: int, now: int) -> str:
    """The counter of a key in the window of so many seconds that `now` belongs to."""
    return f"requests:{public_id}:{window_end(public_id, seconds, now)}"


def window_end(public_id: str, seconds: int, now: int) -> int:
    """The last second of the window that `now` belongs to. Each key's begins at a second of its own."""
    place = zlib.crc32(public_id.encode()) % seconds
    return now + (place - now) % seconds


@cache
def limits(rate: str) -> tuple[int, int]:
    """(requests, seconds) of a rate such as 600/m or 10/5m."""
    count, _slash, period = rate.partition("/")
    return int(count), int(period[:-1] or 1) * SECONDS[period[-1]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the shared counter has refused: until when (the last second of the window, since the epoch), and to whom."""

    until: int
    usage: dict | None = None
    key: ApiKey | None = None

    @property
    def is_over(self) -> bool:
        return time.time() >= self.until + 1

    def again(self) -> tuple[dict | None, int]:
        """(what is left of the rate, seconds to wait) as the shared counter would say it now."""
        left = self.until - int(time.time())
        return self.usage and self.usage | {"time_left": left}, left + 1


class Refusals:
    """Refusals that this process remembers for the rest of their window, so that a flood need not be counted further.

    A counter that is above its limit stays there until its window ends: asking it again would change no answer. Whoever
    is given a higher rate, or is revoked, in the midst of such a minute is told so when it has ended.
    """

    MOST = 10_000

    def __init__(self):
        self._kept: dict[str, Refusal] = {}
        self._swept = 0

    def __len__(self):
        return len(self._kept)

    def note(self, name: str, refusal: Refusal) -> None:
        if len(self._kept) >= self.MOST:
            if self._swept == (now := int(time.time())):
                return  # full of what still holds: the shared counter goes on answering
            self._swept = now
            for other, kept in list(self._kept.items()):
                if kept.is_over:
                    self._kept.pop(other, None)
            if len(self._kept) >= self.MOST:
                return
        self._kept[name] = refusal

    def find(self, name: str) -> Refusal | None:
        refusal = self._kept.get(name)
        if refusal and refusal.is_over:
            self._kept.pop(name, None)
            return None
        return refusal

    def clear(self) -> None:
        self._kept.clear()


# Of keys beyond their rate by digest; of wrong keys by address, and by address and digest.
refused_keys, refused_guesses = Refusals(), Refusals()


def remembered(request) -> tuple[Refusal, Promise] | None:
    """The refusal that this request is certain to get, with its words; None when the shared counter has to be asked.

    No query. A key that might be a right one is never refused for the wrong ones of its address.
    """
    if not refused_keys and not refused_guesses:
        return None
    given = key_given(request)
    if given is None:
        return None
    digest = ApiKey.hash(given)
    if found := refused_keys.find(digest):
        return found, RATE_IS_USED_UP
    if refused_guesses:
        address = client_address(request)
        found = refused_guesses.find(f"{address} {digest}")
        if found is None and ApiKey.public_id_of(given) is None:
            found = refused_guesses.find(address)
        if found:
            return found, TOO_MANY_GUESSES
    return None


def count_guess(request, given: str) -> None:
    """Counts one wrong key from this address; too many have to wait.

    A right key is let in however many wrong ones its address has sent: shops share addresses, and a guess hits one of
    2^190 keys.
    """
    address, before = client_address(request), int(time.time())
    usage = get_usage(
        request._request,
        group="api:guess",
        key=lambda _group, _request: address,
        rate=settings.API_GUESS_RATE,
        increment=True,
    )
    if usage and usage["should_limit"]:
        refusal = Refusal(before + usage["time_left"])
        refused_guesses.note(address, refusal)
        refused_guesses.note(f"{address} {ApiKey.hash(given)}", refusal)
        raise too_many(usage, TOO_MANY_GUESSES)


def too_many(usage: dict, words) -> Throttled:
    """A refusal until the counter begins anew."""
    refusal = Throttled(detail=words)
    # The second that the window ends with still belongs to it.
    refusal.wait = max(usage["time_left"], 0) + 1
    return refusal


def rate_of(key: ApiKey) -> str:
    """What `key` may do in which time, such as 600/m."""
    return f"{key.rate}/m" if key.rate is not None else settings.API_RATE


def check_rate(request, key: ApiKey, count: int, now: int) -> None:
    """Notes on the request what is left of the key's rate after `count` requests; refuses what goes beyond."""
    rate = rate_of(key)
    limit, seconds = limits(rate)
    end = window_end(key.public_id, seconds, now)
    request._request.usage = usage = {
        "count": count,
        "limit": limit,
        "time_left": end - int(time.time()),
        "window": seconds,
    }
    if count > limit:
        refused_keys.note(key.digest, Refusal(end, usage, key))
        raise too_many(usage, RATE_IS_USED_UP)


def note_use(key: ApiKey) -> None:
    """Keeps `last_used_at` right to the minute: one write a minute, not one a request."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USED_COARSELY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_COARSELY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
