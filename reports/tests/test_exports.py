"""Files of reports: CSV and XLSX hold what the page and the API function hold, and harm nobody's spreadsheet."""

import csv
import io
import re
import zipfile
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import translation
from python_calamine import CalamineWorkbook

from catalog.models import Category, Product
from inventory.models import Kind, StockLevel
from reports import exports, queries
from stores.models import Store

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(store):
    return Store.objects.filter(pk=store.pk)


@pytest.fixture
def traded(stocked, post, ghee, atta):
    """A store with sales of two days, a return, and something that runs low."""
    post(Kind.SALE, (ghee, 2), (atta, "1.250"))
    sale = post(Kind.SALE, (ghee, 21), (atta, "0.335"))
    post(Kind.SALE_RETURN, (ghee, 1), returns=sale.document)
    post(Kind.SALE, (atta, 10), occurred_at=sale.document.occurred_at - timedelta(days=2))
    StockLevel.objects.get(product=ghee).set_reorder(reorder_point=Decimal(5), target_level=Decimal(24))


@pytest.fixture
def read(client, owner, store):
    """read("low-stock", "csv") is the file as rows of text or cells, downloaded by the owner."""
    client.force_login(owner)

    def get(name: str, form: str, query: str = ""):
        answer = client.get(f"/s/{store.code}/reports/{name}/?format={form}{query}")
        assert answer.status_code == 200
        body = b"".join(answer.streaming_content)
        if form == "csv":
            assert body.startswith(b"\xef\xbb\xbf"), "Excel takes a CSV without this mark for Latin"
            return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
        book = CalamineWorkbook.from_filelike(io.BytesIO(body))
        return book.get_sheet_by_index(0).to_python()

    return get


def number(cell) -> Decimal:
    """A figure of a file, exactly."""
    return Decimal(str(cell))


REPORTS = {
    "daily-sales": lambda mine, today: queries.daily_sales(mine, today - timedelta(days=13), today),
    "top-products": lambda mine, today: queries.top_products(mine, today - timedelta(days=13), today),
    "low-stock": lambda mine, today: queries.low_stock(mine),
    "inventory-value": lambda mine, today: queries.inventory_value(mine),
}
FIGURES = {
    "daily-sales": {"documents": 1, "lines": 2, "units": 3, "revenue": 4},
    "top-products": {"units": 2, "revenue": 4},
    "low-stock": {"on_hand": 4, "reorder_point": 5, "target_level": 6},
    "inventory-value": {"products": 1, "value_at_cost": 2, "value_at_price": 3},
}


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("name", REPORTS)
def test_a_file_holds_the_figures_of_the_function(traded, read, mine, store, name, form):
    report = REPORTS[name](mine, store.today())
    assert report.rows, "nothing to compare would prove nothing"
    _head, *rows, foot = read(name, form)
    assert len(rows) == len(report.rows)
    for cells, row in zip(rows, report.rows, strict=True):
        assert {key: number(cells[place]) for key, place in FIGURES[name].items()} == {
            key: row[key] for key in FIGURES[name]
        }
    assert foot[0] == "Total"
    if name == "low-stock":
        assert number(foot[1]) == report.totals["items"] == 1
    else:
        for key, place in FIGURES[name].items():
            assert number(foot[place]) == report.totals[key] == sum(number(cells[place]) for cells in rows)


@pytest.mark.parametrize(
    ("name", "query"),
    [("daily-sales", "&from={0}&to={1}"), ("top-products", "&from={0}&to={1}"), ("low-stock", "")],
)
def test_page_api_and_files_say_the_same(traded, read, client, owner, api_client, store, name, query):
    query = query.format(store.today() - timedelta(days=13), store.today())
    told = api_client().get(f"/api/v1/reports/{name}/?store={store.code}{query}").json()
    client.force_login(owner)
    shown = client.get(f"/s/{store.code}/reports/{name}/?{query}").context
    rows = shown["report"].rows if name == "daily-sales" else shown["rows"]
    assert rows
    files = [read(name, form, query)[1:-1] for form in ("csv", "xlsx")]
    for key, place in FIGURES[name].items():
        figures = [row[key] for row in rows]
        for cells in files:
            assert [number(row[place]) for row in cells] == figures
        if key != "target_level":  # not part of the partners' report
            assert [number(row[key]) for row in told["results"]] == figures


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_file_is_filtered_as_its_page(traded, read, mine, store, ghee, form):
    other = Category.objects.create(name="Nothing")
    assert len(read("daily-sales", form, f"&category={ghee.category_id}")) == 1 + 2 + 1
    assert len(read("daily-sales", form, f"&category={other.pk}")) == 1 + 1
    today = store.today().isoformat()
    assert len(read("daily-sales", form, f"&from={today}&to={today}")) == 1 + 1 + 1
    assert len(read("low-stock", form, "&state=out")) == 1 + 1
    assert [row[0] for row in read("top-products", form, "&by=units&limit=10")] == [
        "SKU",
        "GHE-0001",
        "FLR-0001",
        "Total",
    ]


def test_xlsx_cells_are_typed(traded, client, owner, store):
    client.force_login(owner)
    body = b"".join(client.get(f"/s/{store.code}/reports/daily-sales/?format=xlsx").streaming_content)
    [_head, first, *_rest, _foot] = (
        CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
    )
    assert first[0] == store.today() - timedelta(days=2)
    assert all(isinstance(cell, float) for cell in first[1:])
    page = zipfile.ZipFile(io.BytesIO(body)).read("xl/worksheets/sheet1.xml").decode()
    assert 'state="frozen"' in page
    assert 'ySplit="1"' in page
    assert "rightToLeft" not in page


