"""An owner's keys on his own pages: for his stores alone, shown once, made once, and nobody else's are there."""

import html
import re
import uuid
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from psycopg.errors import QueryCanceled

from stores import queries
from stores.models import ApiKey, ApiRequest, Delivery, Membership, Store, Webhook
from stores.services import (
    MOST_OWN,
    create_key,
    create_own_key,
    create_test_key,
    revoke_key,
    rotate_key,
    rotate_own_key,
)
from stores.services.keys import KeyRefused

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"kir_(?:live|test)_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}")
HOME, NEW, TEST = (reverse(name) for name in ("developers", "developers_key_new", "developers_key_test"))


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def practice(db):
    return Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)


@pytest.fixture
def mine(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def key(store):
    return create_key(name="Till", scopes=["movements:write"], stores=[store])[0]


def page(name, key):
    return reverse(f"developers_{name}", args=[key.public_id])


def form(store, **fields):
    return {
        "name": "Till of Ali",
        "stores": [store.code],
        "scopes": ["movements:write", "inventory:read"],
        "life": "90",
        "reference": str(uuid.uuid4()),
        "act": "do",
        **fields,
    }


def press(**fields):
    return {"reference": str(uuid.uuid4()), "act": "do", **fields}


def without_ids(answer) -> str:
    """The page without what differs from one request to the next: its own id and the form token."""
    text = (
        answer.content.decode().replace(answer["X-Request-Id"], "").replace(answer["X-Request-Id"][:12], "")
    )
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)


def pages_of(key, webhook) -> list[str]:
    return [
        *(page(name, key) for name in ("key", "requests", "rotate", "revoke")),
        reverse("developers_webhook", args=[webhook.pk]),
    ]


def hook(key, **fields) -> Webhook:
    return Webhook.objects.create(
        key=key, url="https://till.example/hook", events=["stock.out"], since=0, salt="x", fingerprint="x", **fields
    )  # fmt: skip


# -- who may come in --------------------------------------------------------------------------------------------
def test_who_is_not_signed_in_is_led_to_the_sign_in_page(client, key):
    for url in [HOME, NEW, *pages_of(key, hook(key))]:
        answer = client.get(url)
        assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={url}")


@pytest.mark.parametrize("role", ["manager", "cashier", "auditor", "head_office"])
def test_who_owns_no_store_finds_nothing_here(client, staff, head_office, store, key, role):
    client.force_login(head_office if role == "head_office" else staff(role))
    webhook = hook(key)
    sent = client.get("/developers/nowhere/")
    for url in [HOME, NEW, *pages_of(key, webhook)]:
        answer = client.get(url)
        assert answer.status_code == 404
        assert without_ids(answer) == without_ids(sent), url
    for url in [NEW, TEST, page("rotate", key), page("revoke", key)]:
        assert client.post(url, form(store)).status_code == 404
    key.refresh_from_db()
    assert key.is_usable
    assert ApiKey.objects.count() == 1


def test_a_foreign_key_is_answered_like_one_that_is_not_there(mine, other_store, store):
    foreign, _ = create_key(name="Foreign", scopes=["movements:write"], stores=[other_store])
    shared, _ = create_key(name="Shared", scopes=["movements:write"], stores=[store, other_store])
    every, _ = create_key(name="Head office key", scopes=["movements:write"], all_stores=True)
    sandbox, _ = create_key(name="Foreigner", scopes=["movements:write"], all_stores=True, is_test=True)
    delivery = Delivery.objects.create(
        webhook=hook(foreign), event_id="evt_1", type="stock.out", status="failed"
    )
    for key in (foreign, shared, every, sandbox):
        absent = ApiKey(public_id="0000000000")
        for name in ("key", "requests", "rotate", "revoke"):
            there, not_there = mine.get(page(name, key)), mine.get(page(name, absent))
            assert there.status_code == not_there.status_code == 404
            assert without_ids(there) == without_ids(not_there)
        for name in ("rotate", "revoke"):
            there, not_there = (mine.post(page(name, each), press(grace="0")) for each in (key, absent))
            assert there.status_code == not_there.status_code == 404
            assert without_ids(there) == without_ids(not_there)
        key.refresh_from_db()
        assert (key.revoked_at, key.expires_at) == (None, None)
        assert key.name not in mine.get(HOME).text
    for there, not_there in [
        (["developers_webhook", delivery.webhook_id], ["developers_webhook", 9_999_999]),
        (
            ["developers_retry", delivery.webhook_id, delivery.pk],
            ["developers_retry", 9_999_999, delivery.pk],
        ),
    ]:
        answers = []
        for name, *numbers in (there, not_there):
            ask = mine.post if name == "developers_retry" else mine.get
            answers.append(ask(reverse(name, args=numbers), {"act": "do"}))
        assert {answer.status_code for answer in answers} == {404}
        assert without_ids(answers[0]) == without_ids(answers[1])
    delivery.refresh_from_db()
    assert delivery.status == "failed"
    assert ApiKey.objects.count() == 4


