"""Reports as files: CSV for anything, XLSX for spreadsheets. The same rows and totals as the page they come from."""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import FileResponse, Http404, StreamingHttpResponse
from django.utils.translation import get_language_bidi
from django.utils.translation import gettext as _

from catalog.models import Product, in_language
from inventory.models import StockLevel
from reports.queries import Report, ValueReport
from stores.models import Store

FORMATS = ("csv", "xlsx")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A spreadsheet takes a text that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
WEIGHED = ("kg", "l")
WIDTHS = {"text": 16, "name": 38, "date": 12, "count": 11, "quantity": 13, "money": 15}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, what kind of figure it holds (a key of WIDTHS), and how a row gives it.

    `total` names the figure of the report's totals that stands at its foot.
    """

    title: str
    kind: str
    value: Callable[[dict], Any]
    total: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a file."""

    title: str
    columns: list[Column]
    rows: list[dict]
    totals: dict


def column(title: str, kind: str, key: str, summed: bool = False) -> Column:
    """A column that shows the figure `key` of each row as it is."""
    return Column(title, kind, lambda row: row[key], key if summed else None)


def name_column(title: str) -> Column:
    """The product's name in the reader's language."""
    return Column(title, "name", lambda row: in_language(row["name"], row["name_ur"]))


def unit_column() -> Column:
    """The product's unit in words."""
    units = dict(Product.Unit.choices)
    return Column(_("Unit"), "text", lambda row: str(units[row["unit"]]))


def daily_sales(report: Report) -> list[Sheet]:
    """The file of queries.daily_sales."""
    columns = [
        column(_("Date"), "date", "business_date"),
        column(_("Sales"), "count", "documents", True),
        column(_("Lines"), "count", "lines", True),
        column(_("Units"), "quantity", "units", True),
        column(_("Revenue (Rs)"), "money", "revenue", True),
    ]
    return [Sheet(_("Daily sales"), columns, report.rows, report.totals)]


def top_products(report: Report) -> list[Sheet]:
    """The file of queries.top_products."""
    columns = [
        column(_("SKU"), "text", "sku"),
        name_column(_("Product")),
        column(_("Sold"), "quantity", "units", True),
        unit_column(),
        column(_("Revenue (Rs)"), "money", "revenue", True),
    ]
    return [Sheet(_("Top products"), columns, report.rows, report.totals)]


def low_stock(report: Report) -> list[Sheet]:
    """The file of queries.low_stock; at its foot stands how many items there are."""
    states = dict(StockLevel.State.choices)
    columns = [
        column(_("Store"), "text", "store"),
        Column(_("SKU"), "text", lambda row: row["sku"], "items"),
        name_column(_("Product")),
        Column(_("State"), "text", lambda row: str(states[row["state"]])),
        column(_("On hand"), "quantity", "on_hand"),
        column(_("Reorder point"), "quantity", "reorder_point"),
        column(_("Refill to"), "quantity", "target_level"),
        unit_column(),
    ]
    return [Sheet(_("Low stock"), columns, report.rows, report.totals)]


def inventory_value(report: ValueReport) -> list[Sheet]:
    """The file of queries.inventory_value: categories; in a workbook also the products of most value."""
    cost, price = _("Value at cost (Rs)"), _("Value at price (Rs)")
    columns = [
        Column(_("Category"), "name", lambda row: in_language(row["category"], row["category_ur"])),
        column(_("Products"), "count", "products", True),
        column(cost, "money", "value_at_cost", True),
        column(price, "money", "value_at_price", True),
    ]
    top = [
        column(_("SKU"), "text", "sku"),
        name_column(_("Product")),
        column(_("On hand"), "quantity", "on_hand"),
        unit_column(),
        column(cost, "money", "value_at_cost"),
        column(price, "money", "value_at_price"),
    ]
    return [
        Sheet(_("By category"), columns, report.rows, report.totals),
        Sheet(_("Most value"), top, report.top, {}),
    ]


def wanted(request) -> str:
    """ "csv", "xlsx", or "" for the page itself; 404 for a format that does not exist."""
    form = request.GET.get("format", "")
    if form and form not in FORMATS:
        raise Http404
    return form


