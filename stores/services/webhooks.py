"""Webhooks: made, changed, given another secret, switched off and on; what waits for them is in `deliveries`."""

import secrets
from collections.abc import Callable, Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import Func
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from stores.models import ApiKey, Change, Delivery, Webhook
from stores.services.addresses import UrlRefused, check_name, read_url

MOST_WEBHOOKS = 20  # of one key
MOST_RETRIED = 10_000  # deliveries that one call puts back
TEST = "webhook.test"
# The scope that lets a key hear of each type of change.
SCOPES = {
    Change.Type.MOVEMENT_CREATED: ApiKey.Scope.MOVEMENTS_READ,
    Change.Type.STOCK_LOW: ApiKey.Scope.INVENTORY_READ,
    Change.Type.STOCK_OUT: ApiKey.Scope.INVENTORY_READ,
    Change.Type.PRODUCT_UPDATED: ApiKey.Scope.CATALOG_READ,
}


class WebhookRefused(ValidationError):
    """A webhook that was not made or not changed. `field` is the part of the request that is meant, "" for all of it."""

    field = ""

    def __init__(self, message, code, field=""):
        super().__init__(message, code=code)
        self.field = field


class ScopeMissing(WebhookRefused):
    """The key may not hear of what the webhook would tell."""


class DuplicateWebhook(WebhookRefused):
    """The key tells this address already."""


class WebhookEnded(WebhookRefused):
    """The webhook is switched off: nothing can be sent to it."""


def checked_url(url: str) -> str:
    """`url` as it is kept; refuses one that is never called. May take two seconds: not for a transaction."""
    try:
        kept = read_url(url)
        check_name(kept)
    except UrlRefused as refusal:
        raise WebhookRefused(refusal.message, code=refusal.code, field="url") from refusal
    return kept


def checked_events(events: Iterable[str], key: ApiKey) -> list[str]:
    """`events` in their own order, each once; refuses none, an unknown one, and one that the key may not hear of."""
    events = set(events)
    if not events:
        raise WebhookRefused(_("Choose what the webhook tells of."), code="empty", field="events")
    if events - set(Change.Type.values):
        raise WebhookRefused(
            _("Choose of %(types)s.") % {"types": ", ".join(Change.Type.values)},
            code="invalid_choice",
            field="events",
        )
    for event in sorted(events):
        if not key.allows(SCOPES[event]):
            raise ScopeMissing(
                _("To be told of %(event)s the key needs the scope %(scope)s.")
                % {"event": event, "scope": SCOPES[event]},
                code="insufficient_scope",
                field="events",
            )
    return [str(event) for event in Change.Type if event in events]


# The place in the feed before which everything is settled; in a row that is written it becomes the number then.
HORIZON = Func(function="stores_horizon", output_field=models.BigIntegerField())


def locked(webhook: Webhook) -> Webhook:
    """The webhook as it is now, held until the transaction ends. Whoever touches a webhook and its deliveries begins here."""
    return Webhook.objects.select_for_update(no_key=True).select_related(None).get(pk=webhook.pk)


def create_webhook(*, key: ApiKey, url: str, events: Iterable[str], name: str = "") -> tuple[Webhook, str]:
    """Makes a webhook that tells of what changes from now on, and returns it with its secret, which is shown this once.

    Refuses an address that is never called (`read_url`, `check_name`), events that the key may not hear of, an address
    that the key has already, and more than MOST_WEBHOOKS for one key.
    """
    url, events = checked_url(url), checked_events(events, key)
    with transaction.atomic():
        # Two that are made at once wait here for each other: neither passes the limit, and the second sees the first.
        ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
        mine = list(Webhook.objects.filter(key=key).values_list("url", flat=True))
        if url in mine:
            raise duplicate()
        if len(mine) >= MOST_WEBHOOKS:
            raise WebhookRefused(
                _("A key has at most %(most)d webhooks.") % {"most": MOST_WEBHOOKS}, code="too_many"
            )
        webhook = Webhook(key=key, url=url, events=events, name=name, since=HORIZON)
        secret = webhook.set_secret()
        webhook.save(force_insert=True)
    webhook.refresh_from_db()
    return webhook, secret


def duplicate() -> DuplicateWebhook:
    return DuplicateWebhook(
        _("This key has a webhook for this address already."), code="duplicate_webhook", field="url"
    )


def change_webhook(
    *,
    webhook: Webhook,
    url: str | None = None,
    events: Iterable[str] | None = None,
    name: str | None = None,
    enabled: bool | None = None,
    check: Callable[[Webhook], None] = lambda current: None,
) -> Webhook:
    """Changes what is given and leaves the rest; what waits goes to the address that stands when it is sent.

    Switched off, nothing more is queued and what waits is cancelled; switched on again, it tells of what changes from
    then on. Refuses what `create_webhook` refuses, and what `check` refuses of the webhook as it is now.
    """
    if url is not None:
        url = checked_url(url)
    if events is not None:
        events = checked_events(events, webhook.key)
    try:
        with transaction.atomic():
            webhook = locked(webhook)
            check(webhook)
            for field, value in (("url", url), ("events", events), ("name", name)):
                if value is not None:
                    setattr(webhook, field, value)
            webhook.save(update_fields=["url", "events", "name"])
            if enabled is True:
                switch_on(webhook=webhook)
            elif enabled is False:
                switch_off(webhook=webhook)
    except IntegrityError as error:
        raise duplicate() from error
    return Webhook.objects.select_related("key").get(pk=webhook.pk)


