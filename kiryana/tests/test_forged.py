"""Forms that nobody was shown: forged rows, fields, stores and parameters write nothing and tell nothing."""

import uuid

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from catalog.models import Barcode, Pack, Product, StorePrice
from inventory.models import Document, Kind, StockLevel
from kiryana.tests.test_matrix import rows_by_table, written
from stores.models import Membership, Store, User

PASSWORD = "chai-aur-biscuit"


@pytest.fixture
def office(db):
    """office("catalog.change_product") is somebody of head office with exactly these permissions."""

    def make(*permissions: str, group: str = "") -> User:
        user = User.objects.create_user(f"office-{User.objects.count()}", password=PASSWORD, is_staff=True)
        if group:
            user.groups.set([Group.objects.get(name=group)])
        for name in permissions:
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        return User.objects.get(pk=user.pk)

    return make


def product_form(product: Product, **more) -> dict:
    """The form of a product as its page sends it, with no row in any inline."""
    form = {
        "sku": product.sku, "name": product.name, "name_ur": product.name_ur, "aliases": product.aliases,
        "category": product.category_id, "unit": product.unit, "quantity_step": product.quantity_step,
        "selling_price": product.selling_price, "cost_price": product.cost_price, "status": product.status,
    }  # fmt: skip
    for prefix in ("barcodes", "packs", "store_prices"):
        form |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return form | more


def change_url(obj) -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


# -- Rows of inlines and lists --------------------------------------------------------------------------------------------
def test_rows_forged_into_a_page_without_the_right_to_add_them_are_not_made(client, office, ghee, store):
    client.force_login(office("catalog.view_product", "catalog.change_product"))
    forged = {
        "barcodes-TOTAL_FORMS": 1, "barcodes-0-code": "8964000999991", "barcodes-0-product": ghee.pk,
        "packs-TOTAL_FORMS": 1, "packs-0-name": "Pallet", "packs-0-units_per_pack": "480", "packs-0-product": ghee.pk,
        "store_prices-TOTAL_FORMS": 1, "store_prices-0-store": store.pk, "store_prices-0-price": "1",
        "store_prices-0-effective_from": "2026-11-22T09:00", "store_prices-0-product": ghee.pk,
    }  # fmt: skip
    before = Barcode.objects.count(), Pack.objects.count(), StorePrice.objects.count()
    assert client.post(change_url(ghee), product_form(ghee, name="Renamed") | forged).status_code == 302
    ghee.refresh_from_db()
    assert ghee.name == "Renamed"  # the page itself was sent and taken
    assert (Barcode.objects.count(), Pack.objects.count(), StorePrice.objects.count()) == before


def test_rows_forged_away_or_changed_without_the_right_stay_as_they_are(client, office, ghee, store):
    price = StorePrice.objects.create(store=store, product=ghee, price=570)
    pack, code = ghee.packs.get(), ghee.barcodes.get(pack=None)
    forged = {
        "barcodes-TOTAL_FORMS": 1, "barcodes-INITIAL_FORMS": 1, "barcodes-0-id": code.pk, "barcodes-0-product": ghee.pk,
        "barcodes-0-code": "8964000999991", "barcodes-0-DELETE": "on",
        "packs-TOTAL_FORMS": 1, "packs-INITIAL_FORMS": 1, "packs-0-id": pack.pk, "packs-0-product": ghee.pk,
        "packs-0-name": "Case of 12", "packs-0-units_per_pack": "12", "packs-0-DELETE": "on",
        "store_prices-TOTAL_FORMS": 1, "store_prices-INITIAL_FORMS": 1, "store_prices-0-id": price.pk,
        "store_prices-0-product": ghee.pk, "store_prices-0-store": store.pk, "store_prices-0-price": "1",
        "store_prices-0-effective_from": "2026-11-22T09:00", "store_prices-0-DELETE": "on",
    }  # fmt: skip
    client.force_login(
        office("catalog.view_product", "catalog.change_product", "catalog.view_barcode", "catalog.view_pack")
    )
    assert client.post(change_url(ghee), product_form(ghee) | forged).status_code == 302
    assert Barcode.objects.get(pk=code.pk).code == code.code
    # Packs and prices are deleted by nobody, and a price is changed by nobody: not even with every right.
    client.force_login(User.objects.create_superuser("head", password=PASSWORD))
    forged |= {"barcodes-0-DELETE": "", "barcodes-0-code": code.code}
    assert client.post(change_url(ghee), product_form(ghee) | forged).status_code == 302
    assert Pack.objects.filter(pk=pack.pk).exists()
    assert StorePrice.objects.get(pk=price.pk).price == 570


