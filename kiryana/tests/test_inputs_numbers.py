"""Numbers in bodies: exactly as the contract writes them, in every field of every body, or refused by name."""

import pytest

from inventory.models import Movement
from kiryana.tests.refusals import (
    ANY_VERSION,
    BATCH,
    DOCUMENTS,
    GHEE,
    HERE,
    LEVEL,
    MOVEMENT,
    MOVEMENTS,
    PRODUCT,
    PRODUCTS,
    batch,
    delivered,
    everything,
    faults,
    line,
    refuse,
    send,
    with_literal,
    wrong_with,
)

pytestmark = pytest.mark.django_db

# Not JSON at all: the same wherever it stands.
NO_JSON = [
    "NaN", "Infinity", "-Infinity", "nan", "inf", "01", "00", "-01", "+1", ".5", "1.", "-.5", "-", "--1", "0x10", "0b1", "1_000", "1,0",
    "1e", "1e+", "1.e5", "'1'", "1f", "1n", "1 000", "٣", "۱۲", "１", "None", "True", "undefined", "9" * 5000, "-" + "9" * 5000,
    "0." + "1" * 5000, "1e" + "9" * 5000, "1" * 101,
]  # fmt: skip
# Strings and JSON values that are no number of the contract's form: (literal, inner code).
NO_NUMBER = [
    *[(f'"{text}"', "not_a_number") for text in (
        "NaN", "sNaN", "-NaN", "nan123", "Infinity", "-Infinity", "inf", "1_000", " 1 ", " 1", "1 ", "+5", "1e2", "1E2", "1e-2", "1,000",
        "1,5", "1,00,000", "0x10", "0b1", "", " ", "1.", ".5", "-.5", ".", "-", "--1", "1-", "1.2.3", "1/2", "1 000", "1\\n", "\\t1", "Rs 5",
        "5/-", "one", "true", "null", "1e", "e5", "1.0e0", "$1", "1%", "1;2", "'1'", "=1+1", "1.5.",
    )],
    *[(literal, "out_of_range") for literal in (
        "1e400", "-1e400", "1E400", '"1e400"', '"1e-400"', '"1E+999999999"', "1E999999999", "1e-400", '"-1e999"', "1E+1000", "10000000000",
        '"10000000000"', "1e10", "1e9", '"1000000000"', "1000000000", "2147483648", "9223372036854775807", "9223372036854775808",
        '"9223372036854775808"', "18446744073709551616", "1" * 100, '"' + "9" * 40 + '"', "123456789012.5", '"0000000001"',
    )],
    *[(f'"{text}"', "too_long") for text in ("9" * 5000, "9" * 41, "0" * 41, "1." + "0" * 5000, "1e" + "9" * 5000)],
    *[(f'"{text}"', "not_ascii") for text in (
        "۱۲", "١٢", "１", "1۲", "²", "१२", "۱۲٫۵", "1٫5", "½", "一", "Ⅷ", "⑤", "𝟏", "٣.٥", "1\\u00a0", "\\u200b1", "\\ufeff1", "1\\u2028", "−1",
    )],
    *[(literal, "wrong_type") for literal in ("true", "false", "[]", "{}", "[1]", '["1"]', '{"value":"1"}', "[[]]")],
]  # fmt: skip
NULL = [("null", "wrong_type")]
MOST_DECIMALS = {
    3: ["1.2345", "1.1000000000000001", "0.0001", "1.0000", "1e-4", "12345678901e-10", "0." + "0" * 18 + "1"],
    2: ["1.005", "1.1000000000000001", "0.001", "1.000", "1e-3", "0.30000000000000004"],
    4: ["1.23456", "1.10000000000000001", "0.00001", "1.00000", "1e-5"],
}
NEGATIVE = ["-1", "-0.01", "-999999999", '"-1"', '"-0.01"', '"-0"', "-0.0", '"-0.00"']
Q, P, C = 3, 2, 4
# Every number that anybody can send: (name, method, address, body, pointer, decimals, more wrong values of its own).
NOT_POSITIVE = [
    (literal, "must_be_positive")
    for literal in (
        "-1",
        "0",
        '"-0"',
        '"0"',
        "-0",
        "0.0",
        "-0.0",
        '"0.000"',
        '"-1"',
        "-0.001",
        '"-999999999"',
    )
]
FREE_ONLY = [(literal, "out_of_range") for literal in (*NEGATIVE, "0", '"0"', "0.0", '"0.00"', "0e0", "-0")]
NOT_NEGATIVE = [(literal, "out_of_range") for literal in NEGATIVE]
FIELDS = {
    "quantity": ("POST", DOCUMENTS, line(quantity=HERE), "/lines/0/quantity", Q, [*NULL, *NOT_POSITIVE]),
    "quantity of one line": ("POST", MOVEMENTS, MOVEMENT | {"quantity": HERE}, "/quantity", Q, [*NULL, *NOT_POSITIVE]),
    "received": ("POST", DOCUMENTS, delivered(quantity=HERE), "/lines/0/quantity", Q, [*NULL, *NOT_POSITIVE]),
    "adjusted": (
        "POST", MOVEMENTS, MOVEMENT | {"kind": "adjustment", "quantity": HERE}, "/quantity", Q,
        [*NULL, *[(zero, "must_not_be_zero") for zero in ("0", '"0"', "-0", '"-0.000"')]],
    ),
    "wasted": ("POST", MOVEMENTS, MOVEMENT | {"kind": "wastage", "quantity": HERE}, "/quantity", Q, [*NULL, *NOT_POSITIVE]),
    "unit_price": ("POST", DOCUMENTS, line(unit_price=HERE), "/lines/0/unit_price", P, [*NULL, *FREE_ONLY]),
    "unit_price of one line": ("POST", MOVEMENTS, MOVEMENT | {"unit_price": HERE}, "/unit_price", P, [*NULL, *FREE_ONLY]),
    "line_total": ("POST", DOCUMENTS, line(line_total=HERE), "/lines/0/line_total", P, [*NULL, *NOT_NEGATIVE]),
    "amount": (
        "POST", DOCUMENTS, {**line(), "lines": [{"sku": "FLR-0001", "amount": HERE}]}, "/lines/0/amount", P,
        [*NULL, *NOT_NEGATIVE, ("0", "must_be_positive"), ('"0.00"', "must_be_positive")],
    ),
    "unit_cost": ("POST", DOCUMENTS, delivered(unit_cost=HERE), "/lines/0/unit_cost", C, [*NULL, *NOT_NEGATIVE]),
    "selling_price": ("POST", PRODUCTS, PRODUCT | {"selling_price": HERE}, "/selling_price", P, [*NULL, *FREE_ONLY]),
    "cost_price": ("POST", PRODUCTS, PRODUCT | {"cost_price": HERE}, "/cost_price", P, [*NULL, *NOT_NEGATIVE]),
    "quantity_step": ("POST", PRODUCTS, PRODUCT | {"quantity_step": HERE}, "/quantity_step", Q, [*NULL, *FREE_ONLY]),
    "changed selling_price": ("PATCH", GHEE, {"selling_price": HERE}, "/selling_price", P, [*NULL, *FREE_ONLY]),
    "changed cost_price": ("PATCH", GHEE, {"cost_price": HERE}, "/cost_price", P, [*NULL, *NOT_NEGATIVE]),
    "reorder_point": ("PATCH", LEVEL, {"reorder_point": HERE}, "/reorder_point", Q, [*NULL, *NOT_NEGATIVE]),
    "target_level": ("PATCH", LEVEL, {"target_level": HERE}, "/target_level", Q, NOT_NEGATIVE),
}  # fmt: skip


