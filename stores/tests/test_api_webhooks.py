"""Webhooks of partners: a key sees and changes its own, the secret is shown once, and nothing wrong is kept."""

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stores.models import ApiKey, Change, Delivery, Store, Webhook
from stores.services import addresses, rotate_key, webhooks
from stores.tests.test_sending import REFUSED

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/v1/webhooks/"
URL = "https://partner.example.com/hook"
EVENTS = ["movement.created"]
SAME = {"x-request-id": "the-same-request"}


@pytest.fixture(autouse=True)
def resolver(monkeypatch):
    """resolver[host] is where a name leads; any other leads to a public place."""
    known = {}
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [(known.get(host, "8.8.8.8"), port)])
    return known


@pytest.fixture
def partner(api_client):
    return api_client()


@pytest.fixture
def webhook(partner):
    """A webhook of `partner`."""
    made, _secret = webhooks.create_webhook(key=partner.key, url=URL, events=EVENTS)
    return made


@pytest.fixture
def delivery(webhook):
    """delivery("failed") is a message to `webhook` that came to this."""

    def make(status="waiting", of=webhook, **fields):
        number = Delivery.objects.count() + 1
        made = Delivery.objects.create(
            webhook=of, event_id=f"evt_{number}", type="movement.created", moment=number, change=number,
            status=status, **fields,
        )  # fmt: skip
        made.refresh_from_db()
        return made

    return make


def create(partner, **fields):
    return partner.post(WEBHOOKS, {"url": URL, "events": EVENTS} | fields)


def at(webhook, act: str = "") -> str:
    return f"{WEBHOOKS}{webhook.pk}/{act}"


def faults(answer) -> list[tuple[str, str]]:
    return [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


def state() -> list:
    """All that a refusal must leave as it was."""
    return [*Webhook.objects.order_by("pk").values(), *Delivery.objects.order_by("pk").values()]


# -- Create ---------------------------------------------------------------------------------------------------------------
def test_a_new_webhook_shows_its_secret_this_once(partner):
    made = create(partner, name="Order desk", events=["stock.out", "movement.created", "stock.out"])
    assert made.status_code == 201
    row = made.json()
    assert list(row) == [
        "id", "url", "events", "name", "enabled", "ended", "failing_since", "delivered_at", "old_secret_until", "created_at",
        "secret",
    ]  # fmt: skip
    assert (row["url"], row["name"], row["enabled"], row["ended"]) == (URL, "Order desk", True, None)
    assert row["events"] == ["movement.created", "stock.out"]
    assert row["secret"].startswith("whsec_")
    kept = Webhook.objects.get()
    assert row["secret"] == Webhook.written(kept.signing_secrets()[0])
    assert kept.key == partner.key
    for other in (partner.get(at(kept)), partner.get(WEBHOOKS), partner.patch(at(kept), {"name": "x"})):
        assert other.status_code == 200
        assert "secret" not in str(other.json()).replace("old_secret_until", "")
    # What is stored signs nothing without the site's own key.
    whole = str(Webhook.objects.values().get())
    assert row["secret"] not in whole
    assert row["secret"].removeprefix("whsec_") not in whole


def test_it_tells_of_what_changes_from_now_on(partner):
    with connection.cursor() as cursor:
        cursor.execute("SELECT stores_horizon()")
        before = cursor.fetchone()[0]
    create(partner)
    assert Webhook.objects.get().since >= before


def test_the_address_is_kept_in_one_way_of_writing(partner):
    assert create(partner, url="HTTPS://Partner.Example.COM:443/hook").json()["url"] == URL
    again = create(partner)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_webhook")
    assert faults(again) == [("/url", "duplicate_webhook")]
    assert Webhook.objects.count() == 1


def test_two_keys_may_tell_the_same_address(partner, api_client):
    assert [create(one).status_code for one in (partner, api_client())] == [201, 201]


def test_the_twenty_first_is_one_too_many(partner):
    for number in range(webhooks.MOST_WEBHOOKS):
        assert create(partner, url=f"{URL}/{number}").status_code == 201
    refused = create(partner)
    assert (refused.status_code, faults(refused)) == (400, [("", "too_many")])
    assert Webhook.objects.count() == webhooks.MOST_WEBHOOKS


@pytest.mark.parametrize(("url", "code"), REFUSED, ids=[row[0][:60] for row in REFUSED])
def test_an_address_that_is_never_called_is_not_kept(partner, url, code):
    if len(url) > 10_000:
        url = url[:10_000]
    refused = create(partner, url=url)
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_error")
    assert faults(refused) == [("/url", code)]
    assert state() == []


@pytest.mark.parametrize(("given", "fault"), [
    ({"url": None}, ("/url", "wrong_type")), ({"url": 1}, ("/url", "wrong_type")), ({"url": [URL]}, ("/url", "wrong_type")),
    ({"url": ""}, ("/url", "blank")), ({"url": {"x": URL}}, ("/url", "wrong_type")),
    ({"events": []}, ("/events", "empty")), ({"events": "stock.low"}, ("/events", "wrong_type")),
    ({"events": None}, ("/events", "wrong_type")), ({"events": ["stock.high"]}, ("/events/0", "invalid_choice")),
    ({"events": ["stock.low", 7]}, ("/events/1", "wrong_type")), ({"events": ["STOCK.LOW"]}, ("/events/0", "invalid_choice")),
    ({"events": [["stock.low"]]}, ("/events/0", "wrong_type")), ({"events": ["webhook.test"]}, ("/events/0", "invalid_choice")),
    ({"events": ["stock.low"] * 21}, ("/events", "too_many")),
    ({"name": "x" * 101}, ("/name", "too_long")), ({"name": "a\nb"}, ("/name", "control_character")), ({"name": 7}, ("/name", "wrong_type")),
    ({"secret": "whsec_x"}, ("/secret", "unknown_field")), ({"ended": ""}, ("/ended", "unknown_field")),
    ({"key": 1}, ("/key", "unknown_field")), ({"enabled": True}, ("/enabled", "unknown_field")),
])  # fmt: skip
def test_wrong_bodies_are_refused_and_leave_nothing(partner, given, fault):
    refused = create(partner, **given)
    assert refused.status_code == 400
    assert fault in faults(refused)
    assert state() == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"url":1,"url":2}', "{}"])
