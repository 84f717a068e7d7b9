"""The catalogue for partners."""

import pytest
from django.db import connection

from catalog.models import Barcode, Category, Product

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/v1/products/"
NEW = {
    "sku": "TEA-0001",
    "name": "Tapal Danedar 190 g",
    "name_ur": "ٹپال دانے دار",
    "category": "Flour & Grains",
    "selling_price": "420.00",
    "cost_price": "385.00",
    "barcodes": ["8964000123401", "TAPAL-190"],
}


def skus(answer) -> list[str]:
    return [row["sku"] for row in answer.json()["results"]]


def test_products_are_listed_with_codes_and_packs(api_client, atta, ghee):
    row = api_client().get(PRODUCTS + "GHE-0001/").json()
    assert (row["sku"], row["code"], row["category"]) == ("GHE-0001", "GHE-0001", "Flour & Grains")
    assert row["selling_price"] == "560.00"
    assert row["quantity_step"] == "1.000"
    assert row["barcodes"] == ["8964000123456"]
    assert row["packs"] == [
        {"name": "Case of 12", "units_per_pack": "12.000", "barcodes": ["18964000123453"]}
    ]
    assert skus(api_client().get(PRODUCTS)) == ["FLR-0001", "GHE-0001"]


def test_cost_is_shown_only_with_reports_read(api_client, ghee):
    assert api_client().get(PRODUCTS + "GHE-0001/").json()["cost_price"] == "500.00"
    till = api_client(scopes=["catalog:read", "catalog:write"])
    assert "cost_price" not in till.get(PRODUCTS + "GHE-0001/").json()
    assert "cost_price" not in till.get(PRODUCTS).json()["results"][0]
    assert "cost_price" not in till.get(PRODUCTS + "lookup/?barcode=8964000123456").json()
    assert "cost_price" not in till.post(PRODUCTS, NEW).json()


def test_the_number_of_queries_does_not_grow_with_the_list(api_client, category, django_assert_num_queries):
    partner = api_client()
    partner.get("/api/v1/me/")
    for n in range(30):
        product = Product.objects.create(
            sku=f"P-{n:03}", name=f"Thing {n}", category=category, selling_price=1
        )
        Barcode.objects.create(code=f"code-{n}", product=product)
    for limit in (1, 30):
        with django_assert_num_queries(4):  # key, products, barcodes, packs (none, so no codes of packs)
            assert len(partner.get(f"{PRODUCTS}?limit={limit}").json()["results"]) == limit


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=atta", ["FLR-0001"]),
        ("search=%DA%86%DA%A9%DB%8C", ["FLR-0001"]),
        ("search=8964000123456", ["GHE-0001"]),
        ("search=nothing-like-it", []),
        ("barcode=18964000123453", ["GHE-0001"]),
        ("barcode=1", []),
        ("category=flour %26 grains", ["FLR-0001", "GHE-0001"]),
        ("status=draft", []),
        ("updated_since=2020-01-01T00:00:00Z", ["FLR-0001", "GHE-0001"]),
        ("updated_since=2099-01-01T00:00:00%2B05:00", []),
        ("ordering=-sku", ["GHE-0001", "FLR-0001"]),
        ("ordering=name", ["FLR-0001", "GHE-0001"]),
    ],
)
def test_filters(api_client, atta, ghee, query, found):
    assert skus(api_client().get(f"{PRODUCTS}?{query}")) == found


