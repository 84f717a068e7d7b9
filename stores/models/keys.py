"""Partners' keys and what was asked with them."""

import hashlib
import re
import secrets
import zlib

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stores.models.places import Store, User

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number: int, length: int) -> str:
    """`number` in base 62, filled with leading zeros to `length` places."""
    text = ""
    for _place in range(length):
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text


def checksum(text: str) -> str:
    """CRC32 of `text` as six places of base 62: a mistyped key is told apart without asking the database."""
    return base62(zlib.crc32(text.encode()), 6)


PREFIXES = ("kir_live_", "kir_test_")


def prefix(is_test: bool) -> str:
    """What a key begins with."""
    return PREFIXES[is_test]


def without_prefix(text: str) -> str:
    """`text` without what a key begins with, as people leave it on or off when they look for one."""
    for one in PREFIXES:
        text = text.removeprefix(one)
    return text


# A key with enough of its secret to be worth hiding, or what a webhook is signed with; the group is what is no secret of it.
SECRET = re.compile("kir_(?:live|test)_([0-9A-Za-z]{10})_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/=]{16,}")


def holds_secret(text: str) -> bool:
    """Whether one of our secrets stands somewhere in `text`: what is kept, or shown again, must not hold one."""
    return ("kir_" in text or "whsec_" in text) and SECRET.search(text) is not None


class ApiKeyQuerySet(models.QuerySet):
    def usable(self):
        """Keys that open a door now: neither revoked nor run out."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)

    def for_owner(self, user):
        """Keys that `user` answers for: those whose stores are all his, and the test keys he made.

        A key for all stores is head office's, also where he happens to own all of them.
        """
        if not user.is_authenticated:
            return self.none()
        its_stores = ApiKey.stores.through.objects.filter(apikey=OuterRef("pk"))
        foreign = its_stores.exclude(store__in=Store.objects.owned_by(user).values("pk"))
        his = Q(Exists(its_stores), ~Exists(foreign), all_stores=False)
        return self.filter(his | Q(is_test=True, created_by=user))


class ApiKey(models.Model):
    """One partner's key. The secret is shown once and kept only as SHA-256 of the whole key."""

    class Scope(models.TextChoices):
        CATALOG_READ = "catalog:read", _("Read the catalogue")
        CATALOG_WRITE = "catalog:write", _("Change the catalogue")
        STORES_READ = "stores:read", _("Read stores")
        INVENTORY_READ = "inventory:read", _("Read stock levels")
        MOVEMENTS_READ = "movements:read", _("Read movements")
        MOVEMENTS_WRITE = "movements:write", _("Record movements")
        REPORTS_READ = "reports:read", _("Read reports, cost and value")
        WEBHOOKS_MANAGE = "webhooks:manage", _("Manage webhooks")

    # The catalogue is one for all: what a test key wrote there would stand in every shop.
    LIVE_ONLY = frozenset({Scope.CATALOG_WRITE})
    # For the same reason no owner gives it away: the catalogue is head office's.
    HEAD_OFFICE_ONLY = frozenset({Scope.CATALOG_WRITE})

    public_id = models.CharField(_("public id"), max_length=10, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=100)
    is_test = models.BooleanField(
        _("test key"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Opens sandbox stores only; begins with kir_test_."),
    )
    scopes = ArrayField(
        models.CharField(max_length=20, choices=Scope), verbose_name=_("scopes"), default=list
    )
    stores = models.ManyToManyField(Store, related_name="api_keys", blank=True, verbose_name=_("stores"))
    all_stores = models.BooleanField(_("all stores"), default=False)
    rate = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, help_text=_("Empty: the usual rate.")
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self):
        return f"{self.name} ({self.public_id})"

    @staticmethod
    def hash(key: str) -> str:
        """What is kept of a key. It has 190 random bits, so a slow password hash would add nothing."""
        return hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def new_secret(cls, is_test: bool = False) -> tuple[str, str]:
        """A new (public id, whole key) of the form kir_live_<10 id>_<32 secret><6 CRC32>; kir_test_ for a test key."""
        public_id = "".join(secrets.choice(DIGITS) for _place in range(10))
        body = f"{prefix(is_test)}{public_id}_" + "".join(secrets.choice(DIGITS) for _place in range(32))
        return public_id, body + checksum(body)

    @staticmethod
    def public_id_of(key: str) -> str | None:
        """The public id inside a well-formed key, None for anything else (wrong length, letters or checksum)."""
        if len(key) != 58 or not key.isascii() or not key.startswith(PREFIXES) or key[19] != "_":
            return None
        if not (key[9:19] + key[20:]).isalnum() or checksum(key[:52]) != key[52:]:
            return None
        return key[9:19]

    @property
    def shown(self) -> str:
        """The key as it may be shown: everything but its secret."""
        return f"{prefix(self.is_test)}{self.public_id}_…"

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    def allows(self, scope: str) -> bool:
        """Whether the key may do what `scope` names."""
        return scope in self.scopes


class ApiRequest(models.Model):
    """One request of a partner's key, for its holder to look up. Kept for some days; the access log has all of them."""

    key = models.ForeignKey(
        ApiKey, models.CASCADE, related_name="requests", verbose_name=_("API key"), db_index=False
    )
    at = models.DateTimeField(_("time"), db_default=Now())
    request_id = models.CharField(_("request id"), max_length=64)
    method = models.CharField(_("method"), max_length=10)
    path = models.CharField(_("address"), max_length=200, help_text=_("Without its parameters."))
    status = models.PositiveSmallIntegerField(_("status"))
    code = models.CharField(_("code"), max_length=40, blank=True, help_text=_("Of a refusal."))
    milliseconds = models.PositiveIntegerField(_("milliseconds"))
    address = models.GenericIPAddressField(_("from"), null=True)

    class Meta:
        verbose_name = _("API request")
        verbose_name_plural = _("API requests")
        indexes = [
            models.Index(fields=["key", "id"], name="api_request_key"),
            BrinIndex(fields=["at"], name="api_request_at"),
        ]

    def __str__(self):
        return f"{self.method} {self.path} {self.status}"