def answer(form: str, name: str, store: Store, sheets: list[Sheet], days: tuple[date, ...] = ()):
    """The response that downloads `sheets` as name_STORE_DATE.csv or .xlsx; `days` (default: the store's today) date it."""
    dates = "_".join(day.isoformat() for day in days or (store.today(),))
    filename = f"{name}_{store.code}_{dates}.{form}"
    if form == "xlsx":
        return FileResponse(workbook(sheets), as_attachment=True, filename=filename, content_type=XLSX)
    response = StreamingHttpResponse(csv_lines(sheets[0]), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def harmless(text: str) -> str:
    """`text` with an apostrophe in front where a spreadsheet would run it as a formula."""
    return "'" + text if text.startswith(FORMULA) else text


def total_row(sheet: Sheet) -> list:
    """The figures at the foot of a sheet, under the word Total; nothing where it has none."""
    if not sheet.totals:
        return []
    return [_("Total"), *(sheet.totals[one.total] if one.total else None for one in sheet.columns[1:])]


def plain(value) -> str:
    """A figure as CSV holds it: text made harmless, dates as 2026-11-22, numbers without grouping."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)


class Echo:
    """A file that gives each written line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(sheet: Sheet) -> Iterator[bytes]:
    """The lines of a CSV in UTF-8, after the mark by which Excel knows it: without it Urdu would be garbage.

    Words are looked up now: when the lines are sent, the reader's language is no longer set.
    """
    titles, foot = [one.title for one in sheet.columns], total_row(sheet)
    values = [[one.value(row) for one in sheet.columns] for row in sheet.rows]
    writer = csv.writer(Echo())

    def lines(rows: Iterable[list]) -> Iterator[bytes]:
        yield "\ufeff".encode()
        for row in rows:
            yield writer.writerow([plain(value) for value in row]).encode()

    return lines([titles, *values, *([foot] if foot else [])])


def workbook(sheets: list[Sheet]):
    """An open file with an XLSX: typed figures, a header that stays, right-to-left for Urdu. Rows are not kept in memory."""
    file = tempfile.TemporaryFile(suffix=".xlsx")  # noqa: SIM115 - the response closes it when it has been sent
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(file, options)
    for sheet in sheets:
        add_sheet(book, sheet)
    book.close()
    file.seek(0)
    return file


def add_sheet(book: xlsxwriter.Workbook, sheet: Sheet) -> None:
    """Writes one table into `book`, row by row."""
    page = book.add_worksheet(sheet.title[:31])
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    formats = {
        bold: {
            "date": book.add_format({"num_format": "yyyy-mm-dd", "align": "left", **style}),
            "count": book.add_format({"num_format": "#,##0", **style}),
            "pieces": book.add_format({"num_format": "#,##0", **style}),
            "weight": book.add_format({"num_format": "#,##0.000", **style}),
            "money": book.add_format({"num_format": "#,##0.00", **style}),
            "text": book.add_format(style),
        }
        for bold, style in ((False, {}), (True, {"bold": True, "top": 1}))
    }
    if get_language_bidi():
        page.right_to_left()
    page.freeze_panes(1, 0)
    page.repeat_rows(0)
    page.set_paper(9)  # A4
    page.fit_to_pages(1, 0)
    for place, one in enumerate(sheet.columns):
        page.set_column(place, place, WIDTHS[one.kind])

    def write(number: int, values: list, unit: str | None, bold: bool) -> None:
        for place, (one, value) in enumerate(zip(sheet.columns, values, strict=True)):
            if value is None:
                if bold:
                    page.write_blank(number, place, None, formats[bold]["text"])
            elif isinstance(value, str):
                page.write_string(number, place, harmless(value), formats[bold]["text"])
            elif isinstance(value, date):
                page.write_datetime(number, place, value, formats[bold]["date"])
            else:
                kind = one.kind if one.kind in ("count", "money") else "pieces"
                if one.kind == "quantity" and (unit in WEIGHED or value % 1):
                    kind = "weight"
                page.write_number(number, place, value, formats[bold][kind])

    for place, one in enumerate(sheet.columns):
        page.write_string(0, place, one.title, head)
    for number, row in enumerate(sheet.rows, 1):
        write(number, [one.value(row) for one in sheet.columns], row.get("unit"), False)
    if foot := total_row(sheet):
        write(len(sheet.rows) + 1, foot, None, True)
