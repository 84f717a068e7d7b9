"""Who and where: users, stores, and who works in which."""

from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


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

    def owned_by(self, user):
        """The stores that `user` owns; nothing for nobody."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(memberships__user=user, memberships__role="owner")

    def for_key(self, key):
        """The stores that a partner's key may see: test keys see sandboxes and nothing else, live keys never one.

        `inventory.queries.meant_by` asks the same in SQL.
        """
        mine = self.filter(sandbox=key.is_test)
        return mine if key.all_stores else mine.filter(api_keys=key)


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
    sandbox = models.BooleanField(
        _("sandbox"),
        default=False,
        db_default=False,
        help_text=_(
            "For practice and for test keys (kir_test_): no live key sees it. Cannot be changed later."
        ),
    )
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