@transaction.atomic
def switch_off(*, webhook: Webhook, why: str = Webhook.Ended.BY_HAND) -> bool:
    """Nothing more is queued for the webhook, and what waits is cancelled. False where it was off already."""
    webhook = locked(webhook)
    if webhook.ended:
        return False
    Webhook.objects.filter(pk=webhook.pk).update(ended=why)
    waiting = Delivery.objects.filter(webhook=webhook, status=Delivery.Status.WAITING)
    waiting.update(status=Delivery.Status.CANCELLED)
    return True


@transaction.atomic
def switch_on(*, webhook: Webhook) -> bool:
    """The webhook tells of what changes from now on. False where it was on already. Refuses one whose key has ended."""
    webhook = locked(webhook)
    if not webhook.ended:
        return False
    if not webhook.key.is_usable:
        raise WebhookEnded(_("Its key no longer works."), code="webhook_ended")
    Webhook.objects.filter(pk=webhook.pk).update(ended="", failing_since=None, since=HORIZON)
    return True


@transaction.atomic
def delete_webhook(*, webhook: Webhook) -> None:
    """The webhook is gone and nothing more is sent to it. What was sent is seen no more, and swept up with its age."""
    # Held against the fan-out, which would otherwise queue for a webhook that is just going.
    if Webhook.objects.select_for_update().filter(pk=webhook.pk).exists():
        waiting = Delivery.objects.filter(webhook_id=webhook.pk, status=Delivery.Status.WAITING)
        waiting.update(status=Delivery.Status.CANCELLED)
        Webhook.objects.filter(pk=webhook.pk).delete()


@transaction.atomic
def rotate_secret(*, webhook: Webhook) -> tuple[Webhook, str]:
    """Gives the webhook a new secret, shown this once; the one before signs beside it for Webhook.GRACE.

    Rotated again within that time, the one that signed before the first rotation keeps signing and the one between is
    dropped: an answer that got lost on its way must not end a secret that is in use.
    """
    webhook = locked(webhook)
    before = (webhook.old_salt, webhook.old_fingerprint, webhook.old_until)
    secret = webhook.set_secret()
    if before[2] and before[2] > timezone.now():
        webhook.old_salt, webhook.old_fingerprint, webhook.old_until = before
    webhook.save(update_fields=["salt", "fingerprint", "old_salt", "old_fingerprint", "old_until"])
    return webhook, secret


@transaction.atomic
def send_test(*, webhook: Webhook) -> Delivery:
    """Queues a message of type webhook.test; one that still waits is given again instead of a second.

    Refuses a webhook that is switched off.
    """
    webhook = locked(webhook)
    refuse_ended(webhook)
    waiting = Delivery.objects.filter(webhook=webhook, type=TEST, status=Delivery.Status.WAITING).first()
    if waiting:
        return waiting
    made = Delivery.objects.create(webhook=webhook, event_id=f"evt_test_{secrets.token_hex(8)}", type=TEST)
    made.refresh_from_db()
    return made


def refuse_ended(webhook: Webhook) -> None:
    if webhook.ended:
        raise WebhookEnded(_("The webhook is switched off. Switch it on first."), code="webhook_ended")


@transaction.atomic
def retry_delivery(*, delivery: Delivery) -> None:
    """Sends this message again, whatever became of it, under the id it has; all tries are before it again.

    Refuses a webhook that is switched off.
    """
    refuse_ended(locked(delivery.webhook))
    found = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if found.status == Delivery.Status.WAITING:
        # One that is just being sent stays with whoever sends it.
        Delivery.objects.filter(pk=found.pk).update(due_at=Now())
    else:
        Delivery.objects.filter(pk=found.pk).update(
            status=Delivery.Status.WAITING, due_at=Now(), claimed_at=None, tries=0
        )


@transaction.atomic
def retry_since(*, webhook: Webhook, since: datetime) -> int:
    """Sends again what failed or was cancelled of all that was queued from `since` on, the oldest MOST_RETRIED; gives how
    many. Refuses a webhook that is switched off.
    """
    refuse_ended(locked(webhook))
    lost = Delivery.objects.filter(
        webhook=webhook,
        status__in=[Delivery.Status.FAILED, Delivery.Status.CANCELLED],
        created_at__gte=since,
    )
    oldest = lost.order_by("pk").values("pk")[:MOST_RETRIED]
    return Delivery.objects.filter(pk__in=oldest).update(
        status=Delivery.Status.WAITING, due_at=Now(), claimed_at=None, tries=0
    )