def test_money_keeps_its_paisa_in_both_files(traded, read):
    assert {row[4] for row in read("daily-sales", "csv")[1:-1]} == {"1300.00", "12526.05"}
    assert [row[4] for row in read("daily-sales", "xlsx")[1:-1]] == [1300.0, 12526.05]


def test_a_workbook_of_values_has_a_second_sheet_with_the_top_products(traded, client, owner, store, mine):
    client.force_login(owner)
    body = b"".join(client.get(f"/s/{store.code}/reports/inventory-value/?format=xlsx").streaming_content)
    _head, *rows = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(1).to_python()
    top = queries.inventory_value(mine).top
    assert [(row[0], number(row[4])) for row in rows] == [(row["sku"], row["value_at_cost"]) for row in top]


def test_an_urdu_workbook_runs_from_right_to_left(traded, client, staff, store):
    client.force_login(staff("owner", language="ur"))
    answer = client.get(f"/s/{store.code}/reports/low-stock/?format=xlsx")
    body = b"".join(answer.streaming_content)
    assert 'rightToLeft="1"' in zipfile.ZipFile(io.BytesIO(body)).read("xl/worksheets/sheet1.xml").decode()
    rows = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
    assert rows[1][2] == "ڈالڈا گھی 1 کلو"


def test_an_urdu_csv_is_in_the_readers_language_when_it_is_sent(traded, client, staff, store):
    client.force_login(staff("owner", language="ur"))
    answer = client.get(f"/s/{store.code}/reports/low-stock/?format=csv")
    with translation.override(
        "en"
    ):  # the file is sent after the request, when the thread speaks another language
        body = b"".join(answer.streaming_content).decode("utf-8-sig")
    assert "ڈالڈا گھی 1 کلو" in body


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(start):
    assert exports.harmless(start + "1+1") == "'" + start + "1+1"
    assert exports.plain(start + "cmd") == "'" + start + "cmd"


def test_only_the_beginning_of_a_text_makes_it_a_formula_and_numbers_are_left_alone():
    assert exports.harmless("Tea = chai") == "Tea = chai"
    assert exports.plain(Decimal("-1.500")) == "-1.500"
    assert exports.plain(Decimal("0E-3")) == "0.000"
    assert exports.plain(None) == ""


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_product_named_like_a_formula_is_no_formula_in_the_file(post, read, category, store, form):
    evil = Product.objects.create(
        sku="EVL-0001", name='=HYPERLINK("http://x","y")', category=category, selling_price=1
    )
    StockLevel.objects.create(store=store, product=evil, reorder_point=3)
    [_head, row, _foot] = read("low-stock", form)
    assert row[2] == '\'=HYPERLINK("http://x","y")'


def test_a_workbook_holds_no_formula_and_no_link(post, client, owner, category, store):
    evil = Product.objects.create(
        sku="EVL-0001", name="https://example.com/x", category=category, selling_price=1
    )
    StockLevel.objects.create(store=store, product=evil)
    client.force_login(owner)
    body = b"".join(client.get(f"/s/{store.code}/reports/low-stock/?format=xlsx").streaming_content)
    page = zipfile.ZipFile(io.BytesIO(body)).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in page
    assert "hyperlink" not in page


@pytest.mark.parametrize(
    ("name", "query", "pattern"),
    [
        ("low-stock", "", r"low-stock_LHE-0001_\d{4}-\d\d-\d\d"),
        ("inventory-value", "", r"inventory-value_LHE-0001_\d{4}-\d\d-\d\d"),
        ("daily-sales", "&from=2026-11-09&to=2026-11-22", r"daily-sales_LHE-0001_2026-11-09_2026-11-22"),
        ("top-products", "&from=2026-11-22&to=2026-11-22", r"top-products_LHE-0001_2026-11-22_2026-11-22"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_files_are_named_by_report_store_and_day(client, owner, store, name, query, pattern, form):
    client.force_login(owner)
    answer = client.get(f"/s/{store.code}/reports/{name}/?format={form}{query}")
    assert re.fullmatch(rf'attachment; filename="{pattern}\.{form}"', answer["Content-Disposition"])
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-store"
    kinds = {"csv": "text/csv; charset=utf-8", "xlsx": exports.XLSX}
    assert answer["Content-Type"] == kinds[form]
    b"".join(answer.streaming_content)


@pytest.mark.parametrize("name", REPORTS)
def test_an_unknown_format_does_not_exist(client, owner, store, name):
    client.force_login(owner)
    for form in ("xml", "XLSX", "csv%00", "pdf"):
        assert client.get(f"/s/{store.code}/reports/{name}/?format={form}").status_code == 404


def test_a_wrong_period_is_no_file(client, owner, store):
    client.force_login(owner)
    answer = client.get(f"/s/{store.code}/reports/daily-sales/?format=csv&from=2026-11-02&to=2026-11-01")
    assert answer.status_code == 400
    assert "Content-Disposition" not in answer


def test_a_cashiers_files_tell_no_cost_or_value(traded, client, cashier, store):
    client.force_login(cashier)
    for form in ("csv", "xlsx"):
        assert client.get(f"/s/{store.code}/reports/inventory-value/?format={form}").status_code == 404
    for name in ("daily-sales", "top-products", "low-stock"):
        answer = client.get(f"/s/{store.code}/reports/{name}/?format=csv")
        text = b"".join(answer.streaming_content).decode().lower()
        assert not re.search(r"cost|value|margin|profit|\b510\b", text), name
