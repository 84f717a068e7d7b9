"""Head office makes, rotates and revokes partners' keys; a secret is shown once and is found nowhere afterwards."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from stores.models import ApiKey, ApiRequest, Store
from stores.services import create_key

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"kir_(?:live|test)_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}")
ADD, LIST = reverse("admin:stores_apikey_add"), reverse("admin:stores_apikey_changelist")


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


@pytest.fixture
def key(api_client):
    return api_client().key


def form(**fields):
    return {
        "name": "Foodpanda",
        "scopes": ["catalog:read", "movements:write"],
        "reference": str(uuid.uuid4()),
        **fields,
    }


def act(key, name):
    return reverse(f"admin:stores_apikey_{name}", args=(key.pk,))


def test_a_new_key_is_shown_once_and_works(office, store):
    answer = office.post(ADD, form(stores=[store.pk], rate="90"))
    assert answer.status_code == 200
    [secret] = set(SECRET.findall(answer.content.decode()))
    key = ApiKey.objects.get()
    assert (key.digest, key.public_id) == (ApiKey.hash(secret), ApiKey.public_id_of(secret))
    assert (key.scopes, list(key.stores.all()), key.all_stores, key.rate) == (
        ["catalog:read", "movements:write"],
        [store],
        False,
        90,
    )
    assert key.created_by.username == "head"
    assert "no-store" in answer.headers["Cache-Control"]
    kept = "".join(session.session_data + str(session.get_decoded()) for session in Session.objects.all())
    kept += "".join(entry.change_message + entry.object_repr for entry in LogEntry.objects.all())
    for page in (
        LIST,
        reverse("admin:stores_apikey_change", args=(key.pk,)),
        reverse("admin:index"),
        reverse("admin:admin_logentry_changelist"),
    ):
        kept += office.get(page).content.decode()
    assert secret not in kept
    assert secret[20:] not in kept
    assert LogEntry.objects.get().object_id == str(key.pk)


def test_the_form_sent_twice_makes_one_key(office, store):
    sent = form(stores=[store.pk])
    office.post(ADD, sent)
    again = office.post(ADD, sent)
    assert "cannot be shown again" in again.content.decode()
    assert not SECRET.search(again.content.decode())
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Choose the stores this key may see"),
        ({"all_stores": "on", "scopes": []}, "This field is required"),
        ({"all_stores": "on", "scopes": ["everything"]}, "is not one of the available choices"),
        ({"all_stores": "on", "expires_at": "2020-01-01T00:00"}, "choose a later time"),
        ({"all_stores": "on", "reference": ""}, "load the page again"),
    ],
)
def test_a_key_that_opens_nothing_is_refused_on_the_form(office, fields, words):
    assert words in office.post(ADD, form(**fields)).content.decode()
    assert not ApiKey.objects.exists()


def test_a_key_for_all_stores_keeps_no_list_of_stores(office, store):
    office.post(ADD, form(all_stores="on", stores=[store.pk]))
    key = ApiKey.objects.get()
    assert key.all_stores
    assert not key.stores.exists()


def test_rotating_shows_a_successor_and_lets_the_old_key_run_out(office, key):
    sent = {"grace": "3600", "reference": str(uuid.uuid4())}
    answer = office.post(act(key, "rotate"), sent)
    [secret] = set(SECRET.findall(answer.content.decode()))
    successor = ApiKey.objects.exclude(pk=key.pk).get()
    assert successor.digest == ApiKey.hash(secret)
    key.refresh_from_db()
    assert timedelta(minutes=59) < key.expires_at - timezone.now() <= timedelta(hours=1)
    assert LogEntry.objects.count() == 2
    assert not SECRET.search(office.post(act(key, "rotate"), sent).content.decode())
    assert ApiKey.objects.count() == 2


def test_revoking_asks_first_and_then_ends_the_key(office, key):
    assert office.get(act(key, "revoke")).status_code == 200
    key.refresh_from_db()
    assert key.is_usable
    assert office.post(act(key, "revoke")).status_code == 302
    key.refresh_from_db()
    assert not key.is_usable
    assert LogEntry.objects.get().change_message == "Revoked."
    assert office.post(act(key, "rotate"), {"grace": "0", "reference": str(uuid.uuid4())}).status_code == 403


def test_no_key_is_deleted(office, key):
    assert (
        office.post(reverse("admin:stores_apikey_delete", args=(key.pk,)), {"post": "yes"}).status_code == 403
    )
    assert ApiKey.objects.filter(pk=key.pk).exists()


def test_rights_of_a_key_are_changed(office, key, store):
    page = reverse("admin:stores_apikey_change", args=(key.pk,))
    assert (
        office.post(page, {"name": "Till 2", "scopes": ["stores:read"], "stores": [store.pk]}).status_code
        == 302
    )
    key.refresh_from_db()
    assert (key.name, key.scopes) == ("Till 2", ["stores:read"])


def test_the_list_says_how_each_key_stands(office, api_client):
    api_client(expires_at=timezone.now() + timedelta(days=3))
    api_client()
    page = office.get(LIST).content.decode()
    assert "Runs out soon" in page
    assert "Works" in page
    assert "Runs out soon" in office.get(LIST, {"state": "expiring"}).content.decode()
    assert ">Works<" not in office.get(LIST, {"state": "expiring"}).content.decode().split("<tbody")[1]


# -- test keys and sandboxes ---------------------------------------------------------------------------------------
@pytest.fixture
def sandbox(db):
    return Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)


def test_a_test_key_is_chosen_once_and_sees_sandboxes(office, sandbox, store):
    answer = office.post(ADD, form(kind="test", scopes=["movements:write"], stores=[sandbox.pk]))
    [secret] = set(SECRET.findall(answer.content.decode()))
    key = ApiKey.objects.get()
    assert (secret[:9], key.is_test, list(key.stores.all())) == ("kir_test_", True, [sandbox])
    page = reverse("admin:stores_apikey_change", args=(key.pk,))
    assert key.shown in office.get(page).content.decode()
    assert key.shown in office.get(LIST).content.decode()
    assert 'name="kind"' not in office.get(page).content.decode()
    sent = {"name": "Test", "scopes": ["stores:read"], "all_stores": "on", "kind": "live", "is_test": ""}
    assert office.post(page, sent).status_code == 302
    key.refresh_from_db()
    assert (key.is_test, key.all_stores, key.name) == (True, True, "Test")
    assert "All sandbox stores" in office.get(LIST).content.decode()


@pytest.mark.parametrize(("kind", "side", "scopes", "words"), [
    ("test", "LHE-0001", ["movements:write"], "sees sandbox stores only"),
    ("live", "TEST-0001", ["movements:write"], "sees sandbox stores only"),
    ("test", "TEST-0001", ["catalog:write"], "cannot change the catalogue"),
    ("both", "TEST-0001", ["movements:write"], "not one of the available choices"),
])  # fmt: skip
def test_nothing_reaches_over_the_wall(office, sandbox, store, kind, side, scopes, words):
    stores = [Store.objects.get(code=side).pk]
    assert words in office.post(ADD, form(kind=kind, scopes=scopes, stores=stores)).content.decode()
    assert not ApiKey.objects.exists()
    if kind == "both":
        return
    mine = sandbox if kind == "test" else store
    key, _ = create_key(name="Till", scopes=["stores:read"], stores=[mine], is_test=kind == "test")
    page = reverse("admin:stores_apikey_change", args=(key.pk,))
    sent = {"name": "Till", "scopes": scopes, "stores": stores}
    assert words in office.post(page, sent).content.decode()
    key.refresh_from_db()
    assert (key.scopes, list(key.stores.all())) == (["stores:read"], [mine])


def test_the_refused_form_may_be_mended_and_sent_again(office, sandbox, store):
    sent = form(kind="test", stores=[store.pk])
    assert not SECRET.search(office.post(ADD, sent).content.decode())
    assert SECRET.search(office.post(ADD, {**sent, "stores": [sandbox.pk]}).content.decode())


def test_keys_are_found_by_what_is_shown_of_them_and_a_pasted_secret_leaves_the_address(office, store):
    key, secret = create_key(name="Till", scopes=["stores:read"], stores=[store])
    other, _ = create_key(name="Other", scopes=["stores:read"], stores=[store])
    for text in (key.public_id, f"kir_live_{key.public_id}", key.shown):
        page = office.get(LIST, {"q": text}).content.decode()
        assert key.shown in page
        assert other.shown not in page
    requests = reverse("admin:stores_apirequest_changelist")
    for address, name in ((LIST, "q"), (requests, "key"), (requests, "q")):
        answer = office.get(address, {name: secret, "state": "usable"})
        assert answer.status_code == 302
        assert answer["Location"] == f"{address}?{name}={key.public_id}&state=usable"


# -- what was asked ------------------------------------------------------------------------------------------------
@pytest.fixture
def asked(key, store):
    other, _ = create_key(name="Other", scopes=["stores:read"], stores=[store])
    now = timezone.now()
    made = [
        ApiRequest(
            key=other if number % 4 == 0 else key, at=now - timedelta(hours=60 - number), request_id=f"request-{number:04d}",
            method="GET", path="/api/v1/me/", status=(200, 403, 500)[number % 3], milliseconds=7, address="10.0.0.9",
        )
        for number in range(60)
    ]  # fmt: skip
    return ApiRequest.objects.bulk_create(made)


REQUESTS = reverse("admin:stores_apirequest_changelist")


def ids(page):
    return list(dict.fromkeys(re.findall(r"request-\d{4}", page.split("<tbody")[-1])))


def test_the_log_of_requests_is_paged_and_narrowed(office, key, asked):
    def pages(**given):
        url = f"{REQUESTS}?{urlencode(given)}"
        while url:
            text = office.get(url).content.decode()
            yield ids(text)
            older = re.search(r'rel="next" href="([^"]+)"', text)
            url = REQUESTS + older[1].replace("&amp;", "&") if older else ""

    def shown(**given):
        return [one for page in pages(**given) for one in page]

    assert [len(page) for page in pages()] == [25, 25, 10]
    assert shown() == [f"request-{number:04d}" for number in range(59, -1, -1)]
    mine = [f"request-{row:04d}" for row in range(59, -1, -1) if row % 4]
    assert shown(key=key.public_id) == mine
    assert shown(key=f"kir_live_{key.public_id}_…") == mine
    assert shown(key="nothing") == []
    assert shown(status="5xx") == [f"request-{row:04d}" for row in range(59, -1, -1) if row % 3 == 2]
    assert shown(q="request-0031") == ["request-0031"]
    assert shown(q="request-00") == []
    day = (timezone.now() - timedelta(hours=20)).date()
    before = (day - timedelta(days=1)).isoformat()
    assert shown(**{"from": day.isoformat()}) + shown(to=before) == [
        f"request-{row:04d}" for row in range(59, -1, -1)
    ]
    assert office.get(REQUESTS, {"from": "x"}).status_code == 200


def test_the_log_of_requests_is_written_by_nobody_here(office, asked):
    page = reverse("admin:stores_apirequest_change", args=(asked[0].pk,))
    assert "10.0.0.9" in office.get(page).content.decode()
    for address in (page, reverse("admin:stores_apirequest_add"), page.replace("change", "delete")):
        assert office.post(address, {"status": "200", "post": "yes"}).status_code == 403
    assert ApiRequest.objects.get(pk=asked[0].pk).status == asked[0].status
    assert ApiRequest.objects.count() == 60


def test_a_key_s_page_tells_its_week_and_leads_to_its_requests(office, key, asked):
    page = office.get(reverse("admin:stores_apikey_change", args=(key.pk,))).content.decode()
    week = page.split("field-week")[1].split("</table>")[0]
    numbers = [int(number) for number in re.findall(r'<bdi dir="ltr">(\d+)</bdi>', week)]
    assert len(numbers) == 21
    assert (sum(numbers[0::3]), sum(numbers[1::3]), sum(numbers[2::3])) == (45, 15, 15)
    assert f"{REQUESTS}?key={key.public_id}" in page