def test_a_category_holds_what_nests_in_it(api_client, atta, category):
    parent = Category.objects.create(name="Food")
    category.parent = parent
    category.save()
    assert skus(api_client().get(f"{PRODUCTS}?category=Food")) == ["FLR-0001"]
    assert skus(api_client().get(f"{PRODUCTS}?category={parent.pk}")) == ["FLR-0001"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("category=Nothing", "invalid_choice"),
        ("category=99999999", "invalid_choice"),
        ("category=9223372036854775808", "invalid_choice"),
        ("search=" + "x" * 101, "too_long"),
        ("search=" + "a+" * 9, "too_long"),
        ("search=" + "x" * 3500, "too_long"),
        ("status=gone", "invalid_choice"),
        ("updated_since=2026-11-22", "invalid_time"),
        ("updated_since=2026-11-22T10:00:00", "naive_datetime"),
        ("updated_since=2026-02-30T10:00:00Z", "invalid_time"),
        ("updated_since=2026-11-22T24:00:00Z", "invalid_time"),
        ("updated_since=2026-11-22T10:00:60Z", "invalid_time"),
        ("updated_since=2026-11-22T10:00:00%2B99:00", "invalid_time"),
        ("updated_since=2026-11-22T10:00:00%2B05:99", "invalid_time"),
        ("updated_since=2026-11-22T10:00:00%2B23:60", "invalid_time"),
        ("updated_since=9999-12-31T23:59:59Z", "out_of_range"),
        ("updated_since=0001-01-01T00:00:00%2B05:00", "invalid_time"),
        ("updated_since=2026-W01-1", "invalid_time"),
        ("updated_since=1700000000", "invalid_time"),
    ],
)
def test_filters_that_make_no_sense_are_refused(api_client, ghee, query, code):
    answer = api_client().get(f"{PRODUCTS}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)


def test_lookup_tells_products_weights_and_packs_apart(api_client, atta, ghee):
    def look(code):
        return api_client().get(PRODUCTS + "lookup/", {"barcode": code}).json()

    assert (look("8964000123456")["sku"], look("8964000123456")["quantity"]) == ("GHE-0001", None)
    label = look("2100001012502")
    assert (label["sku"], label["quantity"], label["pack"]) == ("FLR-0001", "1.250", None)
    assert look("18964000123453")["pack"] == {"name": "Case of 12", "units_per_pack": "12.000"}
    assert look("]E08964000123456\r\n")["sku"] == "GHE-0001"


@pytest.mark.parametrize(
    ("code", "status", "inner"),
    [
        ("999", 404, None),
        ("2100001012503", 404, None),  # a weight label with a wrong check digit
        ("https://example.com/x", 400, "not_a_product_code"),
        ("x" * 1000, 400, "too_long"),
        ("8964\x1d000123456", 400, "not_a_product_code"),
        ("۸۹۶۴", 400, "not_a_product_code"),
        ("a\0", 400, "null_character"),
    ],
)
def test_what_is_no_known_code(api_client, atta, ghee, code, status, inner):
    answer = api_client().get(PRODUCTS + "lookup/", {"barcode": code})
    assert answer.status_code == status
    assert [fault["code"] for fault in answer.json()["errors"]] == ([inner] if inner else [])
    assert api_client().get(PRODUCTS + "lookup/").json()["errors"][0]["code"] == "required"


def test_a_product_is_added_with_its_barcodes(api_client, category):
    answer = api_client().post(PRODUCTS, NEW)
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith("/api/v1/products/TEA-0001/")
    assert answer.json()["barcodes"] == ["8964000123401", "TAPAL-190"]
    product = Product.objects.get(sku="TEA-0001")
    assert (product.unit, product.quantity_step, product.status, product.cost_price) == (
        "pc",
        1,
        "active",
        385,
    )
    assert answer.headers["ETag"] == api_client().get(PRODUCTS + "TEA-0001/").headers["ETag"]


def test_sent_twice_it_is_there_once(api_client, category):
    partner = api_client()
    assert partner.post(PRODUCTS, NEW).status_code == 201
    again = partner.post(PRODUCTS, NEW)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_sku")
    assert Product.objects.count() == 1


def test_a_barcode_of_another_product_never_moves(api_client, ghee, category):
    answer = api_client().post(PRODUCTS, NEW | {"barcodes": ["8964000123401", "8964000123456"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_barcode")
    assert "GHE-0001" in answer.json()["detail"]
    assert not Product.objects.filter(sku="TEA-0001").exists()
    assert Barcode.objects.get(code="8964000123456").product == ghee


@pytest.mark.django_db(transaction=True)
def test_of_two_who_add_one_sku_at_once_one_is_told_so(api_client, category, together):
    partners = [api_client() for _n in range(4)]
    answers = together(
        [lambda partner=partner: partner.post(PRODUCTS, NEW).status_code for partner in partners]
    )
    assert sorted(answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"sku": None}, "/sku", "wrong_type"),
        ({"sku": ""}, "/sku", "blank"),
        ({"sku": 5}, "/sku", "wrong_type"),
        ({"sku": "a b"}, "/sku", "invalid_code"),
        ({"sku": "چینی"}, "/sku", "invalid_code"),
        ({"sku": "x" * 41}, "/sku", "too_long"),
        ({"name": 5}, "/name", "wrong_type"),
        ({"name": "   "}, "/name", "blank"),
        ({"name": "\u200b\u200d"}, "/name", "blank"),
        ({"name": "x" * 201}, "/name", "too_long"),
        ({"name": "x" * 500_000}, "/name", "too_long"),
        ({"name": "two\nlines"}, "/name", "control_character"),
        ({"name": "\x1b[31mred"}, "/name", "control_character"),
        ({"name": "\u202egnp.exe"}, "/name", "bidi_control"),
        ({"name": "a\ufffe"}, "/name", "bad_character"),
        ({"category": "Nothing"}, "/category", "invalid_choice"),
        ({"category": 1}, "/category", "wrong_type"),
        ({"unit": "stone"}, "/unit", "invalid_choice"),
        ({"unit": []}, "/unit", "wrong_type"),
        ({"status": "merged"}, "/status", "invalid_choice"),
        ({"quantity_step": "0"}, "/quantity_step", "out_of_range"),
        ({"selling_price": "-1"}, "/selling_price", "out_of_range"),
        ({"selling_price": "1.005"}, "/selling_price", "too_many_decimals"),
        ({"selling_price": "10000000000"}, "/selling_price", "out_of_range"),
        ({"barcodes": "8964"}, "/barcodes", "wrong_type"),
        ({"barcodes": ["a b"]}, "/barcodes/0", "invalid_code"),
        ({"barcodes": ["ok", 5]}, "/barcodes/1", "wrong_type"),
        ({"barcodes": [str(n) for n in range(51)]}, "/barcodes", "too_many"),
        ({"colour": "red"}, "/colour", "unknown_field"),
        ({"id": 5}, "/id", "unknown_field"),
    ],
)
def test_a_wrong_product_is_refused_with_its_field(api_client, category, change, pointer, code):
    answer = api_client().post(PRODUCTS, NEW | change)
    assert answer.status_code == 400
    assert {"pointer": pointer, "code": code} in [
        {"pointer": one["pointer"], "code": one["code"]} for one in answer.json()["errors"]
    ]
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "{{7*7}}",
        "=cmd|'/c calc'!A1",
        "'; DROP TABLE x;--",
        "🍚 Rice",
        "می‌خواهم",
        "Café",
    ],
)
def test_odd_but_honest_names_are_kept_as_they_are(api_client, category, name):
    answer = api_client().post(PRODUCTS, NEW | {"name": name})
    assert (answer.status_code, answer.json()["name"]) == (201, name)