def rows_of(decimals: int, more: list) -> list[tuple[str, str, str]]:
    """(literal, code, inner code) of every wrong value for a field with so many decimals."""
    fractions = [
        (form, "too_many_decimals") for text in MOST_DECIMALS[decimals] for form in (text, f'"{text}"')
    ]
    fractions = [row for row in fractions if not (row[0].startswith('"') and "e" in row[0])]
    return [
        *[(literal, "parse_error", "parse_error") for literal in NO_JSON],
        *[(literal, "validation_error", inner) for literal, inner in [*NO_NUMBER, *fractions, *more]],
    ]


def test_the_table_is_long():
    assert sum(len(rows_of(decimals, more)) for *_rest, decimals, more in FIELDS.values()) > 2000


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_takes_numbers_of_the_contract_s_form_only(api_client, stocked, name):
    method, url, body, pointer, decimals, more = FIELDS[name]
    partner, before, wrong = api_client(rate=10**6), everything(), {}
    for literal, code, inner in rows_of(decimals, more):
        raw = with_literal(body, literal)
        answer, beyond = send(partner, method, url, raw, ANY_VERSION)
        where = "" if code == "parse_error" else pointer
        if found := wrong_with(answer, beyond, 400, code, inner, where):
            wrong[literal[:60]] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize("name", ["quantity", "unit_price", "unit_cost", "amount"])
