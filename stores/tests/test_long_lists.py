"""What long lists and the frame of the pages are made of: rows filled into one form, addresses, words kept by language."""

import pytest
from django.template import Context, Template
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe

from catalog.models import Product
from inventory.models import Kind, Movement
from stores.templatetags import shop


def filled(form: str, rows: list[dict], **context) -> str:
    text = "{% load shop %}{% rows shown %}" + form + "{% endrows %}"
    return Template(text).render(Context({"shown": rows, **context}))


def test_each_row_is_the_form_with_its_values():
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert filled("<i>[[a]] [[b]] [[a]]</i>", rows) == "<i>1 x 1</i><i>2 y 2</i>"
    assert filled("<i>[[a]]</i>", []) == ""


def test_values_are_escaped_like_those_of_any_template():
    rows = [{"bad": "<b>\"'&", "good": mark_safe("<i>5</i>")}]
    assert (
        filled('<a title="[[bad]]">[[good]]</a>', rows)
        == '<a title="&lt;b&gt;&quot;&#x27;&amp;"><i>5</i></a>'
    )


def test_signs_of_formats_in_form_and_values_stay_what_they_are():
    assert filled("100% %(a)s {a} [[a]]", [{"a": "5%s [[a]] {b}"}]) == "100% %(a)s {a} 5%s [[a]] {b}"


def test_a_name_that_no_value_has_is_not_passed_over():
    with pytest.raises(KeyError):
        filled("[[unknown]]", [{"a": 1}])


def test_what_is_the_same_in_all_rows_is_asked_once():
    asked = []

    def word():
        asked.append(1)
        return "w"

    assert (
        filled("{{ word }}[[a]]{% if word %}!{% endif %} ", [{"a": n} for n in range(3)], word=word)
        == "w0! w1! w2! "
    )
    assert len(asked) == 2


@pytest.mark.parametrize("sku", ["ATTA-10", "a/b.c_d", "a b", "100%", "آٹا", "a+b&c"])
def test_addresses_of_many_are_those_of_each(sku):
    assert shop.addresses("item", "LHE-0001")(sku) == reverse("item", args=["LHE-0001", sku])
    assert shop.addresses("document", "LHE-0100")(100) == reverse("document", args=["LHE-0100", 100])


def test_kept_words_are_those_of_the_reader():
    product, movement = Product(unit="kg"), Movement(kind="receipt")
    for _time in range(2):
        for language in ("en", "ur"):
            with translation.override(language):
                assert product.get_unit_display() == str(Product.Unit.KILOGRAM.label)
                assert movement.get_kind_display() == str(Kind.RECEIPT.label)
                assert str(translation.gettext("Below zero")) in shop.state("negative")
    with translation.override("en"):
        english = shop.state("low"), movement.get_kind_display()
    with translation.override("ur"):
        assert not set(english) & {shop.state("low"), movement.get_kind_display()}


def test_the_navigation_is_that_of_the_role_the_place_and_the_store(store, other_store):
    def shown(store, role, section=""):
        store.role = role
        return shop.navigation({"store": store, "section": section})

    for _time in range(2):
        assert reverse("sale", args=[store.code]) in shown(store, "cashier")
        assert reverse("adjustment", args=[store.code]) not in shown(store, "cashier")
        assert reverse("adjustment", args=[store.code]) in shown(store, "manager")
        assert reverse("sale", args=[store.code]) not in shown(store, "auditor")
        assert reverse("developers") in shown(store, "owner")
        assert reverse("developers") not in shown(store, "manager")
        assert reverse("sale", args=[store.code]) not in shown(store, None)
        assert store.code not in shown(other_store, "owner")
        here = f'href="{reverse("inventory", args=[store.code])}" aria-current="page"'
        assert here in shown(store, "owner", "stock")
        assert here not in shown(store, "owner", "home")
        with translation.override("ur"):
            assert translation.gettext("Sell") in shown(store, "owner")
