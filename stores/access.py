"""Doors of the pages: who is asking, for which store, and what that role may do.

Default deny: a view gets its store only through `get_store`, which answers another store like an absent one.
"""

import ipaddress

from django.conf import settings
from django.db.models import F
from django.http import Http404
from django.shortcuts import get_object_or_404

from stores.models import Membership, Store

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
}


def may(role: str | None, act: str) -> bool:
    """Whether `role` may do `act`; False for an unknown act or role."""
    return role in MAY.get(act, ())


def get_store(request, code: str, act: str = "view") -> Store:
    """The store `code` if the signed-in user works there, with `store.role` set; else 404.

    A role that may not do `act` is answered 404 too: what somebody may not use is not there for him.
    """
    store = get_object_or_404(
        Store.objects.for_user(request.user).annotate(role=F("memberships__role")), code=code
    )
    if not may(store.role, act):
        raise Http404
    request.store = store
    return store


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
