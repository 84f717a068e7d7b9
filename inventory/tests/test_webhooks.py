"""Webhooks: what changes is queued once for whom it concerns, and sent until it is taken."""

import json
import threading
import time
from datetime import timedelta
from decimal import Decimal

import pytest
import standardwebhooks
import time_machine
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from inventory.models import Kind
from inventory.tasks import webhooks as work
from stores.models import ApiKey, Change, Delivery, FanOut, Store, Webhook
from stores.services import addresses, create_key, deliveries, revoke_key, sending, webhooks
from stores.services.deliveries import Answer
from stores.services.sending import Sender
from stores.tests.sink import NAME, Sink, reply

pytestmark = pytest.mark.django_db(transaction=True)
URL = f"https://{NAME}/hook"
ALL = list(Change.Type.values)


@pytest.fixture
def sink():
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def reachable(sink, monkeypatch):
    """Every name leads to the sink, and loopback passes for a public place."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("127.0.0.1", sink.port)])
    monkeypatch.setattr(addresses, "is_public", lambda address: True)


@pytest.fixture
def key(store):
    made, _secret = create_key(name="Partner", scopes=ApiKey.Scope.values, stores=[store])
    return made


@pytest.fixture
def hook(key, monkeypatch):
    """hook() is a webhook of `key` that is told everything; its `secret` is as it was shown."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])

    def make(of=key, url=URL, events=ALL, **fields):
        number = Webhook.objects.count()
        made, secret = webhooks.create_webhook(key=of, url=f"{url}/{number}", events=events)
        Webhook.objects.filter(pk=made.pk).update(**fields)
        made.refresh_from_db()
        made.secret = secret
        return made

    return make


def settle():
    """Waits until no transaction of before is running in the whole server: then everything is settled."""
    end = time.monotonic() + 120
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_value + pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM stores_change_offset"
        )
        target = cursor.fetchone()[0]
        while time.monotonic() < end:
            cursor.execute("SELECT stores_horizon()")
            if cursor.fetchone()[0] >= target:
                return
            time.sleep(0.01)
    raise AssertionError("Some transaction on this server has been running for two minutes.")


def queue() -> int:
    """Fans out all there is."""
    settle()
    passed = 0
    while moved := deliveries.fan_out():
        passed += moved
    return passed


def queued(webhook=None) -> list[tuple[str, str]]:
    rows = Delivery.objects.order_by("pk")
    return list((rows.filter(webhook=webhook) if webhook else rows).values_list("event_id", "type"))


def run(sink, once=True):
    """The command, in this thread and until nothing is due."""
    settle()
    work.send_webhooks(stop=threading.Event(), once=once, sender=Sender(sink.client_tls()))


def due():
    """All that waits is due now."""
    Delivery.objects.filter(status="waiting").update(due_at=timezone.now())


def events() -> list[tuple[str, str]]:
    return [(change.event_id, change.type) for change in Change.objects.order_by("moment", "pk")]


# -- What is queued -------------------------------------------------------------------------------------------------------
def test_a_sale_is_told_to_who_asked_for_it(hook, stocked, post, ghee):
    settle()
    everything, movements = hook(), hook(events=["movement.created"])
    low = hook(events=["stock.low", "stock.out"])
    queue()
    assert queued() == []  # what was before them
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=None)
    queue()
    Delivery.objects.all().delete()
    Change.objects.all().delete()
    post(Kind.SALE, (ghee, 15))
    post(Kind.SALE, (ghee, 9))
    assert queue() == 4
    assert [type for _id, type in events()] == [type for _id, type in queued(everything)]
    assert [type for _id, type in queued(movements)] == ["movement.created"] * 2
    assert sorted(type for _id, type in queued(low)) == ["stock.low", "stock.out"]
    assert queued(everything) == events()
    assert queue() == 0
    assert len(queued()) == 8


def test_only_what_comes_after_the_webhook_is_told(hook, stocked, post, ghee):
    settle()
    first = hook()
    post(Kind.SALE, (ghee, 1))
    settle()
    second = hook()
    post(Kind.SALE, (ghee, 1))
    queue()
    assert (len(queued(first)), len(queued(second))) == (2, 1)


