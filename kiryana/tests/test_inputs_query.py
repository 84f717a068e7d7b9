"""Addresses: parameters of every list and report, cursors, and what stands in the path."""

import base64
import re
from datetime import date, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core import signing

from kiryana.tests.refusals import API, DOCUMENTS, MOVEMENTS, PRODUCTS, everything, refuse, send, wrong_with

pytestmark = pytest.mark.django_db
INVENTORY, STORES, REPORTS = API + "inventory/", API + "stores/", API + "reports/"
LISTS = {
    "products": (PRODUCTS, ["search", "category", "barcode", "status", "updated_since"]),
    "stores": (STORES, ["city", "status"]),
    "inventory": (INVENTORY, ["store", "sku", "category", "state", "updated_since"]),
    "movements": (MOVEMENTS, [
        "store", "sku", "kind", "reference", "occurred_from", "occurred_to", "business_date_from", "business_date_to",
    ]),
    "documents": (DOCUMENTS, [
        "store", "kind", "reference", "occurred_from", "occurred_to", "business_date_from", "business_date_to",
    ]),
    "webhooks": (API + "webhooks/", []),
}  # fmt: skip
REPORT = {
    "daily-sales": ["store", "category", "from", "to", "format"],
    "top-products": ["store", "category", "from", "to", "format", "by", "limit"],
    "low-stock": ["store", "category", "format", "limit"],
    "inventory-summary": ["store", "category", "format"],
    "stock-value": ["store", "category", "format"],
    "dead-stock": ["store", "category", "format", "limit", "days"],
    "movement-summary": ["store", "category", "from", "to", "format"],
    "shrinkage": ["store", "category", "from", "to", "format", "by", "limit"],
}
OTHERS = {
    "me": API + "me/", "lookup": PRODUCTS + "lookup/", "product": PRODUCTS + "GHE-0001/", "level": INVENTORY + "LHE-0001/GHE-0001/",
    "store": STORES + "LHE-0001/", "changes": API + "changes/",
}  # fmt: skip
UNKNOWN = [
    "stor", "Store", "STORE", "store ", "store__code", "store__code__icontains", "id", "pk", "id__in", "n__in", "n", "page", "page_size", "offset", "count",
    "q", "sort", "order", "order_by", "fields", "include", "expand", "_", "callback", "jsonp", "price", "user__password__startswith", "store_id", "dry_run",
    "sku[]", "sku[0]", "on_hand__lt", "a" * 400, "چ", "🍚", "x\x01", "<script>", "..", "next", "debug", "trace",
]  # fmt: skip
LIMITS = [
    "0", "-1", "501", "502", "1000", "1000000000", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 400, "1.5", "1.0", "1e2", "+5", " 5", "5 ",
    "05x", "0x10", "five", "NaN", "Infinity", "-0", "۵", "٥", "５", "²", "1_0", "1,0", "true", "null", "None", "[]", "00000", "10000", "5\n",
]  # fmt: skip
TIMES = [
    ("", "blank"), ("2026-11-22", "invalid_time"), ("2026-11-22T10:00:00", "naive_datetime"), ("2026-02-30T10:00:00Z", "invalid_time"),
    ("2026-11-22T24:00:00Z", "invalid_time"), ("2026-11-22T10:00:60Z", "invalid_time"), ("2026-11-22T10:00:00+99:00", "invalid_time"),
    ("2026-11-22T10:00:00+05:99", "invalid_time"), ("9999-12-31T23:59:59Z", "out_of_range"), ("0001-01-01T00:00:00Z", "out_of_range"),
    ("0001-01-01T00:00:00+05:00", "invalid_time"), ("0000-01-01T00:00:00Z", "invalid_time"), ("10000-01-01T00:00:00Z", "invalid_time"),
    ("1999-12-31T00:00:00Z", "out_of_range"), ("2026-W01-1", "invalid_time"), ("1763800000", "invalid_time"), ("now", "invalid_time"),
    ("۲۰۲۶-11-22T10:00:00Z", "invalid_time"), ("2026-11-22T10:00:00.123456789Z", "invalid_time"), ("9999-12-31Z", "invalid_time"),
    ("x" * 400, "invalid_time"), ("2026-11-22T10:00:00Z;DROP", "invalid_time"),
]  # fmt: skip
DAYS = [
    ("", "blank"), ("2026-02-30", "invalid_date"), ("2026-13-01", "invalid_date"), ("2026-00-01", "invalid_date"), ("2026-11-00", "invalid_date"),
    ("2026-1-1", "invalid_date"), ("20261122", "invalid_date"), ("22-11-2026", "invalid_date"), ("2026/11/22", "invalid_date"),
    ("2026-W01-1", "invalid_date"), ("2026-326", "invalid_date"), ("0000-01-01", "invalid_date"), ("0001-01-01", "out_of_range"),
    ("1999-12-31", "out_of_range"), ("2101-01-01", "out_of_range"), ("9999-12-31", "out_of_range"), ("10000-01-01", "invalid_date"),
    ("-2026-01-01", "invalid_date"), ("۲۰۲۶-۱۱-۲۲", "invalid_date"), ("2026-11-22T10:00:00Z", "invalid_date"), ("today", "invalid_date"),
    ("1763800000", "invalid_date"), (" 2026-11-22x", "invalid_date"), ("2026-11-22\n1", "invalid_date"), ("x" * 400, "invalid_date"),
]  # fmt: skip
CHOSEN = [
    ("", "blank"),
    *(
        (text, "invalid_choice")
        for text in ("nothing", "LOW", "1", "low,ok", "x" * 400, "۱", "'", "*", "all")
    ),
]
CATEGORIES = [("", "blank"), *((text, "invalid_choice") for text in (
    "Nothing", "0", "99999999", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 400, "-1", "1.5", "x" * 101, "x" * 400, "%", "_", "'", "NaN",
))]  # fmt: skip
WRONG = {
    **dict.fromkeys(("updated_since", "occurred_from", "occurred_to"), TIMES),
    **dict.fromkeys(("business_date_from", "business_date_to", "from", "to"), DAYS),
    **dict.fromkeys(("status", "state", "kind", "by"), CHOSEN),
    "category": CATEGORIES,
    "search": [("", "blank"), ("x" * 101, "too_long"), ("x" * 3500, "too_long"), ("چ" * 101, "too_long"), ("a " * 9, "too_long"), ("a\t" * 9, "too_long"),
               ("a " * 1500, "too_long"), ("۱ " * 9, "too_long")],
    "sku": [("", "blank"), ("x" * 41, "too_long"), ("x" * 3500, "too_long")],
    "barcode": [("", "blank"), ("9" * 65, "too_long"), ("9" * 3500, "too_long")],
    "reference": [("", "blank"), ("x" * 101, "too_long"), ("x" * 3500, "too_long")],
    "city": [("", "blank"), ("x" * 101, "too_long"), ("x" * 3500, "too_long")],
    "store": [("", "blank")],
}  # fmt: skip