def test_nobody_is_forged_into_a_store_by_who_may_change_stores_only(client, office, store, staff):
    clerk, stranger = staff("cashier"), User.objects.create_user("stranger")
    client.force_login(office("stores.view_store", "stores.change_store", "stores.view_membership"))
    form = {
        "name": "Renamed", "status": "open", "oversell_policy": "warn", "timezone": "Asia/Karachi",
        "memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 1,
        "memberships-0-id": clerk.memberships.get().pk, "memberships-0-store": store.pk, "memberships-0-user": clerk.pk,
        "memberships-0-role": "owner", "memberships-0-DELETE": "on",
        "memberships-1-store": store.pk, "memberships-1-user": stranger.pk, "memberships-1-role": "owner",
    }  # fmt: skip
    assert client.post(change_url(store), form).status_code == 302
    store.refresh_from_db()
    assert store.name == "Renamed"
    assert list(Membership.objects.values_list("user", "role")) == [(clerk.pk, "cashier")]


def test_a_list_takes_no_rows_and_no_actions(client, head_office, stocked, ghee):
    client.force_login(head_office)
    for name in (
        "catalog_product",
        "inventory_stocklevel",
        "inventory_movement",
        "stores_membership",
        "auth_group",
    ):
        before = written()
        forged = {
            "action": "delete_selected", "_selected_action": [ghee.pk, 1, 2, 3], "post": "yes", "_save": "Save",
            "form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": ghee.pk, "form-0-name": "x", "form-0-on_hand": "1",
        }  # fmt: skip
        client.post(reverse(f"admin:{name}_changelist"), forged)
        assert not written() - before, name


def test_what_was_written_into_the_ledger_is_changed_by_no_form(client, head_office, stocked, post, ghee):
    document = post(Kind.SALE, (ghee, 1)).document
    movement = document.movements.get(store=document.store_id)
    level = StockLevel.objects.get(store=document.store_id, product=ghee)
    client.force_login(head_office)
    forged = {
        "quantity": "-99",
        "on_hand": "5",
        "balance_after": "5",
        "total": "1",
        "notes": "forged",
        "seq": "1",
        "_save": "Save",
    }
    for obj in (movement, document):
        before = written()
        assert client.post(change_url(obj), forged).status_code == 403
        assert (
            client.post(f"{change_url(obj).removesuffix('change/')}delete/", {"post": "yes"}).status_code
            == 403
        )
        assert client.post(reverse(f"admin:inventory_{obj._meta.model_name}_add"), forged).status_code == 403
        assert not written() - before
    # The one field of a level that a form may set is set; what the ledger keeps is not.
    assert (
        client.post(change_url(level), forged | {"reorder_point": "7", "target_level": ""}).status_code == 302
    )
    changed = StockLevel.objects.get(pk=level.pk)
    assert (changed.reorder_point, changed.on_hand, changed.seq) == (7, level.on_hand, level.seq)


