"""Partners' keys: form, storage, life and end."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from stores.models import ApiKey, checksum
from stores.services import KeyRefused, create_key, create_user, revoke_key, rotate_key

pytestmark = pytest.mark.django_db


def test_a_key_has_the_published_form(store):
    key, secret = create_key(name="Till", scopes=["movements:read"], stores=[store])
    kind, mode, public_id, rest = secret.split("_")
    assert (kind, mode, len(public_id), len(rest)) == ("kir", "live", 10, 38)
    assert secret[-6:] == checksum(secret[:-6])
    assert ApiKey.public_id_of(secret) == key.public_id == public_id


def test_the_secret_is_nowhere_in_the_database(store):
    key, secret = create_key(name="Till", scopes=["movements:read"], stores=[store])
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM stores_apikey k")
        [(row,)] = cursor.fetchall()
    assert secret[20:] not in row
    assert ApiKey.hash(secret) == key.digest


@pytest.mark.parametrize("change", [
    lambda s: "", lambda s: s[:-1], lambda s: s + "0", lambda s: s.replace("kir", "xyz"), lambda s: s.replace("live", "LIVE"),
    lambda s: s[:-1] + ("0" if s[-1] != "0" else "1"), lambda s: s[:25] + "_" + s[26:], lambda s: "کلید" * 15, lambda s: "x" * 10_000,
])  # fmt: skip
def test_anything_else_is_no_key(change):
    _public_id, secret = ApiKey.new_secret()
    assert ApiKey.public_id_of(secret)
    assert ApiKey.public_id_of(change(secret)) is None


@pytest.mark.parametrize(("wrong", "code"), [
    ({"scopes": []}, "no_scope"), ({"scopes": ["everything"]}, "unknown_scope"), ({"stores": []}, "no_store"),
    ({"expires_at": timezone.now() - timedelta(days=1)}, "expired"),
])  # fmt: skip
def test_keys_that_open_nothing_are_refused(store, wrong, code):
    with pytest.raises(KeyRefused) as refusal:
        create_key(**{"name": "Till", "scopes": ["movements:read"], "stores": [store], **wrong})
    assert refusal.value.code == code
    assert not ApiKey.objects.exists()


def test_rotation_overlaps_and_then_ends_the_old_key(store):
    old, _secret = create_key(name="Till", scopes=["movements:read"], stores=[store], rate=9)
    new, secret = rotate_key(key=old, grace=timedelta(hours=1))
    old.refresh_from_db()
    assert (new.scopes, list(new.stores.all()), new.rate, new.expires_at) == (old.scopes, [store], 9, None)
    assert timedelta(minutes=59) < old.expires_at - timezone.now() < timedelta(minutes=61)
    assert ApiKey.public_id_of(secret) == new.public_id != old.public_id
    assert set(ApiKey.objects.usable()) == {old, new}


def test_rotation_never_prolongs_the_old_key(store):
    soon = timezone.now() + timedelta(minutes=5)
    old, _secret = create_key(name="Till", scopes=["movements:read"], stores=[store], expires_at=soon)
    rotate_key(key=old, grace=timedelta(days=1))
    old.refresh_from_db()
    assert old.expires_at == soon


def test_a_revoked_key_is_dead_and_stays_so(store):
    key, _secret = create_key(name="Till", scopes=["movements:read"], stores=[store])
    revoke_key(key=key)
    key.refresh_from_db()
    first = key.revoked_at
    revoke_key(key=key)
    key.refresh_from_db()
    assert (key.revoked_at, key.is_usable, list(ApiKey.objects.usable())) == (first, False, [])
    with pytest.raises(KeyRefused):
        rotate_key(key=key)


def test_a_user_is_made_whole_or_not_at_all(store, cashier):
    with pytest.raises(ValidationError):
        create_user(username="new", password="chai-aur-biscuit", store_roles=[(store, "king")])
    with pytest.raises(ValidationError, match="taken"):
        create_user(username=cashier.username, password="chai-aur-biscuit")
    made = create_user(username="new", password="chai-aur-biscuit", store_roles=[(store, "manager")])
    assert made.check_password("chai-aur-biscuit")
    assert made.memberships.get().role == "manager"