def query(**given) -> str:
    return "?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in given.items())


@pytest.fixture
def partner(api_client, stocked, post, ghee, atta):
    """A key with more than one row in every list of goods."""
    for number in range(3):
        post("sale", (ghee, 1), (atta, 1), reference=f"s-{number}")
    return api_client(rate=10**6)


def check(partner, rows) -> None:
    """Each row: (address, status, code, inner code, pointer); none may change anything."""
    before, wrong = everything(), {}
    for url, status, code, inner, pointer in rows:
        answer, beyond = send(partner, "GET", url)
        if found := wrong_with(answer, beyond, status, code, inner, pointer):
            wrong[url[:120]] = found
    assert not wrong
    assert everything() == before


EVERYWHERE = (
    {name: url for name, (url, _filters) in LISTS.items()}
    | {name: f"{REPORTS}{name}/" for name in REPORT}
    | OTHERS
)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_parameters_that_are_not_known_are_refused(partner, name):
    url = EVERYWHERE[name]
    check(partner, [
        (f"{url}?{quote(odd)}=1", 400, "unknown_parameter", "unknown_parameter", "/" + odd[:50]) for odd in UNKNOWN
    ])  # fmt: skip
    check(
        partner,
        [
            (f"{url}?x", 400, "unknown_parameter", None, "/x"),
            (f"{url}?=", 400, "unknown_parameter", None, "/"),
        ],
    )


