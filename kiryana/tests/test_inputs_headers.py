"""Headers: keys, Idempotency-Key, If-Match and what a client says it would like to have."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inventory.models import Document, StockLevel
from kiryana.tests.refusals import (
    ANY_VERSION,
    API,
    BATCH,
    DOCUMENTS,
    GHEE,
    LEVEL,
    MOST_CALLS,
    MOVEMENT,
    MOVEMENTS,
    PRODUCTS,
    SALE,
    batch,
    counted,
    everything,
    faults,
    refuse,
    send,
    wrong_with,
)
from stores.models import ApiKey

pytestmark = pytest.mark.django_db
ME = API + "me/"
UNNAMED = {name: value for name, value in SALE.items() if name != "reference"}


# -- Idempotency-Key

NO_REFERENCE = [
    "", " ", "  ", "a b", " a", "a ", "a\tb", "x" * 101, "x" * 256, "x" * 4000, "چ", "é", "\u00a0", "\x7f", "a\x01b", "\x80", "ключ", "🍚".encode().decode("latin-1"),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_REFERENCE)
def test_an_idempotency_key_that_is_no_reference(api_client, stocked, value):
    for url, body in ((DOCUMENTS, UNNAMED), (DOCUMENTS, SALE), (MOVEMENTS, MOVEMENT)):
        refuse(
            api_client(), "POST", url, body, headers={"idempotency-key": value}, code="validation_error", inner="invalid_reference",
            pointer="/Idempotency-Key",
        )  # fmt: skip


def test_an_idempotency_key_that_is_no_reference_voids_nothing(api_client, stocked, post, ghee):
    url = f"{DOCUMENTS}{post('sale', (ghee, 1)).document.pk}/reverse/"
    for value in NO_REFERENCE:
        refuse(
            api_client(), "POST", url, {"reason": "MISTAKE"}, headers={"idempotency-key": value}, code="validation_error",
            inner="invalid_reference",
        )  # fmt: skip
    refuse(
        api_client(),
        "POST",
        url,
        {"reason": "MISTAKE"},
        code="reference_required",
        inner="reference_required",
        pointer="/reference",
    )


def test_a_document_without_any_reference(api_client, stocked):
    refuse(
        api_client(),
        "POST",
        DOCUMENTS,
        UNNAMED,
        code="reference_required",
        inner="reference_required",
        pointer="/reference",
    )
    answer, _beyond = send(api_client(), "POST", BATCH, batch(UNNAMED), {"idempotency-key": "of-the-batch"})
    [verdict] = answer.json()["results"]
    assert (verdict["status"], verdict["code"]) == ("rejected", "reference_required")
    assert verdict["errors"][0]["pointer"] == "/documents/0/reference"


@pytest.mark.parametrize(
    "value",
    [
        "k",
        "x" * 100,
        "0197a4c2-6f1e-7c3b-9d55-2f0b8e6a1c44",
        "a/b?c=d&e",
        '"quoted"',
        "{}",
        "*",
        "~!@#$%^&()",
    ],
)
def test_any_short_printable_word_is_a_reference(api_client, stocked, value):
    partner = api_client()
    first, _beyond = send(partner, "POST", DOCUMENTS, UNNAMED, {"idempotency-key": value})
    again, _beyond = send(partner, "POST", DOCUMENTS, UNNAMED, {"idempotency-key": value})
    in_body, _beyond = send(partner, "POST", DOCUMENTS, UNNAMED | {"reference": value})
    assert (first.status_code, again.status_code, in_body.status_code) == (201, 200, 200)
    assert first.content == again.content == in_body.content
    assert first.json()["reference"] == value
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)


OTHER_CONTENT = [
    {"kind": "receipt"}, {"lines": [{"sku": "FLR-0001", "quantity": "2"}]}, {"lines": [{"sku": "GHE-0001", "quantity": "1"}]},
    {"lines": SALE["lines"] * 2}, {"notes": "x"}, {"lines": [{"sku": "FLR-0001", "quantity": "1", "unit_price": "1"}]},
    {"lines": [{"sku": "FLR-0001", "quantity": "1", "line_total": "1"}]}, {"lines": [{"sku": "FLR-0001", "amount": "130"}]},
    {"kind": "wastage", "reason": "DAMAGED"},
]  # fmt: skip


@pytest.mark.parametrize("change", OTHER_CONTENT)
def test_a_reference_stands_for_one_content(api_client, stocked, change):
    partner = api_client()
    send(partner, "POST", DOCUMENTS, SALE)
    refuse(partner, "POST", DOCUMENTS, SALE | change, status=422, code="idempotency_key_reused")
    refuse(
        partner, "POST", DOCUMENTS, UNNAMED | change, headers={"idempotency-key": SALE["reference"]}, status=422,
        code="idempotency_key_reused",
    )  # fmt: skip
    answer, _beyond = send(partner, "POST", BATCH, batch(SALE | change))
    assert answer.json()["results"][0]["code"] == "idempotency_key_reused"
    assert send(partner, "POST", DOCUMENTS, SALE)[0].status_code == 200


@pytest.mark.parametrize("header", ["other", "BASKET-1", "basket-1x", "basket"])
def test_two_references_that_differ(api_client, stocked, header):
    refuse(
        api_client(), "POST", DOCUMENTS, SALE, headers={"idempotency-key": header}, code="validation_error", inner="reference_mismatch",
        pointer="/reference",
    )  # fmt: skip


def test_the_same_reference_in_another_store_is_another_act(api_client, stocked, store, other_store, atta):
    partner = api_client(stores=(store, other_store))
    receipt = UNNAMED | {"kind": "receipt"}
    for code, status in (("LHE-0001", 201), ("KHI-0001", 201), ("LHE-0001", 200), ("KHI-0001", 200)):
        answer, _beyond = send(
            partner, "POST", DOCUMENTS, receipt | {"store": code}, {"idempotency-key": "k"}
        )
        assert (answer.status_code, answer.json()["store"]) == (status, code)
    assert Document.objects.filter(reference="k").count() == 2


def test_a_reference_of_another_key_of_the_store_is_the_store_s(api_client, stocked):
    first, _beyond = send(api_client(), "POST", DOCUMENTS, SALE)
    again, _beyond = send(api_client(), "POST", DOCUMENTS, SALE)
    assert (again.status_code, again.content) == (200, first.content)


# -- If-Match

STALE = [
    '"0123"', "0123", '""', '"', "W/*", '"*"', "x" * 4000, '"a", "b"', ",", ",,,", " , ", "W/", "null", "۱", '"' + "0" * 32 + '"', "* , *", "**",
]  # fmt: skip


@pytest.mark.parametrize("tag", STALE)
def test_a_version_that_is_not_the_present_one(api_client, stocked, tag):
    for url, body in ((GHEE, {"name": "Ghee"}), (LEVEL, {"reorder_point": "5"})):
        refuse(
            api_client(), "PATCH", url, body, headers={"if-match": tag}, status=412, code="version_conflict"
        )


def test_a_weak_tag_never_matches(api_client, stocked):
    partner = api_client()
    for url, body in ((GHEE, {"name": "Ghee"}), (LEVEL, {"reorder_point": "5"})):
        tag = partner.get(url).headers["ETag"]
        for form in (f"W/{tag}", tag.strip('"'), tag.upper(), tag[:-2] + '"', tag * 2):
            refuse(
                partner, "PATCH", url, body, headers={"if-match": form}, status=412, code="version_conflict"
            )


def test_a_product_is_changed_with_its_version_only(api_client, stocked):
    partner = api_client()
    for headers in ({}, {"if-match": ""}):
        refuse(
            partner, "PATCH", GHEE, {"name": "Ghee"}, headers=headers, status=428, code="if_match_required"
        )
    tag = partner.get(GHEE).headers["ETag"]
    done, _beyond = send(partner, "PATCH", GHEE, {"name": "Ghee"}, {"if-match": tag})
    assert (done.status_code, done.headers["ETag"] != tag) == (200, True)
    refuse(
        partner,
        "PATCH",
        GHEE,
        {"name": "Butter"},
        headers={"if-match": tag},
        status=412,
        code="version_conflict",
    )


def test_the_settings_of_a_level_are_changed_if_they_are_still_those(api_client, stocked, post, ghee):
    partner = api_client()
    tag = partner.get(LEVEL).headers["ETag"]
    post("sale", (ghee, 3))
    assert partner.get(LEVEL).headers["ETag"] == tag, "what is on hand is no setting"
    done, _beyond = send(partner, "PATCH", LEVEL, {"reorder_point": "7"}, {"if-match": f'"x", {tag}'})
    assert (done.status_code, done.json()["reorder_point"], done.json()["on_hand"]) == (
        200,
        "7.000",
        "21.000",
    )
    assert done.headers["ETag"] == partner.get(LEVEL).headers["ETag"] != tag
    refuse(
        partner,
        "PATCH",
        LEVEL,
        {"reorder_point": "8"},
        headers={"if-match": tag},
        status=412,
        code="version_conflict",
    )
    refuse(
        partner,
        "PATCH",
        LEVEL,
        {"reorder_point": "8"},
        headers={"if-match": ""},
        status=412,
        code="version_conflict",
    )
    # Without a version, and with any.
    assert send(partner, "PATCH", LEVEL, {"target_level": "30"})[0].status_code == 200
    assert send(partner, "PATCH", LEVEL, {"target_level": "31"}, ANY_VERSION)[0].status_code == 200
    level = StockLevel.objects.get(product=ghee)
    assert (level.reorder_point, level.target_level, level.on_hand) == (7, 31, 21)


def test_levels_of_two_products_with_the_same_settings_have_tags_of_their_own(api_client, stocked):
    partner = api_client()
    other = API + "inventory/LHE-0001/FLR-0001/"
    assert partner.get(LEVEL).headers["ETag"] != partner.get(other).headers["ETag"]


# -- Keys


def bad_keys(secret: str, revoked: str, expired: str) -> list[dict]:
    crc = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    middle = secret[:25] + ("A" if secret[25] != "A" else "B") + secret[26:]
    return [
        {}, {"x-api-key": ""}, {"x-api-key": " "}, {"x-api-key": "x"}, {"x-api-key": crc}, {"x-api-key": middle}, {"x-api-key": secret[:-1]},
        {"x-api-key": secret + "A"}, {"x-api-key": secret.upper()}, {"x-api-key": secret.replace("kir_live", "kir_test")}, {"x-api-key": "x" * 10_000},
        {"x-api-key": "kir_live_" + "A" * 10 + "_" + "A" * 38}, {"x-api-key": f"Bearer {secret}"}, {"x-api-key": "چابی"}, {"x-api-key": "\xff\xfe\x80"},
        {"x-api-key": secret.replace("_", "-")}, {"x-api-key": f"{secret}, {secret}"}, {"x-api-key": "null"}, {"x-api-key": "{}"}, {"x-api-key": f'"{secret}"'},
        {"x-api-key": revoked}, {"x-api-key": expired}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Bearer "},
        {"authorization": f"Bearer {crc}"}, {"authorization": f"Basic {secret}"}, {"authorization": "Basic Og=="}, {"authorization": f"Token {secret}"},
        {"authorization": secret}, {"authorization": f"Bearer{secret}"}, {"authorization": f"Bearer {revoked}"}, {"authorization": f"Bearer {expired}"},
        {"authorization": "Bearer " + "x" * 10_000}, {"authorization": "Bearer \xff\xfe"}, {"authorization": "Digest username=x"}, {"authorization": f"Bearer {secret} x"},
        {"authorization": f"Bearer {crc}", "x-api-key": secret}, {"authorization": "Basic Og==", "x-api-key": secret}, {"authorization": "", "x-api-key": secret},
        {"authorization": f"Bearer {secret}", "x-api-key": crc}, {"authorization": f"Bearer {secret}", "x-api-key": ""}, {"cookie": f"x-api-key={secret}"},
        {"x-api_key-": secret}, {"api-key": secret}, {"proxy-authorization": f"Bearer {secret}"},
    ]  # fmt: skip


def test_every_key_that_opens_nothing_gets_the_same_answer(api_client, client, stocked, settings):
    settings.API_GUESS_RATE = "100000/m"
    secret, revoked, expired = (api_client().secret for _n in range(3))
    now = timezone.now()
    ApiKey.objects.filter(public_id=ApiKey.public_id_of(revoked)).update(revoked_at=now)
    ApiKey.objects.filter(public_id=ApiKey.public_id_of(expired)).update(
        expires_at=now - timedelta(seconds=1)
    )
    assert client.get(ME, headers={"x-api-key": secret}).status_code == 200
    before, answers = everything(), set()
    for headers in bad_keys(secret, revoked, expired):
        for method, url, body in (
            ("GET", ME, None),
            ("POST", DOCUMENTS, SALE),
            ("POST", DOCUMENTS, "{"),
            ("PATCH", GHEE, {"name": "x"}),
            ("GET", DOCUMENTS + "1/", None),
        ):
            answer, beyond = send(client, method, url, body, headers)
            found = wrong_with(answer, beyond, 401, "unauthenticated", None, None)
            assert not found, (headers, found)
            told = answer.json()
            answers.add(
                (
                    told["type"],
                    told["title"],
                    told["detail"],
                    str(told["errors"]),
                    answer.headers["WWW-Authenticate"],
                    sorted(answer.headers)[0],
                )
            )
    assert len(answers) == 1
    assert everything() == before


@pytest.mark.parametrize(
    "name",
    ["key", "api_key", "apikey", "x-api-key", "token", "access_token", "authorization", "API_KEY", "Token"],
)
@pytest.mark.parametrize("url", [ME, PRODUCTS, DOCUMENTS, API + "reports/low-stock/"])
def test_a_key_in_an_address_is_refused(api_client, stocked, name, url):
    partner = api_client()
    refuse(partner, "GET", f"{url}?{name}={partner.secret}", code="key_in_url")
    refuse(partner, "GET", f"{url}?{name}=x", code="key_in_url")
    refuse(partner, "GET", f"{url}?anything={partner.secret}", code="key_in_url")


# -- What a client would like


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/html"}, {"accept": "application/xml"}, {"accept": "nonsense"}, {"accept": ""}, {"accept": "*/*;q=0"}, {"accept": "application/json;q=x"},
        {"accept": ",".join(f"text/x{n};q=0.{n % 10}" for n in range(400))}, {"accept": "a/b," * 1700}, {"accept": ";" * 7000}, {"accept": "\xff"},
        {"accept-language": "ur," * 2000}, {"accept-language": "x" * 6000}, {"accept-language": ",".join(f"x{n};q=0.{n % 10}" for n in range(700))},
        {"accept-language": "-" * 6000}, {"accept-language": "en" + "-a" * 3000}, {"accept-language": "en;q=" + "9" * 6000}, {"accept-language": "\x80\xff"},
        {"accept-language": "../../etc"}, {"accept-language": "*"}, {"accept-language": ";q=1"}, {"accept-encoding": "gzip;q=" + "1" * 5000}, {"accept-charset": "bogus"},
        {"range": "bytes=0-" + "9" * 500}, {"if-modified-since": "never"}, {"if-none-match": "x" * 7000}, {"if-none-match": ","}, {"expect": "nothing"},
        {"x-forwarded-for": "x" * 5000}, {"x-forwarded-for": "1.2.3.4, ::1, [junk], 999.1.1.1"}, {"x-forwarded-host": "evil.example"}, {"forwarded": "for=evil;host=evil"},
        {"x-forwarded-proto": "ftp"}, {"x-request-id": "x" * 5000}, {"x-request-id": "a b\tc"}, {"x-request-id": "چ"}, {"x-request-id": "../../x"}, {"cookie": "sessionid=%00"},
        {"cookie": "sessionid=" + "x" * 5000}, {"cookie": "\xff=\xfe"}, {"referer": "https://evil.example/" + "x" * 4000}, {"user-agent": "\x80" * 3000}, {"user-agent": ""},
        {"x-http-method-override": "DELETE"}, {"content-type": "text/xml"}, {"content-encoding": "gzip"}, {"origin": "https://evil.example"}, {"te": "trailers"},
    ],
)  # fmt: skip
def test_what_is_asked_for_in_headers_never_breaks_an_answer(api_client, stocked, headers):
    partner = api_client()
    partner.get(ME)
    before = everything()
    kind = headers.pop("content-type", "")
    answer, calls = counted(lambda: partner.generic("GET", ME, "", content_type=kind, headers=headers))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert calls < MOST_CALLS
    assert "evil" not in answer.content.decode() + str(answer.headers)
    assert 8 <= len(answer.headers["X-Request-Id"]) <= 64
    assert "Access-Control-Allow-Origin" not in answer.headers
    wrong = partner.generic("GET", API + "nothing/", "", content_type=kind, headers=headers)
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (404, "application/problem+json")
    assert everything() == before


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "a b",
        "",
        "testserver:99999999",
        "testserver:x",
        "[::1",
        "چ",
        "testserver/x",
        "x" * 3000,
        "testserver\x00",
        "testserver,evil",
    ],
)
def test_a_host_that_is_not_ours(api_client, stocked, host):
    answer = api_client().get(ME, headers={"host": host})
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert (answer.headers["Content-Type"], answer.json()["code"]) == (
            "application/problem+json",
            "bad_request",
        )
    else:  # an empty Host is as good as none
        assert host in ("", "testserver:99999999")


@pytest.mark.parametrize("value", ["GET", "POST", "DELETE", "PATCH", "FOO"])
def test_forms_and_cookies_change_nothing(head_office, client, stocked, value):
    client.force_login(head_office)
    before = everything()
    answer = client.post(DOCUMENTS, {"store": "LHE-0001"}, headers={"x-http-method-override": value})
    assert (answer.status_code, faults(answer)) == (401, [])
    assert everything() == before
