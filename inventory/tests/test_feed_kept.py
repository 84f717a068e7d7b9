"""The feed through time: what is old is forgotten and nobody misses it unawares; a restored one goes on where it was."""

import io
import threading
import time
from datetime import timedelta

import pytest
from django.core import signing
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from inventory.models import Kind
from inventory.tests.test_api_changes import TYPES, URL, calm, follow, get, held, ids, refused
from stores import tasks
from stores.models import ApiKey, Change, FanOut, Feed, Webhook
from stores.queries import read_feed
from stores.services import feed as services
from stores.services.feed import forget_changes, moved, settle_in

pytestmark = pytest.mark.django_db(transaction=True)


def age(days: float, **which) -> int:
    return Change.objects.filter(**which).update(created_at=timezone.now() - timedelta(days=days))


def run_task() -> None:
    tasks.forget_old_changes(timestamp=0)


@pytest.fixture
def sales(post, stocked, ghee, busy):
    """Ten sales on top of what was there, all settled; their changes in order."""
    for _turn in range(10):
        post(Kind.SALE, (ghee, 1))
    calm()
    return list(Change.objects.order_by("moment", "pk"))


@pytest.fixture
def busy(api_client):
    return api_client(rate=1_000_000)


def place_behind(client, change: Change) -> str:
    """The place that a reader had right after `change`."""
    after = None
    while True:
        page = get(client, limit=1, **({"after": after} if after else {}))
        after = page["after"]
        if page["results"][0]["id"] == change.event_id:
            return after


# -- What is forgotten ----------------------------------------------------------------------------------------------------


def test_changes_are_kept_for_the_promised_time_and_a_little_longer(sales, busy, settings):
    assert settings.CHANGES_DAYS == 35
    age(34.9)
    run_task()
    assert Change.objects.count() == len(sales)
    assert len(follow(busy)[0]) == len(sales)
    age(35.1)
    run_task()
    assert Change.objects.count() == 0
    assert follow(busy)[0] == []


def test_a_reader_who_missed_something_is_told_and_nobody_else(sales, busy, post, ghee):
    """Sales 1 to 5 are forgotten: who had read up to the fourth missed one, who had read the fifth did not."""
    places = [place_behind(busy, change) for change in sales[-10:]]
    start = get(busy, after="latest")["after"]
    age(40, pk__lte=sales[-6].pk)
    run_task()
    assert Change.objects.count() == 5
    for place in places[:4]:
        body = refused(busy.get(URL, {"after": place}), 400, "invalid_cursor", "cursor_expired")
        assert "after=latest" in body["detail"]
    for number, place in enumerate(places[4:], start=4):
        assert ids(follow(busy, place)[0]) == [change.event_id for change in sales[-10:][number + 1 :]]
    assert follow(busy, start)[0] == []
    # The way back that the refusal names.
    again = get(busy, after="latest")["after"]
    post(Kind.SALE, (ghee, 1))
    calm()
    assert len(follow(busy, again)[0]) == 1
    assert ids(follow(busy)[0])[:5] == [change.event_id for change in sales[-5:]]


def test_a_reader_at_the_end_misses_nothing_however_quiet_it_is(sales, busy, post, ghee):
    place = get(busy, after="latest")["after"]
    age(400)
    run_task()
    assert get(busy, after=place)["results"] == []
    post(Kind.SALE, (ghee, 1))
    calm()
    assert len(get(busy, after=place)["results"]) == 1
    age(40)
    run_task()
    refused(busy.get(URL, {"after": place}), 400, "invalid_cursor", "cursor_expired")


def test_only_a_beginning_is_forgotten(sales, busy):
    """What is old but stands behind something young stays: a place alone says what is gone."""
    age(40)
    age(1, pk=sales[3].pk)
    run_task()
    assert list(Change.objects.order_by("moment", "pk").values_list("pk", flat=True)) == [
        change.pk for change in sales[3:]
    ]


def test_batches_are_bounded_and_go_on_where_one_was_killed(sales, monkeypatch):
    monkeypatch.setattr(services, "BATCH", 4)
    age(40)
    assert forget_changes() == 4

    class Killed(BaseException):
        pass

    with pytest.raises(Killed), transaction.atomic():
        assert forget_changes() == 4
        raise Killed
    assert Change.objects.count() == len(sales) - 4
    feed = Feed.objects.get(pk=1)
    assert (feed.moment, feed.change) == (sales[3].moment, sales[3].pk)
    run_task()
    assert Change.objects.count() == 0


def test_two_that_forget_at_once_do_no_harm(sales, busy, together, monkeypatch):
    monkeypatch.setattr(services, "BATCH", 3)
    age(40, pk__lte=sales[-3].pk)
    assert together([run_task] * 4) == [None] * 4
    assert ids(follow(busy)[0]) == [change.event_id for change in sales[-2:]]


def test_what_webhooks_are_still_to_be_made_from_stays(sales, busy):
    age(40)
    FanOut.objects.create(pk=1, moment=sales[4].moment, change=sales[4].pk)
    webhook = Webhook(key=busy.key, url="https://till.example/", events=["movement.created"], since=0)
    webhook.set_secret()
    webhook.save()
    run_task()
    assert Change.objects.order_by("moment", "pk").first() == sales[5]
    Webhook.objects.update(ended=Webhook.Ended.BY_HAND)
    run_task()
    assert Change.objects.count() == 0


def test_what_is_not_settled_is_never_passed(sales, busy, post, other_store, ghee):
    """A transaction that began before an old change may still write before it: its reader must not be called late."""
    age(40)
    with held(lambda: post(Kind.RECEIPT, (ghee, 1, 500), where=other_store)):
        last = post(Kind.SALE, (ghee, 1))
        age(40)
        run_task()
        assert [change.subject for change in Change.objects.all()] == [last.document.pk]
    calm()
    run_task()
    # What came before it is young, so both are kept: only a beginning is forgotten.
    first, second = Change.objects.order_by("moment", "pk")
    assert (first.store_id, second.subject) == (other_store.pk, last.document.pk)