@pytest.mark.parametrize("name", EVERYWHERE)
def test_null_characters_are_refused_in_names_and_values(partner, name):
    url = EVERYWHERE[name]
    rows = [
        f"{url}?x=%00",
        f"{url}?x%00=1",
        f"{url}?%00",
        f"{url}?store=a%00b",
        f"{url}?cursor=%00",
        f"{url}?limit=5%00",
        f"{url}?search=%00",
    ]
    check(partner, [(row, 400, "null_character", "null_character", None) for row in rows])


FILTERS = [(name, url, field) for name, (url, fields) in LISTS.items() for field in (*fields, "limit", "ordering", "cursor")] + [
    (name, f"{REPORTS}{name}/", field) for name, fields in REPORT.items() for field in fields
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "url", "field"), FILTERS, ids=[f"{name}-{field}" for name, _url, field in FILTERS]
)
def test_a_parameter_is_given_once_and_makes_sense(partner, name, url, field):
    again = [
        f"{url}?{field}=a&{field}=b",
        f"{url}?{field}=a&{field}=a",
        f"{url}?{field}=&{field}=",
        f"{url}?" + "&".join([f"{field}=1"] * 300),
    ]
    if field == "format":  # which form an answer has is settled before
        again = []
    check(partner, [(one, 400, "repeated_parameter", "repeated_parameter", f"/{field}") for one in again])
    check(partner, [
        (url + query(**{field: value}), 400, "validation_error", inner, f"/{field}") for value, inner in WRONG.get(field, ())
    ])  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_limit_is_a_number_from_1_to_500(partner, name):
    url = LISTS[name][0]
    check(partner, [
        (url + query(limit=value), 400, "validation_error", "out_of_range" if len(value) <= 500 else None, "/limit") for value in LIMITS
    ])  # fmt: skip
    check(partner, [(url + "?limit=", 400, "validation_error", "blank", "/limit")])
    for value in ("1", "500", "0500"):
        assert partner.get(url + query(limit=value)).status_code == 200


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, fields in REPORT.items() for field in ("limit", "days") if field in fields],
)
def test_so_are_the_numbers_of_reports(partner, name, field):
    url = f"{REPORTS}{name}/"
    wrong = [*LIMITS, "401"] if field == "days" else LIMITS
    check(partner, [
        (url + query(**{field: value}), 400, "validation_error", "out_of_range", f"/{field}") for value in wrong
    ])  # fmt: skip
    assert partner.get(url + query(**{field: "1"})).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_an_order_is_one_of_those_that_are_named(partner, name):
    odd = [
        "name,id", "--id", "- id", "+id", "ID", "store__code", "?", "-", "id;", "price", "password", "pk", "1", "x" * 400, "random", "id asc", "آ",
    ]  # fmt: skip
    check(partner, [
        (LISTS[name][0] + query(ordering=one), 400, "validation_error", "invalid_choice", "/ordering") for one in odd
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["inventory", "movements", "documents", *REPORT])
def test_a_store_that_is_none_of_the_key_s_is_not_found(partner, other_store, name):
    url = EVERYWHERE[name]
    odd = [
        "KHI-0001",
        "NOTHING",
        "lhe-0001",
        "1",
        "-1",
        "9223372036854775808",
        "x" * 100,
        "۱",
        "'",
        "%",
        "LHE-0001,KHI-0001",
        "LHE-0001 x",
    ]
    check(partner, [(url + query(store=one), 404, "not_found", None, None) for one in odd])


# -- Cursors


def cursor_of(partner, url: str) -> str:
    [cursor] = parse_qs(urlsplit(partner.get(url).json()["next"]).query)["cursor"]
    return cursor


JUNK = [
    "", "x", "1", "a.b", "a:b:c", "....", "::::", "%", "bm90IGEgY3Vyc29y", "cD0x", "eyJhIjoxfQ", "null", "[]", "{}", "-1", "0", "9" * 20, "۱", "🍚", " ", "=" * 50,
    "x" * 3000, "." + "x" * 100, "p=abc", "p=", "o=99999", base64.b64encode(b"p=2026-11-22").decode(), base64.b64encode(b"p=" + b"9" * 20).decode(),
    base64.b64encode(b"r=1&p=abc").decode(), base64.b64encode(b"\xff\xfe\x00").decode(), "../../etc/passwd", "' OR 1=1 --",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_that_this_list_did_not_give_out_is_refused(partner, name):
    url = LISTS[name][0]
    forged = [
        *JUNK,
        signing.dumps([0, "1", 1]),
        signing.dumps([0, "1", 1], salt="cursor:"),
        signing.dumps({"p": 1}, salt="cursor:" + url),
        signing.dumps([0, "1", 1], key="another", salt="cursor:" + url),
    ]
    check(
        partner,
        [(url + query(cursor=one), 400, "invalid_cursor", "invalid_cursor", "/cursor") for one in forged],
    )


@pytest.mark.parametrize("name", ["products", "inventory", "movements", "documents"])
def test_a_cursor_belongs_to_its_list_its_filters_its_order_and_its_key(api_client, partner, store, name):
    url = LISTS[name][0]
    filters = {"products": "category=flour %26 grains", "inventory": "store=LHE-0001"}.get(
        name, "store=LHE-0001&kind=sale"
    )
    mine = cursor_of(partner, f"{url}?limit=1")
    narrow = cursor_of(partner, f"{url}?limit=1&{filters}")
    assert partner.get(f"{url}?limit=7&cursor={quote(mine)}").status_code == 200
    ordered = cursor_of(partner, f"{url}?limit=1&ordering=id")
    other = next(one for one, _fields in LISTS.values() if one not in (url, STORES))
    head, body = mine[:10], mine[10:]
    refused = [
        (f"{url}?{filters}&cursor={quote(mine)}"), (f"{url}?cursor={quote(narrow)}"), (f"{url}?ordering=-id&cursor={quote(ordered)}"),
        (f"{other}?cursor={quote(mine)}"), (f"{url}?cursor={quote(mine[:-1])}"), (f"{url}?cursor={quote(mine)}A"), (f"{url}?cursor={quote(mine.swapcase())}"),
        (f"{url}?cursor={quote(head + ('A' if body[0] != 'A' else 'B') + body[1:])}"), (f"{url}?cursor={quote(mine.replace(':', '.'))}"),
        (f"{url}?cursor={quote(mine)}%20x"), (f"{url}?cursor={quote(mine[::-1])}"), (f"{url}?limit=1&cursor={quote(mine + mine)}"),
    ]  # fmt: skip
    check(partner, [(one, 400, "invalid_cursor", "invalid_cursor", "/cursor") for one in refused])
    # Another key of the very same store and scopes.
    check(api_client(), [(f"{url}?cursor={quote(mine)}", 400, "invalid_cursor", "invalid_cursor", "/cursor")])


def test_every_letter_of_a_cursor_counts(partner):
    mine, wrong = cursor_of(partner, MOVEMENTS + "?limit=1"), []
    for place, letter in enumerate(mine):
        other = "A" if letter != "A" else "B"
        answer = partner.get(MOVEMENTS + query(cursor=mine[:place] + other + mine[place + 1 :]))
        # The last letter of base64 may carry bits that mean nothing.
        if answer.status_code != 400 and place != len(mine) - 1:
            wrong.append(place)
    assert not wrong


def test_the_feed_takes_only_its_own_places(partner):
    url = API + "changes/"
    check(partner, [
        (url + query(after=one), 400, "invalid_cursor", "invalid_cursor", "/after")
        for one in (*JUNK, signing.dumps([0, 1]), cursor_of(partner, MOVEMENTS + "?limit=1")) if len(one) <= 500
    ])  # fmt: skip
    check(
        partner,
        [(url + query(limit=value), 400, "validation_error", "out_of_range", "/limit") for value in LIMITS],
    )
    check(partner, [
        (url + query(type=one), 400, "validation_error", "invalid_choice", "/type") for one in ("x", "stock", "STOCK.LOW", "stock.low,stock.out", "x" * 400)
    ])  # fmt: skip
    check(
        partner,
        [(url + query(store=one), 404, "not_found", None, None) for one in ("KHI-0001", "x" * 100, "۱")],
    )


# -- Reports


@pytest.mark.parametrize("name", [name for name, fields in REPORT.items() if "from" in fields])
@pytest.mark.parametrize(
    ("start", "end", "taken"),
    [
        (0, -1, False), (1, 0, False), (-400, 0, False), (-401, 0, False), (-4000, 0, False), (-399, 0, True), (0, 0, True), (-30, -1, True),
    ],
)  # fmt: skip
def test_a_report_covers_at_most_400_days_in_their_order(partner, name, start, end, taken):
    today = date(2026, 6, 15)
    first, last = (today + timedelta(days=days) for days in (start, end))
    url = f"{REPORTS}{name}/?from={first}&to={last}"
    if taken:
        assert partner.get(url).status_code == 200
    else:
        refuse(partner, "GET", url, code="validation_error", pointer="/from")


@pytest.mark.parametrize("name", REPORT)
@pytest.mark.parametrize(
    "form", ["xml", "xlsx", "pdf", "html", "CSV", "csv ", "json,csv", "../csv", "%00", "", "۱"]
)
def test_a_report_has_two_forms(partner, name, form):
    url = f"{REPORTS}{name}/?format={form if form == '%00' else quote(form)}"
    refuse(partner, "GET", url, status=404, code="not_found")


@pytest.mark.parametrize("name", LISTS)
def test_lists_have_one_form(partner, name):
    check(partner, [
        (f"{LISTS[name][0]}?format={form}", 400, "unknown_parameter", "unknown_parameter", "/format") for form in ("json", "csv", "xml", "api", "html")
    ])  # fmt: skip


# -- What stands in the path


NUMBERS = [
    "0", "999999999", "2147483648", "9223372036854775807", "9223372036854775808", "99999999999999999999", "9" * 400, "-1", "1.5", "1e3", "abc", "0x1", "+1", "%201",
    "1%20", "1%0a", "%DB%B1", "%D9%A1", "%EF%BC%91", "%C2%B2", "NaN", "null", "..", "%2e%2e", "1;", "1,2", "%F0%9F%8D%9A", "%FF", "%C0%AF", "*", "_all",
]  # fmt: skip


@pytest.mark.parametrize("place", [MOVEMENTS, DOCUMENTS, API + "webhooks/"])
def test_numbers_in_a_path_that_nothing_has(partner, place):
    check(partner, [(f"{place}{number}/", 404, "not_found", None, None) for number in NUMBERS])
    check(
        partner,
        [
            (f"{place}{number}/", 400, "null_character", "null_character", "")
            for number in ("%00", "1%00", "%001")
        ],
    )


def test_documents_that_nothing_has_are_not_voided(partner):
    for number in NUMBERS:
        answer, beyond = send(
            partner, "POST", f"{DOCUMENTS}{number}/reverse/", {"reason": "MISTAKE", "reference": "v"}
        )
        assert not (found := wrong_with(answer, beyond, 404, "not_found", None, None)), (number, found)


CODES = [
    "NOTHING", "ghe-0001", "GHE-0001%20", "%20GHE-0001", "GHE-0001%0a", "x" * 41, "x" * 2000, "%DA%86", "%F0%9F%8D%9A", "%FF%FE", "%C0%AF", "*", "%25", "'", "<b>", "..%2f",
    "%2e%2e%2fx", "a;b", "a%09b", "-x", ".x", "_x", "a?b", "%E2%80%AEx", "a%7fb",
]  # fmt: skip


@pytest.mark.parametrize("place", [PRODUCTS, INVENTORY + "LHE-0001/", STORES])
def test_codes_in_a_path_that_nothing_has(partner, place):
    check(partner, [(f"{place}{code}/", 404, "not_found", None, None) for code in CODES if "?" not in code])
    check(
        partner,
        [
            (f"{place}{code}/", 400, "null_character", "null_character", "")
            for code in ("%00", "GHE-0001%00", "a%00b")
        ],
    )


@pytest.mark.parametrize("code", ["KHI-0001", "NOTHING", "lhe-0001", "1", "LHE-0001%20", "%DB%B1", "x" * 100])
def test_a_level_of_no_store_of_the_key(partner, other_store, code):
    refuse(partner, "GET", f"{INVENTORY}{code}/GHE-0001/", status=404, code="not_found")
    refuse(
        partner,
        "PATCH",
        f"{INVENTORY}{code}/GHE-0001/",
        {"reorder_point": "1"},
        status=404,
        code="not_found",
    )


@pytest.mark.parametrize(
    "path",
    [
        "", "nothing/", "products", "products//", "/products/", "Products/", "products/;x=1", "stores/LHE-0001/products/", "movements/1/2/", "admin/",
        "schema", "schema/x/", "me", "me/1/", "users/", "keys/", "transfers/", "reports/", "reports/nothing/", "..", "../v1/me/", "v1/", "%2e%2e/", "\u0686/", "products/.json",
        "me/.json", "graphql", "wp-login.php", ".env", ".git/config", "inventory/LHE-0001/", "counts", "webhooks", "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_not_found(partner, path):
    for method in ("GET", "POST", "DELETE"):
        refuse(partner, method, API + quote(path, safe="/%;"), status=404, code="not_found")


def test_the_table_is_long():
    parameters = sum(4 + len(WRONG.get(field, ())) for _name, _url, field in FILTERS)
    everywhere = len(EVERYWHERE) * (len(UNKNOWN) + 9)
    assert (
        parameters + everywhere + len(LISTS) * (len(LIMITS) + len(JUNK)) + 3 * len(NUMBERS) + 3 * len(CODES)
        > 2000
    )


@pytest.mark.parametrize(
    "text",
    [
        "کلو",
        "a' OR 1=1",
        "%",
        "_",
        "\\",
        "%25",
        "a b c d e f g h",
        "x" * 100,
        "چ" * 100,
        "🍚",
        "ي ك",
        "--",
        "*:*",
        "(",
        "[",
        "\u200c",
        ".",
    ],
)
def test_a_search_for_anything_is_a_search(partner, text):
    assert partner.get(PRODUCTS + query(search=text)).status_code == 200


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("name_of", ["sku", "reference", "city"])
def test_words_that_nothing_has_give_an_empty_list(partner, name, name_of):
    url, fields = LISTS[name]
    for text in ("'", "%", "NaN", "1e400", "9223372036854775808", "۱", "🍚", "\\", "a b"):
        answer = partner.get(url + query(**{name_of: text}))
        if name_of in fields:
            assert (answer.status_code, answer.json()["results"]) == (200, [])
        else:
            assert answer.json()["code"] == "unknown_parameter"


def test_answers_never_repeat_what_no_answer_may_hold(partner):
    for raw in ("%FF%FE=1", "x%1b[31m=1", "%ED%A0%80=1", "store=%FF%FE", "sku=%ED%A0%80", "search=%80"):
        answer, _beyond = send(partner, "GET", f"{MOVEMENTS}?{raw}")
        assert answer.status_code in (200, 400, 404)
        assert not re.search("[\ud800-\udfff]", answer.content.decode())
