"""Questions about what happened and what it means: asked by page, API and export alike, so that all give one answer.

Every function starts from the caller's stores. Days come from DailyStock, quantities and values from StockLevel; the
ledger itself is read only where a day cannot tell (sales of one category) and for the newest lines. All figures are
exact Decimals: money with 2 decimals, quantities with 3. Totals are the sums of the rows that are returned.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db.models import (
    Case,
    Count,
    DecimalField,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Now, Round
from django.utils.translation import gettext as _

from catalog.models import Category, Product, StorePrice
from inventory.models import Kind, Movement, StockLevel
from reports.models import DailyStock
from stores.models import Store

MAX_DAYS = 400
OLDEST_DAY, NEWEST_DAY = date(2000, 1, 1), date(2100, 12, 31)
PAISA, GRAM = Decimal("0.01"), Decimal("0.001")
MONEY = DecimalField(max_digits=24, decimal_places=2)
State = StockLevel.State
# What low-stock lists show, the most urgent first.
SHORT = (State.NEGATIVE, State.OUT, State.LOW)
# Nobody refills what the store does not list; below zero it is a mistake all the same.
IS_LOW = Q(on_hand__gt=0, on_hand__lte=F("reorder_point"), listed=True)
SHORT_LEVELS = Q(on_hand__lte=0) | IS_LOW
SUBTREE = """(WITH RECURSIVE tree AS (
    SELECT id FROM catalog_category WHERE id = %s
    UNION SELECT c.id FROM catalog_category c JOIN tree ON c.parent_id = tree.id
) SELECT id FROM tree)"""


def tree_of(category: Category) -> RawSQL:
    """The ids of `category` and of all that nest in it, for use behind `__in`."""
    return RawSQL(SUBTREE, [category.pk])  # noqa: S611 - constant text, the id is a parameter


class InvalidPeriod(ValidationError):
    """A range of days that no report takes; `field` is the end of it that is wrong ("from" or "to")."""

    def __init__(self, message, code, field):
        super().__init__(message, code=code)
        self.field = field


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: rows in their order, and the sums over exactly these rows."""

    rows: list[dict]
    totals: dict


@dataclass(frozen=True, slots=True)
class ValueReport(Report):
    """Value by category, and the products that most of the money lies in."""

    top: list[dict] = field(default_factory=list)


def check_period(start: date, end: date) -> None:
    """Refuses business dates that run backwards, are longer than 400 days, or lie outside 2000 to 2100."""
    for name, day in (("from", start), ("to", end)):
        if not OLDEST_DAY <= day <= NEWEST_DAY:
            raise InvalidPeriod(_("Choose a day between the years 2000 and 2100."), "out_of_range", name)
    if start > end:
        raise InvalidPeriod(_("The first day lies after the last one."), "from_after_to", "from")
    if (end - start).days >= MAX_DAYS:
        raise InvalidPeriod(
            _("A report covers at most %(days)d days.") % {"days": MAX_DAYS}, "range_too_long", "to"
        )


def daily_sales(stores: QuerySet[Store], start: date, end: date, category: Category | None = None) -> Report:
    """What was sold on each business date from `start` to `end`, both included, net of returns and voids.

    Rows: business_date, documents (sales), lines, units, revenue (rupees); days without trade are left out. A return or
    a void counts on the day on which it happened. With `category` (and those that nest in it), a sale counts once
    however many of its lines belong there. One query, two with a category. Refuses what `check_period` refuses.
    """
    check_period(start, end)
    per_day = days_of(stores, start, end, category).values("business_date")
    per_day = per_day.annotate(n=Sum("documents"), m=Sum("lines"), q=Sum("sold"), r=Sum("revenue")).order_by(
        "business_date"
    )
    baskets = baskets_with(stores, start, end, category) if category else {}
    rows = [
        {
            "business_date": day,
            "documents": baskets.get(day, 0) if category else documents,
            "lines": lines,
            "units": units,
            "revenue": revenue,
        }
        for day, documents, lines, units, revenue in per_day.values_list("business_date", "n", "m", "q", "r")
    ]
    rows = [row for row in rows if row["documents"] or row["lines"] or row["units"] or row["revenue"]]
    return Report(rows, totals_of(rows, documents=0, lines=0, units=GRAM, revenue=PAISA))


def days_of(
    stores: QuerySet[Store], start: date, end: date, category: Category | None
) -> QuerySet[DailyStock]:
    """The products' days of a period in `stores`, of one category and what nests in it."""
    days = DailyStock.objects.filter(store__in=stores.values("pk"), business_date__range=(start, end))
    return days.filter(product__category__in=tree_of(category)) if category else days


