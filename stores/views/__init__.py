"""Pages about who and where: signing in, my stores, my profile; an owner's keys."""

from stores.views.keys import (
    developers,
    developers_key,
    developers_key_new,
    developers_key_test,
    developers_requests,
    developers_retry,
    developers_revoke,
    developers_rotate,
    developers_webhook,
)
from stores.views.people import (
    attempts_left,
    home,
    language,
    login,
    logout,
    next_page,
    profile,
    signed_in,
    store_list,
    too_many,
)

__all__ = [
    "attempts_left",
    "developers",
    "developers_key",
    "developers_key_new",
    "developers_key_test",
    "developers_requests",
    "developers_retry",
    "developers_revoke",
    "developers_rotate",
    "developers_webhook",
    "home",
    "language",
    "login",
    "logout",
    "next_page",
    "profile",
    "signed_in",
    "store_list",
    "too_many",
]