def test_bodies_that_are_none(partner, body):
    refused = partner.generic("POST", WEBHOOKS, body, content_type="application/json")
    assert (refused.status_code, state()) == (400, [])


def test_a_null_character_is_refused(partner):
    refused = create(partner, url=URL + "\0")
    assert (refused.status_code, refused.json()["code"]) == (400, "null_character")


def test_a_name_that_leads_to_a_private_place_is_refused(partner, resolver):
    resolver["partner.example.com"] = "10.0.0.7"
    refused = create(partner)
    assert (refused.status_code, faults(refused)) == (400, [("/url", "host_not_public")])
    assert state() == []


def test_a_key_is_told_only_what_it_may_read(api_client):
    partner = api_client(scopes=["webhooks:manage", "inventory:read"])
    assert create(partner, events=["stock.low", "stock.out"]).status_code == 201
    refused = create(partner, url=URL + "/2", events=["stock.low", "movement.created"])
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert faults(refused) == [("/events", "insufficient_scope")]
    mine = Webhook.objects.get()
    refused = partner.patch(at(mine), {"events": ["product.updated"]})
    assert refused.status_code == 403
    assert Webhook.objects.get().events == ["stock.low", "stock.out"]


def test_every_type_of_change_has_its_scope():
    assert set(webhooks.SCOPES) == set(Change.Type)