def baskets_with(stores: QuerySet[Store], start: date, end: date, category: Category) -> dict[date, int]:
    """Per business date, how many sales hold a line of `category`, less those that were voided on that date.

    A day of a product cannot tell which of its lines stood in one basket, so this alone is asked of the ledger, by its
    index on (store, business_date).
    """
    lines = Movement.objects.filter(
        store__in=stores.values("pk"),
        business_date__range=(start, end),
        kind=Kind.SALE,
        product__category__in=tree_of(category),
    )
    sold = Count("document", distinct=True, filter=Q(reverses=None))
    voided = Count("document", distinct=True, filter=Q(reverses__isnull=False))
    return dict(lines.values("business_date").annotate(n=sold - voided).values_list("business_date", "n"))


def top_products(
    stores: QuerySet[Store],
    start: date,
    end: date,
    category: Category | None = None,
    by: str = "revenue",
    limit: int | None = 20,
) -> Report:
    """The products that sold best from `start` to `end`, by "revenue" (rupees) or "units", net of returns and voids.

    Rows: sku, name, name_ur, unit, units, revenue; at most `limit` (None: all), equal ones in the order of their sku.
    Totals are over these rows. One query. Refuses what `check_period` refuses.
    """
    check_period(start, end)
    keys = {"revenue": ("-r", "-q"), "units": ("-q", "-r")}[by]
    sold = days_of(stores, start, end, category).values("product").annotate(q=Sum("sold"), r=Sum("revenue"))
    sold = sold.exclude(q=0, r=0).order_by(*keys, "product__sku")[:limit]
    names = ("sku", "name", "name_ur", "unit", "units", "revenue")
    columns = ("product__sku", "product__name", "product__name_ur", "product__unit", "q", "r")
    rows = [dict(zip(names, row, strict=True)) for row in sold.values_list(*columns)]
    return Report(rows, totals_of(rows, units=GRAM, revenue=PAISA))


def levels_of(stores: QuerySet[Store], category: Category | None = None) -> QuerySet[StockLevel]:
    """The levels that reports count: what lies there, and what the store is meant to have.

    An empty level of a product that the store does not list, or that nobody may sell any more, is not part of it.
    """
    in_use = Q(listed=True, product__status__in=[Product.Status.ACTIVE, Product.Status.DISCONTINUED])
    levels = StockLevel.objects.filter(~Q(on_hand=0) | in_use, store__in=stores.values("pk"))
    return levels.filter(product__category__in=tree_of(category)) if category else levels


def valued(levels: QuerySet[StockLevel]) -> QuerySet[StockLevel]:
    """Adds `at_cost` and `at_price`: rupees of each level at average cost and at its store's price now.

    Each is rounded to paisa, half up (away from zero), before anything is summed. A level below zero counts as it is,
    with a negative value: what was sold without being there is missing from the shelves' worth until stock comes in.
    """
    prices = StorePrice.objects.filter(
        store=OuterRef("store"), product=OuterRef("product"), effective_from__lte=Now()
    )
    newest = Subquery(prices.order_by("-effective_from", "-pk").values("price")[:1])
    return levels.annotate(
        at_cost=Round(F("on_hand") * F("average_cost"), 2, output_field=MONEY),
        at_price=Round(F("on_hand") * Coalesce(newest, F("product__selling_price")), 2, output_field=MONEY),
    )


def inventory_summary(stores: QuerySet[Store], category: Category | None = None) -> Report:
    """How each store stands now.

    Rows: store (code), products, low, out, negative, value_at_cost and value_at_price (rupees, see `valued`), in the
    order of codes, also for a store that has nothing. Two queries.
    """
    per_store = valued(levels_of(stores, category)).values("store").annotate(
        products=Count("id"), **count_states(), value_at_cost=Sum("at_cost"), value_at_price=Sum("at_price")
    )  # fmt: skip
    found = {row.pop("store"): row for row in per_store.order_by()}
    nothing = {
        "products": 0,
        "low": 0,
        "out": 0,
        "negative": 0,
        "value_at_cost": PAISA * 0,
        "value_at_price": PAISA * 0,
    }
    known = stores.order_by("code").values_list("pk", "code")
    rows = [{"store": code, **{name: found.get(pk, nothing)[name] for name in nothing}} for pk, code in known]
    return Report(
        rows, totals_of(rows, products=0, low=0, out=0, negative=0, value_at_cost=PAISA, value_at_price=PAISA)
    )