def test_in_a_batch_it_is_the_document_that_is_refused(api_client, stocked, name):
    _method, _url, body, pointer, decimals, more = FIELDS[name]
    partner, before, wrong = api_client(rate=10**6), everything(), {}
    for literal, code, inner in rows_of(decimals, more):
        answer, beyond = send(partner, "POST", BATCH, with_literal(batch(body), literal))
        if code == "parse_error":
            found = wrong_with(answer, beyond, 400, code, inner, "")
        else:
            [verdict] = answer.json()["results"]
            told = [(one["pointer"], one["code"]) for one in verdict.get("errors", ())]
            fits = (verdict["status"], verdict.get("code")) == ("rejected", code)
            found = "" if fits and told == [(f"/documents/0{pointer}", inner)] else f"{verdict}"
        if found:
            wrong[literal[:60]] = found
    assert not wrong
    assert everything() == before


@pytest.mark.parametrize(
    ("literal", "quantity"),
    [
        ("0.1", "-0.100"), ('"0.1"', "-0.100"), ("1", "-1.000"), ('"1"', "-1.000"), ("1.5", "-1.500"), ("1.0", "-1.000"), ("1E1", "-10.000"),
        ("1e1", "-10.000"), ("1e+1", "-10.000"), ("1.0e0", "-1.000"), ("15e-1", "-1.500"), ("0.001", "-0.001"), ('"0.001"', "-0.001"),
        ('"1.250"', "-1.250"), ('"001"', "-1.000"), ("1.10", "-1.100"), ("0.3", "-0.300"), ("1e-3", "-0.001"),
    ],
)  # fmt: skip
def test_numbers_are_kept_exactly_as_written(api_client, stocked, literal, quantity):
    answer, _beyond = send(api_client(), "POST", DOCUMENTS, with_literal(line(quantity=HERE), literal))
    assert (answer.status_code, answer.json()["lines"][0]["quantity"]) == (201, quantity)


@pytest.mark.parametrize("literal", ["999999999.999", '"999999999.999"', "999999999", '"-999999999.999"'])
def test_what_the_form_allows_and_no_stock_has_is_refused_in_its_own_words(api_client, stocked, literal):
    partner, before = api_client(), everything()
    answer, _beyond = send(partner, "POST", DOCUMENTS, with_literal(line(quantity=HERE), literal))
    negative = literal.startswith('"-')
    assert (answer.status_code, faults(answer)) == (
        (400, [("/lines/0/quantity", "must_be_positive")])
        if negative
        else (409, [("/lines/0/quantity", "insufficient_stock")])
    )
    assert everything() == before


def test_stock_beyond_what_can_be_written_is_refused(api_client, stocked):
    partner = api_client()
    many = [{"sku": "FLR-0001", "quantity": "999999999.999"}] * 500
    refuse(
        partner, "POST", DOCUMENTS, delivered() | {"lines": many}, code="validation_error",
        inner="out_of_range", pointer="/lines",
    )  # fmt: skip


# -- A price of 0