def test_one_that_began_before_the_webhook_and_ends_after_it_is_told(
    hook, stocked, post, ghee, atta, together
):
    """Its number is lower than the webhook's and than that of a change told meanwhile; but it is committed after both."""
    settle()
    began, made = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
            began.set()
            assert made.wait(60)
            post(Kind.SALE, (ghee, 1))

    def subscribe():
        assert began.wait(60)
        hook(events=["movement.created"])
        post(Kind.SALE, (atta, 1))
        while deliveries.fan_out():  # somebody passes over what is settled meanwhile
            pass
        made.set()

    assert together([slow, subscribe]) == [None, None]
    queue()
    told = (
        Change.objects.filter(type="movement.created").order_by("moment", "pk").values_list("pk", flat=True)
    )
    assert [event_id for event_id, _type in queued()] == [f"evt_{pk}" for pk in list(told)[-2:]]


def test_nobody_is_told_of_another_store_or_beyond_the_wall(
    hook, post, ghee, atta, store, other_store, stocked
):
    sandbox = Store.objects.create(code="SBX-0001", name="Practice", sandbox=True)

    def key_of(stores=(), is_test=False, **options):
        scopes = set(ApiKey.Scope.values) - (ApiKey.LIVE_ONLY if is_test else set())
        return create_key(name="x", scopes=scopes, stores=stores, is_test=is_test, **options)[0]

    settle()
    own = hook()
    other = hook(of=key_of([other_store]))
    everywhere = hook(of=key_of(all_stores=True))
    practice = hook(of=key_of([sandbox], is_test=True))
    all_practice = hook(of=key_of(all_stores=True, is_test=True))
    here = post(Kind.RECEIPT, (ghee, 1, 500)).document.pk
    there = post(Kind.RECEIPT, (ghee, 1, 500), where=other_store).document.pk
    play = post(Kind.RECEIPT, (ghee, 1, 500), where=sandbox).document.pk
    queue()

    def told(webhook):
        places = Delivery.objects.filter(webhook=webhook, type="movement.created").values("change")
        return sorted(Change.objects.filter(pk__in=places).values_list("subject", flat=True))

    assert told(own) == [here]
    assert told(other) == [there]
    assert told(everywhere) == [here, there]
    assert told(practice) == told(all_practice) == [play]


def test_the_catalogue_is_told_to_whoever_reads_it(hook, ghee):
    settle()
    hook()
    ghee.name = "Dalda Ghee 1 kg (new)"
    ghee.save()
    queue()
    assert [type for _id, type in queued()] == ["product.updated"]


@pytest.mark.parametrize("why", ["off", "revoked", "expired", "scope"])
def test_who_may_hear_no_more_is_not_queued_for(hook, key, stocked, post, ghee, why):
    settle()
    webhook = hook()
    if why == "off":
        webhooks.switch_off(webhook=webhook)
    elif why == "revoked":
        revoke_key(key=key)
    elif why == "expired":
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        ApiKey.objects.filter(pk=key.pk).update(
            scopes=["webhooks:manage", "movements:write", "inventory:read"]
        )
    post(Kind.SALE, (ghee, 1))
    assert queue() >= 1
    assert queued() == []


def test_without_webhooks_it_just_moves_on(stocked, post, ghee, django_assert_num_queries):
    post(Kind.SALE, (ghee, 1))
    settle()
    assert queue() > 0
    place, last = FanOut.objects.get(), Change.objects.order_by("moment", "pk").last()
    assert (place.moment, place.change) == (last.moment, last.pk)
    with django_assert_num_queries(4):  # begin, place, whether there is more, commit
        assert deliveries.fan_out() == 0


def test_a_long_feed_is_passed_in_pieces(hook, stocked, post, ghee, monkeypatch):
    monkeypatch.setattr(deliveries, "FANNED", 3)
    settle()
    hook()
    for _number in range(8):
        post(Kind.SALE, (ghee, 1))
    assert queue() >= 8
    assert [row for row in queued() if row[1] == "movement.created"] == [
        row for row in events()[-len(queued()) :] if row[1] == "movement.created"
    ]
    assert len({event_id for event_id, _type in queued()}) == len(queued())


