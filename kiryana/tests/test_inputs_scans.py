"""Scanned codes: what scanners send and people paste, at the lookup by barcode and in lines."""

import pytest

from catalog.models import Barcode, Product
from kiryana.tests.refusals import DOCUMENTS, PRODUCT, PRODUCTS, SALE, refuse, send

pytestmark = pytest.mark.django_db
LOOKUP = PRODUCTS + "lookup/"


@pytest.fixture
def coded(atta, ghee, category) -> None:
    """Besides atta and ghee, goods with a code of each kind."""
    soap = Product.objects.create(sku="SOP-1", name="Soap", category=category, selling_price=90)
    for code in ("0012345678905", "96385074", "10614141000415", "KIR-0042", "00012345"):
        Barcode.objects.create(code=code, product=soap)


@pytest.mark.parametrize(
    ("scanned", "sku", "quantity"),
    [
        ("8964000123456", "GHE-0001", None), ("18964000123453", "GHE-0001", None), ("2100001000004", "FLR-0001", None),
        ("2100001012502", "FLR-0001", "1.250"), ("2100001000011", "FLR-0001", "0.001"), ("96385074", "SOP-1", None),
        ("10614141000415", "SOP-1", None), ("012345678905", "SOP-1", None), ("0012345678905", "SOP-1", None), ("KIR-0042", "SOP-1", None),
        ("8964000123456\r", "GHE-0001", None), ("8964000123456\n", "GHE-0001", None), ("8964000123456\r\n", "GHE-0001", None),
        ("8964000123456\t", "GHE-0001", None), ("]E08964000123456", "GHE-0001", None), ("]E08964000123456\r\n", "GHE-0001", None),
        ("]E0012345678905", "SOP-1", None), (" 8964000123456 ", "GHE-0001", None), ("2100001012502\r\n", "FLR-0001", "1.250"),
        ("]E02100001012502", "FLR-0001", "1.250"), ("00012345", "SOP-1", None),
    ],
)  # fmt: skip
def test_what_scanners_send_is_understood(api_client, coded, scanned, sku, quantity):
    found = api_client().get(LOOKUP, {"barcode": scanned})
    assert (found.status_code, found.json()["sku"], found.json()["quantity"]) == (200, sku, quantity)


@pytest.mark.parametrize(
    "scanned",
    [
        "999", "8964000123457", "964000123456", "2100001012503", "2100099012500", "2200001012509", "kir-0042", "12345", "1", "0", "x" * 64, "E0",
        "00000000", "9999999999999", "0" * 13, "2100001000005", "2199999999993", "12345670",
    ],
)  # fmt: skip
def test_a_code_that_nothing_has_is_not_found(api_client, coded, scanned):
    refuse(api_client(), "GET", f"{LOOKUP}?barcode={scanned}", status=404, code="not_found")


@pytest.mark.parametrize(
    ("scanned", "code", "inner"),
    [
        *[(text, "validation_error", "not_a_product_code") for text in (
            "https://example.com/x", "http://127.0.0.1/", "HTTPS://EXAMPLE.COM", "javascript:alert(1)", "mailto:a@b.pk", "WIFI:S:x;T:WPA;P:y;;",
            "8964\x1d000123456", "]C10108964000123456\x1d10ABC", "(01)08964000123456(10)AB", "۸۹۶۴۰۰۰۱۲۳۴۵۶", "٨٩٦٤", "８９６４", "89 64", "89\t64", "89\n64", "a;b",
            "<script>", "'; DROP TABLE", "*8964*", "+8964", "-8964", ".8964", "=1+1", "%", "8.96E+12x,", "چینی", "🍚", "8964\u200b", "\u202e8964", "8964\ufeff",
            " ", "\r\n", "]E0", "\x7f", "é", "]E0]E08964000123456",
        )],
        *[(text, "validation_error", "too_long") for text in ("9" * 75, "9" * 1000, "x" * 499, "x" * 501, "چ" * 1000, "x" * 20_000)],
        ("", "validation_error", "blank"),
        ("8964\0", "null_character", "null_character"),
        ("\0", "null_character", "null_character"),
    ],
)  # fmt: skip
def test_what_no_product_has_for_a_code_is_refused(
    api_client, coded, django_assert_max_num_queries, scanned, code, inner
):
    partner = api_client()
    with django_assert_max_num_queries(12):
        answer = partner.get(LOOKUP, {"barcode": scanned})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [("/barcode", inner)]


@pytest.mark.parametrize(
    ("query", "code", "inner", "pointer"),
    [
        ("", "validation_error", "required", "/barcode"),
        ("?barcode=1&barcode=1", "repeated_parameter", "repeated_parameter", "/barcode"),
        ("?barcode=1&sku=1", "unknown_parameter", "unknown_parameter", "/sku"),
        ("?Barcode=1", "unknown_parameter", "unknown_parameter", "/Barcode"),
        ("?barcode[]=1", "unknown_parameter", "unknown_parameter", "/barcode[]"),
        ("?barcode=8964&limit=5", "unknown_parameter", "unknown_parameter", "/limit"),
    ],
)
def test_a_lookup_is_for_one_code(api_client, coded, query, code, inner, pointer):
    refuse(api_client(), "GET", LOOKUP + query, code=code, inner=inner, pointer=pointer)


@pytest.mark.parametrize("scanned", ["]E08964000123456", "012345678905", "2100001012502"])
def test_the_same_codes_stand_in_lines(api_client, stocked, coded, post, scanned):
    soap = Product.objects.get(sku="SOP-1")
    post("receipt", (soap, 5, 80))
    row = {"barcode": scanned} | ({} if scanned.startswith("21") else {"quantity": "1"})
    answer, _beyond = send(api_client(), "POST", DOCUMENTS, SALE | {"lines": [row]})
    assert answer.status_code == 201


@pytest.mark.parametrize("code", ["8964000123456", "2100001000004", "18964000123453"])
def test_one_code_is_never_that_of_two_products(api_client, stocked, code):
    refuse(
        api_client(), "POST", PRODUCTS, PRODUCT | {"barcodes": [code]}, status=409, code="duplicate_barcode", inner="duplicate_barcode",
        pointer="/barcodes",
    )  # fmt: skip
