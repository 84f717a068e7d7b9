"""What waits to be told to partners: queued, taken, and what became of it.

Each step is one transaction; killed before its end it has not happened, and the next who comes does it. A message is
queued once for each webhook, and is sent at least once, always under the same id: who dies between sending and writing
it down leaves a lease behind, and another sends it again when that has run out.
"""

import json
import random
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from stores.models import ApiKey, Change, Delivery, FanOut, Webhook
from stores.services.webhooks import SCOPES, switch_off

LEASE = timedelta(minutes=1)  # far longer than a POST may take; then its sender is taken for dead
AT_ONCE = 4  # messages to one webhook; one that fails is asked one at a time
# After each failed try; then the message is given up, about three days after the first.
PAUSES = [
    timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=5),
    timedelta(hours=10), timedelta(hours=14), timedelta(hours=20), timedelta(hours=24),
]  # fmt: skip
LONGEST_PAUSE = timedelta(hours=24)  # that a partner may ask for
JITTER = 0.1
PATIENCE = timedelta(days=5)  # with a webhook that takes nothing
STEADY_TRIES = (
    4  # of one message before its webhook may be ended: half an hour of failing, not one bad second
)
LOGGED = len(PAUSES) + 3  # tries that are kept of each message
KEPT = timedelta(days=30)  # what has been sent or given up
FANNED = 2000  # changes in one transaction
SECRET_LOST = "secret_lost"  # noqa: S105  a word
NOT_TOLD = "not_told"
NOT_THEIRS = frozenset({SECRET_LOST, NOT_TOLD})  # failures of ours, for which no webhook is ended

# One row for each change and webhook that is to be told of it. Rows of webhooks that are just being deleted are waited for
# and then left out.
QUEUE = """
INSERT INTO stores_delivery (webhook_id, event_id, type, moment, change, status, log)
SELECT w.id, 'evt_' || c.id, c.type, c.moment, c.id, 'waiting', '[]'
FROM stores_change c
JOIN stores_webhook w ON w.ended = '' AND c.type = ANY (w.events) AND c.moment >= w.since
JOIN stores_apikey k ON k.id = w.key_id AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
LEFT JOIN stores_store s ON s.id = c.store_id
WHERE (c.moment, c.id) > (%(moment)s, %(change)s) AND (c.moment, c.id) <= (%(to_moment)s, %(to_change)s)
  AND (%(scopes)s::jsonb ->> c.type) = ANY (k.scopes)
  AND (c.store_id IS NULL
       OR s.sandbox = k.is_test
          AND (k.all_stores
               OR EXISTS (SELECT FROM stores_apikey_stores own WHERE own.apikey_id = k.id AND own.store_id = s.id)))
ORDER BY c.moment, c.id, w.id
FOR KEY SHARE OF w
ON CONFLICT (webhook_id, event_id) DO NOTHING
"""

# The oldest that are due of each webhook, as many as it has room for: a long queue of one is not waited for by another.
TAKE = """
WITH due AS MATERIALIZED (
  SELECT d.id
  FROM stores_webhook w
  CROSS JOIN LATERAL (
    SELECT waiting.id, waiting.due_at FROM stores_delivery waiting
    WHERE waiting.webhook_id = w.id AND waiting.status = 'waiting' AND waiting.due_at <= %(now)s
      AND (waiting.claimed_at IS NULL OR waiting.claimed_at < %(stale)s)
    ORDER BY waiting.due_at, waiting.id
    LIMIT greatest(CASE WHEN w.failing_since IS NULL THEN %(at_once)s ELSE 1 END
                   - coalesce((%(flying)s::jsonb ->> w.id::text)::int, 0), 0)
    FOR UPDATE OF waiting SKIP LOCKED
  ) d
  WHERE w.ended = ''
  ORDER BY d.due_at
  LIMIT %(most)s
)
UPDATE stores_delivery SET claimed_at = %(now)s FROM due WHERE stores_delivery.id = due.id
RETURNING stores_delivery.id
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one POST. `error` is "" when a whole answer was read, whatever its status; else one of
    timeout, name_not_found, address_not_public, connection_failed, tls_failed, answer_too_long, answer_broken, url_refused.
    """

    status: int | None
    milliseconds: int
    error: str = ""
    retry_after: int | None = None  # seconds

    @property
    def taken(self) -> bool:
        return not self.error and self.status is not None and 200 <= self.status < 300


def news(place: FanOut):
    """The settled changes that were not passed yet."""
    return Change.objects.settled().after(place.moment, place.change)


