"""Telling partners: what the feed holds is queued, and what is queued is sent, by `manage.py send_webhooks`.

Several may run at once, and each may be killed at any line (see stores/services/deliveries.py). No transaction is open
while something is sent.
"""

import base64
import hmac
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, close_old_connections
from procrastinate.contrib.django import app
from rest_framework.utils.encoders import JSONEncoder

from inventory.api.events import tell
from stores.models import ApiKey, Change, Delivery, Store, Webhook
from stores.services.deliveries import (
    NOT_TOLD,
    SECRET_LOST,
    Answer,
    cancel,
    end_those_without_key,
    fan_out,
    finish,
    forget_deliveries,
    take,
)
from stores.services.webhooks import SCOPES, TEST, switch_off

if TYPE_CHECKING:
    from stores.services.sending import Sender

log = logging.getLogger(__name__)

IDLE = 1.0  # seconds between two looks at the feed and the queue
KEYS = 10.0  # seconds between two looks at the keys
FLYING = 64  # messages that one process sends at once
FAREWELL = 8.0  # seconds for what is being sent when the process is asked to end


@app.periodic(cron="37 22 * * *")
@app.task(name="inventory.tasks.forget_deliveries", queueing_lock="forget_deliveries")
def forget_old_deliveries(timestamp: int = 0) -> None:
    """Deletes messages of more than a month ago that were delivered or given up."""
    close_old_connections()
    try:
        forget_deliveries()
    finally:
        close_old_connections()


# -- One message ----------------------------------------------------------------------------------------------------
def signature(secrets: Iterable[bytes], event_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature (Standard Webhooks, v1): one for each secret that signs now."""
    content = f"{event_id}.{timestamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return " ".join(f"v1,{text}" for text in made)


def headers_of(delivery: Delivery, secrets: Iterable[bytes], body: bytes) -> dict[str, str]:
    timestamp = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": "Kiryana-Webhooks/1",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secrets, delivery.event_id, timestamp, body),
    }


def body_of(event: dict) -> bytes:
    return json.dumps(event, cls=JSONEncoder, ensure_ascii=False, separators=(",", ":")).encode()


def test_event(delivery: Delivery) -> dict:
    """What a test tells."""
    made = delivery.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    words = "This is a test: nothing has happened."
    return {
        "id": delivery.event_id,
        "type": TEST,
        "timestamp": made,
        "store": None,
        "data": {"message": words},
    }


def bodies(changes: list[Change], key: ApiKey) -> dict[str, bytes]:
    """What is sent of `changes`, by their ids. One that cannot be put into words does not keep the others back."""
    try:
        return {event["id"]: body_of(event) for event in tell(changes, key)}
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(changes) < 2:
            log.exception("The change %s cannot be told.", [change.event_id for change in changes])
            return {}
    return {event_id: body for change in changes for event_id, body in bodies([change], key).items()}


def open_changes(deliveries: list[Delivery], key: ApiKey) -> dict[tuple[int, int], Change]:
    """The changes behind `deliveries`, by their places, that the key may hear of now."""
    places = {(delivery.moment, delivery.change) for delivery in deliveries if delivery.change}
    if not places:
        return {}
    rows = Change.objects.filter(
        moment__in={moment for moment, _pk in places}, pk__in={pk for _moment, pk in places}
    )
    found = [change for change in rows if (change.moment, change.pk) in places]
    wanted = {change.store_id for change in found} - {None}
    mine = set(Store.objects.for_key(key).filter(pk__in=wanted).values_list("pk", flat=True)) | {None}
    return {
        (change.moment, change.pk): change
        for change in found
        if change.store_id in mine and key.allows(SCOPES[change.type])
    }


# -- Many -------------------------------------------------------------------------------------------------------------
class Courier:
    """What one process is sending now, and the steps by which it goes on."""

    def __init__(self, sender: "Sender"):
        self.sender = sender
        self.flying: dict[Future, Delivery] = {}

    def launch(self) -> int:
        """Takes what is due and there is room for, and begins to send it; gives how many were taken."""
        room = FLYING - len(self.flying)
        if room <= 0:
            return 0
        busy = Counter(delivery.webhook_id for delivery in self.flying.values())
        taken = take(room, busy)
        by_key: dict[int, list[Delivery]] = {}
        for delivery in taken:
            by_key.setdefault(delivery.webhook.key_id, []).append(delivery)
        for deliveries in by_key.values():
            self.launch_for(deliveries[0].webhook.key, deliveries)
        return len(taken)

    def launch_for(self, key: ApiKey, deliveries: list[Delivery]) -> None:
        """Sends what goes to the webhooks of one key."""
        if not key.is_usable:
            for webhook in {delivery.webhook for delivery in deliveries}:
                switch_off(webhook=webhook, why=Webhook.Ended.KEY)
            return
        changes = open_changes(deliveries, key)
        ready = bodies(list(changes.values()), key)
        for delivery in deliveries:
            if delivery.type == TEST:
                body = body_of(test_event(delivery))
            elif (delivery.moment, delivery.change) not in changes:
                cancel(delivery, "no_longer_there")  # or no longer for this key
                continue
            else:
                body = ready.get(delivery.event_id)
            secrets = delivery.webhook.signing_secrets()
            if body is None or not secrets:
                error = NOT_TOLD if body is None else SECRET_LOST
                finish(delivery, Answer(None, 0, error))
                continue
            self.begin(delivery, body, headers_of(delivery, secrets, body))

    def begin(self, delivery: Delivery, body: bytes, headers: dict[str, str]) -> None:
        self.flying[self.sender.post(delivery.webhook.url, body, headers)] = delivery

    def land(self, patience: float) -> int:
        """Waits so many seconds at most for the first answer, and writes down all that have come; gives how many."""
        done, _still = wait(self.flying, timeout=patience, return_when=FIRST_COMPLETED)
        for future in done:
            finish(self.flying[future], future.result())
            del self.flying[future]  # not before it is written down: with the database away it is tried again
        return len(done)


def send_webhooks(*, stop: threading.Event, once: bool = False, sender: "Sender | None" = None) -> None:
    """Queues and sends until `stop` is set; with `once` until there is nothing more to do now.

    A database that goes away is waited for (but not `once`). Asked to stop, it takes nothing new, and writes down what was on its way.
    """
    from stores.services.sending import Sender  # read by the one process that sends

    with sender or Sender() as sender:
        courier, looked = Courier(sender), float("-inf")
        while not stop.is_set():
            close_old_connections()
            try:
                if time.monotonic() - looked >= KEYS:
                    end_those_without_key()
                    looked = time.monotonic()
                moved = fan_out() + courier.launch()
                if courier.flying:
                    moved += courier.land(0 if moved and not once else IDLE)
                if moved:
                    continue
                if once and not courier.flying:
                    return
                if not courier.flying:
                    stop.wait(IDLE)
            except (OperationalError, InterfaceError):
                if once:
                    raise
                log.warning("The database is away; trying again.", exc_info=True)
                stop.wait(IDLE)
        end = time.monotonic() + FAREWELL
        while courier.flying and time.monotonic() < end:
            close_old_connections()
            try:
                courier.land(IDLE)
            except (OperationalError, InterfaceError):
                time.sleep(IDLE / 10)
