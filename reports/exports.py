"""Lists and reports as files: CSV for anything, XLSX for spreadsheets. The same rows and totals as the page they come from.

A CSV is sent while it is made: its rows are read and written some at a time, however many there are. What goes wrong meanwhile
ends the connection without the last chunk, so that nobody takes what he has for the whole. A workbook is only readable as a
whole: it is written row by row to a temporary file, and sent when it is ready.
"""

import csv
import io
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import FileResponse, Http404, StreamingHttpResponse
from django.utils.translation import get_language, get_language_bidi, override
from django.utils.translation import gettext as _

from catalog.models import Product, in_language
from inventory.models import Document, Kind, Movement, StockLevel
from reports.queries import Report, ValueReport
from reports.queries.replica import FIRST, in_chunks
from stores.models import Store

FORMATS = ("csv", "xlsx")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A spreadsheet takes a text that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
WEIGHED = ("kg", "l")
WIDTHS = {"text": 16, "name": 38, "date": 12, "count": 11, "quantity": 13, "money": 15}
# Lines that are sent at once: what a slow reader has to take within worker.ANSWER_WITHIN seconds, or he is cut off.
# No more than are read at first, or the first of them would wait for the next.
PIECE = FIRST
# A workbook of no more rows in each sheet is made in memory.
FEW = 1_000
# A workbook takes its maker ten times as long as a CSV, and its reader waits for all of it.
MOST_IN_A_WORKBOOK = 100_000
# Long files that one process makes or sends at once: each holds a thread as long as its reader takes, and there are four.
AT_ONCE = threading.BoundedSemaphore(2)


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
    rows: Iterable[dict]
    totals: dict


class NotNow(ValidationError):
    """A file that is not made, and what to do instead."""


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


LINE = (
    "id", "business_date", "occurred_at", "kind", "quantity", "balance_after", "unit_price", "line_total", "unit_cost",
    "document_id", "reverses_id", "product__sku", "product__name", "product__name_ur", "product__unit", "reason__name",
    "reason__name_ur", "document__source", "document__user__first_name", "document__user__last_name",
    "document__user__username", "document__api_key__name",
)  # fmt: skip


def movements(rows: QuerySet[Movement], store: Store, sees_cost: bool) -> Sheet:
    """The file of a list of movements of `store`, in the order of its page; costs only for who may see them.

    The rows are read while they are written, not before.
    """
    zone, units = ZoneInfo(store.timezone), words(Product.Unit)
    kinds = words(Kind)
    voided = {kind: _("%(kind)s, voided") % {"kind": word} for kind, word in kinds.items()}

    def who(row: dict) -> str:
        names = (row[f"document__user__{name}"] for name in ("username", "first_name", "last_name"))
        return Document.actor_of(*names, row["document__api_key__name"], row["document__source"])

    def named(row: dict) -> dict:
        return row | {"unit": row["product__unit"]}

    columns = [
        column(_("Date"), "date", "business_date"),
        Column(_("Time"), "text", lambda row: f"{row['occurred_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}"),
        Column(
            _("Document"),
            "text",
            lambda row: Document.number_of(row["document_id"], row["kind"], bool(row["reverses_id"])),
        ),
        Column(_("Kind"), "text", lambda row: (voided if row["reverses_id"] else kinds)[row["kind"]]),
        column(_("SKU"), "text", "product__sku"),
        Column(_("Product"), "name", lambda row: in_language(row["product__name"], row["product__name_ur"])),
        column(_("Change"), "quantity", "quantity"),
        Column(_("Unit"), "text", lambda row: units[row["unit"]]),
        column(_("Balance"), "quantity", "balance_after"),
        column(_("Unit price (Rs)"), "money", "unit_price"),
        column(_("Amount (Rs)"), "money", "line_total"),
        *([column(_("Unit cost (Rs)"), "money", "unit_cost")] if sees_cost else []),
        Column(
            _("Reason"), "text", lambda row: in_language(row["reason__name"], row["reason__name_ur"]) or ""
        ),
        Column(_("Who"), "text", who),
    ]
    found = in_chunks(rows.values(*LINE), Movement.NEWEST_DAY_FIRST)
    return Sheet(_("Stock movements"), columns, map(named, found), {})


def words(choices) -> dict[str, str]:
    """The words of each choice, in the reader's language: looked up once, not for each row."""
    return {value: str(label) for value, label in choices.choices}