def test_many_at_once_queue_each_change_once(hook, stocked, post, ghee, atta, together):
    """Writers and four that fan out, all at the same time: nothing is lost, nothing queued twice."""
    settle()
    hook()
    done = threading.Event()

    def write(number):
        for _turn in range(10):
            post(Kind.SALE, (atta, "0.100"), reference=f"w{number}-{_turn}")

    def fan():
        while not done.is_set():
            deliveries.fan_out()

    fanning = threading.Thread(target=lambda: results.extend(together([fan] * 4)))
    results = []
    fanning.start()
    written = together([lambda number=number: write(number) for number in range(4)])
    done.set()
    fanning.join(60)
    assert (written, results) == ([None] * 4, [None] * 4)
    queue()
    told = [event_id for event_id, type in queued() if type == "movement.created"]
    assert len(told) == len(set(told)) == 40
    assert queued() == [row for row in events() if row in queued()]


def test_while_one_queues_another_passes_by(hook, stocked, post, ghee, together):
    queue()  # from the first time on there is a place to hold
    hook()
    post(Kind.SALE, (ghee, 1))
    settle()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")
        assert deliveries.fan_out() > 0
        assert together([deliveries.fan_out]) == [0]
    assert len([type for _id, type in queued() if type == "movement.created"]) == 1
    assert queue() == 0


def test_a_webhook_that_is_just_being_deleted_is_waited_for_and_left_out(hook, stocked, post, ghee, together):
    settle()
    going, staying = hook(), hook()
    post(Kind.SALE, (ghee, 1))
    settle()
    locked = threading.Event()

    def delete():
        with transaction.atomic():
            webhooks.delete_webhook(webhook=going)
            locked.set()
            with connection.cursor() as cursor:  # until the other waits for us
                end = time.monotonic() + 30
                while time.monotonic() < end:
                    cursor.execute(
                        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                    )
                    if cursor.fetchone()[0]:
                        return

    def fan():
        assert locked.wait(30)
        return deliveries.fan_out()

    assert together([delete, fan])[1] >= 1
    assert (len(queued(staying)), Delivery.objects.filter(webhook_id=going.pk).count()) == (1, 0)


# -- What is sent ----------------------------------------------------------------------------------------------------------
def test_a_message_arrives_signed_as_partners_check_it(hook, reachable, sink, stocked, post, ghee, key):
    settle()
    webhook = hook(events=["movement.created"])
    document = post(Kind.SALE, (ghee, 2), reference="basket-1").document
    run(sink)
    [request] = sink.requests
    [delivery] = Delivery.objects.all()
    assert request.line == "POST /hook/0 HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Kiryana-Webhooks/1"
    assert request.headers["webhook-id"] == delivery.event_id
    told = standardwebhooks.Webhook(webhook.secret).verify(request.body, request.headers)
    assert list(told) == ["id", "type", "timestamp", "store", "data"]
    assert (told["id"], told["type"], told["store"]) == (delivery.event_id, "movement.created", "LHE-0001")
    assert (told["data"]["id"], told["data"]["reference"], told["data"]["lines"][0]["quantity"]) == (
        document.pk, "basket-1", "-2.000",
    )  # fmt: skip
    assert (delivery.status, delivery.tries, delivery.claimed_at) == ("delivered", 1, None)
    assert delivery.delivered_at is not None
    [entry] = delivery.log
    assert (entry["status"], entry["error"]) == (200, "")
    webhook.refresh_from_db()
    assert webhook.delivered_at is not None
    run(sink)
    assert len(sink.requests) == 1