def test_a_key_that_a_store_of_mine_shares_with_none_else_is_mine_whoever_made_it(
    mine, key, staff, store, other_store
):
    assert mine.get(page("key", key)).status_code == 200
    both, _ = create_key(name="Both", scopes=["movements:write"], stores=[store, other_store])
    Membership.objects.create(user=mine.get(HOME).wsgi_request.user, store=other_store, role="manager")
    assert mine.get(page("key", both)).status_code == 404
    Membership.objects.filter(store=other_store).update(role="owner")
    assert mine.get(page("key", both)).status_code == 200
    Membership.objects.all().delete()
    assert mine.get(page("key", key)).status_code == 404


# -- how to begin ----------------------------------------------------------------------------------------------
def test_who_has_no_key_is_shown_three_steps(mine, practice):
    text = mine.get(HOME).text
    assert text.count('<li class="card stack-small">') == 3
    assert 'curl -H "X-API-Key: kir_test_…" http://testserver/api/v1/me/' in html.unescape(text)
    assert reverse("docs") in text
    answer = mine.post(TEST, press())
    [secret] = set(SECRET.findall(answer.text))
    made = ApiKey.objects.get()
    assert (made.is_test, made.all_stores, made.created_by.username) == (True, True, "owner-1")
    assert set(made.scopes) == set(ApiKey.Scope.values) - {"catalog:write"}
    assert made.digest == ApiKey.hash(secret)
    assert f'curl -H "X-API-Key: {secret}" http://testserver/api/v1/me/' in html.unescape(answer.text)
    told = Client(headers={"x-api-key": secret}).get("/api/v1/me/").json()
    assert told["stores"] == ["TEST-0001"]
    assert '<li class="card stack-small">' not in mine.get(HOME).text


def test_without_a_practice_store_the_page_says_who_makes_one(mine):
    assert "Ask head office for one" in mine.post(TEST, press()).text


def test_the_owner_of_a_practice_store_alone_makes_test_keys_alone(client, staff, practice):
    client.force_login(staff("owner", practice))
    assert NEW not in client.get(HOME).text
    assert client.get(NEW).status_code == 404
    assert client.post(NEW, form(practice)).status_code == 404
    assert client.post(TEST, press()).status_code == 200
    assert ApiKey.objects.get().is_test


# -- making one ------------------------------------------------------------------------------------------------
def test_a_new_key_is_shown_once_and_works(mine, store, owner):
    answer = mine.post(NEW, form(store))
    [secret] = set(SECRET.findall(answer.text))
    key = ApiKey.objects.get()
    assert (key.digest, key.created_by, key.is_test, key.all_stores, key.rate) == (
        ApiKey.hash(secret), owner, False, False, None,
    )  # fmt: skip
    assert (set(key.scopes), list(key.stores.all())) == ({"movements:write", "inventory:read"}, [store])
    assert timedelta(days=89) < key.expires_at - timezone.now() <= timedelta(days=90)
    assert "no-store" in answer["Cache-Control"]
    told = Client(headers={"x-api-key": secret}).get("/api/v1/me/").json()
    assert told["stores"] == [store.code]
    assert LogEntry.objects.get().object_id == str(key.pk)
    for url in [HOME, *(page(name, key) for name in ("key", "requests", "rotate", "revoke"))]:
        text = mine.get(url).text
        assert secret[20:52] not in text
        assert key.shown in text


