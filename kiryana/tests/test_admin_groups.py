"""The ready groups: exactly these rights, exactly these pages."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import RequestFactory
from django.urls import reverse

from inventory.models import Document, Kind, StockLevel
from stores.models import User

pytestmark = pytest.mark.django_db
# What each group may do on which page: v(iew) a(dd) c(hange) d(elete), as the pages themselves answer.
MATRIX = {
    "Catalogue editor": {
        "catalog.barcode": "vacd",
        "catalog.category": "vac",
        "catalog.pack": "vac",
        "catalog.product": "vac",
        "catalog.productprice": "v",
        "catalog.storeprice": "va",
        "stores.store": "v",
    },
    "Operations": {
        "catalog.barcode": "v",
        "catalog.category": "v",
        "catalog.pack": "v",
        "catalog.product": "v",
        "catalog.productprice": "v",
        "catalog.storeprice": "v",
        "inventory.document": "v",
        "inventory.lowstockalert": "v",
        "inventory.movement": "v",
        "inventory.reason": "vac",
        "inventory.stocklevel": "vc",
        "reports.dailystock": "v",
        "stores.membership": "vacd",
        "stores.store": "vac",
        "stores.user": "vac",
    },
    "Auditor": {
        "admin.logentry": "v",
        "catalog.barcode": "v",
        "catalog.category": "v",
        "catalog.pack": "v",
        "catalog.product": "v",
        "catalog.productprice": "v",
        "catalog.storeprice": "v",
        "inventory.document": "v",
        "inventory.lowstockalert": "v",
        "inventory.movement": "v",
        "inventory.reason": "v",
        "inventory.stocklevel": "v",
        "reports.dailystock": "v",
        "stores.membership": "v",
        "stores.store": "v",
    },
    "Partner manager": {
        "stores.apikey": "vac",
        "stores.apirequest": "v",
        "stores.delivery": "v",
        "stores.store": "v",
        "stores.webhook": "v",
    },
    "Support": {
        "catalog.barcode": "v",
        "catalog.category": "v",
        "catalog.pack": "v",
        "catalog.product": "v",
        "catalog.productprice": "v",
        "catalog.storeprice": "v",
        "inventory.document": "v",
        "inventory.lowstockalert": "v",
        "inventory.movement": "v",
        "inventory.reason": "v",
        "inventory.stocklevel": "v",
        "stores.apikey": "v",
        "stores.apirequest": "v",
        "stores.delivery": "v",
        "stores.membership": "v",
        "stores.store": "v",
        "stores.user": "v",
        "stores.webhook": "v",
    },
}
POSTS = {"Operations"}


@pytest.fixture
def member(db):
    def make(name):
        user = User.objects.create_user(
            name.replace(" ", "-").lower(), password="chai-aur-biscuit", is_staff=True
        )
        user.groups.set(Group.objects.filter(name=name))
        return User.objects.get(pk=user.pk)

    return make


@pytest.mark.parametrize("group", MATRIX)
def test_a_group_may_do_exactly_this(member, group):
    request = RequestFactory().get("/admin/")
    request.user = member(group)
    found = {}
    for model, page in admin.site._registry.items():
        asked = [
            page.has_view_permission,
            page.has_add_permission,
            page.has_change_permission,
            page.has_delete_permission,
        ]
        letters = "".join(letter for letter, allows in zip("vacd", asked, strict=True) if allows(request))
        if letters:
            found[model._meta.label_lower] = letters
    assert found == MATRIX[group]
    assert request.user.has_perm("inventory.add_document") == (group in POSTS)


def test_the_matrix_names_every_group_that_is_shipped(db):
    assert set(Group.objects.values_list("name", flat=True)) == set(MATRIX)


@pytest.mark.parametrize("group", MATRIX)
def test_a_group_opens_its_lists_and_no_other(client, member, group):
    client.force_login(member(group))
    home = client.get(reverse("admin:index")).content.decode()
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        listing = reverse(f"admin:{name}_changelist")
        may = MATRIX[group].get(model._meta.label_lower, "")
        assert client.get(listing).status_code == (200 if may else 403), listing
        assert (f'href="{listing}"' in home) == bool(may), listing
        assert client.get(reverse(f"admin:{name}_add")).status_code == (200 if "a" in may else 403)


def test_the_work_queue_shows_what_the_reader_may_see(client, member, stocked, post, ghee, api_client):
    from datetime import timedelta

    from django.utils import timezone

    post(Kind.SALE, (ghee, 30), confirm_oversell=True)
    api_client(expires_at=timezone.now() + timedelta(days=3))
    seen = {}
    for group in MATRIX:
        client.force_login(member(group))
        text = client.get(reverse("admin:index")).content.decode()
        seen[group] = [
            words
            for words in ("Below zero", "Low-stock alerts", "Keys that run out in 14 days")
            if words in text
        ]
        if group in ("Operations", "Auditor", "Support"):
            assert "−6" in text
    assert seen == {
        "Catalogue editor": [],
        "Operations": ["Below zero", "Low-stock alerts"],
        "Auditor": ["Below zero", "Low-stock alerts"],
        "Partner manager": ["Keys that run out in 14 days"],
        "Support": ["Below zero", "Low-stock alerts", "Keys that run out in 14 days"],
    }


def test_the_queue_stops_counting_at_a_hundred(client, head_office, category, store):
    from catalog.models import Product
    from inventory.models import LowStockAlert

    products = Product.objects.bulk_create(
        Product(sku=f"P-{number}", name=f"P {number}", category=category, selling_price=1)
        for number in range(130)
    )
    LowStockAlert.objects.bulk_create(
        LowStockAlert(store=store, product=product, on_hand=0, reorder_point=1) for product in products
    )
    StockLevel.objects.bulk_create(StockLevel(store=store, product=product) for product in products[:3])
    client.force_login(head_office)
    assert "99+" in client.get(reverse("admin:index")).content.decode()


def test_a_user_without_any_right_gets_an_empty_house(client, db):
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert "ask for a group" in client.get(reverse("admin:index")).content.decode()


def test_operations_adjusts_and_reverses(client, member, stocked, post, ghee, reason):
    import uuid

    client.force_login(member("Operations"))
    level, document = stocked(ghee), Document.objects.latest("pk")
    sent = {"reference": str(uuid.uuid4()), "seen": "24", "change": "-2", "reason": reason("MISSING").pk}
    assert (
        client.post(reverse("admin:inventory_stocklevel_adjust", args=(level.pk,)), sent).status_code == 302
    )
    assert stocked(ghee).on_hand == 22
    sale = post(Kind.SALE, (ghee, 1)).document
    sent = {"reference": str(uuid.uuid4()), "reason": reason("MISTAKE").pk}
    assert client.post(reverse("admin:inventory_document_reverse", args=(sale.pk,)), sent).status_code == 302
    assert stocked(ghee).on_hand == 22
    assert document.movements.filter(store=level.store).exists()


def test_permissions_nobody_asks_for_are_not_given(db):
    given = (
        Permission.objects.filter(group__isnull=False)
        .values_list("content_type__app_label", "codename")
        .distinct()
    )
    assert ("inventory", "add_movement") not in given
    assert not [
        code
        for _app, code in given
        if code.startswith("delete") and code not in ("delete_barcode", "delete_membership")
    ]


def test_deleting_a_group_names_it_in_words(client, head_office):
    client.force_login(head_office)
    group = Group.objects.get(name="Auditor")
    page = client.get(reverse("admin:auth_group_delete", args=[group.pk])).text
    assert "Auditor" in page
    assert "object (" not in page


def test_support_reads_a_key_and_can_neither_rotate_revoke_nor_change_it(client, member, api_client):
    key = api_client().key
    client.force_login(member("Support"))
    page = reverse("admin:stores_apikey_change", args=(key.pk,))
    text = client.get(page).content.decode()
    assert key.shown in text
    for name in ("rotate", "revoke"):
        address = reverse(f"admin:stores_apikey_{name}", args=(key.pk,))
        assert address not in text
        assert client.get(address).status_code == client.post(address, {"grace": "0"}).status_code == 403
    assert (
        client.post(page, {"name": "Mine", "scopes": ["catalog:write"], "all_stores": "on"}).status_code
        == 403
    )
    key.refresh_from_db()
    assert (key.name, key.is_usable, key.all_stores) == ("Till", True, False)


def test_practice_stores_are_not_head_office_s_work(client, head_office, atta, ghee):
    from django.utils import timezone

    from inventory.models import LowStockAlert
    from stores.models import Store
    from stores.services import create_test_key

    client.force_login(head_office)
    practice = Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)
    level = StockLevel.objects.create(store=practice, product=ghee)
    LowStockAlert.objects.create(store=practice, product=ghee, on_hand=0, reorder_point=1)
    key, _ = create_test_key(owner=head_office, name="Test")
    key.expires_at = timezone.now() + timezone.timedelta(days=1)
    key.save()
    home = client.get(reverse("admin:index"))
    assert [card["number"] for card in home.context["queue"]] == [0, 0, 0, 0]
    for card in home.context["queue"]:
        rows = client.get(card["url"]).content.decode().split('id="result_list"')[-1]
        assert "TEST-0001" not in rows
        assert key.shown not in rows
    for model in ("stocklevel", "lowstockalert"):
        listing = reverse(f"admin:inventory_{model}_changelist")
        assert "TEST-0001" in client.get(listing, {"practice": "yes"}).content.decode()
    assert level.store.sandbox
