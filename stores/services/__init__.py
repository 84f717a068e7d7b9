"""Changes to keys and people that touch several rows."""

from stores.services.keys import (
    MOST_OWN,
    KeyRefused,
    check_side,
    create_key,
    create_own_key,
    create_test_key,
    revoke_key,
    rotate_key,
    rotate_own_key,
)
from stores.services.people import create_user

__all__ = [
    "MOST_OWN",
    "KeyRefused",
    "check_side",
    "create_key",
    "create_own_key",
    "create_test_key",
    "create_user",
    "revoke_key",
    "rotate_key",
    "rotate_own_key",
]
