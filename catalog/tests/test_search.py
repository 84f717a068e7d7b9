"""One search for English, Urdu and Roman Urdu, for names, codes and scans (ST-7, ST-8)."""

from decimal import Decimal

import pytest
from django.db import connection

from catalog.models import Barcode, Product
from catalog.queries import check_digit, has_check_digit, scan, scan_many, weight_label

pytestmark = pytest.mark.django_db


@pytest.fixture
def sugar(category):
    product = Product.objects.create(
        sku="SGR-0001",
        name="Sugar 1 kg",
        name_ur="چینی 1 کلو",
        aliases="cheeni chini shakar",
        category=category,
        selling_price=165,
    )
    Product.objects.create(
        sku="SLT-0001", name="Salt 800 g", name_ur="نمک", category=category, selling_price=60
    )
    return product


@pytest.mark.parametrize("text", [
    "sugar", "SUGAR", "cheeni", "چینی", "چيني", "ﭼﯿﻨﻲ", "چِینی", "چـینی", "sug 1k", "1 kg sugar", "1kg", "sgr-0001", "Sugar, (1 KG)", "chini ۱",
])  # fmt: skip
def test_sugar_is_found_by(sugar, text):
    assert list(Product.objects.matching(text)) == [sugar]


@pytest.mark.parametrize("text", ["sugar salt", "tea", "%", "_", "\\", "x" * 100, "", "   ", "'; drop table"])
def test_sugar_is_not_found_by(sugar, text):
    assert list(Product.objects.matching(text)) == []


def test_a_barcode_finds_its_product_alone(sugar, ghee):
    assert list(Product.objects.matching("8964000123456")) == [ghee]
    assert list(Product.objects.matching("۸۹۶۴۰۰۰۱۲۳۴۵۶")) == [ghee]


@pytest.mark.parametrize(("typed", "folded"), [
    ("Atta (5 KG)", "atta 5kg"), ("كِتاب", "کتاب"), ("چائے", "چایے"), ("۱۲٫۵", "12٫5"), ("ﷲ", "اللہ"), ("Ａ１", "a1"),
])  # fmt: skip
def test_folding(db, typed, folded):
    with connection.cursor() as cursor:
        cursor.execute("SELECT catalog_fold(%s)", [typed])
        assert cursor.fetchone() == (folded,)


@pytest.mark.parametrize("text", ["cheeni", "چيني", "CHEENI (l"])
def test_what_begins_with_the_word_comes_first(category, text):
    names = [("Bura Cheeni (loose)", "بورا چینی"), ("Cheeni (loose)", "چینی"), ("Brown Sugar", "براؤن شوگر")]
    for number, (name, name_ur) in enumerate(names):
        Product.objects.create(
            sku=f"SGR-{number}", name=name, name_ur=name_ur, aliases="cheeni loose چینی",
            category=category, selling_price=1,
        )  # fmt: skip
    hits = Product.objects.matching(text).nearest_first(text)
    assert [hit.name for hit in hits] == ["Cheeni (loose)", "Bura Cheeni (loose)", "Brown Sugar"]


def test_search_reads_the_index(sugar):
    with connection.cursor() as cursor:  # a handful of rows is read faster without any index
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Product.objects.matching("cheeni").explain()
    assert "product_search" in plan


@pytest.mark.parametrize(("code", "good"), [
    ("4006381333931", True), ("4006381333932", False), ("96385074", True), ("036000291452", True), ("14006381333938", True),
    ("", False), ("123", False), ("۸۹۶۴۰۰۰۱۲۳۴۵۶", False),
])  # fmt: skip
def test_check_digits(code, good):
    assert has_check_digit(code) is good
    if good:
        assert check_digit(code[:-1]) == code[-1]


@pytest.mark.parametrize(("code", "found"), [
    ("2100004012509", ("2100004000001", Decimal("1.25"))), ("2100001000004", None), ("2100004012503", None), ("8964000123456", None),
])  # fmt: skip
def test_weight_labels(code, found):
    assert weight_label(code) == found


def test_a_scan_tells_product_pack_and_weight(atta, ghee):
    assert (scan("8964000123456").product, scan("8964000123456").pack) == (ghee, None)
    assert scan("18964000123453").pack == ghee.packs.get()
    label = "210000100250" + check_digit("210000100250")
    assert (scan(label).product, scan(label).quantity) == (atta, Decimal("0.250"))
    assert scan("2100001000004").quantity is None
    assert scan("  ]E08964000123456\r\n").product == ghee
    assert scan("4006381333931") is None


def test_a_upc_is_found_as_the_ean_it_is(ghee):
    Barcode.objects.create(code="0036000291452", product=ghee)
    assert scan("036000291452").product == ghee


def test_scans_cost_the_same_however_many(atta, ghee, store, django_assert_num_queries):
    with django_assert_num_queries(2):
        one = scan_many(["8964000123456"], store)
    with django_assert_num_queries(2):
        many = scan_many(["8964000123456", "2100001000004", "18964000123453", "nothing"], store)
    assert one["8964000123456"].product.price == 560
    assert set(many) == {"8964000123456", "2100001000004", "18964000123453"}


def test_a_code_is_one_thing_for_ever(atta, ghee):
    from django.db import IntegrityError

    with pytest.raises(IntegrityError):
        Barcode.objects.create(code="8964000123456", product=atta)


def test_prices_leave_a_history(ghee, head_office):
    ghee.selling_price = Decimal(575)
    ghee.save()
    ghee.name = "Dalda"
    ghee.save()
    prices = ghee.price_history.order_by("pgh_id").values_list("cost_price", "selling_price")
    assert list(prices) == [(500, 560), (500, 575)]
