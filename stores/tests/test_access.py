"""Who gets through which door: another store is answered like one that does not exist."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from django.test import RequestFactory

from inventory.models import Kind, Movement, StockLevel
from stores.access import MAY, get_store, may
from stores.models import Membership, Store
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
