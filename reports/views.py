"""The dashboard and the reports of one store. Every page here can be read without JavaScript, and printed."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from catalog.models import Product, in_language
from inventory.forms.lists import MovementFilter
from inventory.models import Movement
from reports import exports, queries
from reports.forms import DEFAULT_DAYS, PeriodForm, ShortForm, TopForm
from reports.queries.replica import from_replica
from reports.templatetags.reports import mixed, percent, share_bar, short_weekday
from stores.access import get_store, may
from stores.models import Store
from stores.queries import loaded
from stores.templatetags.shop import addresses, at, clock, count, day, money, quantity, signed, state

PAGE_SIZE = 50
DASHBOARD_ROWS = 8


@login_required
@require_safe
@from_replica
def dashboard(request, code):
    """How the store stands: sales of its business date, what is short, and the last lines of the ledger."""
    store = get_store(request, code, "view")
    mine, today = only(store), store.today()
    sales = queries.daily_sales(mine, today - timedelta(days=DEFAULT_DAYS - 1), today)
    standing = queries.sums_by_store(mine).get(store.pk, queries.NOTHING)
    per_day = {row["business_date"]: row for row in sales.rows}
    seen = may(store.role, "see_cost")
    context = {
        "now": timezone.now(),
        "today": today,
        "first_day": today - timedelta(days=DEFAULT_DAYS - 1),
        "week_ago": today - timedelta(days=7),
        "sales": sales,
        "sold": per_day.get(today, {"documents": 0, "revenue": Decimal(0)}),
        "sold_week_ago": per_day.get(today - timedelta(days=7)),
        "standing": {name: standing[name] for name in ("products", "low", "out", "negative")},
        "short": standing["low"] + standing["out"] + standing["negative"],
        "value": standing["value_at_cost"] if seen else None,
        "days": list(shown_days(sales.rows)),
        "low_rows": list(shown_short(queries.low_stock(mine, limit=DASHBOARD_ROWS).rows, store)),
        "movements": list(shown_movements(queries.newest_movements(store), store, today)),
        "section": "home",
    }
    return render(request, "reports/dashboard.html", context)


@login_required
@require_safe
def index(request, code):
    """The reports there are, each as the question that it answers."""
    get_store(request, code, "view")
    return render(request, "reports/index.html", {"section": "reports"})


@login_required
@require_safe
@from_replica
def daily_sales(request, code):
    """Sales by business date, with a chart."""
    store = get_store(request, code, "view")
    wanted, form = exports.wanted(request), PeriodForm(request.GET, store.today())
    if not form.is_valid():
        return render(request, "reports/daily_sales.html", {"form": form, "section": "reports"}, status=400)
    chosen = form.cleaned_data
    days = (chosen["from"], chosen["to"])
    report = queries.daily_sales(only(store), *days, chosen["category"])
    if wanted:
        return exports.answer(wanted, "daily-sales", store, exports.daily_sales(report), days)
    context = {
        "form": form,
        "report": report,
        "days": list(shown_days(report.rows)),
        "start": days[0],
        "end": days[1],
        "today": store.today(),
        "section": "reports",
    }
    return render(request, "reports/daily_sales.html", context | {"periods": periods(store.today())})


@login_required
@require_safe
@from_replica
def inventory_value(request, code):
    """What the goods on the shelves are worth, by category; only for those who may see cost."""
    store = get_store(request, code, "see_cost")
    wanted = exports.wanted(request)
    report = queries.inventory_value(only(store))
    if wanted:
        return exports.answer(wanted, "inventory-value", store, exports.inventory_value(report))
    context = {
        "now": timezone.now(),
        "totals": report.totals,
        "rows": report.rows,
        "shown": list(
            shown_categories(with_shares(report.rows, "value_at_cost", report.totals["value_at_cost"]))
        ),
        "top": list(shown_values(report.top, store)),
        "section": "reports",
    }
    return render(request, "reports/inventory_value.html", context)


@login_required
@require_safe
@from_replica
def low_stock(request, code):
    """What is below zero, out or low, the most urgent first."""
    store = get_store(request, code, "view")
    wanted, form = exports.wanted(request), ShortForm(request.GET)
    if not form.is_valid():
        return render(request, "reports/low_stock.html", {"form": form, "section": "reports"}, status=400)
    mine, state, category = only(store), form.cleaned_data["state"], form.cleaned_data["category"]
    if wanted:
        return exports.answer(
            wanted, "low-stock", store, exports.low_stock(queries.low_stock(mine, category, state))
        )
    counts = queries.short_counts(mine, category)
    page = page_of(
        queries.short_levels(mine, category, state), counts[state or "items"], request.GET.get("page", "1")
    )
    context = {
        "form": form,
        "counts": counts,
        "state": state,
        "page": page,
        "rows": (rows := list(page)),
        "shown": list(shown_short(rows, store)),
        "section": "reports",
    }
    return render(request, "reports/low_stock.html", context | {"now": timezone.now()})


@login_required
@require_safe
@from_replica
def top_products(request, code):
    """The best sellers of a period, by rupees or by quantity."""
    store = get_store(request, code, "view")
    wanted, form = exports.wanted(request), TopForm(request.GET, store.today())
    if not form.is_valid():
        return render(request, "reports/top_products.html", {"form": form, "section": "reports"}, status=400)
    chosen = form.cleaned_data
    days = (chosen["from"], chosen["to"])
    report = queries.top_products(only(store), *days, chosen["category"], chosen["by"], chosen["limit"])
    if wanted:
        return exports.answer(wanted, "top-products", store, exports.top_products(report), days)
    most = max((row[chosen["by"]] for row in report.rows), default=Decimal(0))
    context = {
        "form": form,
        "by": chosen["by"],
        "start": days[0],
        "end": days[1],
        "totals": report.totals,
        "rows": report.rows,
        "shown": list(shown_top(with_shares(report.rows, chosen["by"], most), store)),
        "periods": periods(store.today()),
        "section": "reports",
    }
    return render(request, "reports/top_products.html", context)


@login_required
@require_safe
@from_replica
def movements_file(request, code):
    """The list of movements, with its filters, as a file: lines as they are read, or a workbook of not too many."""
    store = get_store(request, code, "view")
    wanted, form = exports.wanted(request) or "csv", MovementFilter(request.GET, store=store)
    query = request.GET.copy()
    query.pop("format", None)
    page = f"{reverse('movements', args=[store.code])}?{query.urlencode()}"
    if not form.is_valid():
        return redirect(page)  # which says what is wrong
    rows = form.narrowed(Movement.objects.for_store(store))
    if request.method == "HEAD":
        rows = rows.none()
    try:
        exports.check_length(wanted, rows)
        sees_cost = may(store.role, "see_cost")
        return exports.answer_long(
            wanted, "movements", store, lambda: [exports.movements(rows, store, sees_cost)]
        )
    except exports.NotNow as refusal:
        messages.error(request, refusal.message)
        return redirect(page)


def only(store: Store):
    """The queryset that holds this one store, as report functions take it."""
    return Store.objects.filter(pk=store.pk)


def periods(today) -> list[tuple]:
    """(days, first day, last day) of the periods that are one tap away."""
    return [(days, today - timedelta(days=days - 1), today) for days in (1, 7, DEFAULT_DAYS, 30, 90)]


def product_of(row: dict) -> Product:
    """The product that a row of figures is about, for what shows names, units and quantities."""
    return loaded(Product, ((name, row[name]) for name in ("sku", "name", "name_ur", "unit")))


def shown_days(rows: Iterable[dict]) -> Iterator[dict]:
    """What the table of days shows of each, the newest first."""
    for row in reversed(rows):
        yield {
            "weekday": short_weekday(row["business_date"]), "day": day(row["business_date"]), "documents": count(row["documents"]),
            "units": mixed(row["units"]), "revenue": money(row["revenue"]),
        }  # fmt: skip


def shown_short(rows: Iterable[dict], store: Store) -> Iterator[dict]:
    """What lists of items that lack stock show of each."""
    items = addresses("item", store.code)
    for row in rows:
        product = product_of(row)
        yield {
            "item": items(row["sku"]), "sku": row["sku"], "label": product.label, "state": state(row["state"]),
            "on_hand": quantity(row["on_hand"], product), "point": quantity(row["reorder_point"], product),
            "target": quantity(row["target_level"], product),
        }  # fmt: skip


def shown_top(rows: Iterable[dict], store: Store) -> Iterator[dict]:
    """What the list of best sellers shows of each."""
    items = addresses("item", store.code)
    for rank, row in enumerate(rows, start=1):
        product = product_of(row)
        yield {
            "rank": rank, "item": items(row["sku"]), "label": product.label, "share": share_bar(row["share"]),
            "units": quantity(row["units"], product), "revenue": money(row["revenue"]),
        }  # fmt: skip


def shown_categories(rows: Iterable[dict]) -> Iterator[dict]:
    """What the value by category shows of each."""
    for row in rows:
        yield {
            "category": row["category_id"], "label": in_language(row["category"], row["category_ur"]), "products": count(row["products"]),
            "bar": share_bar(row["share"]), "share": percent(row["share"]),
            "cost": money(row["value_at_cost"]), "price": money(row["value_at_price"]),
        }  # fmt: skip


def shown_values(rows: Iterable[dict], store: Store) -> Iterator[dict]:
    """What the list of goods that most of the money lies in shows of each."""
    items = addresses("item", store.code)
    for row in rows:
        product = product_of(row)
        yield {
            "item": items(row["sku"]), "label": product.label, "on_hand": quantity(row["on_hand"], product),
            "value": money(row["value_at_cost"]),
        }  # fmt: skip


def shown_movements(rows: Iterable[Movement], store: Store, today: date) -> Iterator[dict]:
    """What the dashboard shows of each of the last movements."""
    documents, void = (
        addresses("document", store.code),
        format_html(' <span class="tag tag-void">{}</span>', _("void")),
    )
    for movement in rows:
        product = movement.product
        yield {
            "document": documents(movement.document_id), "label": product.label, "kind": movement.get_kind_display(),
            "void": void if movement.reverses_id else "",
            "when": (clock if movement.business_date == today else at)(movement.occurred_at, store),
            "change": signed(movement.quantity, product), "balance": quantity(movement.balance_after, product),
        }  # fmt: skip


def with_shares(rows, key: str, whole: Decimal) -> list[dict]:
    """The rows, each with `share`: what part of `whole` its figure is, in percent with one decimal, half up.

    None where a part says nothing: of nothing, or of a negative figure.
    """
    tenth = Decimal("0.1")
    return [
        {
            **row,
            "share": (100 * row[key] / whole).quantize(tenth, ROUND_HALF_UP)
            if whole > 0 and row[key] >= 0
            else None,
        }
        for row in rows
    ]


class Counted(Paginator):
    """A paginator of rows whose number is known already."""

    def __init__(self, rows, count: int):
        super().__init__(rows, PAGE_SIZE)
        self.count = count


def page_of(rows, count: int, number: str) -> Page:
    """The page that the address names; 404 for one that does not exist, or for anything but a plain number."""
    pages = Counted(rows, count)
    if not (
        number.isascii() and number.isdigit() and len(number) < 9 and 1 <= int(number) <= pages.num_pages
    ):
        raise Http404
    return pages.page(int(number))
