"""Stock value, dead stock, movement summary and shrinkage for partners."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.models import Product
from inventory.models import Kind
from inventory.services import Actor
from reports import queries
from stores.models import Store

pytestmark = pytest.mark.django_db
REPORTS = "/api/v1/reports/"
NAMES = ("stock-value", "dead-stock", "movement-summary", "shrinkage")


@pytest.fixture
def moved(stocked, post, ghee, atta, other_store):
    """A sale today and one 90 days ago; waste, own use, a correction, goods sent back; and a receipt elsewhere."""
    post(Kind.SALE, (atta, 2))
    post(Kind.SALE, (ghee, 1), occurred_at=timezone.now() - timedelta(days=90), actor=Actor.importing())
    post(Kind.WASTAGE, (atta, 1))
    post(Kind.OWN_USE, (ghee, 1))
    post(Kind.ADJUSTMENT, (ghee, -1))
    post(Kind.SUPPLIER_RETURN, (ghee, 2))
    post(Kind.RECEIPT, (ghee, 5, 700), where=other_store)
    return Store.objects.get(code="LHE-0001")


def test_the_figures_are_those_of_the_report_functions(api_client, moved):
    till, today, mine = api_client(), moved.today(), Store.objects.filter(pk=moved.pk)
    start = today - timedelta(days=29)
    told = {
        "stock-value": queries.stock_value(mine),
        "dead-stock": queries.dead_stock(mine, today),
        "movement-summary": queries.movement_summary(mine, start, today),
        "shrinkage": queries.shrinkage(mine, start, today),
    }
    for name, report in told.items():
        answer = till.get(f"{REPORTS}{name}/").json()
        assert answer["results"] == [shown(row) for row in report.rows], name
        assert answer["totals"] == shown(report.totals), name
        assert answer["results"], name


def shown(row: dict) -> dict:
    def text(value):
        if isinstance(value, Decimal):
            return str(value)
        return value if value is None or isinstance(value, (int, str)) else value.isoformat()

    return {name: text(value) for name, value in row.items()}


def test_stock_value(api_client, moved):
    # 97 x 118 + 19 x 510; 97 x 130 + 19 x 560.
    assert api_client().get(REPORTS + "stock-value/").json()["totals"] == {
        "products": 2, "value_at_cost": "21136.00", "value_at_price": "23250.00", "margin": "2114.00",
    }  # fmt: skip


def test_dead_stock(api_client, moved):
    till = api_client()
    [row] = till.get(REPORTS + "dead-stock/").json()["results"]
    day = moved.business_date(timezone.now() - timedelta(days=90)).isoformat()
    assert row == {
        "store": "LHE-0001", "sku": "GHE-0001", "name": "Dalda Ghee 1 kg", "name_ur": "ڈالڈا گھی 1 کلو", "unit": "pc",
        "on_hand": "19.000", "value_at_cost": "9690.00", "last_sold": day, "days": 90,
    }  # fmt: skip
    assert till.get(REPORTS + "dead-stock/?days=90").json()["totals"] == {
        "items": 1,
        "value_at_cost": "9690.00",
    }
    assert till.get(REPORTS + "dead-stock/?days=91").json() == {
        "results": [], "totals": {"items": 0, "value_at_cost": "0.00"},
    }  # fmt: skip
    both = api_client(stores=Store.objects.all()).get(REPORTS + "dead-stock/?limit=1").json()
    assert [row["store"] for row in both["results"]] == ["LHE-0001"]
    assert both["totals"] == {"items": 2, "value_at_cost": "13190.00"}


def test_movement_summary(api_client, moved):
    rows = api_client().get(REPORTS + "movement-summary/").json()["results"]
    assert [(row["kind"], row["units_in"], row["units_out"], row["value_at_cost"]) for row in rows] == [
        ("opening", "0.000", "0.000", "0.00"),
        ("receipt", "124.000", "0.000", "24040.00"),
        ("sale", "0.000", "2.000", "-236.00"),
        ("sale_return", "0.000", "0.000", "0.00"),
        ("adjustment", "0.000", "1.000", "-510.00"),
        ("wastage", "0.000", "1.000", "-118.00"),
        ("own_use", "0.000", "1.000", "-510.00"),
        ("supplier_return", "0.000", "2.000", "-1020.00"),
    ]


def test_shrinkage_by_store_and_by_product(api_client, moved):
    till = api_client()
    [row] = till.get(REPORTS + "shrinkage/").json()["results"]
    assert (row["store"], row["sku"], row["lost"], row["revenue"], row["percent_of_sales"]) == (
        "LHE-0001", None, "1138.00", "260.00", "437.69",
    )  # fmt: skip
    goods = till.get(REPORTS + "shrinkage/?by=product").json()
    assert [(row["store"], row["sku"], row["lost"], row["percent_of_sales"]) for row in goods["results"]] == [
        (None, "GHE-0001", "1020.00", None), (None, "FLR-0001", "118.00", "45.38"),
    ]  # fmt: skip
    assert goods["totals"]["lost"] == "1138.00"
    assert len(till.get(REPORTS + "shrinkage/?by=product&limit=1").json()["results"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_as_csv(api_client, moved, ghee, name):
    Product.objects.filter(pk=ghee.pk).update(name="=1+1", name_ur="")
    till = api_client()
    answer = till.get(f"{REPORTS}{name}/?format=csv{'&by=product' if name == 'shrinkage' else ''}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    lines = answer.content.decode("utf-8-sig").splitlines()
    rows = till.get(f"{REPORTS}{name}/?{'by=product' if name == 'shrinkage' else ''}".rstrip("?")).json()[
        "results"
    ]
    assert lines[0].split(",") == list(rows[0])
    assert len(lines) == 1 + len(rows)
    assert not any(cell.startswith("=") for line in lines for cell in line.split(","))
    if name in ("dead-stock", "shrinkage"):
        assert ",'=1+1," in answer.content.decode()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_keys_own_stores(api_client, moved, post, ghee, name):
    assert api_client().get(f"{REPORTS}{name}/?store=KHI-0001").status_code == 404
    assert api_client().get(f"{REPORTS}{name}/?store=NOWHERE").status_code == 404
    one = api_client().get(f"{REPORTS}{name}/?store=LHE-0001").json()
    assert one == api_client().get(f"{REPORTS}{name}/").json()
    assert api_client(stores=Store.objects.all()).get(f"{REPORTS}{name}/").json() != one
    # What is tried out in a sandbox is in nobody's figures but its own.
    whole = api_client(stores=(), all_stores=True).get(f"{REPORTS}{name}/").json()
    sandbox = Store.objects.create(code="SBX-0001", name="Trial", sandbox=True)
    post(Kind.RECEIPT, (ghee, 7, 700), where=sandbox)
    post(Kind.WASTAGE, (ghee, 1), where=sandbox)
    assert api_client(stores=(), all_stores=True).get(f"{REPORTS}{name}/").json() == whole != one
    trial = api_client(stores=(), all_stores=True, is_test=True, scopes=["reports:read"])
    assert trial.get(f"{REPORTS}{name}/").json()["totals"] not in (whole["totals"], one["totals"])
    assert trial.get(f"{REPORTS}{name}/?store=LHE-0001").status_code == 404
    scopes = ["catalog:read", "inventory:read", "movements:read", "stores:read"]
    refused = api_client(scopes=scopes).get(f"{REPORTS}{name}/")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert api_client().post(f"{REPORTS}{name}/").status_code == 405


@pytest.mark.parametrize(("name", "query", "pointer", "code"), [
    *[(name, "stor=1", "/stor", "unknown_parameter") for name in NAMES],
    *[(name, "category=Nothing", "/category", "invalid_choice") for name in NAMES],
    *[(name, "store=A&store=B", "/store", "repeated_parameter") for name in NAMES],
    *[(name, "from=2026-01-01", "/from", "unknown_parameter") for name in ("stock-value", "dead-stock")],
    *[("dead-stock", f"days={days}", "/days", "out_of_range") for days in ("0", "401", "-1", "1.5", "x", "٣", "9" * 30)],
    *[("dead-stock", f"limit={limit}", "/limit", "out_of_range") for limit in ("0", "501", "-1", "1e2")],
    ("dead-stock", "by=store", "/by", "unknown_parameter"),
    *[
        (name, query, pointer, code)
        for name in ("movement-summary", "shrinkage")
        for query, pointer, code in [
            ("from=2026-11-22&to=2026-11-21", "/from", "from_after_to"),
            ("from=2025-01-01&to=2026-11-21", "/to", "range_too_long"),
            ("to=2026-02-30", "/to", "invalid_date"),
            ("days=5", "/days", "unknown_parameter"),
        ]
    ],
    ("shrinkage", "by=units", "/by", "invalid_choice"),
    ("shrinkage", "limit=501", "/limit", "out_of_range"),
    ("movement-summary", "limit=5", "/limit", "unknown_parameter"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(api_client, moved, name, query, pointer, code):
    answer = api_client().get(f"{REPORTS}{name}/?{query}")
    assert answer.status_code == 400
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("name", "most"), [("stock-value", 4), ("dead-stock", 5), ("movement-summary", 5), ("shrinkage", 6)]
)
def test_the_number_of_queries_does_not_grow(api_client, moved, django_assert_max_num_queries, name, most):
    one, all_of_them = api_client(), api_client(stores=Store.objects.all())
    for till in (one, all_of_them):
        till.get("/api/v1/me/")
        with django_assert_max_num_queries(most):
            till.get(f"{REPORTS}{name}/")
