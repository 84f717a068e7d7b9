"""Head office makes, rotates and revokes partners' keys; a secret is shown once and is found nowhere afterwards."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from stores.models import ApiKey

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"kir_live_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}")
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