def test_a_changed_byte_breaks_the_signature(hook, reachable, sink, stocked, post, ghee):
    settle()
    webhook = hook()
    post(Kind.SALE, (ghee, 2))
    run(sink)
    request = sink.requests[0]
    check = standardwebhooks.Webhook(webhook.secret)
    for body, headers in (
        (request.body + b" ", request.headers),
        (request.body, request.headers | {"webhook-id": "evt_0"}),
        (request.body, request.headers | {"webhook-timestamp": str(int(time.time()) + 5)}),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            check.verify(body, headers)


def test_after_a_rotation_a_message_carries_both_signatures(hook, reachable, sink, stocked, post, ghee):
    settle()
    webhook = hook()
    _webhook, second = webhooks.rotate_secret(webhook=webhook)
    post(Kind.SALE, (ghee, 2))
    run(sink)
    request = sink.requests[0]
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (webhook.secret, second):
        assert standardwebhooks.Webhook(secret).verify(request.body, request.headers)
    Webhook.objects.update(old_until=timezone.now())
    post(Kind.SALE, (ghee, 2))
    run(sink)
    request = sink.requests[-1]
    assert len(request.headers["webhook-signature"].split(" ")) == 1
    assert standardwebhooks.Webhook(second).verify(request.body, request.headers)


def test_a_test_arrives(hook, reachable, sink):
    webhook = hook(events=["stock.low"])
    delivery = webhooks.send_test(webhook=webhook)
    run(sink)
    [request] = sink.requests
    told = standardwebhooks.Webhook(webhook.secret).verify(request.body, request.headers)
    assert (told["type"], told["id"], told["store"]) == ("webhook.test", delivery.event_id, None)
    delivery.refresh_from_db()
    assert delivery.status == "delivered"


def test_costs_are_told_only_with_the_scope_for_them(hook, reachable, sink, store, stocked, post, ghee):
    settle()
    hook(events=["movement.created"])
    plain, _secret = create_key(name="x", scopes=["webhooks:manage", "movements:read"], stores=[store])
    hook(of=plain, events=["movement.created"])
    post(Kind.RECEIPT, (ghee, 2, 510))
    run(sink)
    by_path = {request.line.split()[1]: json.loads(request.body) for request in sink.requests}
    assert "unit_cost" in str(by_path["/hook/0"])
    assert "cost" not in str(by_path["/hook/1"]).replace("cost_estimated", "cost")


def test_the_secret_lost_with_the_site_s_key_is_said_and_nothing_is_sent(
    hook, reachable, sink, settings, stocked, post, ghee
):
    settle()
    webhook = hook()
    post(Kind.SALE, (ghee, 2))
    settings.SECRET_KEY = "another-key-" * 5
    run(sink)
    delivery = Delivery.objects.first()
    assert (sink.connections, delivery.status, delivery.log[0]["error"]) == (0, "waiting", "secret_lost")
    webhook.refresh_from_db()
    assert webhook.failing_since is None  # it is not the partner who fails
    with time_machine.travel(timezone.now() + timedelta(days=6), tick=True):
        due()
        Delivery.objects.update(tries=9)
        run(sink)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    webhook.refresh_from_db()
    assert webhook.ended == ""


# -- Tries --------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def waiting(hook):
    """A message that waits for a webhook, taken: `waiting.webhook` may change between its tries."""
    webhook = hook()
    webhooks.send_test(webhook=webhook)
    return webhook


def take_one() -> Delivery:
    [taken] = deliveries.take(10, {})
    return taken


SCHEDULE = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


def test_a_failing_message_is_tried_for_three_days_and_then_given_up(waiting):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for number, seconds in enumerate(SCHEDULE, 1):
            deliveries.finish(take_one(), Answer(500, 12))
            delivery = Delivery.objects.get()
            assert (delivery.status, delivery.tries) == ("waiting", number)
            pause = (delivery.due_at - timezone.now()).total_seconds()
            assert 0.9 * seconds <= pause <= 1.1 * seconds
            assert deliveries.take(10, {}) == []
            clock.shift(timedelta(seconds=pause - 0.5))
            assert deliveries.take(10, {}) == []
            clock.shift(timedelta(seconds=1))
        deliveries.finish(take_one(), Answer(500, 12))
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.tries, len(delivery.log)) == ("failed", 10, 10)
    assert {entry["status"] for entry in delivery.log} == {500}
    waiting.refresh_from_db()
    assert waiting.ended == ""  # three days, not five


def test_pauses_are_spread():
    assert len({deliveries.pause_after(3, Answer(500, 1)) for _turn in range(20)}) > 10