def count_states() -> dict[str, Count]:
    """Counts of levels by the states that need an eye; the same words as StockLevel.state."""
    return {
        "low": Count("id", filter=IS_LOW),
        "out": Count("id", filter=Q(on_hand=0)),
        "negative": Count("id", filter=Q(on_hand__lt=0)),
    }


def inventory_value(stores: QuerySet[Store], top: int = 10) -> ValueReport:
    """Where the money on the shelves lies now.

    Rows: category, category_ur, category_id, products, value_at_cost, value_at_price (rupees, see `valued`), the most
    valuable first. `top`: the products of most value at cost: sku, name, name_ur, unit, on_hand, value_at_cost,
    value_at_price. Two queries.
    """
    levels = valued(levels_of(stores))
    sums = {"c": Sum("at_cost"), "p": Sum("at_price")}
    groups = levels.values("product__category").annotate(n=Count("product", distinct=True), **sums)
    columns = ("product__category__name", "product__category__name_ur", "product__category", "n", "c", "p")
    names = ("category", "category_ur", "category_id", "products", "value_at_cost", "value_at_price")
    ordered = groups.order_by("-c", "product__category__name").values_list(*columns)
    rows = [dict(zip(names, row, strict=True)) for row in ordered]
    products = levels.filter(on_hand__gt=0).values("product").annotate(q=Sum("on_hand"), **sums)
    columns = ("product__sku", "product__name", "product__name_ur", "product__unit", "q", "c", "p")
    names = ("sku", "name", "name_ur", "unit", "on_hand", "value_at_cost", "value_at_price")
    ordered = products.order_by("-c", "product__sku").values_list(*columns)[:top]
    best = [dict(zip(names, row, strict=True)) for row in ordered]
    return ValueReport(rows, totals_of(rows, products=0, value_at_cost=PAISA, value_at_price=PAISA), best)


def short_levels(
    stores: QuerySet[Store], category: Category | None = None, state: str | None = None
) -> QuerySet[dict]:
    """The rows of `low_stock` as a queryset of dicts that a page can slice; nothing is asked yet."""
    levels = levels_of(stores, category).filter(SHORT_LEVELS).with_state()
    if state:
        levels = levels.filter(state_now=state)
    urgency = Case(
        *[When(state_now=name, then=Value(place)) for place, name in enumerate(SHORT)],
        output_field=IntegerField(),
    )
    named = {
        "sku": F("product__sku"),
        "name": F("product__name"),
        "name_ur": F("product__name_ur"),
        "unit": F("product__unit"),
    }
    return (
        levels.annotate(urgency=urgency, code=F("store__code"), state=F("state_now"), **named)
        .order_by("urgency", "name", "sku", "code")
        .values("code", *named, "on_hand", "reorder_point", "target_level", "state")
    )


def low_stock(stores: QuerySet[Store], category: Category | None = None, state: str | None = None) -> Report:
    """What is below zero, out, or at or below its reorder point now, the most urgent first.

    Rows: store (code), sku, name, name_ur, unit, on_hand, reorder_point, target_level, state ("negative", "out" or
    "low"). Totals: items, negative, out, low. `state` narrows to one of the three. One query.
    """
    rows = [{"store": row.pop("code"), **row} for row in short_levels(stores, category, state)]
    totals = {"items": len(rows)} | {name.value: sum(row["state"] == name for row in rows) for name in SHORT}
    return Report(rows, totals)


def short_counts(stores: QuerySet[Store], category: Category | None = None) -> dict:
    """The totals of `low_stock`, without its rows. One query."""
    counts = levels_of(stores, category).filter(SHORT_LEVELS).aggregate(**count_states())
    return {"items": sum(counts.values()), **counts}


def newest_movements(store: Store, limit: int = 10) -> list[Movement]:
    """The last lines that were written into this store's ledger, newest first, with their products. One query."""
    lines = Movement.objects.for_store(store).select_related("product").order_by("-id")
    return list(lines.defer("product__search_text")[:limit])


def totals_of(rows: Iterable[dict], **columns) -> dict:
    """The sum of each named column: a whole number where 0 is given, else a Decimal with the exponent of the one given."""
    return {
        name: (
            sum((row[name] for row in rows), Decimal(0)).quantize(unit)
            if unit
            else sum(row[name] for row in rows)
        )
        for name, unit in columns.items()
    }
