"""Where partners want to be told, and what was sent there."""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stores.models.changes import Change
from stores.models.keys import ApiKey


class Webhook(models.Model):
    """One address of a partner that wants to be told of changes in the stores of its key.

    Its signing secret is kept nowhere: it is derived from SECRET_KEY and `salt`, so that a copy of the database alone
    signs nothing. `fingerprint` tells by which of SECRET_KEY and SECRET_KEY_FALLBACKS it was made.
    """

    class Ended(models.TextChoices):
        NO = "", _("No")
        BY_HAND = "by_hand", _("Switched off")
        GONE = "gone", _("The address answered 410 Gone")
        FAILING = "failing", _("Nothing was taken for days")
        KEY = "key", _("Its key no longer works")

    GRACE = timedelta(hours=24)  # after a rotation both secrets sign

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="webhooks", verbose_name=_("API key"))
    url = models.CharField(_("address"), max_length=500)
    events = ArrayField(models.CharField(max_length=20, choices=Change.Type), verbose_name=_("tells of"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    salt = models.CharField(max_length=32, editable=False)
    fingerprint = models.CharField(max_length=16, editable=False)
    old_salt = models.CharField(max_length=32, blank=True, editable=False)
    old_fingerprint = models.CharField(max_length=16, blank=True, editable=False)
    old_until = models.DateTimeField(null=True, editable=False)
    ended = models.CharField(_("switched off"), max_length=7, choices=Ended, blank=True)
    # Changes from here on are told (see Change.moment).
    since = models.BigIntegerField(editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    delivered_at = models.DateTimeField(_("last delivered"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [models.UniqueConstraint(fields=["key", "url"], name="webhook_once")]

    def __str__(self):
        return self.name or self.url

    @staticmethod
    def new_salt() -> str:
        return secrets.token_hex(16)

    @staticmethod
    def derive(salt: str, secret_key: str) -> bytes:
        """The 32 bytes that sign: HMAC-SHA256 of the salt under the site's secret key."""
        return hmac.digest(secret_key.encode(), b"kiryana.webhook." + salt.encode(), "sha256")

    @staticmethod
    def fingerprint_of(secret: bytes) -> str:
        return hashlib.sha256(secret).hexdigest()[:16]

    @staticmethod
    def written(secret: bytes) -> str:
        """The secret as Standard Webhooks writes it."""
        return "whsec_" + base64.b64encode(secret).decode()

    def set_secret(self) -> str:
        """Gives the webhook a new secret and returns it as it is shown; the one before goes on signing for GRACE."""
        self.old_salt, self.old_fingerprint = self.salt, self.fingerprint
        self.old_until = timezone.now() + self.GRACE if self.salt else None
        self.salt = self.new_salt()
        secret = self.derive(self.salt, settings.SECRET_KEY)
        self.fingerprint = self.fingerprint_of(secret)
        return self.written(secret)

    def signing_secrets(self) -> list[bytes]:
        """What signs now: the secret, and the one before for as long as it is honoured. Empty when SECRET_KEY is another."""
        pairs = [(self.salt, self.fingerprint)]
        if self.old_until and self.old_until > timezone.now():
            pairs.append((self.old_salt, self.old_fingerprint))
        found = []
        for salt, fingerprint in pairs:
            for secret_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
                secret = self.derive(salt, secret_key)
                if self.fingerprint_of(secret) == fingerprint:
                    found.append(secret)
                    break
        return found


class Delivery(models.Model):
    """One message to one webhook: tried until it is taken, and always with the same id."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Given up")
        CANCELLED = "cancelled", _("Cancelled")

    # A webhook goes at once, however much was sent to it: what is left of that is swept up with its age.
    webhook = models.ForeignKey(
        Webhook,
        models.DO_NOTHING,
        related_name="deliveries",
        verbose_name=_("webhook"),
        db_index=False,
        db_constraint=False,
    )
    event_id = models.CharField(_("message id"), max_length=40)
    type = models.CharField(_("type"), max_length=20)
    # Where its change stands in the feed; empty for a test.
    moment = models.BigIntegerField(null=True)
    change = models.BigIntegerField(null=True)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.WAITING)
    due_at = models.DateTimeField(_("next try"), db_default=Now())
    claimed_at = models.DateTimeField(_("being sent since"), null=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, db_default=0)
    # The last tries: [{"at", "status", "milliseconds", "error"}].
    log = models.JSONField(_("log"), default=list)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            models.Index(fields=["webhook", "id"], name="delivery_webhook"),
            # The next to be sent of each webhook, however long the queue of another is.
            models.Index(
                fields=["webhook", "due_at", "id"], name="delivery_due", condition=Q(status="waiting")
            ),
            # What can be sent again.
            models.Index(
                fields=["webhook", "id"],
                name="delivery_lost",
                condition=Q(status__in=["failed", "cancelled"]),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_id"], name="delivery_once"),
        ]

    def __str__(self):
        return f"{self.event_id} → {self.webhook_id}"


class FanOut(models.Model):
    """One row: how far in the feed deliveries have been made."""

    moment = models.BigIntegerField(default=0)
    change = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("place in the feed")
        verbose_name_plural = _("places in the feed")

    def __str__(self):
        return f"{self.moment}/{self.change}"
