"""Users in the head office: nobody raises his own rights, nobody is deleted."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from stores.models import Membership, User

pytestmark = pytest.mark.django_db
USERS = reverse("admin:stores_user_changelist")


@pytest.fixture
def operations(client):
    user = User.objects.create_user("ops", password="chai-aur-biscuit", is_staff=True)
    user.groups.set(Group.objects.filter(name="Operations"))
    client.force_login(user)
    return client


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


def page(user, name="change"):
    return reverse(f"admin:stores_user_{name}", args=(user.pk,))


def person(user, **fields):
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    return {"username": user.username, "language": "en", "is_active": "on", **inline, **fields}


def test_operations_adds_a_cashier_and_gives_him_a_store(operations, store):
    new = {
        "username": "new-cashier", "language": "ur", "password1": "roti-sabzi-daal", "password2": "roti-sabzi-daal", "is_superuser": "on",
        "is_staff": "on", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    assert operations.post(reverse("admin:stores_user_add"), new).status_code == 302
    user = User.objects.get(username="new-cashier")
    assert (user.is_staff, user.is_superuser, user.language) == (False, False, "ur")
    inline = {"memberships-TOTAL_FORMS": 1, "memberships-0-store": store.pk, "memberships-0-role": "cashier"}
    assert operations.post(page(user), person(user, **inline)).status_code == 302
    assert Membership.objects.get(user=user).role == "cashier"


def test_who_is_no_superuser_gives_no_rights_in_the_admin(operations, cashier):
    group = Group.objects.get(name="Auditor")
    operations.post(page(cashier), person(cashier, is_staff="on", is_superuser="on", groups=[group.pk]))
    cashier.refresh_from_db()
    assert (cashier.is_staff, cashier.is_superuser, cashier.groups.count()) == (False, False, 0)


def test_who_is_no_superuser_does_not_see_head_office_people(operations, head_office):
    me = User.objects.get(username="ops")
    assert "head@example.pk" not in operations.get(USERS).content.decode()
    for user in (head_office, me):
        assert operations.get(page(user)).status_code == 302
        assert operations.post(page(user), person(user, is_superuser="on")).status_code == 302
        assert (
            operations.post(reverse("admin:auth_user_password_change", args=(user.pk,)), {}).status_code
            == 404
        )
    me.refresh_from_db()
    assert not me.is_superuser


def test_a_password_is_set_for_somebody(office, cashier):
    address = reverse("admin:auth_user_password_change", args=(cashier.pk,))
    assert office.get(address).status_code == 200
    assert (
        "didn’t match"
        in office.post(
            address, {"password1": "roti-sabzi-daal", "password2": "other", "set-password": ""}
        ).content.decode()
    )
    assert (
        office.post(
            address, {"password1": "roti-sabzi-daal", "password2": "roti-sabzi-daal", "set-password": ""}
        ).status_code
        == 302
    )
    cashier.refresh_from_db()
    assert cashier.check_password("roti-sabzi-daal")


def test_a_password_is_never_shown_nor_its_hash(office, cashier):
    text = office.get(page(cashier)).content.decode()
    assert "pbkdf2" not in text
    assert "Set a new password" in text


def test_nobody_is_deleted(office, cashier):
    assert office.post(page(cashier, "delete"), {"post": "yes"}).status_code == 403


def test_the_page_of_a_user_looks_for_a_second_factor_once(office, cashier):
    """Its line and its button both want to know; whoever asks is looked up besides."""
    with CaptureQueriesContext(connection) as heard:
        assert office.get(f"/admin/stores/user/{cashier.pk}/change/").status_code == 200
    asked = [query["sql"] for query in heard if "FROM otp_totp_totpdevice" in query["sql"]]
    # One statement asks for every kind of device, and names the user once for each.
    assert len([sql for sql in asked if f"totpdevice WHERE user_id = {cashier.pk} " in sql]) == 1, asked


def test_a_lost_second_factor_is_taken_off_by_a_superuser_only(office, head_office, cashier, client):
    TOTPDevice.objects.create(user=cashier, name="Authenticator")
    assert office.get(page(cashier, "second-factor")).status_code == 200
    assert office.post(page(cashier, "second-factor")).status_code == 302
    assert not TOTPDevice.objects.filter(user=cashier).exists()
    ops = User.objects.create_user("ops2", password="x", is_staff=True)
    ops.groups.set(Group.objects.filter(name="Operations"))
    client.force_login(ops)
    assert client.post(page(cashier, "second-factor")).status_code == 403


def test_a_group_offers_only_rights_that_a_page_asks_for(office):
    text = office.get(
        reverse("admin:auth_group_change", args=(Group.objects.get(name="Auditor").pk,))
    ).content.decode()
    assert "Documents: adjust and reverse stock" in text
    assert "Movements: see" in text
    assert "Movements: add" not in text
    assert "Stores: delete" not in text
