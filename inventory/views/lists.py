"""Pages that show: products, stock levels, one item, the ledger, a day's sales."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db.models import prefetch_related_objects
from django.http import Http404, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.filters import with_children
from catalog.models import Barcode, Product, in_language, word_of
from catalog.queries import scan
from inventory.forms.levels import LevelForm, ReorderForm
from inventory.forms.lines import SELLABLE, bare_money
from inventory.forms.lists import FEW, LevelFilter, MovementFilter, SearchForm, among
from inventory.models import Document, Kind, Movement, StockLevel
from inventory.queries import levels_of, prices, sales_of_day, sales_total, state_counts
from inventory.services import Actor, Line, ReferenceReused, Refused, post_document
from inventory.views.acts import CARRIED, show_reused, tell
from stores.access import get_store
from stores.filters import read_day
from stores.models import Store
from stores.queries import InvalidCursor, KeysetPage, keyset_page, loaded, one_of
from stores.templatetags.shop import (
    addresses,
    at,
    bare,
    clock,
    money,
    plain_quantity,
    quantity,
    signed,
    state,
)
from stores.views import signed_in

ROWS = 50
# What a row shows: each column more is read fifty times.
SHOWN_OF_MOVEMENTS = (
    "pk", "business_date", "kind", "quantity", "balance_after", "line_total", "oversell", "occurred_at", "reverses_id", "document_id",
    "product__sku", "product__name", "product__name_ur", "product__unit", "reason__name", "reason__name_ur", "document__source",
    "document__user__username", "document__user__first_name", "document__user__last_name", "document__api_key__name",
)  # fmt: skip
SHOWN_OF_LEVELS = (
    "store", "on_hand", "average_cost", "reorder_point", "product__sku", "product__name", "product__name_ur", "product__unit",
)  # fmt: skip
SHOWN_OF_PRODUCTS = ("sku", "name", "name_ur", "brand", "unit", "selling_price", "category__name", "category__name_ur")  # fmt: skip
CARD_ROWS = 20
FOUND_AT_MOST = 10


def page_of(request, queryset, *, order: str, name: str, limit: int = ROWS) -> KeysetPage:
    """The page that `?cursor=` names; 404 for a cursor that this list did not give this reader."""
    filters = request.GET.copy()
    cursor = filters.pop("cursor", [""])[-1]
    scope = f"{name}:{request.store.pk}:{request.user.pk}:{filters.urlencode()}:"
    try:
        return keyset_page(queryset, order=order, limit=limit, cursor=cursor, scope=scope)
    except InvalidCursor:
        raise Http404 from None


@signed_in
@require_safe
def products(request, code):
    """What can be sold: price in this store, on hand, and the ways to move it."""
    store = get_store(request, code)
    form = SearchForm(request.GET)
    rows = Product.objects.active().priced(store).select_related("category").only(*SHOWN_OF_PRODUCTS)
    rows = narrowed(rows, form)
    page = page_of(request, rows, order="name", name="products")
    levels = levels_of(store, [product.pk for product in page.rows])
    shown = list(shown_products(page.rows, levels, store))
    context = {"form": form, "page": page, "shown": shown, "section": "products"}
    return render(request, "inventory/products.html", context)


def shown_products(rows: Iterable[Product], levels: dict[int, StockLevel], store: Store) -> Iterator[dict]:
    """What the list of products shows of each of `rows`."""
    items, never = (
        addresses("item", store.code),
        format_html('<span class="muted">{}</span>', _("Never in stock")),
    )
    for product in rows:
        stock, unit = never, ""
        if level := levels.get(product.pk):
            stock = format_html(
                '<span class="row">{} {}</span>', quantity(level.on_hand, product), state(level.state)
            )
        if product.unit != Product.Unit.PIECE:
            unit = format_html('<span class="muted small">/{}</span>', product.get_unit_display())
        yield {
            "item": items(product.sku), "sku": product.sku, "query": quote(product.sku, safe=""), "label": product.label,
            "brand": f" · {product.brand}" if product.brand else "", "category": product.category,
            "stock": stock, "price": money(product.price), "unit": unit,
        }  # fmt: skip


def narrowed(rows, form: SearchForm, prefix: str = ""):
    """Products (or, with `prefix`, rows that lead to one) that fit the words and category of a filter, as in the API."""
    if not form.is_valid():
        return rows.none()
    if category := form.cleaned_data["category"]:
        rows = rows.filter(**{f"{prefix}category__in": with_children(category)})
    if search := form.cleaned_data["search"]:
        hits = Product.objects.matching(search)
        rows = rows.filter(among(f"{prefix}pk", hits))
    return rows


@signed_in
@require_safe
def find(request, code):
    """JSON for line entry: what `?q=` (a barcode, SKU or words) means in this store. At most a handful."""
    store = get_store(request, code)
    text = " ".join(request.GET.get("q", "").replace("\0", "").split())[:100]
    exact = scan(text, store) if text else None
    if exact:
        rows = [exact.product] if exact.product.status in SELLABLE else []
    else:
        sellable = Product.objects.filter(status__in=SELLABLE)
        rows = list(sellable.filter(sku=text.upper()).priced(store)) or list(
            sellable.matching(text).nearest_first(text).priced(store)[:FOUND_AT_MOST]
        )
    is_exact = bool(exact or (len(rows) == 1 and rows[0].sku == text.upper()))
    levels = levels_of(store, [product.pk for product in rows])
    prefetch_related_objects(rows, "packs")
    found = [
        {
            "sku": product.sku,
            "name": product.label,
            "price": bare_money(product.price),
            "unit": product.get_unit_display(),
            "whole": product.quantity_step % 1 == 0,
            "on_hand": plain_quantity(
                levels[product.pk].on_hand if product.pk in levels else Decimal(0), product.unit
            ),
            "stock": str(levels[product.pk].on_hand if product.pk in levels else 0),
            "packs": [
                {"id": pack.pk, "name": pack.name, "units": str(pack.units_per_pack)}
                for pack in product.packs.all()
            ],
        }
        for product in rows
    ]
    answer = {"exact": is_exact, "results": found}
    if exact and rows:
        answer |= {
            "pack": exact.pack.pk if exact.pack else None,
            "units": str(exact.pack.units_per_pack) if exact.pack else "1",
            "quantity": bare(exact.quantity, exact.product) if exact.quantity is not None else None,
        }
    return JsonResponse(answer)


@signed_in
@require_safe
def inventory(request, code):
    """Stock levels of the store: on hand, state, and value for who may see it."""
    store = get_store(request, code)
    form = LevelFilter(request.GET)
    rows = narrowed(StockLevel.objects.for_store(store).filter(listed=True), form, "product__")
    counts = state_counts(rows)
    if form.is_valid() and (state := form.cleaned_data["state"]):
        rows = rows.in_state(state)
        if counts[state] <= FEW:  # else, for the order of names, every product would be looked up
            rows = rows.filter(one_of(list(rows.values_list("pk", flat=True))))
    rows = rows.select_related("product").only(*SHOWN_OF_LEVELS)
    page = page_of(request, rows, order="product__name", name="inventory")
    price = prices(store, [level.product_id for level in page.rows])
    shown = list(shown_levels(page.rows, price, store))
    states = [
        ("", _("All"), counts["all"]),
        *((word, "", counts[word]) for word in ("negative", "out", "low", "ok")),
    ]
    return render(
        request,
        "inventory/inventory.html",
        {"form": form, "page": page, "shown": shown, "states": states, "section": "stock"},
    )


def shown_levels(rows: Iterable[StockLevel], price: dict[int, Decimal], store: Store) -> Iterator[dict]:
    """What the list of levels shows of each of `rows`."""
    items = addresses("item", store.code)
    for level in rows:
        product = level.product
        yield {
            "item": items(product.sku), "query": quote(product.sku, safe=""), "label": product.label,
            "state": state(level.state), "minus": " minus" if level.on_hand < 0 else "",
            "on_hand": quantity(level.on_hand, product), "warn_at": quantity(level.reorder_point, product),
            "price": money(price[level.product_id]), "value": money(level.value),
        }  # fmt: skip


def find_level(store: Store, sku: str) -> StockLevel:
    """The level of the product `sku` in this store (a new, empty one if it never had one); 404 for an unknown product."""
    levels = StockLevel.objects.for_store(store).select_related("product__category")
    level = levels.filter(product__sku=sku).first() if "\0" not in sku else None
    if level is None:
        product = (
            Product.objects.select_related("category").filter(sku=sku).first() if "\0" not in sku else None
        )
        if product is None:
            raise Http404
        level = StockLevel(
            store=store,
            product=product,
            on_hand=Decimal(0),
            average_cost=Decimal(0),
            reorder_point=Decimal(0),
        )
    level.store = store
    return level


@signed_in
@require_safe
def item(request, code, sku):
    """One item in this store: what there is, its movements with the balance after each, and how to correct it."""
    store = get_store(request, code)
    return item_page(request, store, find_level(store, sku))


def item_page(request, store: Store, level: StockLevel, level_form=None, reorder_form=None):
    """The item page, with a form that came back if one did."""
    product = level.product
    rows = Movement.objects.for_store(store).filter(product=product)
    page = page_of(
        request,
        rows.select_related("document__user", "document__api_key", "reason", "product"),
        order="-seq",
        name=f"item:{product.pk}",
        limit=CARD_ROWS,
    )
    initial = {
        "reorder_point": bare(level.reorder_point, product), "target_level": bare(level.target_level, product),
    }  # fmt: skip
    context = {
        "level": level, "product": product, "page": page, "section": "stock",
        "shown": list(shown_on_card(page.rows, store)),
        "price": prices(store, [product.pk])[product.pk],
        "barcodes": Barcode.objects.filter(product=product).select_related("pack").order_by("pack", "code"),
        "level_form": level_form or LevelForm(store=store, level=level), "reorder_form": reorder_form or ReorderForm(initial=initial),
    }  # fmt: skip
    return render(request, "inventory/item.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def item_adjust(request, code, sku):
    """Correct one item: counted anew, or so much less or more, for a coded reason."""
    store = get_store(request, code, "adjust")
    level = find_level(store, sku)
    if request.method != "POST":
        return redirect("item", store.code, level.product.sku)
    form = LevelForm(request.POST, store=store, level=level)
    if form.is_valid() and request.POST.get("act") != CARRIED:
        data = form.cleaned_data
        try:
            with timezone.override(ZoneInfo(store.timezone)):
                posted = post_document(
                    store=store, kind=data["reason"].kind, lines=[Line(product=level.product, quantity=data["change"])],
                    actor=Actor.on_page(request.user, store.role), reference=data["reference"], reason=data["reason"], notes=data["notes"],
                )  # fmt: skip
        except ReferenceReused:
            show_reused(form, store)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            tell(request, posted)
            return redirect("item", store.code, level.product.sku)
    return item_page(request, store, level, level_form=form)


@signed_in
@require_POST
def item_reorder(request, code, sku):
    """When to warn about an item, and how far to refill it."""
    store = get_store(request, code, "reorder")
    level = find_level(store, sku)
    form = ReorderForm(request.POST)
    if form.is_valid() and request.POST.get("act") != CARRIED:
        if level.pk is None:
            level, _new = StockLevel.objects.get_or_create(store=store, product=level.product)
        try:
            level.set_reorder(**form.cleaned_data)
        except ValidationError as refusal:
            form.add_error(None, ValidationError(refusal.messages))
        else:
            return redirect("item", store.code, level.product.sku)
    return item_page(request, store, level, reorder_form=form)


@signed_in
@require_safe
def movements(request, code):
    """The ledger of the store, newest business day first."""
    store = get_store(request, code)
    form = MovementFilter(request.GET, store=store)
    rows = Movement.objects.for_store(store).values_list(*SHOWN_OF_MOVEMENTS, named=True)
    page = page_of(request, form.narrowed(rows), order=Movement.NEWEST_DAY_FIRST, name="movements")
    lines = zip(page.rows, shown_movements(page.rows, store), strict=True)
    by_day = groupby(lines, lambda line: line[0].business_date)
    days = [(day, [shown for _movement, shown in lines]) for day, lines in by_day]
    context = {"form": form, "page": page, "days": days, "section": "movements"}
    return render(request, "inventory/movements.html", context)


def shown_movements(rows: Iterable[tuple], store: Store) -> Iterator[dict]:
    """What the ledger's list shows of each of `rows` (SHOWN_OF_MOVEMENTS by name). Fifty models with all that belongs to them
    would take as long to make as the rest of the page."""
    items, documents, late, language = (
        addresses("item", store.code),
        addresses("document", store.code),
        _("Entered late"),
        get_language(),
    )
    for row in rows:
        product = loaded(
            Product,
            {"name": row.product__name, "name_ur": row.product__name_ur, "unit": row.product__unit},
        )
        kind, notes = word_of(Kind, row.kind, language), []
        if row.reverses_id:
            kind = _("%(kind)s, voided") % {"kind": kind}
        if row.reason__name:
            notes.append(tag(in_language(row.reason__name, row.reason__name_ur)))
        if row.oversell == Movement.Oversell.LATE:
            notes.append(tag(late, "tag-note"))
        yield {
            "item": items(row.product__sku), "label": product.label, "document": documents(row.document_id),
            "number": Document.number_of(row.document_id, row.kind, bool(row.reverses_id)),
            "kind": kind, "notes": SafeString("".join(notes)),
            "change": signed(row.quantity, product), "balance": quantity(row.balance_after, product),
            "total": "" if row.line_total is None else money(row.line_total), "when": clock(row.occurred_at, store),
            "who": Document.actor_of(
                row.document__user__username, row.document__user__first_name, row.document__user__last_name,
                row.document__api_key__name, row.document__source,
            ),
        }  # fmt: skip


def shown_on_card(rows: Iterable[Movement], store: Store) -> Iterator[dict]:
    """What the stock card of an item shows of each of `rows`."""
    documents, void = addresses("document", store.code), _("Void")
    for movement in rows:
        product, notes = movement.product, []
        if movement.reverses_id:
            notes.append(tag(void, "tag-void"))
        if movement.reason:
            notes.append(tag(movement.reason))
        balance = quantity(movement.balance_after, product)
        if movement.balance_after < 0:
            balance = format_html('<span class="minus">{}</span>', balance)
        yield {
            "document": documents(movement.document_id), "number": movement.document.number,
            "kind": movement.get_kind_display(), "notes": SafeString("".join(notes)),
            "when": at(movement.occurred_at, store), "who": movement.document.actor,
            "change": signed(movement.quantity, product), "balance": balance,
        }  # fmt: skip


def tag(words, css: str = "") -> SafeString:
    """A small label on a row."""
    return format_html('<span class="tag{}">{}</span>', css and f" {css}", words)


@signed_in
@require_safe
def sales(request, code):
    """The sales of one business day (`?date=`, else today), with their sum."""
    store = get_store(request, code)
    today = store.today()
    try:
        shown = read_day(request.GET["date"]) if request.GET.get("date") else today
    except ValidationError:
        raise Http404 from None
    if shown > today:
        raise Http404
    page = page_of(request, sales_of_day(store, shown), order="-id", name="sales")
    context = {
        "page": page, "shown": shown, "today": today, "before": shown - timedelta(days=1), "after": shown + timedelta(days=1),
        "total": sales_total(store, shown), "section": "today",
    }  # fmt: skip
    return render(request, "inventory/sales.html", context)