@pytest.mark.parametrize(("status", "asked", "least", "most"), [
    (429, 120, 120, 120), (503, 120, 120, 120), (503, 1, 4.5, 5.5), (429, 10**8, 86400, 86400), (500, 120, 4.5, 5.5), (429, None, 4.5, 5.5),
])  # fmt: skip
def test_a_partner_that_asks_for_time_gets_it_within_a_day(status, asked, least, most):
    pause = deliveries.pause_after(1, Answer(status, 5, "", asked)).total_seconds()
    assert least <= pause <= most


def test_retry_after_is_read_from_the_answer(hook, reachable, sink, waiting):
    sink.answer = lambda *_: reply(503, headers="Retry-After: 120\r\n")
    begun = timezone.now()
    run(sink)
    assert Delivery.objects.get().due_at >= begun + timedelta(seconds=120)


def test_gone_ends_the_webhook_and_cancels_what_waits(hook, reachable, sink, stocked, post, ghee):
    settle()
    webhook, other = hook(), hook()
    post(Kind.SALE, (ghee, 2))
    queue()
    later = webhooks.send_test(webhook=webhook)
    Delivery.objects.filter(pk=later.pk).update(due_at=timezone.now() + timedelta(hours=1))
    sink.answer = lambda request, _stream: reply(410 if "/hook/0" in request.line else 200)
    run(sink)
    webhook.refresh_from_db(), later.refresh_from_db()
    assert (webhook.ended, later.status) == ("gone", "cancelled")
    statuses = set(
        Delivery.objects.filter(webhook=webhook).exclude(pk=later.pk).values_list("status", flat=True)
    )
    assert "failed" in statuses
    assert statuses <= {"failed", "cancelled"}
    assert set(Delivery.objects.filter(webhook=other).values_list("status", flat=True)) == {"delivered"}
    post(Kind.SALE, (ghee, 2))
    queue()
    assert len(queued(other)) == len(queued(webhook))  # the test is one, the second sale the other


def test_a_webhook_that_takes_nothing_for_five_days_is_ended(waiting):
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=5, seconds=1))
    more = Delivery.objects.create(
        webhook=waiting, event_id="evt_1", type="stock.low", due_at=timezone.now() + timedelta(hours=1)
    )
    # One bad second after days without a message is no reason.
    deliveries.finish(take_one(), Answer(None, 5000, "timeout"))
    waiting.refresh_from_db()
    assert waiting.ended == ""
    Delivery.objects.filter(type="webhook.test").update(tries=3)
    due()
    Delivery.objects.filter(pk=more.pk).update(due_at=timezone.now() + timedelta(hours=1))
    deliveries.finish(take_one(), Answer(None, 5000, "timeout"))
    waiting.refresh_from_db(), more.refresh_from_db()
    assert (waiting.ended, more.status) == ("failing", "cancelled")


def test_one_message_taken_ends_the_failing(waiting):
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=6))
    deliveries.finish(take_one(), Answer(204, 10))
    waiting.refresh_from_db()
    assert (waiting.failing_since, waiting.ended) == (None, "")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_key_that_ends_takes_its_webhooks_along(hook, reachable, sink, key, waiting, how):
    if how == "revoked":
        revoke_key(key=key)
    else:
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    run(sink)
    waiting.refresh_from_db()
    assert (waiting.ended, Delivery.objects.get().status, sink.connections) == ("key", "cancelled", 0)


def test_a_key_that_ends_between_the_looks_sends_nothing_either(
    hook, reachable, sink, key, waiting, monkeypatch
):
    monkeypatch.setattr(work, "end_those_without_key", lambda: 0)
    revoke_key(key=key)
    run(sink)
    waiting.refresh_from_db()
    assert (waiting.ended, Delivery.objects.get().status, sink.connections) == ("key", "cancelled", 0)


def test_what_the_key_may_no_longer_hear_is_not_sent(
    hook, reachable, sink, key, store, other_store, stocked, post, ghee
):
    settle()
    hook()
    post(Kind.SALE, (ghee, 2))
    queue()
    key.stores.set([other_store])
    run(sink)
    assert sink.connections == 0
    assert {(row.status, row.log[-1]["error"]) for row in Delivery.objects.all()} == {
        ("cancelled", "no_longer_there")
    }


