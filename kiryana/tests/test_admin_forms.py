"""The forms of head office: their classes are made once for all readers, and no reader gets what belongs to another."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import Barcode, Pack
from stores.admin import fields
from stores.models import Membership, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


def member(group: str, language: str = "en") -> Client:
    """Somebody of a group, signed in."""
    user = User.objects.create_user(f"of-{group}-{language}".lower(), is_staff=True, language=language)
    user.groups.set(Group.objects.filter(name=group))
    client = Client()
    client.force_login(user)
    return client


def page(obj, name="change"):
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{name}", args=(obj.pk,))


def text(client, obj):
    response = client.get(page(obj))
    assert response.status_code == 200
    return response.content.decode()


def staff(store, *rows, known=0):
    """What the page of `store` sends, with these rows of staff, of which the first `known` are there already."""
    names = ("name", "name_ur", "status", "oversell_policy", "address", "area", "city", "phone", "timezone")
    sent = {name: getattr(store, name) for name in names}
    sent |= {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": known}
    for place, row in enumerate(rows):
        sent |= {f"memberships-{place}-{name}": value for name, value in row.items()}
    return sent


def test_each_reader_reads_his_own_language(head_office, office, ghee):
    urdu = Client()
    urdu.force_login(User.objects.create_superuser("urdu", language="ur"))
    for _again in range(2):
        english = text(office, ghee)
        assert ">Category</label>" in english
        assert ">Archived</option>" in english
        other = text(urdu, ghee)
        assert ">Category</label>" not in other
        assert ">زمرہ</label>" in other
        assert ">Archived</option>" not in other


def test_what_one_reader_may_change_another_only_reads(office, ghee):
    reader = member("Auditor")
    for _again in range(2):
        assert 'name="selling_price"' in text(office, ghee)
        assert 'id="barcodes-empty"' in text(office, ghee)
        read = text(reader, ghee)
        assert 'name="selling_price"' not in read
        assert 'id="barcodes-empty"' not in read
        assert 'name="_save"' not in read


@pytest.mark.parametrize("first", ["may", "may not"])
def test_rows_that_one_reader_may_change_another_sends_in_vain(office, store, first):
    """The form of the rows itself ignores what its sender may not do; it must not be that of somebody who may."""
    user, codes = User.objects.create_user("few", is_staff=True), ["change_store", "view_membership"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    few = Client()
    few.force_login(user)
    text(office if first == "may" else few, store)
    hired, seller = User.objects.create_user("hired"), User.objects.create_user("seller")
    row = Membership.objects.create(user=seller, store=store, role="cashier")
    sent = staff(
        store,
        {"id": row.pk, "store": store.pk, "user": seller.pk, "role": "manager"},
        {"store": store.pk, "user": hired.pk, "role": "cashier"},
        known=1,
    )
    gone = staff(store, {"id": row.pk, "store": store.pk, "DELETE": "on"}, known=1)
    for answer in (few.post(page(store), sent), few.post(page(store), gone)):
        assert answer.status_code == 302
    assert list(store.memberships.values_list("user", "role")) == [(seller.pk, "cashier")]
    assert office.post(page(store), sent).status_code == 302
    assert set(store.memberships.values_list("user", "role")) == {
        (seller.pk, "manager"),
        (hired.pk, "cashier"),
    }


def test_packs_are_offered_on_the_page_of_their_product_only(office, atta, ghee):
    case = Pack.objects.create(product=ghee, name="Half case", units_per_pack=6)
    option = f'<option value="{case.pk}">Half case</option>'
    assert option in text(office, ghee)
    assert option not in text(office, atta)
    assert option not in office.get(reverse("admin:catalog_product_add")).content.decode()


def test_a_page_asks_no_more_for_more_rows(office, store, ghee):
    def asked(obj):
        with CaptureQueriesContext(connection) as heard:
            text(office, obj)
        return len(heard)

    def people(number):
        for place in range(number):
            user = User.objects.create_user(f"seller-{User.objects.count()}-{place}")
            Membership.objects.create(user=user, store=store, role="cashier")
            Barcode.objects.create(product=ghee, code=f"89{User.objects.count():011}")

    people(1)
    text(office, store)  # what every page learns once
    before = asked(store), asked(ghee)
    people(5)
    assert (asked(store), asked(ghee)) == before


def test_a_chosen_object_is_named_without_another_question(office, store, cashier):
    row = Membership.objects.create(user=User.objects.create_user("seller"), store=store, role="cashier")
    with CaptureQueriesContext(connection) as heard:
        shown = text(office, row)
    assert f'<option value="{store.pk}" selected>{store}</option>' in shown
    assert len([query for query in heard if 'FROM "stores_store"' in query["sql"]]) == 0


def test_staff_is_added_changed_and_taken_off_at_once(office, store):
    first, second, third = (User.objects.create_user(name) for name in ("first", "second", "third"))
    old = [Membership.objects.create(user=user, store=store, role="cashier") for user in (first, second)]
    rows = [{"id": row.pk, "store": store.pk, "user": row.user_id, "role": row.role} for row in old]
    rows[0]["role"], rows[1]["DELETE"] = "manager", "on"
    sent = staff(store, *rows, {"store": store.pk, "user": third.pk, "role": "cashier"}, known=2)
    assert office.post(page(store), sent).status_code == 302
    now = store.memberships.order_by("user__username").values_list("user__username", "role")
    assert list(now) == [("first", "manager"), ("third", "cashier")]


@pytest.mark.parametrize("language", ["en", "ur"])
@pytest.mark.parametrize("who", ["superuser", "Operations"])
def test_what_is_wrong_is_told_beside_it(office, store, who, language):
    client = member("Operations", language)
    if who == "superuser":
        client.force_login(User.objects.create_superuser("boss", language=language))
    chosen = User.objects.create_user("chosen")
    response = client.post(page(store), staff(store, {"user": chosen.pk, "role": "king"}) | {"name": ""})
    shown = response.content.decode()
    required = {"en": "This field is required.", "ur": "یہ خانہ ضروری ہے۔"}[language]
    assert f'<ul class="errorlist" id="id_name_error"><li>{required}</li></ul>' in shown
    assert 'aria-describedby="id_name_error"' in shown
    assert '<ul class="errorlist" id="id_memberships-0-role_error">' in shown
    # Whom was chosen stands there still, though the page had not loaded him.
    assert f'<option value="{chosen.pk}" selected>chosen</option>' in shown
    assert store.memberships.count() == 0


@pytest.mark.parametrize("value", ["x", "²", "9" * 30, "-1", "1.5", "\0"])
def test_a_choice_that_is_no_id_is_refused_in_words(office, store, value):
    added = office.post(
        reverse("admin:stores_membership_add"), {"user": value, "store": store.pk, "role": "cashier"}
    )
    assert added.status_code == 200
    assert 'id="id_user_error"' in added.content.decode()
    key = {"name": "Till", "scopes": ["products:read"], "stores": [value], "rate": "60/m"}
    assert 'id="id_stores_error"' in office.post(reverse("admin:stores_apikey_add"), key).content.decode()


def test_no_class_of_a_form_keeps_a_request(office, ghee, store):
    text(office, ghee), text(office, store)
    kept = [getattr(made, "form", made)._meta.formfield_callback for made in fields.CLASSES.values()]
    assert kept
    assert [callback.keywords for callback in kept] == [{"request": None}] * len(kept)