@pytest.mark.parametrize("kind", ["sale", "sale_return"])
def test_goods_are_given_away_only_when_that_is_said(api_client, stocked, kind):
    partner = api_client()
    send(partner, "POST", DOCUMENTS, line(quantity="5") | {"reference": "first"})
    body = line(unit_price="0") | {"kind": kind}
    refuse(
        partner,
        "POST",
        DOCUMENTS,
        body,
        code="validation_error",
        inner="out_of_range",
        pointer="/lines/0/unit_price",
    )
    given = line(unit_price="0", free=True) | {"kind": kind}
    answer, _beyond = send(partner, "POST", DOCUMENTS, given)
    assert (answer.status_code, answer.json()["lines"][0]["line_total"], answer.json()["total"]) == (
        201,
        "0.00",
        "0.00",
    )
    again, _beyond = send(partner, "POST", DOCUMENTS, given)
    assert (again.status_code, again.content) == (200, answer.content)


@pytest.mark.parametrize(
    "fields", [{"free": True}, {"free": True, "unit_price": "5"}, {"free": True, "line_total": "0"}]
)
def test_free_goes_with_a_price_of_0_and_no_other(api_client, stocked, fields):
    refuse(
        api_client(), "POST", DOCUMENTS, line(**fields), code="validation_error", inner="not_allowed", pointer="/lines/0/free"
    )  # fmt: skip
    refuse(
        api_client(), "POST", MOVEMENTS, MOVEMENT | fields, code="validation_error", inner="not_allowed", pointer="/free"
    )  # fmt: skip


@pytest.mark.parametrize("literal", ['"true"', "1", "0", "null", "[]", "{}", '""', '"yes"'])
def test_free_is_true_or_false(api_client, stocked, literal):
    for url, body, pointer in (
        (DOCUMENTS, line(unit_price="0", free=HERE), "/lines/0/free"),
        (MOVEMENTS, MOVEMENT | {"unit_price": "0", "free": HERE}, "/free"),
        (PRODUCTS, PRODUCT | {"selling_price": "0", "free": HERE}, "/free"),
    ):
        refuse(api_client(), "POST", url, with_literal(body, literal), code="validation_error", inner="wrong_type", pointer=pointer)  # fmt: skip


def test_a_price_that_is_not_0_needs_no_word_and_a_free_of_false_says_nothing(api_client, stocked):
    answer, _beyond = send(api_client(), "POST", MOVEMENTS, MOVEMENT | {"unit_price": "0.01", "free": False})
    assert answer.status_code == 201
    refuse(
        api_client(), "POST", MOVEMENTS, MOVEMENT | {"unit_price": "0", "free": False, "reference": "l-2"},
        code="validation_error", inner="out_of_range", pointer="/unit_price",
    )  # fmt: skip


def test_a_product_costs_nothing_only_when_that_is_said_or_in_a_draft(api_client, stocked, ghee):
    partner = api_client()
    zero = PRODUCT | {"selling_price": "0"}
    refuse(
        partner,
        "POST",
        PRODUCTS,
        zero,
        code="validation_error",
        inner="out_of_range",
        pointer="/selling_price",
    )
    made, _beyond = send(partner, "POST", PRODUCTS, zero | {"free": True})
    assert (made.status_code, made.json()["selling_price"]) == (201, "0.00")
    assert "free" not in made.json()
    refuse(
        partner, "POST", PRODUCTS, PRODUCT | {"sku": "X", "free": True}, code="validation_error", inner="not_allowed", pointer="/free"
    )  # fmt: skip
    draft, _beyond = send(
        partner, "POST", PRODUCTS, zero | {"sku": "TEA-0002", "barcodes": [], "status": "draft"}
    )
    assert draft.status_code == 201
    url = PRODUCTS + "TEA-0002/"
    # What was put off while it was a draft is asked for when it comes into use.
    refuse(
        partner, "PATCH", url, {"status": "active"}, headers=ANY_VERSION, code="validation_error", inner="out_of_range",
        pointer="/selling_price",
    )  # fmt: skip
    for body in (
        {"name": "Tea"},
        {"selling_price": "0"},
        {"status": "active", "free": True},
        {"name": "Free tea"},
    ):
        answer, _beyond = send(partner, "PATCH", url, body, ANY_VERSION)
        assert (answer.status_code, answer.json()["selling_price"]) == (200, "0.00"), body
    refuse(
        partner, "PATCH", url, {"selling_price": "5", "free": True}, headers=ANY_VERSION, code="validation_error", inner="not_allowed",
        pointer="/free",
    )  # fmt: skip