def test_head_office_without_all_rights_gives_nobody_any(client, office, staff, head_office):
    clerk, me = staff("cashier"), office(group="Operations")
    client.force_login(me)
    form = {
        "username": clerk.username, "is_active": "on", "language": "en", "is_staff": "on", "is_superuser": "on",
        "groups": [Group.objects.get(name="Operations").pk], "user_permissions": [Permission.objects.first().pk],
        "password": "forged", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    assert client.post(change_url(clerk), form).status_code == 302
    clerk.refresh_from_db()
    assert (clerk.is_staff, clerk.is_superuser, clerk.groups.count(), clerk.user_permissions.count()) == (
        False,
        False,
        0,
        0,
    )
    assert clerk.check_password(PASSWORD)
    before = written()
    for user in (head_office, me):
        assert client.post(change_url(user), form)["Location"] == "/admin/"
        password = {"password1": "karak-doodh-patti", "password2": "karak-doodh-patti"}
        assert (
            client.post(reverse("admin:auth_user_password_change", args=[user.pk]), password).status_code
            == 404
        )
    assert not written() - before


# -- Parameters of the admin ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("stores_membership", "user__password__startswith=pbkdf2"),
        ("stores_store", "memberships__user__password__startswith=pbkdf2"),
        ("inventory_document", "user__password__startswith=pbkdf2"),
        ("inventory_document", "api_key__digest__startswith=a"),
        ("inventory_movement", "document__user__password__startswith=pbkdf2"),
        ("admin_logentry", "user__password__startswith=pbkdf2"),
        ("stores_apikey", "digest__startswith=a"),
        ("stores_apikey", "created_by__password__startswith=pbkdf2"),
        ("stores_apirequest", "key__digest__startswith=a"),
        ("stores_webhook", "salt__startswith=a"),
        ("stores_delivery", "webhook__salt__startswith=a"),
        ("stores_user", "password__startswith=pbkdf2"),
        ("stores_user", "totpdevice__key__startswith=a"),
        ("auth_group", "user__password__startswith=pbkdf2"),
    ],
)
def test_no_list_is_asked_letter_by_letter_for_a_secret(client, head_office, name, query):
    client.force_login(head_office)
    assert client.get(f"{reverse(f'admin:{name}_changelist')}?{query}").status_code in (400, 403)


@pytest.mark.parametrize("field", ["password", "digest", "user__password", "secret"])
def test_no_page_hands_out_another_field_than_the_key(client, head_office, staff, field):
    client.force_login(head_office)
    clerk = staff("cashier")
    for address in (
        f"{reverse('admin:stores_user_changelist')}?_popup=1&_to_field={field}",
        f"{reverse('admin:stores_user_add')}?_popup=1&_to_field={field}",
        f"{change_url(clerk)}?_popup=1&_to_field={field}",
        f"{reverse('admin:stores_user_delete', args=[clerk.pk])}?_to_field={field}",
        f"{reverse('admin:stores_apikey_changelist')}?_to_field={field}",
    ):
        assert client.get(address).status_code in (400, 403), address
        assert client.post(address, {"_popup": "1", "_to_field": field}).status_code in (400, 403), address


def test_a_popup_opens_nothing_that_is_shut(client, office, ghee):
    client.force_login(office(group="Support"))
    before = written()
    assert client.get(f"{reverse('admin:catalog_category_add')}?_popup=1").status_code == 403
    assert (
        client.post(
            f"{reverse('admin:catalog_category_add')}?_popup=1", {"name": "x", "_popup": "1"}
        ).status_code
        == 403
    )
    assert (
        client.post(f"{change_url(ghee)}?_popup=1", product_form(ghee, name="x", _popup="1")).status_code
        == 403
    )
    assert not written() - before


def test_suggestions_show_nobody_whom_the_reader_may_not_see(client, office, head_office, staff):
    clerk, me = staff("cashier"), office(group="Support")
    query = {"app_label": "stores", "model_name": "membership", "field_name": "user", "term": ""}
    client.force_login(me)
    shown = {row["id"] for row in client.get(reverse("admin:autocomplete"), query).json()["results"]}
    assert shown == {str(clerk.pk)}
    made = client.get(
        reverse("admin:autocomplete"), query | {"model_name": "apikey", "field_name": "created_by"}
    ).json()
    assert {row["id"] for row in made["results"]} == {str(clerk.pk)}
    for model, field in (("user", "groups"), ("membership", "password"), ("membership", "user__password")):
        refused = client.get(
            reverse("admin:autocomplete"), query | {"model_name": model, "field_name": field}
        )
        assert refused.status_code == 403, (model, field)