def check_length(form: str, rows: QuerySet) -> None:
    """Refuses a workbook of more rows than it may have."""
    if form == "xlsx" and rows.order_by()[MOST_IN_A_WORKBOOK : MOST_IN_A_WORKBOOK + 1].exists():
        raise NotNow(
            _("An Excel file holds at most %(most)d lines. Choose fewer days, or take the CSV.")
            % {"most": MOST_IN_A_WORKBOOK},
            code="too_long",
        )


class OnItsWay:
    """A long file while it is sent; when that ends, however it ends, its place is free for another one."""

    def __init__(self, file):
        self.file, self.has_place = file, True

    def __iter__(self):
        return iter(self.file)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self) -> None:
        self.file.close()
        if self.has_place:
            self.has_place = False
            AT_ONCE.release()

    __del__ = close  # an answer that was never sent is not closed by anybody


def wanted(request) -> str:
    """ "csv", "xlsx", or "" for the page itself; 404 for a format that does not exist."""
    form = request.GET.get("format", "")
    if form and form not in FORMATS:
        raise Http404
    return form


def answer(form: str, name: str, store: Store, sheets: list[Sheet], days: tuple[date, ...] = ()):
    """The response that downloads `sheets` as name_STORE_DATE.csv or .xlsx; `days` (default: the store's today) date it."""
    dates = "_".join(day.isoformat() for day in days or (store.today(),))
    return download(
        form,
        f"{name}_{store.code}_{dates}.{form}",
        workbook(sheets) if form == "xlsx" else csv_lines(sheets[0]),
    )


def answer_long(form: str, name: str, store: Store, make: Callable[[], list[Sheet]]):
    """As `answer`, of sheets that are long; NotNow while this process has enough of them on their way."""
    if not AT_ONCE.acquire(blocking=False):
        raise NotNow(_("Other files are being made just now. Try again in a minute."), code="busy")
    try:
        sheets = make()
        file = OnItsWay(workbook(sheets) if form == "xlsx" else csv_lines(sheets[0]))
    except BaseException:
        AT_ONCE.release()
        raise
    return download(form, f"{name}_{store.code}_{store.today()}.{form}", file)


def download(form: str, filename: str, file):
    """The response that sends `file` to be saved as `filename`: a workbook, or the lines of a CSV as they are made."""
    if form == "xlsx":
        return FileResponse(file, as_attachment=True, filename=filename, content_type=XLSX)
    response = StreamingHttpResponse(file, content_type="text/csv; charset=utf-8")
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


def csv_lines(sheet: Sheet) -> Iterator[bytes]:
    """A CSV in UTF-8, PIECE lines at a time, after the mark by which Excel knows it: without it Urdu would be garbage.

    Words are those of the reader who asks now: when the lines are sent, his language is no longer set.
    """
    language, titles, foot = get_language(), [one.title for one in sheet.columns], total_row(sheet)

    def written(lines: Iterable[list]) -> bytes:
        file = io.StringIO()
        csv.writer(file).writerows([plain(value) for value in line] for line in lines)
        return file.getvalue().encode()

    def pieces() -> Iterator[bytes]:
        rows, head = iter(sheet.rows), "\ufeff".encode() + written([titles])
        while True:
            with override(language):  # never while somebody else runs in this thread
                some = list(islice(rows, PIECE))
                piece = head + written([one.value(row) for one in sheet.columns] for row in some)
            yield piece
            if len(some) < PIECE:
                break
            head = b""
        if foot:
            yield written([foot])

    return pieces()


def workbook(sheets: list[Sheet]):
    """An open file with an XLSX: typed figures, a header that stays, right-to-left for Urdu. Only few rows are kept in memory."""
    few = all(isinstance(sheet.rows, list) and len(sheet.rows) <= FEW for sheet in sheets)
    # xlsxwriter makes each part of the other kind in a file of its own: a third of the time that a page has.
    # The response closes the file when it has been sent.
    file = io.BytesIO() if few else tempfile.TemporaryFile(suffix=".xlsx")  # noqa: SIM115
    options = {
        "in_memory" if few else "constant_memory": True,
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
    number = 0
    for number, row in enumerate(sheet.rows, 1):
        write(number, [one.value(row) for one in sheet.columns], row.get("unit"), False)
    if foot := total_row(sheet):
        write(number + 1, foot, None, True)
