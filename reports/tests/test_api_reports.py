"""Reports for partners: the figures of the pages, in the key's own stores."""

from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import Product
from inventory.models import StockLevel
from reports import queries
from stores.models import Store

pytestmark = pytest.mark.django_db
REPORTS = "/api/v1/reports/"


@pytest.fixture
def traded(stocked, post, ghee, atta):
    """Today: two baskets and a void of a third; the ghee is low."""
    post("sale", (ghee, 20), (atta, "1.250"))
    post("sale", (ghee, 1))
    StockLevel.objects.get(product=ghee).set_reorder(reorder_point=10, target_level=40)
    return Store.objects.get()


def test_daily_sales_are_those_of_the_pages(api_client, traded):
    answer = api_client().get(REPORTS + "daily-sales/").json()
    day = traded.today()
    assert answer == {
        "results": [
            {
                "business_date": day.isoformat(),
                "documents": 2,
                "lines": 3,
                "units": "22.250",
                "revenue": "11922.50",
            }
        ],
        "totals": {"documents": 2, "lines": 3, "units": "22.250", "revenue": "11922.50"},
    }
    told = queries.daily_sales(Store.objects.all(), day, day)
    assert str(told.totals["revenue"]) == answer["totals"]["revenue"]


def test_days_are_bounded_and_both_ends_count(api_client, traded):
    till, day = api_client(), traded.today()
    yesterday = day - timedelta(days=1)
    assert len(till.get(f"{REPORTS}daily-sales/?from={day}&to={day}").json()["results"]) == 1
    assert till.get(f"{REPORTS}daily-sales/?from={yesterday}&to={yesterday}").json() == {
        "results": [],
        "totals": {"documents": 0, "lines": 0, "units": "0.000", "revenue": "0.00"},
    }


@pytest.mark.parametrize("name", ["daily-sales", "top-products"])
@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("from=2026-11-22&to=2026-11-21", "/from", "from_after_to"),
        ("from=2025-01-01&to=2026-11-21", "/to", "range_too_long"),
        ("from=2026-02-30", "/from", "invalid_date"),
        ("from=0000-01-01", "/from", "invalid_date"),
        ("from=0001-01-01", "/from", "out_of_range"),
        ("to=10000-01-01", "/to", "invalid_date"),
        ("to=2026-W01-1", "/to", "invalid_date"),
        ("to=20261122", "/to", "invalid_date"),
        ("to=%DB%B2%DB%B0%DB%B2%DB%B6-11-22", "/to", "invalid_date"),
        ("category=Nothing", "/category", "invalid_choice"),
        ("category=", "/category", "blank"),
        ("stor=x", "/stor", "unknown_parameter"),
        ("limit=0", "/limit", None),
    ],
)
def test_questions_that_make_no_sense_are_refused(api_client, traded, name, query, pointer, code):
    answer = api_client().get(f"{REPORTS}{name}/?{query}")
    code = code or ("out_of_range" if name == "top-products" else "unknown_parameter")
    assert answer.status_code == 400
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]


def test_the_longest_range_is_taken(api_client, traded):
    assert api_client().get(REPORTS + "daily-sales/?from=2025-10-18&to=2026-11-21").status_code == 200


def test_top_products_by_revenue_or_units(api_client, traded):
    till = api_client()
    best = till.get(REPORTS + "top-products/").json()
    assert [(row["sku"], row["units"], row["revenue"]) for row in best["results"]] == [
        ("GHE-0001", "21.000", "11760.00"), ("FLR-0001", "1.250", "162.50"),
    ]  # fmt: skip
    assert best["totals"] == {"units": "22.250", "revenue": "11922.50"}
    assert len(till.get(REPORTS + "top-products/?by=units&limit=1").json()["results"]) == 1
    assert till.get(REPORTS + "top-products/?by=colour").json()["errors"][0]["code"] == "invalid_choice"


