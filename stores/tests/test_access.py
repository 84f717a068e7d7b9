"""Who gets through which door: another store is answered like one that does not exist."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from inventory.models import Kind, Movement, StockLevel
from stores.access import MAY, get_store, may
from stores.models import Membership, Store, User
from stores.services import create_key

pytestmark = pytest.mark.django_db


def asked_by(user):
    request = RequestFactory().get("/")
    request.user = user
    return request


def test_the_store_comes_with_my_role_in_it(store, other_store, manager):
    Membership.objects.create(user=manager, store=other_store, role="cashier")
    assert get_store(asked_by(manager), store.code).role == "manager"
    assert get_store(asked_by(manager), other_store.code).role == "cashier"


def test_the_role_of_somebody_else_is_not_mine(store, owner, cashier):
    assert get_store(asked_by(cashier), store.code).role == "cashier"


def test_foreign_and_absent_are_the_same(store, other_store, cashier, head_office):
    for user, code in [
        (cashier, other_store.code),
        (cashier, "NONE-1"),
        (head_office, store.code),
        (AnonymousUser(), store.code),
    ]:
        with pytest.raises(Http404):
            get_store(asked_by(user), code)


def test_what_a_role_may_not_do_is_not_there(store, cashier):
    with pytest.raises(Http404):
        get_store(asked_by(cashier), store.code, "adjust")


@pytest.mark.parametrize(("role", "acts"), [
    ("owner", set(MAY)),
    ("manager", set(MAY) - {"manage_keys"}),
    ("cashier", {"view", "sell", "receive", "reverse_own_today"}),
    ("auditor", {"view", "see_cost"}),
    (None, set()),
])  # fmt: skip
def test_what_each_role_may_do(role, acts):
    assert {act for act in MAY if may(role, act)} == acts
    assert not may(role, "fly")


def test_lists_begin_with_my_stores(stocked, post, other_store, cashier, ghee):
    post(Kind.RECEIPT, (ghee, 1), where=other_store)
    for model in (Movement, StockLevel):
        mine = model.objects.for_user(cashier)
        assert mine.exists()
        assert {row.store.code for row in mine} == {"LHE-0001"}
        assert not model.objects.for_user(AnonymousUser()).exists()
    assert list(Store.objects.for_user(cashier)) == [Store.objects.get(code="LHE-0001")]


def test_a_key_sees_its_stores_or_all(stocked, post, store, other_store, ghee):
    post(Kind.RECEIPT, (ghee, 1), where=other_store)
    one, _ = create_key(name="one", scopes=["movements:read"], stores=[other_store])
    every, _ = create_key(name="all", scopes=["movements:read"], all_stores=True)
    assert {m.store_id for m in Movement.objects.for_key(one)} == {other_store.pk}
    assert Movement.objects.for_key(every).count() == 3
    assert list(Store.objects.for_key(one)) == [other_store]


# -- The session, its user and his store are asked for together, and every time anew


@pytest.fixture
def page(client, store, cashier, owner) -> str:
    """The address of the sale page, which the client (the cashier) sees; an owner works there too."""
    client.force_login(cashier)
    address = reverse("sale", args=[store.code])
    assert client.get(address).status_code == 200
    return address


def test_who_works_there_no_more_is_out_at_once(client, page, cashier):
    cashier.memberships.all().delete()
    assert client.get(page).status_code == 404
    assert client.post(page, {"act": "save"}).status_code == 404


def test_a_role_that_changed_counts_at_once(client, page, cashier):
    cashier.memberships.update(role="auditor")
    assert client.get(page).status_code == 404


def test_the_store_of_the_address_is_not_taken_for_another(client, page, cashier, store, other_store):
    Membership.objects.create(user=cashier, store=other_store, role="auditor")
    assert client.get(reverse("sale", args=[other_store.code])).status_code == 404
    request = asked_by(User.objects.get(pk=cashier.pk))
    request.user.store_asked_for = get_store(request, store.code)
    assert get_store(request, other_store.code).role == "auditor"


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.set_password("chai-aur-samosa"),
        lambda user: setattr(user, "is_active", False),
    ],
    ids=["new password", "switched off"],
)
def test_a_session_ends_with_the_password_and_the_account_it_began_with(client, page, cashier, change):
    change(cashier)
    cashier.save()
    assert client.get(page)["Location"].startswith("/login/")
    assert client.post(page, {"act": "save"}).status_code == 401


def test_signed_out_anywhere_is_signed_out_at_once(client, page):
    elsewhere = Client()
    elsewhere.cookies["sessionid"] = client.cookies["sessionid"].value
    assert elsewhere.get(page).status_code == 200
    client.post(reverse("logout"))
    assert elsewhere.get(page).status_code == 302


def test_a_session_that_ran_out_or_never_was_opens_nothing(client, page):
    Session.objects.update(expire_date=timezone.now())
    assert client.get(page).status_code == 302
    for key in ("x" * 32, "short", "é" * 32, "a' OR true --" * 3):
        stranger = Client()
        stranger.cookies["sessionid"] = key
        assert stranger.get(page).status_code == 302, key


def test_a_user_who_is_gone_is_nobody(client, page, cashier):
    cashier.delete()
    assert client.get(page).status_code == 302


def test_an_older_secret_key_still_opens_and_is_replaced(client, page, settings):
    before = client.cookies["sessionid"].value
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 50
    assert client.get(page).status_code == 200
    assert client.cookies["sessionid"].value != before
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get(page).status_code == 200


def test_a_session_of_a_way_to_sign_in_that_is_no_more_opens_nothing(client, page, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get(page).status_code == 302
