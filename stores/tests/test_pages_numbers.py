"""What people type into number and text boxes, and how figures are shown."""

from decimal import Decimal

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.utils import translation

from catalog.models import Product
from stores.forms import MoneyField, QuantityField, TextField
from stores.templatetags import shop


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("12", "12"), (" 12 ", "12"), ("1.250", "1.250"), ("۱۲", "12"), ("١٢", "12"), ("１２", "12"), ("۱۲٫۵", "12.5"),
        ("1,5", "1.5"), ("0.001", "0.001"), ("007", "7"), ("1.1000", "1.100"),
    ],
)  # fmt: skip
def test_numbers_are_understood_in_every_script(typed, meant):
    assert QuantityField().clean(typed) == Decimal(meant)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("1,000", "not_a_number"), ("1_000", "not_a_number"), ("+5", "not_a_number"), ("1e2", "not_a_number"), ("-1", "not_a_number"),
        ("−1", "not_a_number"), ("NaN", "not_a_number"), ("Infinity", "not_a_number"), ("1۲", "not_a_number"), ("²", "not_a_number"),
        ("0x10", "not_a_number"), ("1 0", "not_a_number"), ("1\0", "not_a_number"), ("9" * 5000, "not_a_number"), ("1e400", "not_a_number"),
        ("1.2345", "too_many_decimals"), ("0", "must_be_positive"), ("-0", "not_a_number"), ("1000000000", "out_of_range"), ("", "required"),
    ],
)  # fmt: skip
def test_what_is_no_plain_number_is_refused_and_never_rounded(typed, code):
    with pytest.raises(ValidationError) as refusal:
        QuantityField().clean(typed)
    assert refusal.value.code == code


def test_money_has_two_decimals_and_may_be_nothing():
    assert MoneyField().clean("0") == 0
    with pytest.raises(ValidationError):
        MoneyField().clean("1.234")


def test_a_box_shows_in_western_digits_what_was_typed_in_others():
    class Form(forms.Form):
        n = QuantityField()

    assert 'value="12.5"' in str(Form({"n": "۱۲٫۵"})["n"])


def test_text_drops_direction_marks_and_refuses_control_characters():
    assert TextField(required=False).clean("\u202eabc") == "abc"
    assert TextField(required=False).clean("چائے\u200cوالا") == "چائے\u200cوالا"
    assert TextField(required=False).clean(" \u200b ") == ""
    assert TextField(required=False, lines=3).clean("a\r\nb") == "a\nb"
    for bad in ("a\0b", "a\x1bb", "a\nb", "\ufffe"):
        with pytest.raises(ValidationError):
            TextField().clean(bad)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1250", "Rs 1,250"),
        ("12.5", "Rs 12.50"),
        ("-3", "−Rs 3"),
        ("0", "Rs 0"),
        ("122.4424", "Rs 122.4424"),
        ("1234567.00", "Rs 1,234,567"),
    ],
)
def test_money_shows_paisa_only_when_there_are_some(amount, shown):
    assert shop.money(Decimal(amount)) == f'<bdi dir="ltr">{shown}</bdi>'


def test_weights_have_three_decimals_and_pieces_none():
    kilo, piece = Product(unit="kg"), Product(unit="pc")
    assert '<bdi dir="ltr">1.250</bdi> kg' in shop.quantity(Decimal("1.25"), kilo)
    assert '<bdi dir="ltr">1,200</bdi> pc' in shop.quantity(Decimal("1200.000"), piece)
    assert "−2.000" in shop.signed(Decimal(-2), kilo)
    assert "+2" in shop.signed(Decimal(2), piece)


def test_a_state_is_a_word_and_a_shape_and_a_colour():
    chip = shop.state("low")
    assert "state-low" in chip
    assert "<svg" in chip
    assert chip.endswith("Low</span>")


def test_times_are_those_of_the_store():
    from datetime import UTC, datetime

    from stores.models import Store

    store, instant = Store(timezone="Asia/Karachi"), datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
    assert "22 Nov 2026, <bdi>12:30 am</bdi>" in shop.at(instant, store)
    with translation.override("ur"):
        assert "نومبر" in shop.at(instant, store)
