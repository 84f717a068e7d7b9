"""Who and where: users, stores, who works in which; partners' keys, what is told to them and what they asked."""

from stores.models.changes import Change, ChangeQuerySet, Feed
from stores.models.keys import (
    DIGITS,
    PREFIXES,
    SECRET,
    ApiKey,
    ApiKeyQuerySet,
    ApiRequest,
    base62,
    checksum,
    holds_secret,
    prefix,
)
from stores.models.places import Membership, Store, StoreQuerySet, User, validate_timezone
from stores.models.webhooks import Delivery, FanOut, Webhook

__all__ = [
    "DIGITS",
    "PREFIXES",
    "SECRET",
    "ApiKey",
    "ApiKeyQuerySet",
    "ApiRequest",
    "Change",
    "ChangeQuerySet",
    "Delivery",
    "FanOut",
    "Feed",
    "Membership",
    "Store",
    "StoreQuerySet",
    "User",
    "Webhook",
    "base62",
    "checksum",
    "holds_secret",
    "prefix",
    "validate_timezone",
]