# -- What came from another server -----------------------------------------------------------------------------------------


@pytest.fixture
def offset():
    """Sets the offset of the feed's numbers back when the test ends."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('stores_change_offset', 0)")


def restored(by: int = 50_000_000) -> None:
    """As if the changes had been made by a server that had seen `by` more transactions than this one."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stores_change SET moment = moment + %s", [by])


def prepare() -> str:
    told = io.StringIO()
    call_command("prepare", stdout=told, verbosity=0)
    return told.getvalue()


def test_prepare_changes_nothing_where_the_feed_grew_up(sales, busy, offset):
    before = follow(busy)
    assert "another server" not in prepare()
    assert not moved()
    assert Feed.objects.get(pk=1).home
    assert settle_in() is False
    after = follow(busy)
    assert after[0] == before[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM stores_change_offset")
        assert cursor.fetchone() == (0,)


def test_a_restored_feed_goes_on_in_order_and_old_places_stay_good(sales, busy, post, ghee, offset):
    restored()
    refused(busy.get(URL), 503, "unavailable")
    out = io.StringIO()
    call_command("check", databases=["default"], stderr=out, stdout=out)
    assert "kiryana.W001" in out.getvalue()
    assert "another server" in prepare()
    calm()
    assert "another server" not in prepare()
    out = io.StringIO()
    call_command("check", databases=["default"], stderr=out, stdout=out)
    assert "kiryana.W001" not in out.getvalue()
    old = place_behind(busy, sales[-4])
    post(Kind.SALE, (ghee, 1))
    post(Kind.SALE, (ghee, 1))
    calm()
    assert ids(follow(busy)[0])[: len(sales)] == [change.event_id for change in sales]
    assert len(follow(busy)[0]) == len(sales) + 2
    assert ids(follow(busy, old)[0])[:3] == [change.event_id for change in sales[-3:]]
    assert len(follow(busy, old)[0]) == 5


def test_what_was_written_before_prepare_is_put_behind(sales, busy, post, ghee, offset):
    """Somebody forgot: shops sold on a restored database. Their numbers are low, as if nobody needed to read them."""
    restored()
    key = ApiKey(all_stores=True)
    place = (sales[-1].moment + 50_000_000, sales[-1].pk)  # where a partner was when the dump was made
    late = [post(Kind.SALE, (ghee, 1)).document.pk for _turn in range(2)]
    assert settle_in() is True
    late.append(post(Kind.SALE, (ghee, 1)).document.pk)
    calm()
    page = read_feed(key, types=TYPES, after=place, limit=50)
    assert [change.subject for change in page.changes] == late
    every = read_feed(key, types=TYPES, after=None, limit=50)
    assert [change.pk for change in every.changes[: len(sales)]] == [change.pk for change in sales]
    assert len(every.changes) == len(sales) + 3


def test_a_place_of_the_days_that_were_lost_is_before_all_that_comes(sales, busy, post, ghee, offset):
    """The old server went on after the dump was made: partners have places far beyond what the dump knows."""
    place = (sales[-1].moment + 900_000_000, 0)
    restored()
    assert settle_in()
    document = post(Kind.SALE, (ghee, 1)).document
    calm()
    page = read_feed(ApiKey(all_stores=True), types=TYPES, after=place, limit=50)
    assert [change.subject for change in page.changes] == [document.pk]


def test_a_dump_restored_on_a_server_that_is_further_is_noticed_too(sales, busy, post, ghee, offset):
    """Nothing is out of order then, but places of the days that were lost may lie ahead."""
    Feed.objects.update_or_create(pk=1, defaults={"home": "1234/1"})
    assert moved()
    refused(busy.get(URL), 503, "unavailable")
    tasks.settle_in_feed(timestamp=0)
    assert not moved()
    calm()
    assert ids(follow(busy)[0]) == [change.event_id for change in sales]
    lost = (sales[-1].moment + 900_000_000, 0)
    document = post(Kind.SALE, (ghee, 1)).document
    calm()
    page = read_feed(ApiKey(all_stores=True), types=TYPES, after=lost, limit=50)
    assert [change.subject for change in page.changes] == [document.pk]


def test_a_place_that_this_server_never_reached_is_refused(sales, busy):
    """The same server, set back to an earlier time: a reader knows more than it does."""
    place = signing.dumps((sales[-1].moment + 900_000_000, 0), salt="feed")
    refused(busy.get(URL, {"after": place}), 400, "invalid_cursor", "cursor_expired")


def test_settling_in_waits_for_whoever_writes_a_change(sales, post, other_store, ghee, offset):
    """What was numbered in the old stretch must be there before anybody reads as far as the new one."""
    Feed.objects.update_or_create(pk=1, defaults={"home": "1234/1"})

    def settle():
        try:
            settle_in()
        finally:
            connections.close_all()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'stores_change'::regclass AND NOT granted"
            )
            return cursor.fetchone()[0] == 1

    settling, late = threading.Thread(target=settle), time.monotonic() + 60
    with held(lambda: post(Kind.RECEIPT, (ghee, 1, 500), where=other_store)):
        settling.start()
        while settling.is_alive() and not waits():
            assert time.monotonic() < late
        assert settling.is_alive(), "it went on while a change was being written"
    settling.join(60)
    assert not moved()
    calm()
    page = read_feed(ApiKey(all_stores=True), types=TYPES, after=(sales[-1].moment, sales[-1].pk), limit=50)
    assert [change.store_id for change in page.changes] == [other_store.pk]
