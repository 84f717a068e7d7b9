"""Changes to keys and people that touch several rows."""

from stores.services.keys import KeyRefused, create_key, revoke_key, rotate_key
from stores.services.people import create_user

__all__ = ["KeyRefused", "create_key", "create_user", "revoke_key", "rotate_key"]