def test_a_key_without_an_end_has_none(mine, store):
    mine.post(NEW, form(store, life=""))
    assert ApiKey.objects.get().expires_at is None


def test_the_form_sent_twice_makes_one_key(mine, store):
    for url, sent in ((NEW, form(store)), (TEST, press())):
        before = ApiKey.objects.count()
        assert SECRET.search(mine.post(url, sent).text)
        again = mine.post(url, sent, follow=True)
        assert "cannot be shown again" in again.text
        assert not SECRET.search(again.text)
        assert ApiKey.objects.count() == before + 1


def test_a_form_that_failed_may_be_sent_again(mine, store, monkeypatch):
    sent = form(store)
    with monkeypatch.context() as patch:
        patch.setattr("stores.views.keys.note", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mine.post(NEW, sent)
    assert not ApiKey.objects.exists()
    assert SECRET.search(mine.post(NEW, sent).text)
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_key(owner, store, together):
    sent = form(store)

    def send():
        phone = Client()
        phone.force_login(owner)
        return phone.post(NEW, sent).text

    answers = together([send] * 6)
    assert sum(bool(SECRET.search(text)) for text in answers) == 1
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(("fields", "words"), [
    ({"name": " "}, "This field is required"),
    ({"name": "x" * 101}, "at most 100"),
    ({"name": "Till\x07"}, "cannot be kept"),
    ({"stores": []}, "Choose at least one store."),
    ({"stores": ["KHI-0001"]}, "not one of the available choices"),
    ({"stores": ["LHE-0001", "KHI-0001"]}, "not one of the available choices"),
    ({"stores": ["NONE-1"]}, "not one of the available choices"),
    ({"stores": ["TEST-0001"]}, "not one of the available choices"),
    ({"stores": ["LHE-0001", "TEST-0001"]}, "not one of the available choices"),
    ({"scopes": []}, "Choose at least one thing it may do."),
    ({"scopes": ["catalog:write"]}, "not one of the available choices"),
    ({"scopes": ["movements:read", "catalog:write"]}, "not one of the available choices"),
    ({"scopes": ["everything"]}, "not one of the available choices"),
    ({"life": "9999"}, "not one of the available choices"),
    ({"reference": ""}, "load the page again"),
    ({"reference": "'; drop"}, "load the page again"),
])  # fmt: skip
def test_what_he_may_not_give_is_refused_on_the_form(
    mine, store, other_store, practice, owner, fields, words
):
    Membership.objects.create(user=owner, store=other_store, role="manager")
    Membership.objects.create(user=owner, store=practice, role="owner")
    answer = mine.post(NEW, form(store, **fields))
    assert answer.status_code == 200
    assert words in answer.text
    assert not SECRET.search(answer.text)
    assert not ApiKey.objects.exists()


def test_fields_that_the_form_does_not_have_change_nothing(mine, store, other_store):
    forged = {
        "all_stores": "on",
        "is_test": "on",
        "rate": "999999",
        "created_by": "1",
        "expires_at": "2099-01-01",
        "kind": "test",
    }
    mine.post(NEW, form(store, **forged))
    key = ApiKey.objects.get()
    assert (key.all_stores, key.is_test, key.rate) == (False, False, None)
    assert list(key.stores.all()) == [store]
    mine.post(TEST, press(stores=[store.code], scopes=["catalog:write"], is_test="", all_stores=""))
    test = ApiKey.objects.get(is_test=True)
    assert not test.stores.exists()
    assert "catalog:write" not in test.scopes


def test_the_service_refuses_what_the_form_does_not_offer(owner, store, other_store, practice):
    give = {"owner": owner, "name": "Till", "scopes": ["movements:read"], "stores": [store]}
    Membership.objects.create(user=owner, store=practice, role="owner")
    for wrong, code in (
        ({"stores": [store, other_store]}, "foreign_store"),
        ({"scopes": ["catalog:write"]}, "head_office_only"),
        ({"stores": [practice]}, "wrong_side"),
        ({"stores": []}, "no_store"),
    ):
        with pytest.raises(KeyRefused) as refusal:
            create_own_key(**{**give, **wrong})
        assert refusal.value.code == code
    assert not ApiKey.objects.exists()


def test_there_is_an_end_to_the_keys_of_one_owner(mine, owner, store):
    ApiKey.objects.bulk_create(
        ApiKey(public_id=f"{number:010d}", digest="x", name="Old", scopes=["stores:read"], created_by=owner)
        for number in range(MOST_OWN - 1)
    )
    assert SECRET.search(mine.post(NEW, form(store)).text)
    key = ApiKey.objects.get(name="Till of Ali")
    for answer in (
        mine.post(NEW, form(store)),
        mine.post(TEST, press(), follow=True),
        mine.post(page("rotate", key), press(grace="0")),
    ):
        assert "Revoke those you no longer need" in answer.text
    assert ApiKey.objects.count() == MOST_OWN
    revoke_key(key=key)
    assert SECRET.search(mine.post(NEW, form(store)).text)


def test_a_form_without_its_token_is_refused(owner, store, key):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    for url in (NEW, TEST, page("rotate", key), page("revoke", key)):
        assert strict.post(url, form(store, grace="0")).status_code == 403
    key.refresh_from_db()
    assert key.is_usable
    assert ApiKey.objects.count() == 1


def test_every_form_brings_its_token(owner, store, key, practice):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    delivery = Delivery.objects.create(webhook=hook(key), event_id="evt_1", type="stock.out", status="failed")
    retry = reverse("developers_retry", args=[delivery.webhook_id, delivery.pk])
    for place, target, fields, status in (
        (HOME, TEST, {}, 200),
        (NEW, NEW, form(store), 200),
        (reverse("developers_webhook", args=[delivery.webhook_id]), retry, {}, 302),
        (page("rotate", key), page("rotate", key), {"grace": "3600"}, 200),
        (page("revoke", key), page("revoke", key), {}, 302),
    ):
        forms = re.findall(r"<form[^>]*>.*?</form>", strict.get(place).text, re.DOTALL)
        mine = [each for each in forms if f'action="{target}"' in each or "action=" not in each.split(">")[0]]
        [text] = [each for each in mine if 'value="do"' in each]
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', text))
        answer = strict.post(target, {**fields, **hidden, "act": "do"})
        assert answer.status_code == status, place
        assert "is torn" not in answer.text


def test_looking_changes_nothing(mine, store, key, django_assert_max_num_queries):
    webhook = hook(key)
    before = list(ApiKey.objects.values()), list(LogEntry.objects.values()), list(Webhook.objects.values())
    for url in [HOME, NEW, *pages_of(key, webhook)]:
        with django_assert_max_num_queries(16) as asked:
            assert mine.get(url).status_code == 200
        wrote = [one["sql"] for one in asked.captured_queries if re.match("INSERT|UPDATE|DELETE", one["sql"])]
        assert wrote == []
        assert mine.head(url).status_code == 200
    assert mine.get(TEST).status_code == 405
    assert before == (
        list(ApiKey.objects.values()),
        list(LogEntry.objects.values()),
        list(Webhook.objects.values()),
    )


def test_a_form_that_waited_for_a_new_sign_in_is_looked_over_first(client, owner, store, key):
    sent = form(store)
    answer = client.post(NEW, sent)
    assert answer.status_code == 401
    client.force_login(owner)
    for url in (NEW, TEST, page("rotate", key), page("revoke", key)):
        again = client.post(url, {**sent, "act": "check", "grace": "0"}, follow=True)
        assert again.status_code == 200
        assert not SECRET.search(again.text)
    assert 'value="Till of Ali"' in client.post(NEW, {**sent, "act": "check"}).text
    key.refresh_from_db()
    assert key.is_usable
    assert ApiKey.objects.count() == 1


# -- rotating and revoking ----------------------------------------------------------------------------------------
def test_rotating_shows_a_successor_and_lets_the_old_key_run_out(mine, key, store, owner):
    webhook = hook(key)
    sent = press(grace="3600")
    answer = mine.post(page("rotate", key), sent)
    [secret] = set(SECRET.findall(answer.text))
    successor = ApiKey.objects.exclude(pk=key.pk).get()
    assert (successor.digest, successor.created_by, list(successor.stores.all())) == (
        ApiKey.hash(secret), owner, [store],
    )  # fmt: skip
    key.refresh_from_db()
    assert timedelta(minutes=59) < key.expires_at - timezone.now() <= timedelta(hours=1)
    webhook.refresh_from_db()
    assert webhook.key == successor
    assert LogEntry.objects.count() == 2
    again = mine.post(page("rotate", key), sent)
    assert "cannot be shown again" in again.text
    assert not SECRET.search(again.text)
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("grace", ["", "1", "99999999", "-1", "x"])
def test_a_time_that_is_not_offered_is_refused(mine, key, grace):
    assert mine.post(page("rotate", key), press(grace=grace)).status_code == 200
    assert ApiKey.objects.count() == 1


def test_a_key_with_a_right_of_head_office_is_not_rotated_by_an_owner(mine, store, owner):
    key, _ = create_key(name="Partner", scopes=["catalog:write", "movements:read"], stores=[store])
    text = mine.get(page("key", key)).text
    assert page("rotate", key) not in text
    assert "only head office rotates this key" in text
    assert mine.get(page("rotate", key)).status_code == 404
    assert mine.post(page("rotate", key), press(grace="0")).status_code == 404
    assert ApiKey.objects.count() == 1
    # What opens his own store he may end.
    assert mine.post(page("revoke", key), press()).status_code == 302
    key.refresh_from_db()
    assert not key.is_usable


def test_a_right_that_head_office_gives_meanwhile_is_not_rotated_away(key, owner, store, other_store):
    ApiKey.objects.update(scopes=["catalog:write"])
    with pytest.raises(KeyRefused, match="Only head office"):
        rotate_own_key(key=key, grace=timedelta(0), owner=owner)
    ApiKey.objects.update(scopes=["stores:read"])
    key.stores.add(other_store)
    with pytest.raises(KeyRefused):
        rotate_own_key(key=key, grace=timedelta(0), owner=owner)
    assert ApiKey.objects.count() == 1


def test_a_test_key_that_head_office_rotates_stays_on_its_owner_s_page(mine, owner, head_office):
    key, _ = create_test_key(owner=owner, name="Test")
    successor, _ = rotate_key(key=key, by=head_office)
    assert mine.get(page("key", successor)).status_code == 200


def test_revoking_asks_first_and_then_ends_the_key(mine, key):
    assert "cannot be undone" in mine.get(page("revoke", key)).text
    key.refresh_from_db()
    assert key.is_usable
    assert mine.post(page("revoke", key), press()).status_code == 302
    key.refresh_from_db()
    first = key.revoked_at
    assert first
    assert mine.post(page("revoke", key), press()).status_code == 302
    key.refresh_from_db()
    assert key.revoked_at == first
    assert LogEntry.objects.get().change_message == "Revoked by an owner."
    text = mine.get(page("key", key)).text
    assert "Revoked" in text
    assert page("rotate", key) not in text
    for name in ("rotate", "revoke"):
        assert mine.get(page(name, key)).status_code == 404
    assert mine.post(page("rotate", key), press(grace="0")).status_code == 404


# -- what was asked ----------------------------------------------------------------------------------------------
@pytest.fixture
def asked(key):
    """Seventy requests of `key`, the newest last: each seventh refused, each tenth failed; and one of another key."""

    def status(number):
        return 500 if number % 10 == 0 else 422 if number % 7 == 0 else 200

    other, _ = create_key(name="Other", scopes=["stores:read"], all_stores=True)
    now = timezone.now()
    rows = [
        ApiRequest(
            key=key, at=now - timedelta(minutes=70 - number), request_id=f"request-{number:04d}", method="POST",
            path="/api/v1/documents/", status=status(number), milliseconds=12, code="parse_error" if status(number) == 422 else "",
        )
        for number in range(70)
    ]  # fmt: skip
    rows.append(
        ApiRequest(key=other, request_id="foreign-0001", method="GET", path="/api/v1/foreign/", status=200, milliseconds=1)
    )  # fmt: skip
    return ApiRequest.objects.bulk_create(rows)


def ids(text):
    return re.findall(r"request-\d{4}", text)


def test_the_log_is_paged_newest_first(mine, key, asked):
    first = mine.get(page("requests", key)).text
    assert ids(first) == [f"request-{number:04d}" for number in range(69, 19, -1)]
    cursor = html.unescape(re.search(r'rel="next" href="([^"]+)"', first)[1])
    second = mine.get(page("requests", key) + cursor).text
    assert ids(second) == [f"request-{number:04d}" for number in range(19, -1, -1)]
    assert "foreign-0001" not in first + second
    back = html.unescape(re.search(r'rel="prev" href="([^"]+)"', second)[1])
    assert ids(mine.get(page("requests", key) + back).text) == ids(first)


def test_the_log_is_narrowed_by_answer_and_by_id(mine, key, asked):
    def shown(**given):
        return ids(mine.get(page("requests", key), given).text)

    assert shown(status="5xx") == [f"request-{number:04d}" for number in (60, 50, 40, 30, 20, 10, 0)]
    assert shown(status="4xx") == [f"request-{number:04d}" for number in (63, 56, 49, 42, 35, 28, 21, 14, 7)]
    assert len(shown(status="2xx")) == 50
    assert shown(request_id=" request-0007 ")[-1] == "request-0007"
    assert len(set(shown(request_id="request-0007"))) == 1
    assert shown(request_id="request-0007", status="4xx")
    for nothing in (
        {"request_id": "foreign-0001"},
        {"request_id": "request-000"},
        {"status": "9xx"},
        {"request_id": "\0"},
    ):
        text = mine.get(page("requests", key), nothing).text
        assert "api/v1/foreign" not in text
    assert "No request fits" in mine.get(page("requests", key), {"request_id": "request-000"}).text
    assert "No request fits" in mine.get(page("requests", key), {"status": "9xx"}).text


@pytest.mark.parametrize("cursor", ["x", "", "a:b:c", "\0"])
def test_a_cursor_of_another_list_is_not_taken(mine, key, asked, owner, store, cursor):
    other, _ = create_key(name="Second", scopes=["stores:read"], stores=[store])
    theirs = html.unescape(re.search(r'rel="next" href="([^"]+)"', mine.get(page("requests", key)).text)[1])
    assert mine.get(page("requests", other) + theirs).status_code == 404
    assert mine.get(page("requests", key) + theirs + "&status=5xx").status_code == 404
    assert mine.get(page("requests", key), {"cursor": cursor}).status_code == (200 if cursor == "" else 404)


def test_a_search_that_would_take_too_long_is_said_in_words(mine, key, asked, monkeypatch):
    def slow(*given, **options):
        raise OperationalError("canceled") from QueryCanceled()

    with monkeypatch.context() as patch:
        patch.setattr("stores.views.keys.keyset_page", slow)
        assert "Too many requests to search" in mine.get(page("requests", key), {"status": "5xx"}).text


def test_usage_counts_the_last_seven_days_by_the_owner_s_clock(mine, key, store):
    zone = ZoneInfo(store.timezone)
    midnight = timezone.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for at, status in (
        (midnight, 200),
        (midnight - timedelta(seconds=1), 422),
        (midnight - timedelta(days=6), 503),
        (midnight - timedelta(days=6, seconds=1), 200),
    ):
        ApiRequest.objects.create(
            key=key, at=at, request_id="x", method="GET", path="/", status=status, milliseconds=1
        )
    days = queries.usage(key, zone)
    assert [(row["requests"], row["refused"], row["failed"]) for row in days] == [
        (1, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 0, 0),
    ]  # fmt: skip
    assert [row["day"] for row in days] == [(midnight - timedelta(days=n)).date() for n in range(6, -1, -1)]
    text = mine.get(page("key", key)).text
    assert "1 refused" in re.sub("<[^>]+>", "", text)
    assert "1 failed" in re.sub("<[^>]+>", "", text)


def test_counting_that_would_take_too_long_is_given_up_and_the_page_goes_on(mine, key, monkeypatch):
    with pytest.raises(queries.TooLong), queries.briefly(30), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    assert ApiKey.objects.filter(pk=key.pk).exists()

    @contextmanager
    def at_once():
        raise queries.TooLong
        yield

    monkeypatch.setattr(queries, "briefly", at_once)
    assert "Too many to count here." in mine.get(page("key", key)).text


# -- webhooks ----------------------------------------------------------------------------------------------------
def test_deliveries_are_shown_and_sent_again(mine, key):
    webhook = hook(key)
    log = [{"at": "2026-11-22T09:41:07+05:00", "status": 503, "milliseconds": 40, "error": "busy"}]
    failed = Delivery.objects.create(
        webhook=webhook, event_id="evt_7", type="stock.out", status="failed", tries=9, log=log
    )
    assert webhook.url in mine.get(page("key", key)).text
    there = reverse("developers_webhook", args=[webhook.pk])
    text = mine.get(there).text
    for words in ("evt_7", "503", "busy", "Given up", "9 tries", "Stock is out"):
        assert words in text
    retry = reverse("developers_retry", args=[webhook.pk, failed.pk])
    assert mine.get(retry).status_code == 405
    mine.post(retry, {"act": "check"})
    failed.refresh_from_db()
    assert failed.status == "failed"
    for _time in range(2):
        assert mine.post(retry, {"act": "do"})["Location"] == there
    failed.refresh_from_db()
    assert (failed.status, failed.event_id, failed.tries) == ("waiting", "evt_7", 0)
    assert webhook.deliveries.count() == 1
    assert retry not in mine.get(there).text


def test_nothing_is_sent_to_a_webhook_that_is_switched_off(mine, key):
    webhook = hook(key, ended="gone")
    failed = Delivery.objects.create(webhook=webhook, event_id="evt_7", type="stock.out", status="failed")
    retry = reverse("developers_retry", args=[webhook.pk, failed.pk])
    assert "switched off" in mine.post(retry, {"act": "do"}, follow=True).text
    failed.refresh_from_db()
    assert failed.status == "failed"


def test_a_delivery_of_another_webhook_is_not_reached_through_mine(mine, key, other_store):
    foreign, _ = create_key(name="Foreign", scopes=["stores:read"], stores=[other_store])
    theirs = Delivery.objects.create(
        webhook=hook(foreign), event_id="evt_1", type="stock.out", status="failed"
    )
    assert (
        mine.post(reverse("developers_retry", args=[hook(key).pk, theirs.pk]), {"act": "do"}).status_code
        == 404
    )
    theirs.refresh_from_db()
    assert theirs.status == "failed"


# -- ways here, and the practice store ---------------------------------------------------------------------------
def test_owners_find_the_page_and_nobody_else_does(client, staff, store):
    for role in ("owner", "manager", "cashier", "auditor"):
        client.force_login(staff(role))
        for url in (reverse("dashboard", args=[store.code]), reverse("profile")):
            assert (HOME in client.get(url).text) == (role == "owner"), (role, url)


def test_a_practice_store_is_marked_on_each_of_its_pages(client, staff, store, practice):
    user = staff("manager", practice)
    Membership.objects.create(user=user, store=store, role="manager")
    client.force_login(user)
    for name in ("dashboard", "sale", "inventory", "reports", "movements"):
        assert "Practice store" in client.get(reverse(name, args=[practice.code])).text
        assert "Practice store" not in client.get(reverse(name, args=[store.code])).text
    assert client.get(reverse("store_list")).text.count("Practice store") == 1