# -- Whose it is ------------------------------------------------------------------------------------------------------------
CALLS = [
    ("get", "", None), ("patch", "", {"name": "taken"}), ("delete", "", None), ("post", "test/", {}), ("post", "rotate/", {}),
    ("get", "deliveries/", None), ("post", "retry/", {"since": "2026-01-01T00:00:00Z"}), ("post", "retry/", {"delivery": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "act", "body"), CALLS)
def test_a_foreign_webhook_is_answered_like_an_absent_one(api_client, webhook, delivery, method, act, body):
    delivery("failed")
    stranger, before = api_client(), state()
    foreign = getattr(stranger, method)(at(webhook, act), body, headers=SAME)
    absent = getattr(stranger, method)(f"{WEBHOOKS}{webhook.pk + 1000}/{act}", body, headers=SAME)
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.content == absent.content
    assert stranger.get(WEBHOOKS).json()["results"] == []
    assert state() == before


@pytest.mark.parametrize(("method", "act", "body"), [*CALLS, ("get", None, None), ("post", None, {})])
def test_without_the_scope_nothing_is_opened(api_client, partner, webhook, method, act, body):
    key = partner.key
    key.scopes = [scope for scope in ApiKey.Scope.values if scope != "webhooks:manage"]
    key.save()
    before = state()
    answer = getattr(partner, method)(WEBHOOKS if act is None else at(webhook, act), body)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert state() == before


@pytest.mark.parametrize(("method", "act", "body"), CALLS)
def test_nobody_without_a_key_comes_in(client, webhook, method, act, body):
    before = state()
    data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    assert getattr(client, method)(at(webhook, act), **data).status_code == 401
    assert state() == before


def test_a_rotated_key_hands_its_webhooks_to_the_next(partner, webhook, api_client):
    successor, secret = rotate_key(key=partner.key)
    assert partner.get(at(webhook)).status_code == 404
    assert [row["id"] for row in partner.get(WEBHOOKS, headers={"x-api-key": secret}).json()["results"]] == [
        webhook.pk
    ]
    assert Webhook.objects.get().key == successor


@pytest.mark.parametrize("method", ["put", "options", "trace"])
def test_other_methods_are_not_there(partner, webhook, method):
    assert partner.generic(method.upper(), at(webhook)).status_code == 405
    assert partner.delete(WEBHOOKS).status_code == 405
    assert partner.get(at(webhook, "test/")).status_code == 405


@pytest.mark.parametrize(
    "number", ["0", "999999999999999999", "9999999999999999999", "abc", "۱", "-1", "1.0"]
)
def test_ids_that_are_none(partner, number):
    assert partner.get(f"{WEBHOOKS}{number}/").status_code == 404


# -- Read and change ------------------------------------------------------------------------------------------------------------
def test_the_list_costs_the_same_however_long_it_is(partner, django_assert_num_queries):
    partner.get("/api/v1/me/")
    for number in range(3):
        webhooks.create_webhook(key=partner.key, url=f"{URL}/{number}", events=EVENTS)
    with django_assert_num_queries(2):
        assert len(partner.get(WEBHOOKS).json()["results"]) == 3


def test_what_is_not_sent_stays(partner, webhook):
    changed = partner.patch(at(webhook), {"name": "New"}).json()
    assert (changed["name"], changed["url"], changed["events"]) == ("New", URL, EVENTS)
    changed = partner.patch(at(webhook), {"url": URL + "/2", "events": ["stock.low"]}).json()
    assert (changed["name"], changed["url"], changed["events"]) == ("New", URL + "/2", ["stock.low"])


def test_a_change_to_the_address_of_another_is_refused(partner, webhook):
    create(partner, url=URL + "/2")
    refused = partner.patch(at(webhook), {"url": URL + "/2"})
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_webhook")
    assert Webhook.objects.filter(url=URL).exists()


@pytest.mark.parametrize("body", [{}, {"enabled": "yes"}, {"enabled": 1}, {"url": "http://partner.example.com/"},
                                  {"url": None}, {"events": []}, {"salt": "x"}, {"since": 0}])  # fmt: skip
def test_wrong_changes_leave_all_as_it_was(partner, webhook, body):
    before = state()
    assert partner.patch(at(webhook), body).status_code == 400
    assert state() == before


def test_a_change_may_name_the_version_it_changes(partner, webhook):
    tag = partner.get(at(webhook))["ETag"]
    assert partner.patch(at(webhook), {"name": "A"}, headers={"if-match": tag}).status_code == 200
    stale = partner.patch(at(webhook), {"name": "B"}, headers={"if-match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    assert Webhook.objects.get().name == "A"


def test_switched_off_what_waits_is_cancelled_and_on_again_it_begins_anew(partner, webhook, delivery):
    waiting, done = delivery(), delivery("delivered")
    Webhook.objects.update(since=1)
    off = partner.patch(at(webhook), {"enabled": False}).json()
    assert (off["enabled"], off["ended"]) == (False, "by_hand")
    waiting.refresh_from_db(), done.refresh_from_db()
    assert (waiting.status, done.status) == ("cancelled", "delivered")
    assert partner.patch(at(webhook), {"enabled": False}).status_code == 200
    on = partner.patch(at(webhook), {"enabled": True}).json()
    assert (on["enabled"], on["ended"]) == (True, None)
    assert Webhook.objects.get().since > 1


@pytest.mark.parametrize("why", ["gone", "failing", "key"])
def test_a_webhook_that_was_ended_can_be_switched_on_again(partner, webhook, why):
    webhooks.switch_off(webhook=webhook, why=why)
    Webhook.objects.update(failing_since=timezone.now())
    assert partner.get(at(webhook)).json()["ended"] == why
    on = partner.patch(at(webhook), {"enabled": True}).json()
    assert (on["enabled"], on["failing_since"]) == (True, None)


def test_deleted_is_gone_with_all_that_waited(partner, webhook, delivery):
    waiting = delivery()
    assert partner.delete(at(webhook)).status_code == 204
    assert partner.delete(at(webhook)).status_code == 404
    assert partner.get(at(webhook, "deliveries/")).status_code == 404
    waiting.refresh_from_db()
    assert (Webhook.objects.count(), waiting.status) == (0, "cancelled")
    assert create(partner).status_code == 201


# -- Secrets ---------------------------------------------------------------------------------------------------------------------
def test_after_a_rotation_both_secrets_sign_for_a_day(partner):
    first = create(partner).json()
    webhook = Webhook.objects.get()
    second = partner.post(at(webhook, "rotate/"), {})
    assert second.status_code == 200
    assert second.json()["secret"] != first["secret"]
    webhook.refresh_from_db()
    assert [Webhook.written(one) for one in webhook.signing_secrets()] == [
        second.json()["secret"],
        first["secret"],
    ]
    left = webhook.old_until - timezone.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    Webhook.objects.update(old_until=timezone.now())
    webhook.refresh_from_db()
    assert [Webhook.written(one) for one in webhook.signing_secrets()] == [second.json()["secret"]]


def test_rotated_twice_the_secret_in_use_goes_on_signing(partner):
    """The answer to the first rotation was lost: nobody uses the secret between."""
    first = create(partner).json()["secret"]
    webhook = Webhook.objects.get()
    lost = partner.post(at(webhook, "rotate/"), {}).json()["secret"]
    until = Webhook.objects.get().old_until
    third = partner.post(at(webhook, "rotate/"), {}).json()["secret"]
    webhook.refresh_from_db()
    signing = [Webhook.written(one) for one in webhook.signing_secrets()]
    assert signing == [third, first]
    assert lost not in signing
    assert webhook.old_until == until


def test_secrets_outlive_a_change_of_the_site_s_key_and_are_lost_with_it(partner, settings):
    secret = create(partner).json()["secret"]
    webhook = Webhook.objects.get()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-" * 5, [settings.SECRET_KEY]
    assert [Webhook.written(one) for one in webhook.signing_secrets()] == [secret]
    settings.SECRET_KEY_FALLBACKS = []
    assert webhook.signing_secrets() == []


# -- Test, deliveries, retry -----------------------------------------------------------------------------------------------------------
def test_a_test_waits_to_be_sent_and_is_made_once(partner, webhook):
    first = partner.post(at(webhook, "test/"), {})
    assert first.status_code == 202
    assert (first.json()["type"], first.json()["status"], first.json()["tries"]) == (
        "webhook.test",
        "waiting",
        0,
    )
    assert partner.post(at(webhook, "test/"), {}).json() == first.json()
    Delivery.objects.update(status="delivered")
    assert partner.post(at(webhook, "test/"), {}).json()["event_id"] != first.json()["event_id"]
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize(
    ("act", "body"), [("test/", {}), ("retry/", {"since": "2026-01-01T00:00:00Z"}), ("retry/", None)]
)
def test_nothing_is_sent_to_a_webhook_that_is_off(partner, webhook, delivery, act, body):
    failed = delivery("failed")
    webhooks.switch_off(webhook=webhook)
    before = state()
    refused = partner.post(at(webhook, act), body if body is not None else {"delivery": failed.pk})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_ended")
    assert state() == before


@pytest.mark.parametrize("act", ["test/", "rotate/"])
@pytest.mark.parametrize("body", [{"x": 1}, [], "x", None])
def test_test_and_rotate_take_an_empty_object(partner, webhook, act, body):
    before = state()
    assert partner.post(at(webhook, act), body, format="json").status_code in (400, 415)
    assert state() == before


def test_deliveries_are_listed_newest_first_and_by_status(
    partner, webhook, delivery, django_assert_num_queries
):
    entry = {"at": "2026-11-22T04:41:10.412Z", "status": None, "milliseconds": 5000, "error": "timeout"}
    rows = [
        delivery("failed", log=[entry], tries=1),
        delivery("delivered", delivered_at=timezone.now()),
        delivery(),
    ]
    stranger, _secret = webhooks.create_webhook(key=partner.key, url=URL + "/2", events=EVENTS)
    delivery("failed", of=stranger)
    partner.get("/api/v1/me/")
    with django_assert_num_queries(3):
        found = partner.get(at(webhook, "deliveries/")).json()["results"]
    assert [row["id"] for row in found] == [row.pk for row in reversed(rows)]
    assert list(found[0]) == [
        "id", "event_id", "type", "status", "tries", "next_try_at", "created_at", "delivered_at", "log",
    ]  # fmt: skip
    assert [row["next_try_at"] is None for row in found] == [False, True, True]
    assert found[2]["log"] == [entry]
    failed = partner.get(at(webhook, "deliveries/?status=failed")).json()["results"]
    assert [row["id"] for row in failed] == [rows[0].pk]
    page = partner.get(at(webhook, "deliveries/?limit=2")).json()
    rest = partner.get(page["next"]).json()
    assert [row["id"] for row in page["results"] + rest["results"]] == [row["id"] for row in found]
    other = partner.get(page["next"].replace(f"/{webhook.pk}/", f"/{stranger.pk}/"))
    assert (other.status_code, other.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("query", ["status=lost", "status=", "status=failed&status=failed", "type=x", "limit=0", "limit=501",
                                   "ordering=status", "cursor=x"])  # fmt: skip
def test_wrong_parameters_of_the_list(partner, webhook, query):
    assert partner.get(at(webhook, f"deliveries/?{query}")).status_code == 400


@pytest.mark.parametrize("status", ["failed", "cancelled", "delivered"])
def test_one_delivery_is_sent_again_under_its_id(partner, webhook, delivery, status):
    one, other = delivery(status, tries=10), delivery(status)
    answer = partner.post(at(webhook, "retry/"), {"delivery": one.pk})
    assert (answer.status_code, answer.json()) == (202, {"retried": 1})
    one.refresh_from_db(), other.refresh_from_db()
    assert (one.status, one.tries, one.event_id, other.status) == ("waiting", 0, "evt_1", status)
    assert one.due_at <= timezone.now()


def test_one_that_waits_is_sent_at_once_and_stays_with_who_sends_it(partner, webhook, delivery):
    soon = timezone.now() + timedelta(hours=5)
    one = delivery(due_at=soon, tries=3, claimed_at=timezone.now())
    assert partner.post(at(webhook, "retry/"), {"delivery": one.pk}).json() == {"retried": 1}
    again = Delivery.objects.get(pk=one.pk)
    assert again.due_at < soon
    assert (again.status, again.tries, again.claimed_at) == ("waiting", 3, one.claimed_at)


def test_all_that_was_lost_since_a_time_is_sent_again(partner, webhook, delivery, monkeypatch):
    now = timezone.now()
    old = delivery("failed", created_at=now - timedelta(hours=3))
    lost = [
        delivery(status, created_at=now - timedelta(hours=1)) for status in ("failed", "cancelled", "failed")
    ]
    kept = [delivery("delivered"), delivery(due_at=now + timedelta(hours=1))]
    stranger, _secret = webhooks.create_webhook(key=partner.key, url=URL + "/2", events=EVENTS)
    foreign = delivery("failed", of=stranger)
    since = (now - timedelta(hours=2)).isoformat()
    monkeypatch.setattr(webhooks, "MOST_RETRIED", 2)
    assert partner.post(at(webhook, "retry/"), {"since": since}).json() == {"retried": 2}
    assert partner.post(at(webhook, "retry/"), {"since": since}).json() == {"retried": 1}
    assert partner.post(at(webhook, "retry/"), {"since": since}).json() == {"retried": 0}
    now_are = dict(Delivery.objects.values_list("pk", "status"))
    assert [now_are[row.pk] for row in lost] == ["waiting"] * 3
    assert [now_are[row.pk] for row in (old, *kept, foreign)] == ["failed", "delivered", "waiting", "failed"]
    assert Delivery.objects.get(pk=kept[1].pk).due_at > now


@pytest.mark.parametrize("body", [
    {}, {"delivery": 1, "since": "2026-01-01T00:00:00Z"}, {"delivery": "1"}, {"delivery": True}, {"delivery": 1.0}, {"delivery": None},
    {"delivery": 2**63}, {"delivery": -1}, {"delivery": 0}, {"delivery": [1]}, {"since": "2026-01-01"}, {"since": "2026-01-01T00:00:00"},
    {"since": 1}, {"since": None}, {"all": True}, {"delivery": 10**17},
])  # fmt: skip
def test_retry_takes_exactly_one_of_the_two(partner, webhook, delivery, body):
    delivery("failed")
    before = state()
    assert partner.post(at(webhook, "retry/"), body).status_code == 400
    assert state() == before


def test_a_foreign_delivery_is_refused_in_the_words_for_an_absent_one(partner, webhook, delivery):
    stranger, _secret = webhooks.create_webhook(key=partner.key, url=URL + "/2", events=EVENTS)
    foreign = delivery("failed", of=stranger)
    answers = [
        partner.post(at(webhook, "retry/"), {"delivery": number}, headers=SAME).content
        for number in (foreign.pk, foreign.pk + 1000, 2**70)
    ]
    assert len(set(answers)) == 1
    assert Delivery.objects.get().status == "failed"


# -- Many at once, and the database itself --------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_made_at_once_there_is_one_and_never_more_than_the_limit(api_client, together, monkeypatch):
    monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 3)
    partner = api_client()
    made = together([lambda: create(partner).status_code] * 4)
    assert sorted(made) == [201, 409, 409, 409]
    made = together(
        [lambda number=number: create(partner, url=f"{URL}/{number}").status_code for number in range(5)]
    )
    assert sorted(made) == [201, 201, 400, 400, 400]
    assert Webhook.objects.count() == 3


def test_the_database_keeps_one_address_once_for_a_key(webhook):
    with pytest.raises(IntegrityError), transaction.atomic():
        Webhook.objects.create(key=webhook.key, url=webhook.url, events=EVENTS, since=0)


def test_no_request_waits_for_the_resolver_inside_a_transaction(partner, monkeypatch):
    inside = []
    real = addresses.check_name

    def watched(url, *args):
        inside.append(len(connection.savepoint_ids))
        return real(url, *args)

    depth = len(connection.savepoint_ids)
    monkeypatch.setattr(webhooks, "check_name", watched)
    create(partner)
    partner.patch(at(Webhook.objects.get()), {"url": URL + "/2"})
    assert inside == [depth, depth]


def test_a_test_key_has_webhooks_of_its_own(db, api_client):
    sandbox = Store.objects.create(code="SBX-0001", name="Practice", sandbox=True)
    partner = api_client(stores=[sandbox], scopes=["webhooks:manage", "inventory:read"], is_test=True)
    assert create(partner, events=["stock.low"]).status_code == 201


def test_reading_writes_nothing(partner, webhook, delivery):
    delivery()
    partner.get("/api/v1/me/")
    with CaptureQueriesContext(
        connection,
    ) as seen:
        for url in (WEBHOOKS, at(webhook), at(webhook, "deliveries/")):
            assert partner.get(url).status_code == 200
    written = [
        query["sql"]
        for query in seen
        if query["sql"].startswith(('INSERT INTO "stores', 'UPDATE "stores', "DELETE"))
    ]
    assert [sql for sql in written if "apirequest" not in sql] == []