def test_a_change_names_the_version_it_changes(api_client, ghee):
    partner = api_client()
    url = PRODUCTS + "GHE-0001/"
    tag = partner.get(url).headers["ETag"]
    assert partner.patch(url, {"selling_price": "570"}).json()["code"] == "if_match_required"
    stale = partner.patch(url, {"selling_price": "570"}, headers={"if-match": '"0123"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    ghee.refresh_from_db()
    assert ghee.selling_price == 560
    done = partner.patch(url, {"selling_price": "570", "status": "discontinued"}, headers={"if-match": tag})
    assert (done.status_code, done.json()["selling_price"], done.json()["status"]) == (
        200,
        "570.00",
        "discontinued",
    )
    assert done.headers["ETag"] != tag
    assert partner.patch(url, {"selling_price": "580"}, headers={"if-match": tag}).status_code == 412
    assert (
        partner.patch(
            url, {"selling_price": "580"}, headers={"if-match": f'"x", {done.headers["ETag"]}'}
        ).status_code
        == 200
    )
    assert partner.patch(url, {"brand": "D"}, headers={"if-match": "*"}).status_code == 200


def test_the_version_changes_with_the_barcodes_too(api_client, ghee):
    partner = api_client()
    url = PRODUCTS + "GHE-0001/"
    tag = partner.get(url).headers["ETag"]
    assert partner.get(url, headers={"if-none-match": tag}).status_code == 304
    Barcode.objects.create(code="another", product=ghee)
    assert partner.get(url, headers={"if-none-match": tag}).status_code == 200
    assert partner.patch(url, {"brand": "D"}, headers={"if-match": tag}).status_code == 412


def test_barcodes_are_added_and_never_taken_away(api_client, ghee, atta):
    partner = api_client()
    url = PRODUCTS + "GHE-0001/"
    added = partner.patch(url, {"barcodes": ["8964000123456", "new-1"]}, headers={"if-match": "*"})
    assert added.json()["barcodes"] == ["8964000123456", "new-1"]
    gone = partner.patch(url, {"barcodes": ["new-1"]}, headers={"if-match": "*"})
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (400, "barcode_stays")
    taken = partner.patch(
        url, {"barcodes": ["8964000123456", "new-1", "2100001000004"]}, headers={"if-match": "*"}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_barcode")


@pytest.mark.parametrize("body", [{}, {"sku": "X"}, {"unit": "kg"}, {"selling_price": "NaN"}])
def test_what_cannot_change_is_refused(api_client, ghee, body):
    assert api_client().patch(PRODUCTS + "GHE-0001/", body, headers={"if-match": "*"}).status_code == 400
    ghee.refresh_from_db()
    assert (ghee.sku, ghee.unit, ghee.selling_price) == ("GHE-0001", "pc", 560)


def test_an_absent_product_is_not_found(api_client):
    partner = api_client()
    assert partner.get(PRODUCTS + "NOTHING/").status_code == 404
    assert partner.patch(PRODUCTS + "NOTHING/", {"brand": "x"}, headers={"if-match": "*"}).status_code == 404
    assert partner.get(PRODUCTS + "a%00b/").json()["code"] == "null_character"


@pytest.mark.parametrize("method", ["put", "delete", "options", "trace"])
def test_nothing_is_deleted_or_replaced(api_client, ghee, method):
    answer = getattr(api_client(), method)(PRODUCTS + "GHE-0001/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, PATCH"
    assert Product.objects.filter(pk=ghee.pk).exists()


def test_a_price_change_is_history(api_client, ghee):
    api_client().patch(PRODUCTS + "GHE-0001/", {"selling_price": "600"}, headers={"if-match": "*"})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT selling_price FROM catalog_productprice WHERE pgh_obj_id = %s ORDER BY pgh_id", [ghee.pk]
        )
        assert [row[0] for row in cursor.fetchall()] == [560, 600]