# -- Whole numbers


@pytest.mark.parametrize(
    ("literal", "inner"),
    [
        ("1.5", "wrong_type"), ("1.0", "wrong_type"), ("1e0", "wrong_type"), ("1e5", "wrong_type"), ("true", "wrong_type"), ("false", "wrong_type"),
        ("null", "wrong_type"), ("[]", "wrong_type"), ("{}", "wrong_type"), ('""', "blank"), ('"9 9"', "invalid_code"), ('"۹"', "invalid_code"),
        ('"²"', "invalid_code"), ('"1e5"', "unknown_document"), ('"1"', "unknown_document"), ("2147483648", "unknown_document"),
        ("9223372036854775807", "unknown_document"), ("9223372036854775808", "unknown_document"), ("1" * 100, "unknown_document"),
        ("-1", "unknown_document"), ("0", "unknown_document"), ("-0", "unknown_document"), ('"' + "9" * 101 + '"', "too_long"),
    ],
)  # fmt: skip
def test_the_number_of_a_sale_is_a_whole_one(api_client, stocked, literal, inner):
    body = line() | {"kind": "sale_return", "returns": HERE}
    refuse(
        api_client(),
        "POST",
        DOCUMENTS,
        with_literal(body, literal),
        code="validation_error",
        inner=inner,
        pointer="/returns",
    )
    assert not Movement.objects.filter(kind="sale_return").exists()


@pytest.mark.parametrize(
    ("literal", "code", "inner"),
    [
        ("1.5", "validation_error", "wrong_type"), ("1", "validation_error", "wrong_type"), ("2147483647", "validation_error", "wrong_type"),
        ("1e3", "validation_error", "wrong_type"), ("-0.5", "validation_error", "wrong_type"), ('"1"', "validation_error", "invalid_choice"),
        ('"۱"', "validation_error", "invalid_choice"), ("9223372036854775808", "validation_error", "invalid_choice"),
        ("1180591620717411303424", "validation_error", "invalid_choice"), ("-1", "validation_error", "invalid_choice"),
        ("0", "validation_error", "invalid_choice"), ("true", "validation_error", "invalid_choice"), ("false", "validation_error", "invalid_choice"),
        ("null", "validation_error", "invalid_choice"), ("[]", "validation_error", "invalid_choice"), ("{}", "validation_error", "invalid_choice"),
        ('"KHI-0001"', "validation_error", "invalid_choice"), ('"NO-SUCH"', "validation_error", "invalid_choice"),
        ('"lhe-0001"', "validation_error", "invalid_choice"), ('" LHE-0001"', "validation_error", "invalid_choice"),
        ('"LHE-0001 "', "validation_error", "invalid_choice"), ('"LHE-0001\\n"', "validation_error", "invalid_choice"),
        ('"LHE\\u20110001"', "validation_error", "invalid_choice"), ('"%"', "validation_error", "invalid_choice"),
        ('"' + "9" * 5000 + '"', "validation_error", "invalid_choice"), ('""', "validation_error", "blank"),
        ("9" * 5000, "parse_error", "parse_error"), ('"LHE-0001\\u0000"', "null_character", "null_character"),
        ('"\\u0000"', "null_character", "null_character"), ('"\\ud800"', "validation_error", "bad_character"),
    ],
)  # fmt: skip
def test_a_store_that_is_none_gets_the_words_of_a_foreign_one(
    api_client, stocked, other_store, literal, code, inner
):
    partner = api_client()
    foreign, _beyond = send(partner, "POST", DOCUMENTS, line() | {"store": "KHI-0001"})
    for url, body in ((DOCUMENTS, line() | {"store": HERE}), (MOVEMENTS, MOVEMENT | {"store": HERE})):
        answer = refuse(
            partner, "POST", url, with_literal(body, literal), code=code, inner=inner, pointer="" if code == "parse_error" else "/store"
        )  # fmt: skip
        if inner == "invalid_choice":
            assert answer.json()["errors"] == foreign.json()["errors"]
            assert answer.json()["detail"] == foreign.json()["detail"]
