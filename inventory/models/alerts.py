"""What fell to its reorder point, and the mails that told of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import Product, Quantity
from inventory.models.levels import StoreData
from stores.models import Store


class LowStockAlertQuerySet(StoreData):
    def open(self):
        return self.filter(closed_at=None)


class LowStockAlert(models.Model):
    """One time that a level fell to its reorder point or below; closed when it rose above. At most one is open."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="alerts", verbose_name=_("store"), db_index=False
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="alerts", verbose_name=_("product"), db_index=False
    )
    on_hand = Quantity(_("on hand then"))
    reorder_point = Quantity(_("reorder point then"))
    opened_at = models.DateTimeField(_("opened"), db_default=Now())
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    digest = models.ForeignKey(
        "AlertDigest",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="alerts",
        verbose_name=_("digest"),
        db_constraint=False,
        db_index=False,
    )

    objects = LowStockAlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("low-stock alert")
        verbose_name_plural = _("low-stock alerts")
        indexes = [
            models.Index(fields=["id"], name="alert_id"),
            models.Index(
                fields=["store", "id"], name="alert_waiting", condition=Q(digest=None, closed_at=None)
            ),
            models.Index(fields=["store", "digest"], name="alert_digest", condition=Q(digest__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["store", "product"], name="alert_one_open", condition=Q(closed_at=None)
            ),
        ]

    def __str__(self):
        return f"{self.store_id} · {self.product_id}: {self.on_hand}"


class AlertDigest(models.Model):
    """One mail about the alerts of one store that nobody had been told of."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="digests", verbose_name=_("store"), db_index=False
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("alert digest")
        verbose_name_plural = _("alert digests")
        indexes = [models.Index(fields=["id"], name="digest_id")]

    def __str__(self):
        return f"{self.store_id} · {self.created_at:%Y-%m-%d %H:%M}"


class DigestMail(models.Model):
    """One copy of a digest, for one person. Sent at least once, always with the same Message-ID."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="+", verbose_name=_("store"), db_index=False
    )
    digest = models.ForeignKey(
        AlertDigest,
        models.PROTECT,
        related_name="mails",
        verbose_name=_("digest"),
        db_constraint=False,
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    claimed_at = models.DateTimeField(_("being sent since"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("digest mail")
        verbose_name_plural = _("digest mails")
        indexes = [
            models.Index(fields=["id"], name="digest_mail_id"),
            models.Index(fields=["claimed_at"], name="digest_mail_waiting", condition=Q(sent_at=None)),
        ]
        constraints = [models.UniqueConstraint(fields=["store", "digest", "user"], name="digest_mail_once")]

    def __str__(self):
        return f"{self.digest_id} → {self.user_id}"