@transaction.atomic
def fan_out() -> int:
    """Queues what the next changes of the feed tell partners, and moves on; gives how many changes were passed.

    0 when there are no more, or when somebody else is at it.
    """
    place = FanOut.objects.filter(pk=1).first()
    if place is None:
        FanOut.objects.bulk_create([FanOut(pk=1)], ignore_conflicts=True)
    elif not news(place).exists():
        return 0  # asked every second: nothing is locked for it
    place = FanOut.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if place is None:
        return 0
    passed = list(news(place).values_list("moment", "pk")[:FANNED])
    if not passed:
        return 0
    # The end is found before the webhooks are: who is made after it was promised nothing up to here.
    if Webhook.objects.filter(ended="").exists():
        with connection.cursor() as cursor:
            cursor.execute(
                QUEUE,
                {
                    "moment": place.moment,
                    "change": place.change,
                    "to_moment": passed[-1][0],
                    "to_change": passed[-1][1],
                    "scopes": json.dumps(SCOPES),
                },
            )
    FanOut.objects.filter(pk=place.pk).update(moment=passed[-1][0], change=passed[-1][1])
    return len(passed)


@transaction.atomic
def take(most: int, flying: dict[int, int]) -> list[Delivery]:
    """Leases at most `most` messages that are due, with their webhooks and keys; each is ours for LEASE.

    `flying` says how many of each webhook this process is sending already.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            TAKE,
            {
                "now": now,
                "stale": now - LEASE,
                "at_once": AT_ONCE,
                "flying": json.dumps(flying),
                "most": most,
            },
        )
        taken = [row[0] for row in cursor.fetchall()]
    if not taken:
        return []
    return list(Delivery.objects.filter(pk__in=taken).select_related("webhook__key").order_by("due_at", "pk"))


def note(delivery: Delivery, **values) -> list[dict]:
    """The delivery's log with one more entry."""
    at = timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [*delivery.log, {"at": at, **values}][-LOGGED:]


def cancel(delivery: Delivery, error: str) -> None:
    """There is nothing to send any more: `error` says why. Written only while the lease is ours."""
    log = note(delivery, status=None, milliseconds=0, error=error)
    ours = Delivery.objects.filter(pk=delivery.pk, claimed_at=delivery.claimed_at, status="waiting")
    ours.update(status=Delivery.Status.CANCELLED, claimed_at=None, log=log)


@transaction.atomic
def finish(delivery: Delivery, answer: Answer) -> None:
    """Writes down what came of one try, and what follows: delivered, another try later, given up, or the webhook's end.

    Nothing is written when the lease ran out meanwhile and another took the message up.
    """
    webhook = Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).first()
    ours = Delivery.objects.filter(pk=delivery.pk, claimed_at=delivery.claimed_at)
    if webhook is None:
        return  # deleted while it was sent
    now = timezone.now()
    tries = delivery.tries + 1
    log = note(delivery, status=answer.status, milliseconds=answer.milliseconds, error=answer.error)
    if answer.taken:
        # Taken is taken, also where the webhook was switched off meanwhile.
        ours.update(status=Delivery.Status.DELIVERED, delivered_at=now, claimed_at=None, tries=tries, log=log)
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=None, delivered_at=now)
        return
    pause = pause_after(tries, answer)
    if answer.status == 410 or pause is None:
        fate = {"status": Delivery.Status.FAILED}
    else:
        fate = {"due_at": now + pause}
    ours = ours.filter(status=Delivery.Status.WAITING)
    if not ours.update(claimed_at=None, tries=tries, log=log, **fate):
        return
    if answer.error in NOT_THEIRS:
        return
    failing_since = webhook.failing_since or now
    Webhook.objects.filter(pk=webhook.pk, failing_since=None).update(failing_since=now)
    if answer.status == 410:
        switch_off(webhook=webhook, why=Webhook.Ended.GONE)
    elif failing_since < now - PATIENCE and tries >= STEADY_TRIES:
        switch_off(webhook=webhook, why=Webhook.Ended.FAILING)


def pause_after(tries: int, answer: Answer) -> timedelta | None:
    """How long to wait after so many failed tries: longer each time, never sooner than a busy partner asks for.

    None after the last.
    """
    if tries > len(PAUSES):
        return None
    pause = PAUSES[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  spreads, hides nothing
    if answer.status in (429, 503) and answer.retry_after is not None:
        pause = max(pause, min(timedelta(seconds=answer.retry_after), LONGEST_PAUSE))
    return pause


def end_those_without_key() -> int:
    """Switches off the webhooks whose key was revoked or has run out; gives how many."""
    usable = ApiKey.objects.usable().values("pk")
    ended = Webhook.objects.filter(ended="").exclude(key__in=usable)
    return sum(switch_off(webhook=webhook, why=Webhook.Ended.KEY) for webhook in ended.order_by("pk"))


def forget_deliveries(piece: int = 5000) -> int:
    """Deletes what was made longer than KEPT ago and waits no more, oldest first and in pieces; gives how many."""
    limit, last, forgotten = timezone.now() - KEPT, 0, 0
    while True:
        rows = Delivery.objects.filter(pk__gt=last).order_by("pk")
        rows = list(rows.values_list("pk", "created_at", "status")[:piece])
        old = [pk for pk, made, status in rows if made < limit and status != Delivery.Status.WAITING]
        forgotten += Delivery.objects.filter(pk__in=old).exclude(status=Delivery.Status.WAITING).delete()[0]
        # Ids grow with time: behind a row that is kept for its age come only younger ones.
        if len(rows) < piece or rows[-1][1] >= limit:
            return forgotten
        last = rows[-1][0]
