"""The catalogue in the head office."""

import pytest
from django.urls import reverse

from catalog.models import Barcode, Pack, Product, StorePrice

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


def page(product, name="change"):
    return reverse(f"admin:catalog_product_{name}", args=(product.pk,))


def form(product, **fields):
    """What the page of a product sends when nothing was changed; empty inlines."""
    names = (
        "sku",
        "name",
        "name_ur",
        "aliases",
        "brand",
        "unit",
        "quantity_step",
        "cost_price",
        "selling_price",
        "status",
    )
    sent = {name: getattr(product, name) for name in names} | {"category": product.category_id}
    for prefix in ("barcodes", "packs", "store_prices"):
        sent |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return sent | fields


def test_a_product_is_added_with_codes_packs_and_a_store_price(office, category, store):
    new = Product(sku="TEA-0001", name="Tapal 190 g", category=category, selling_price=480)
    sent = form(
        new, aliases="chai",
        **{"barcodes-TOTAL_FORMS": 1, "barcodes-0-code": " 012345678905 ", "packs-TOTAL_FORMS": 1, "packs-0-name": "Case of 24",
           "packs-0-units_per_pack": 24, "store_prices-TOTAL_FORMS": 1, "store_prices-0-store": store.pk, "store_prices-0-price": "475",
           "store_prices-0-effective_from": "2026-01-01T00:00"},
    )  # fmt: skip
    assert office.post(reverse("admin:catalog_product_add"), sent).status_code == 302
    product = Product.objects.get(sku="TEA-0001")
    assert product.barcodes.get().code == "0012345678905"
    assert product.packs.get().units_per_pack == 24
    price = product.store_prices.get()
    assert (price.store, price.price, price.effective_from.isoformat()) == (
        store,
        475,
        "2025-12-31T19:00:00+00:00",
    )


def test_a_code_of_another_product_is_refused_with_a_link_to_it(office, atta, ghee):
    sent = form(atta, **{"barcodes-TOTAL_FORMS": 1, "barcodes-0-code": "8964000123456"})
    text = office.post(page(atta), sent).content.decode()
    assert f'This code belongs to <a href="{page(ghee)}">GHE-0001 Dalda Ghee 1 kg</a>.' in text
    assert atta.barcodes.count() == 1
    text = office.post(
        reverse("admin:catalog_barcode_add"), {"code": "8964000123456", "product": atta.pk}
    ).content.decode()
    assert f'<a href="{page(ghee)}">' in text
    assert "already exists" not in text


def test_names_in_the_message_are_escaped(office, atta, ghee):
    Product.objects.filter(pk=ghee.pk).update(name="<b>Ghee</b>")
    sent = form(atta, **{"barcodes-TOTAL_FORMS": 1, "barcodes-0-code": "8964000123456"})
    text = office.post(page(atta), sent).content.decode()
    assert "<b>Ghee" not in text
    assert "&lt;b&gt;Ghee" in text


def test_a_pack_of_another_product_is_refused(office, atta, ghee):
    pack = Pack.objects.get(product=ghee)
    sent = form(atta, **{"barcodes-TOTAL_FORMS": 1, "barcodes-0-code": "111", "barcodes-0-pack": pack.pk})
    assert office.post(page(atta), sent).status_code == 200
    assert not Barcode.objects.filter(code="111").exists()
    answer = office.post(
        reverse("admin:catalog_barcode_add"), {"code": "111", "product": atta.pk, "pack": pack.pk}
    )
    assert "belongs to another product" in answer.content.decode()


def test_the_page_tells_what_the_product_cost_before_and_who_changed_it(office, ghee):
    assert office.post(page(ghee), form(ghee, selling_price="575")).status_code == 302
    text = office.get(page(ghee)).content.decode().split("Price history")[-1]
    assert "Rs 575" in text
    assert "Rs 560" in text
    assert "head" in text
    assert (
        "Rs 575"
        in office.get(
            reverse("admin:catalog_productprice_changelist"), {"product": "GHE-0001"}
        ).content.decode()
    )


def test_sku_and_unit_of_a_product_stay(office, ghee):
    office.post(page(ghee), form(ghee, sku="NEW-0001", unit="kg", name="Dalda"))
    ghee.refresh_from_db()
    assert (ghee.sku, ghee.unit, ghee.name) == ("GHE-0001", "pc", "Dalda")


def test_a_product_with_stock_is_not_archived(office, stocked, ghee):
    text = office.post(page(ghee), form(ghee, status="archived")).content.decode()
    assert "LHE-0001 still has 24" in text
    ghee.refresh_from_db()
    assert ghee.status == "active"
    assert office.post(page(ghee), form(ghee, status="discontinued")).status_code == 302


def test_merged_is_no_choice(office, ghee):
    assert (
        "is not one of the available choices"
        in office.post(page(ghee), form(ghee, status="merged")).content.decode()
    )


def test_nothing_of_the_catalogue_that_history_points_to_is_deleted(office, store, ghee):
    price = StorePrice.objects.create(store=store, product=ghee, price=1)
    for address in (
        page(ghee, "delete"),
        reverse("admin:catalog_pack_delete", args=(ghee.packs.get().pk,)),
        reverse("admin:catalog_storeprice_delete", args=(price.pk,)),
        reverse("admin:catalog_category_delete", args=(ghee.category_id,)),
    ):
        assert office.post(address, {"post": "yes"}).status_code == 403
    assert (
        office.post(reverse("admin:catalog_storeprice_change", args=(price.pk,)), {"price": 5}).status_code
        == 403
    )


@pytest.mark.parametrize("text", ["GHE-0001", "ghe-0001", "8964000123456", "dalda", "ڈالڈا", "ghe-00"])
def test_products_are_found_in_any_script_by_sku_and_by_code(office, atta, ghee, text):
    found = office.get(reverse("admin:catalog_product_changelist"), {"q": text}).content.decode()
    assert "Dalda Ghee" in found
    assert "Chakki Atta" not in found


def test_a_barcode_given_wrongly_is_moved_or_taken_off_and_noted(office, atta, ghee):
    from django.contrib.admin.models import LogEntry

    barcode = Barcode.objects.get(code="8964000123456")
    assert (
        office.post(
            reverse("admin:catalog_barcode_change", args=(barcode.pk,)),
            {"code": barcode.code, "product": atta.pk},
        ).status_code
        == 302
    )
    assert (
        office.post(reverse("admin:catalog_barcode_delete", args=(barcode.pk,)), {"post": "yes"}).status_code
        == 302
    )
    assert not Barcode.objects.filter(code="8964000123456").exists()
    assert LogEntry.objects.count() == 2
