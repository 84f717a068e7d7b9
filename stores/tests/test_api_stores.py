"""Whose key it is, and which stores it sees."""

import pytest

from stores.models import Store

pytestmark = pytest.mark.django_db


def test_a_key_may_know_itself(api_client, store):
    partner = api_client(scopes=["stores:read", "catalog:read"], rate=120)
    me = partner.get("/api/v1/me/").json()
    assert me["name"] == "Till"
    assert me["id"] == partner.key.public_id
    assert me["scopes"] == ["catalog:read", "stores:read"]
    assert (me["all_stores"], me["stores"]) == (False, ["LHE-0001"])
    assert me["limits"] == {
        "rate": "120/m",
        "body_bytes": 1048576,
        "lines": 500,
        "documents": 200,
        "page": 500,
    }
    assert partner.secret not in str(me)
    assert "digest" not in me


def test_only_the_stores_of_the_key_are_there(api_client, store, other_store):
    partner = api_client()
    assert [row["code"] for row in partner.get("/api/v1/stores/").json()["results"]] == ["LHE-0001"]
    assert partner.get("/api/v1/stores/LHE-0001/").json()["name_ur"] == "مدینہ کریانہ"
    everywhere = api_client(stores=(), all_stores=True)
    assert [row["code"] for row in everywhere.get("/api/v1/stores/").json()["results"]] == [
        "KHI-0001",
        "LHE-0001",
    ]


def test_another_store_is_answered_exactly_like_an_absent_one(api_client, store, other_store):
    partner = api_client()
    headers = {"x-request-id": "the-same-request"}
    foreign = partner.get("/api/v1/stores/KHI-0001/", headers=headers)
    absent = partner.get("/api/v1/stores/XXX-0001/", headers=headers)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


def test_the_list_costs_two_queries_however_long_it_is(api_client, store, django_assert_num_queries):
    partner = api_client(stores=(), all_stores=True)
    partner.get("/api/v1/me/")
    Store.objects.bulk_create(Store(code=f"ISB-{n:04}", name="x", city="Islamabad") for n in range(60))
    with django_assert_num_queries(2):
        assert len(partner.get("/api/v1/stores/?limit=50").json()["results"]) == 50
    assert len(partner.get("/api/v1/stores/?city=islamabad&limit=500").json()["results"]) == 60


def test_pages_lead_forth_and_back_through_the_whole_list(api_client, store):
    partner = api_client(stores=(), all_stores=True)
    Store.objects.bulk_create(Store(code=f"ISB-{n:04}", name="x") for n in range(7))
    codes = sorted(Store.objects.values_list("code", flat=True))
    url, seen, pages = "/api/v1/stores/?limit=3", [], []
    while url:
        page = partner.get(url).json()
        seen += [row["code"] for row in page["results"]]
        pages.append(page)
        url = page["next"]
    assert seen == codes
    assert pages[0]["previous"] is None
    back = partner.get(pages[2]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    falling = partner.get("/api/v1/stores/?ordering=-code&limit=2").json()
    assert [row["code"] for row in falling["results"]] == codes[:-3:-1]


@pytest.mark.parametrize(
    ("query", "code", "inner"),
    [
        ("limit=0", "validation_error", "out_of_range"),
        ("limit=501", "validation_error", "out_of_range"),
        ("limit=-1", "validation_error", "out_of_range"),
        ("limit=9223372036854775808", "validation_error", "out_of_range"),
        ("limit=%D9%A5", "validation_error", "out_of_range"),
        ("limit=1e2", "validation_error", "out_of_range"),
        ("ordering=name", "validation_error", "invalid_choice"),
        ("ordering=code,id", "validation_error", "invalid_choice"),
        ("cursor=junk", "invalid_cursor", "invalid_cursor"),
        ("cursor=%00", "null_character", "null_character"),
        ("cursor=", "invalid_cursor", "invalid_cursor"),
        ("cursor=99999", "invalid_cursor", "invalid_cursor"),
        ("offset=10", "unknown_parameter", "unknown_parameter"),
        ("page=2", "unknown_parameter", "unknown_parameter"),
        ("stat=open", "unknown_parameter", "unknown_parameter"),
        ("status=open&status=closed", "repeated_parameter", "repeated_parameter"),
        ("status=shut", "validation_error", "invalid_choice"),
        ("city=" + "x" * 101, "validation_error", "too_long"),
        ("format=json", "unknown_parameter", "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_is_refused_never_ignored(api_client, query, code, inner):
    answer = api_client().get(f"/api/v1/stores/?{query}")
    assert answer.status_code == 400
    problem = answer.json()
    assert (problem["code"], problem["errors"][0]["code"]) == (code, inner)
    assert problem["errors"][0]["pointer"] == "/" + query.split("=")[0]


def test_a_cursor_belongs_to_its_list_its_filters_and_its_key(api_client, store):
    partner, other = api_client(stores=(), all_stores=True), api_client(stores=(), all_stores=True)
    Store.objects.bulk_create(Store(code=f"ISB-{n:04}", name="x", city="Islamabad") for n in range(5))
    cursor = partner.get("/api/v1/stores/?limit=2").json()["next"].split("cursor=")[1].split("&")[0]
    assert partner.get(f"/api/v1/stores/?limit=4&cursor={cursor}").status_code == 200
    assert partner.get(f"/api/v1/stores/?city=Islamabad&cursor={cursor}").json()["code"] == "invalid_cursor"
    assert partner.get(f"/api/v1/stores/?ordering=-code&cursor={cursor}").json()["code"] == "invalid_cursor"
    assert partner.get(f"/api/v1/products/?cursor={cursor}").json()["code"] == "invalid_cursor"
    assert other.get(f"/api/v1/stores/?cursor={cursor}").json()["code"] == "invalid_cursor"
    forged = cursor[:3] + ("a" if cursor[3] != "a" else "b") + cursor[4:]
    assert partner.get(f"/api/v1/stores/?cursor={forged}").json()["code"] == "invalid_cursor"