def test_what_the_feed_has_forgotten_is_not_sent(hook, reachable, sink, stocked, post, ghee):
    settle()
    hook()
    post(Kind.SALE, (ghee, 2))
    queue()
    Change.objects.all().delete()
    run(sink)
    assert (sink.connections, Delivery.objects.first().status) == (0, "cancelled")


def test_one_that_cannot_be_told_keeps_no_other_back(hook, reachable, sink, stocked, post, ghee, monkeypatch):
    settle()
    hook(events=["movement.created"])
    bad, _good = post(Kind.SALE, (ghee, 1)).document.pk, post(Kind.SALE, (ghee, 1))
    tell = work.tell

    def broken(changes, key):
        if any(change.subject == bad for change in changes):
            raise KeyError("a fault of ours")
        return tell(changes, key)

    monkeypatch.setattr(work, "tell", broken)
    run(sink)
    assert [(row.status, row.log[-1]["error"]) for row in Delivery.objects.order_by("pk")] == [
        ("waiting", "not_told"),
        ("delivered", ""),
    ]
    assert Webhook.objects.get().failing_since is None


def test_the_log_is_bounded(waiting):
    Delivery.objects.update(log=[{"at": "x", "status": 500, "milliseconds": 1, "error": ""}] * 50)
    deliveries.finish(take_one(), Answer(None, 5, "timeout"))
    log = Delivery.objects.get().log
    assert (len(log), log[-1]["error"]) == (deliveries.LOGGED, "timeout")


# -- Leases ------------------------------------------------------------------------------------------------------------------------
def test_a_lease_is_respected_until_it_runs_out(waiting):
    first = take_one()
    assert deliveries.take(10, {}) == []
    with time_machine.travel(timezone.now() + deliveries.LEASE + timedelta(seconds=1)):
        second = take_one()
    assert (second.pk, second.event_id) == (first.pk, first.event_id)
    # The first wakes up: its answer no longer counts, unless the message arrived.
    deliveries.finish(first, Answer(500, 1))
    assert (Delivery.objects.get().tries, Delivery.objects.get().claimed_at) == (0, second.claimed_at)
    deliveries.finish(second, Answer(200, 1))
    deliveries.finish(first, Answer(500, 1))
    assert (Delivery.objects.get().status, Delivery.objects.get().tries) == ("delivered", 1)


def test_many_that_take_at_once_share_without_overlap(hook, together):
    webhook_list = [hook() for _number in range(6)]
    Delivery.objects.bulk_create(
        Delivery(webhook=webhook, event_id=f"evt_{number}", type="stock.low")
        for webhook in webhook_list
        for number in range(5)
    )
    taken = together([lambda: [row.pk for row in deliveries.take(64, {})] for _turn in range(6)])
    everything = [pk for found in taken for pk in found]
    assert len(everything) == len(set(everything)) == 30


def test_one_webhook_gets_a_few_at_once_and_a_failing_one_a_single_one(hook):
    busy, failing, quiet = hook(), hook(failing_since=timezone.now()), hook()
    Delivery.objects.bulk_create(
        Delivery(webhook=webhook, event_id=f"evt_{number}", type="stock.low")
        for webhook in (busy, failing)
        for number in range(50)
    )
    last = webhooks.send_test(webhook=quiet)
    taken = deliveries.take(64, {})
    counts = {
        webhook: sum(row.webhook_id == webhook.pk for row in taken) for webhook in (busy, failing, quiet)
    }
    assert counts == {busy: deliveries.AT_ONCE, failing: 1, quiet: 1}
    assert last.pk in [row.pk for row in taken]
    # What this process is sending already counts.
    assert [row.webhook_id for row in deliveries.take(64, {busy.pk: 3, failing.pk: 1})] == [busy.pk]
    assert deliveries.take(64, {busy.pk: 9, failing.pk: 1}) == []