# -- Stores -----------------------------------------------------------------------------------------------------------------
def test_an_owner_who_forges_another_store_moves_his_own_or_nothing(
    client, stocked, post, ghee, owner, other_store, staff, reason
):
    from inventory.services import Actor

    there = Actor.on_page(staff("manager", other_store), "manager")
    theirs = post(Kind.RECEIPT, (ghee, 5, 500), where=other_store, actor=there).document
    client.force_login(owner)

    def form():
        return {
            "act": "save", "reference": str(uuid.uuid4()), "lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0",
            "lines-0-item": "GHE-0001", "lines-0-quantity": "1", "reason": reason("MISSING").pk,
            "store": other_store.pk, "code": other_store.code, "store_id": other_store.pk, "lines-0-store": other_store.pk,
        }  # fmt: skip

    before = Document.objects.filter(store=other_store).count()
    for page in ("sale", "receipt", "adjustment"):
        assert (
            client.post(reverse(page, args=["LHE-0001"]) + f"?store={other_store.code}", form()).status_code
            == 302
        )
        assert client.post(reverse(page, args=[other_store.code]), form()).status_code == 404
    assert Document.objects.filter(store=other_store).count() == before
    assert Document.objects.filter(store__code="LHE-0001", user=owner).count() == 3
    now = written()
    void = {"reference": str(uuid.uuid4()), "reason": reason("MISTAKE").pk}
    assert client.post(reverse("reverse", args=["LHE-0001", theirs.pk]), void).status_code == 404
    assert client.post(reverse("store_list"), {"store": other_store.code})["Location"] == "/stores/"
    assert not written() - now
    assert "store" not in client.session


@pytest.mark.parametrize("status", [Store.Status.SUSPENDED, Store.Status.CLOSED])
def test_a_store_that_is_not_open_takes_no_form_and_no_request(
    client, api_client, stocked, post, store, ghee, manager, reason, status
):
    partner = api_client()
    sale = post(Kind.SALE, (ghee, 2)).document
    partner.get("/api/v1/me/")  # notes that the key was used
    Store.objects.filter(pk=store.pk).update(status=status)
    client.force_login(manager)
    lines = {
        "lines-TOTAL_FORMS": "1",
        "lines-INITIAL_FORMS": "0",
        "lines-0-item": "GHE-0001",
        "lines-0-quantity": "1",
    }

    def reference():
        return str(uuid.uuid4())

    pages = [
        ("sale", [], {"act": "save", **lines}),
        ("receipt", [], {"act": "save", **lines}),
        (
            "adjustment",
            [],
            {"act": "save", "reason": reason("MISSING").pk, "lines-0-direction": "less", **lines},
        ),
        (
            "item_adjust",
            [ghee.sku],
            {"how": "less", "quantity": "1", "seen": stocked(ghee).seq, "reason": reason("MISSING").pk},
        ),
        ("reverse", [sale.pk], {"reason": reason("MISTAKE").pk}),
        ("customer_return", [sale.pk], {"line-1": "1"}),
    ]
    rows = rows_by_table()
    for name, arguments, form in pages:
        answer = client.post(reverse(name, args=[store.code, *arguments]), form | {"reference": reference()})
        assert answer.status_code in (200, 404, 409, 422), (name, answer.status_code)
    line = {"sku": "GHE-0001", "quantity": "1"}
    bodies = [
        ("movements/", {"store": store.code, "kind": "sale", **line}),
        ("documents/", {"store": store.code, "kind": "sale", "lines": [line]}),
        ("documents/", {"store": store.code, "kind": "receipt", "lines": [line]}),
        (f"documents/{sale.pk}/reverse/", {"reason": "MISTAKE"}),
    ]
    for path, body in bodies:
        answer = partner.post(f"/api/v1/{path}", body | {"reference": reference()}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "store_not_open"), path
    batch = {"documents": [{"store": store.code, "kind": "sale", "reference": reference(), "lines": [line]}]}
    [verdict] = partner.post("/api/v1/documents/batch/", batch, format="json").json()["results"]
    assert (verdict["status"], verdict["code"]) == ("rejected", "store_not_open")
    kept = {
        table: rows ^ rows_by_table()[table]
        for table, rows in rows.items()
        if table.startswith(("inventory", "reports"))
    }
    assert not any(kept.values())