def test_low_stock_and_the_summary(api_client, traded):
    till = api_client()
    low = till.get(REPORTS + "low-stock/").json()
    assert [
        (row["store"], row["sku"], row["on_hand"], row["reorder_point"], row["state"])
        for row in low["results"]
    ] == [("LHE-0001", "GHE-0001", "3.000", "10.000", "low")]
    assert low["totals"] == {"items": 1, "negative": 0, "out": 0, "low": 1}
    summary = till.get(REPORTS + "inventory-summary/").json()
    assert summary["results"] == [
        {
            "store": "LHE-0001", "products": 2, "low": 1, "out": 0, "negative": 0,
            "value_at_cost": "13182.50", "value_at_price": "14517.50",
        }
    ]  # fmt: skip
    assert summary["totals"]["value_at_cost"] == "13182.50"


def test_low_stock_is_cut_where_it_is_least_urgent_and_its_totals_are_not(api_client, traded, category):
    till = api_client()
    for number, on_hand in enumerate(["5", "1", "3"]):
        product = Product.objects.create(
            sku=f"P-{number}", name=f"P {number}", category=category, selling_price=1
        )
        till.post(
            "/api/v1/movements/",
            {"store": "LHE-0001", "kind": "receipt", "sku": product.sku, "quantity": on_hand},
        )
        till.patch(f"/api/v1/inventory/LHE-0001/{product.sku}/", {"reorder_point": "4"})
    sold = {"store": "LHE-0001", "kind": "sale", "sku": "P-1", "quantity": "1"}
    till.post("/api/v1/movements/", sold)
    whole = till.get(REPORTS + "low-stock/").json()
    assert [row["sku"] for row in whole["results"]] == ["P-1", "GHE-0001", "P-2"]
    assert whole["totals"] == {"items": 3, "negative": 0, "out": 1, "low": 2}
    for limit in (1, 2, 3):
        cut = till.get(f"{REPORTS}low-stock/?limit={limit}").json()
        assert (cut["results"], cut["totals"]) == (whole["results"][:limit], whole["totals"])


def test_a_category_and_a_store_narrow_every_report(api_client, traded, category, other_store):
    office = api_client(stores=(), all_stores=True)
    for name in ("daily-sales", "top-products", "low-stock", "inventory-summary"):
        whole = office.get(f"{REPORTS}{name}/").json()
        assert office.get(f"{REPORTS}{name}/?category=flour %26 grains").json()["totals"] == whole["totals"]
        assert office.get(f"{REPORTS}{name}/?category={category.pk}").json()["totals"] == whole["totals"]
    assert [row["store"] for row in office.get(REPORTS + "inventory-summary/").json()["results"]] == [
        "KHI-0001",
        "LHE-0001",
    ]
    assert office.get(REPORTS + "daily-sales/?store=KHI-0001").json()["results"] == []


def test_a_report_as_csv_has_the_same_figures(api_client, traded, ghee):
    ghee.name = "=cmd|'/c calc'!A1"
    ghee.save()
    answer = api_client().get(REPORTS + "top-products/?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "top-products.csv" in answer.headers["Content-Disposition"]
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "sku,name,name_ur,unit,units,revenue"
    assert lines[1].startswith("GHE-0001,'=cmd|'/c calc'!A1,")
    assert lines[1].endswith(",pc,21.000,11760.00")


def test_other_formats_are_not_found_and_errors_stay_json(api_client, traded):
    till = api_client()
    assert till.get(REPORTS + "daily-sales/?format=xml").json()["code"] == "not_found"
    wrong = till.get(REPORTS + "daily-sales/?format=csv&from=x")
    assert (wrong.headers["Content-Type"], wrong.json()["code"]) == (
        "application/problem+json",
        "validation_error",
    )
    refused = api_client(scopes=["catalog:read"]).get(REPORTS + "daily-sales/?format=csv")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_today_is_the_store_s_own_day(api_client, stocked, post, ghee, time_machine):
    time_machine.move_to("2026-11-23T19:30:00Z")  # half past midnight of the 24th in Karachi
    post("sale", (ghee, 1), occurred_at=timezone.now())
    rows = api_client().get(REPORTS + "daily-sales/").json()["results"]
    assert [row["business_date"] for row in rows] == ["2026-11-24"]


def test_reports_cost_as_many_queries_whatever_they_tell(api_client, traded, django_assert_max_num_queries):
    till = api_client()
    till.get("/api/v1/me/")
    for name in ("daily-sales", "top-products", "low-stock", "inventory-summary"):
        with django_assert_max_num_queries(4):
            till.get(f"{REPORTS}{name}/")