def test_a_dead_endpoint_does_not_hold_up_the_others(hook, reachable, sink):
    """Its fifty messages hang; another's come through long before the first of them is given up."""
    dead, live = hook(), hook()
    sink.answer = lambda request, _stream: (
        sink.closing.wait(30) and None if "/hook/0" in request.line else reply()
    )
    Delivery.objects.bulk_create(
        Delivery(webhook=dead, event_id=f"evt_{n}", type="webhook.test") for n in range(50)
    )
    Delivery.objects.bulk_create(
        Delivery(webhook=live, event_id=f"evt_{n}", type="webhook.test") for n in range(20)
    )
    stop, begun = threading.Event(), time.monotonic()
    runner = threading.Thread(target=run_until, args=(sink, stop))
    runner.start()
    try:
        wait_until(lambda: Delivery.objects.filter(webhook=live, status="delivered").count() == 20)
        assert time.monotonic() - begun < sending.TIMEOUT - 0.5
        assert sum("/hook/0" in request.line for request in sink.requests) == deliveries.AT_ONCE
    finally:
        stop.set()
        sink.close()
        runner.join(30)
    assert not runner.is_alive()


def run_until(sink, stop):
    try:
        work.send_webhooks(stop=stop, sender=Sender(sink.client_tls()))
    finally:
        connection.close()


def wait_until(condition, patience=30):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "this never came about"
        time.sleep(0.01)


def test_asked_to_stop_it_writes_down_what_was_on_its_way(hook, reachable, sink, waiting):
    go, stop = threading.Event(), threading.Event()
    sink.answer = lambda *_: go.wait(20) and reply()
    runner = threading.Thread(target=run_until, args=(sink, stop))
    runner.start()
    sink.wait_for(1)
    stop.set()
    go.set()
    runner.join(20)
    assert not runner.is_alive()
    assert Delivery.objects.get().status == "delivered"


def test_a_database_that_goes_away_is_waited_for(hook, reachable, sink, waiting, monkeypatch):
    """Every statement's connection is cut once, the one that writes down the answer too; the message is sent once."""
    monkeypatch.setattr(work, "IDLE", 0.01)
    cut = []

    def cutting(name):
        real = getattr(work, name)

        def act(*args):
            if name not in cut:
                cut.append(name)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            return real(*args)

        monkeypatch.setattr(work, name, act)

    for name in ("end_those_without_key", "fan_out", "take", "finish"):
        cutting(name)
    stop = threading.Event()
    runner = threading.Thread(target=run_until, args=(sink, stop))
    runner.start()
    try:
        wait_until(lambda: Delivery.objects.get().status == "delivered")
    finally:
        stop.set()
        runner.join(30)
    assert cut == ["end_those_without_key", "fan_out", "take", "finish"]
    assert (Delivery.objects.get().status, len(sink.requests)) == ("delivered", 1)


def test_once_does_not_wait_for_a_database_for_ever(hook, monkeypatch):
    monkeypatch.setattr(work, "fan_out", lambda: (_ for _ in ()).throw(OperationalError("away")))
    monkeypatch.setattr(work, "IDLE", 0.01)
    with pytest.raises(OperationalError):
        work.send_webhooks(stop=threading.Event(), once=True)


# -- Sweeping ------------------------------------------------------------------------------------------------------------------------
def test_what_ended_a_month_ago_is_forgotten(hook):
    webhook, gone = hook(), hook()
    old, young = timezone.now() - timedelta(days=30, seconds=1), timezone.now() - timedelta(days=29)
    rows = [
        (status, made, of)
        for made in (old, young)
        for of in (webhook, gone)
        for status in ("delivered", "failed", "cancelled", "waiting")
    ]
    Delivery.objects.bulk_create(
        Delivery(webhook=of, event_id=f"evt_{number}", type="stock.low", status=status, created_at=made)
        for number, (status, made, of) in enumerate(rows)
    )
    webhooks.delete_webhook(webhook=gone)
    assert deliveries.forget_deliveries(piece=3) == 7
    kept = [
        (row.status, row.created_at < timezone.now() - timedelta(days=30))
        for row in Delivery.objects.order_by("pk")
    ]
    assert kept.count(("waiting", True)) == 1
    assert len(kept) == 9
    assert deliveries.forget_deliveries() == 0


def test_the_worker_sweeps_every_night():
    from procrastinate.contrib.django import app

    known = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}
    assert "inventory.tasks.forget_deliveries" in known
