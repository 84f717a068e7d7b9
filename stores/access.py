"""Doors of the pages: who is asking, for which store, and what that role may do.

Default deny: a view gets its store only through `get_store`, which answers another store like an absent one.
"""

import ipaddress
import re
from functools import cache

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import F, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django_otp import device_classes

from stores.models import ApiKey, Membership, Store, User, Webhook

Role = Membership.Role
EVERYBODY = frozenset(Role.values)
# What each role may do in its store. A word that is not here is refused to everybody.
MAY = {
    "view": EVERYBODY,
    "sell": frozenset({Role.OWNER, Role.MANAGER, Role.CASHIER}),
    "receive": frozenset({Role.OWNER, Role.MANAGER, Role.CASHIER}),
    "adjust": frozenset({Role.OWNER, Role.MANAGER}),
    "reverse": frozenset({Role.OWNER, Role.MANAGER}),
    "reverse_own_today": frozenset({Role.OWNER, Role.MANAGER, Role.CASHIER}),
    "reorder": frozenset({Role.OWNER, Role.MANAGER}),
    "set_price": frozenset({Role.OWNER, Role.MANAGER}),
    "see_cost": frozenset({Role.OWNER, Role.MANAGER, Role.AUDITOR}),
    "manage_keys": frozenset({Role.OWNER}),
}


def may(role: str | None, act: str) -> bool:
    """Whether `role` may do `act`; False for an unknown act or role."""
    return role in MAY.get(act, ())


class SessionStore(DatabaseSessions):
    """Django's sessions in the database (SESSION_ENGINE), read by a statement that stays prepared.

    They are asked for each time and kept nowhere else: who signs out, or is signed out, is out with the next request.
    """

    def load(self) -> dict:
        with connection.prepared() as cursor:
            cursor.execute(
                "SELECT session_data FROM django_session WHERE session_key = %(key)s AND expire_date > %(now)s",
                {"key": self.session_key, "now": timezone.now()},
            )
            found = cursor.fetchone()
        if found is None:
            self._session_key = None
            return {}
        return self.decode(found[0])


USER_COLUMNS, STORE_COLUMNS = (
    [field.column for field in model._meta.concrete_fields] for model in (User, Store)
)
# The store is that of Store.objects.for_user, with the role that `get_store` gives it.
ASKING = f"""
SELECT {", ".join(f"u.{column}" for column in USER_COLUMNS)}, m.role, {", ".join(f"s.{column}" for column in STORE_COLUMNS)}
FROM stores_user AS u
LEFT JOIN stores_store AS s ON s.code = %(code)s
LEFT JOIN stores_membership AS m ON m.store_id = s.id AND m.user_id = u.id
WHERE u.id = %(user)s
"""  # noqa: S608  (names of columns only)
# Pages of one store name it in their address (kiryana/urls.py): its row comes with that of the user.
STORE_PAGE = re.compile(r"/s/([-a-zA-Z0-9_]+)/")


def who_is_asking(request):
    """The user of this session, as `django.contrib.auth.get_user` gives him; on a page of a store he works in, that store
    and his role come with him in one statement, for `get_store`.

    Whatever is not plainly in order (nobody signed in, a changed password, an older secret key) is left to Django.
    """
    session = request.session
    if SESSION_KEY not in session or session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return get_user(request)
    named = STORE_PAGE.match(request.path_info)
    with connection.prepared() as cursor:
        cursor.execute(ASKING, {"user": int(session[SESSION_KEY]), "code": named[1] if named else ""})
        found = cursor.fetchone()
    if found is None:
        return get_user(request)
    user = User.from_db(connection.alias, USER_COLUMNS, found[: len(USER_COLUMNS)])
    fits = constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    if not (user.is_active and fits):
        return get_user(request)
    role, *values = found[len(USER_COLUMNS) :]
    if role:
        user.store_asked_for = Store.from_db(connection.alias, STORE_COLUMNS, values)
        user.store_asked_for.role = role
    return user


@cache
def devices() -> str:
    """Whether user `user` has a device of any kind that is installed: a statement for `has_device`."""
    each = " UNION ALL ".join(
        f"SELECT 1 FROM {model._meta.db_table} WHERE user_id = %(user)s AND confirmed"  # noqa: S608  names of tables
        for model in device_classes()
    )
    return f"SELECT EXISTS ({each})"


def has_device(user) -> bool:
    """Whether a second factor is set up: `django_otp.user_has_device` in one statement, as every page of head office asks it."""
    with connection.prepared() as cursor:
        cursor.execute(devices(), {"user": user.pk})
        return cursor.fetchone()[0]


def get_store(request, code: str, act: str = "view") -> Store:
    """The store `code` if the signed-in user works there, with `store.role` set; else 404.

    A role that may not do `act` is answered 404 too: what somebody may not use is not there for him. The primary is asked,
    also where a report reads the rest from a replica.
    """
    store = getattr(request.user, "store_asked_for", None)
    if store is None or store.code != code:
        mine = Store.objects.using(DEFAULT_DB_ALIAS).for_user(request.user)
        store = get_object_or_404(mine.annotate(role=F("memberships__role")), code=code)
    if not may(store.role, act):
        raise Http404
    request.store = store
    return store


def owned_stores(request) -> QuerySet[Store]:
    """The stores that the signed-in user owns; 404 for who owns none. Times are shown by the clock of the first."""
    mine = Store.objects.owned_by(request.user).order_by("code")
    request.clock = mine.first()
    if request.clock is None:
        raise Http404
    return mine


def get_own_key(request, public_id: str) -> ApiKey:
    """The key `public_id` if the signed-in owner answers for it (`ApiKey.for_owner`); else 404, as if there were none."""
    owned_stores(request)
    return get_object_or_404(ApiKey.objects.for_owner(request.user), public_id=public_id)


def get_own_webhook(request, pk: int) -> Webhook:
    """The webhook `pk` of a key that the signed-in owner answers for; else 404."""
    owned_stores(request)
    mine = Webhook.objects.filter(key__in=ApiKey.objects.for_owner(request.user)).select_related("key")
    return get_object_or_404(mine, pk=pk)


def navigation(request) -> dict:
    """For every template: the store of this page, and what its role may do (`may.sell`, `may.see_cost` ...)."""
    store = getattr(request, "store", None)
    role = getattr(store, "role", None)
    return {"store": store, "may": {act: may(role, act) for act in MAY}}


def client_address(request) -> str:
    """Who is asking, for limits: the peer, or what the outermost of our own proxies saw (TRUSTED_PROXY_COUNT).

    A household or shop with IPv6 owns a /64, so that is what counts.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if proxies := settings.TRUSTED_PROXY_COUNT:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= proxies:
            address = hops[-proxies]
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if known.version == 6:
        return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False).network_address)
    return str(known)
