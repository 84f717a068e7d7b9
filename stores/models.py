"""Who and where: users, stores, who works in which, and the keys of partners."""

import hashlib
import secrets
import zlib
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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


class User(AbstractUser):
    """One person who signs in: store staff through memberships, head office through groups (`is_staff`)."""

    class Language(models.TextChoices):
        ENGLISH = "en", "English"
        URDU = "ur", "اردو"

    language = models.CharField(_("language"), max_length=2, choices=Language, default=Language.ENGLISH)
    phone = models.CharField(_("phone"), max_length=20, blank=True)

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")


def validate_timezone(name: str) -> None:
    """Refuses a zone that the time-zone database does not know."""
    if name not in available_timezones():
        raise ValidationError(
            _("“%(name)s” is not a time zone. Use a name such as Asia/Karachi."),
            params={"name": name},
            code="timezone",
        )


class StoreQuerySet(models.QuerySet):
    def for_user(self, user):
        """The stores that `user` works in; nothing for nobody."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(memberships__user=user)

    def for_key(self, key):
        """The stores that a partner's key may see."""
        return self if key.all_stores else self.filter(api_keys=key)


class Store(models.Model):
    """One shop of the chain."""

    class OversellPolicy(models.TextChoices):
        BLOCK = "block", _("Refuse a sale beyond stock")
        WARN = "warn", _("Ask before a sale beyond stock")
        ALLOW = "allow", _("Take a sale beyond stock")

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        SUSPENDED = "suspended", _("Suspended (read only)")
        CLOSING = "closing", _("Closing (no goods in)")
        CLOSED = "closed", _("Closed")

    code = models.CharField(
        _("code"),
        max_length=20,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Z0-9][A-Z0-9-]*\Z", _("Use capital letters, digits and hyphens, such as LHE-0001.")
            )
        ],
    )
    name = models.CharField(_("name"), max_length=200)
    name_ur = models.CharField(_("name in Urdu"), max_length=200, blank=True)
    address = models.CharField(_("address"), max_length=300, blank=True)
    area = models.CharField(_("area"), max_length=100, blank=True)
    city = models.CharField(_("city"), max_length=100, blank=True)
    phone = models.CharField(_("phone"), max_length=20, blank=True)
    timezone = models.CharField(
        _("time zone"), max_length=50, default="Asia/Karachi", validators=[validate_timezone]
    )
    oversell_policy = models.CharField(
        _("sale beyond stock"), max_length=5, choices=OversellPolicy, default=OversellPolicy.WARN
    )
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = StoreQuerySet.as_manager()

    class Meta:
        verbose_name = _("store")
        verbose_name_plural = _("stores")
        constraints = [
            models.CheckConstraint(
                condition=Q(oversell_policy__in=["block", "warn", "allow"]),
                name="store_oversell_policy_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["open", "suspended", "closing", "closed"]), name="store_status_known"
            ),
        ]
        indexes = [models.Index(fields=["city", "code"], name="store_city")]

    def __str__(self):
        return f"{self.code} {self.name}"

    def business_date(self, instant):
        """The local day of `instant` in this store: what daily reports group by."""
        return instant.astimezone(ZoneInfo(self.timezone)).date()

    def today(self):
        """The store's business date now."""
        return self.business_date(timezone.now())


class Membership(models.Model):
    """One user's role in one store."""

    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        MANAGER = "manager", _("Manager")
        CASHIER = "cashier", _("Cashier")
        AUDITOR = "auditor", _("Auditor")

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    store = models.ForeignKey(Store, models.CASCADE, related_name="memberships", verbose_name=_("store"))
    role = models.CharField(_("role"), max_length=7, choices=Role)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["store", "user"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=["owner", "manager", "cashier", "auditor"]), name="membership_role_known"
            ),
        ]

    def __str__(self):
        return f"{self.user} · {self.store} · {self.get_role_display()}"


class ApiKeyQuerySet(models.QuerySet):
    def usable(self):
        """Keys that open a door now: neither revoked nor run out."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)


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

    public_id = models.CharField(_("public id"), max_length=10, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=100)
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
    def new_secret(cls) -> tuple[str, str]:
        """A new (public id, whole key) of the form kir_live_<10 id>_<32 secret><6 CRC32>."""
        public_id = "".join(secrets.choice(DIGITS) for _place in range(10))
        body = f"kir_live_{public_id}_" + "".join(secrets.choice(DIGITS) for _place in range(32))
        return public_id, body + checksum(body)

    @staticmethod
    def public_id_of(key: str) -> str | None:
        """The public id inside a well-formed key, None for anything else (wrong length, letters or checksum)."""
        if len(key) != 58 or not key.isascii() or not key.startswith("kir_live_") or key[19] != "_":
            return None
        if not (key[9:19] + key[20:]).isalnum() or checksum(key[:52]) != key[52:]:
            return None
        return key[9:19]

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    def allows(self, scope: str) -> bool:
        """Whether the key may do what `scope` names."""
        return scope in self.scopes
