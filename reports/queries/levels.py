"""How stores stand now: what lies there, what it is worth, what is short, what is not sold."""

from datetime import date, timedelta
from decimal import Decimal

from django.db import connections, router
from django.db.models import (
    Case,
    Count,
    DecimalField,
    F,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)

from catalog.models import Category, Product
from inventory.models import StockLevel
from reports.queries.answers import PAISA, SUBTREE, Report, ValueReport, totals_of, tree_of
from reports.queries.days import named
from stores.models import Store

MONEY = DecimalField(max_digits=24, decimal_places=2)
State = StockLevel.State
# What low-stock lists show, the most urgent first.
SHORT = (State.NEGATIVE, State.OUT, State.LOW)
# Nobody refills what the store does not list; below zero it is a mistake all the same.
IS_LOW = Q(on_hand__gt=0, on_hand__lte=F("reorder_point"), listed=True)
SHORT_LEVELS = Q(on_hand__lte=0) | IS_LOW
# What is not sold for so many days is dead, unless somebody says otherwise.
DEAD_DAYS = 60


def levels_of(stores: QuerySet[Store], category: Category | None = None) -> QuerySet[StockLevel]:
    """The levels that reports count: what lies there, and what the store is meant to have.

    An empty level of a product that the store does not list, or that nobody may sell any more, is not part of it.
    """
    in_use = Q(listed=True, product__status__in=[Product.Status.ACTIVE, Product.Status.DISCONTINUED])
    levels = StockLevel.objects.filter(~Q(on_hand=0) | in_use, store__in=stores.values("pk"))
    return levels.filter(product__category__in=tree_of(category)) if category else levels


# Each level with its value: rupees at average cost and at its store's price now. Each is rounded to paisa, half up (away from
# zero), before anything is summed. A level below zero counts as it is, with a negative value: what was sold without being there is
# missing from the shelves' worth until stock comes in. The stores' own prices are few: they are put in order once, and not looked
# up for each level.
VALUED = """
{mine}, own_price AS (
    SELECT DISTINCT ON (store_id, product_id) store_id, product_id, price FROM catalog_storeprice
    WHERE store_id IN (SELECT id FROM mine) AND effective_from <= statement_timestamp()
    ORDER BY store_id, product_id, effective_from DESC, id DESC
), valued AS (
    SELECT l.store_id, l.product_id, p.category_id, l.on_hand, l.reorder_point, l.listed,
           round(l.on_hand * l.average_cost, 2) AS at_cost, round(l.on_hand * coalesce(o.price, p.selling_price), 2) AS at_price
    FROM inventory_stocklevel AS l
    JOIN catalog_product AS p ON p.id = l.product_id
    LEFT JOIN own_price AS o ON o.store_id = l.store_id AND o.product_id = l.product_id
    WHERE l.store_id IN (SELECT id FROM mine)
      AND (l.on_hand <> 0 OR (l.listed AND p.status IN ('active', 'discontinued'))) {within}
)
"""
SUMMARY = """
SELECT store_id, count(*), count(*) FILTER (WHERE on_hand > 0 AND on_hand <= reorder_point AND listed),
       count(*) FILTER (WHERE on_hand = 0), count(*) FILTER (WHERE on_hand < 0), sum(at_cost), sum(at_price)
FROM valued GROUP BY store_id
"""
BY_CATEGORY = """
SELECT c.name, c.name_ur, v.category_id, v.products, v.at_cost, v.at_price FROM (
    SELECT category_id, count(DISTINCT product_id) AS products, sum(at_cost) AS at_cost, sum(at_price) AS at_price
    FROM (
        SELECT category_id, product_id, sum(at_cost) AS at_cost, sum(at_price) AS at_price FROM valued GROUP BY 1, 2
    ) AS goods GROUP BY category_id
) AS v JOIN catalog_category AS c ON c.id = v.category_id
ORDER BY v.at_cost DESC, c.name
"""
MOST_VALUE = """
SELECT p.sku, p.name, p.name_ur, p.unit, v.on_hand, v.at_cost, v.at_price FROM (
    SELECT product_id, sum(on_hand) AS on_hand, sum(at_cost) AS at_cost, sum(at_price) AS at_price
    FROM valued WHERE on_hand > 0 GROUP BY product_id
) AS v JOIN catalog_product AS p ON p.id = v.product_id
ORDER BY v.at_cost DESC, p.sku LIMIT %(top)s
"""


def asked_of_levels(
    stores: QuerySet[Store], question: str, category: Category | None, **given
) -> list[tuple]:
    """The rows of `question` about the VALUED levels of `stores`, of one category and what nests in it."""
    mine, own = named(stores)
    within = ""
    if category:
        within = "AND p.category_id IN " + SUBTREE % "%(category)s"
        given["category"] = category.pk
    with connections[stores.db].cursor() as cursor:
        cursor.execute(VALUED.format(mine=mine, within=within) + question, given | own)
        return cursor.fetchall()


def inventory_summary(stores: QuerySet[Store], category: Category | None = None) -> Report:
    """How each store stands now.

    Rows: store (code), products, low, out, negative, value_at_cost and value_at_price (rupees, see VALUED), in the
    order of codes, also for a store that has nothing. Two queries.
    """
    nothing = {
        "products": 0,
        "low": 0,
        "out": 0,
        "negative": 0,
        "value_at_cost": PAISA * 0,
        "value_at_price": PAISA * 0,
    }
    found = {
        store: dict(zip(nothing, sums, strict=True))
        for store, *sums in asked_of_levels(stores, SUMMARY, category)
    }
    known = stores.order_by("code").values_list("pk", "code")
    rows = [{"store": code, **found.get(pk, nothing)} for pk, code in known]
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


def inventory_value(stores: QuerySet[Store], top: int = 10, category: Category | None = None) -> ValueReport:
    """Where the money on the shelves lies now.

    Rows: category, category_ur, category_id, products, value_at_cost, value_at_price (rupees, see VALUED), the most
    valuable first. `top`: the products of most value at cost: sku, name, name_ur, unit, on_hand, value_at_cost,
    value_at_price. Two queries, one if `top` is 0.
    """
    names = ("category", "category_ur", "category_id", "products", "value_at_cost", "value_at_price")
    rows = [dict(zip(names, row, strict=True)) for row in asked_of_levels(stores, BY_CATEGORY, category)]
    names = ("sku", "name", "name_ur", "unit", "on_hand", "value_at_cost", "value_at_price")
    found = asked_of_levels(stores, MOST_VALUE, category, top=top) if top else []
    best = [dict(zip(names, row, strict=True)) for row in found]
    return ValueReport(rows, totals_of(rows, products=0, value_at_cost=PAISA, value_at_price=PAISA), best)


def stock_value(stores: QuerySet[Store], category: Category | None = None) -> Report:
    """What the goods on the shelves are worth now, by category, and what selling them would leave.

    Rows: those of `inventory_value`, of one category and what nests in it where one is named, each with margin (value at
    price less value at cost, rupees). One query.
    """
    found = inventory_value(stores, 0, category)
    rows = [{**row, "margin": row["value_at_price"] - row["value_at_cost"]} for row in found.rows]
    return Report(rows, totals_of(rows, products=0, value_at_cost=PAISA, value_at_price=PAISA, margin=PAISA))


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


def low_stock(
    stores: QuerySet[Store],
    category: Category | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> Report:
    """What is below zero, out, or at or below its reorder point now, the most urgent first.

    Rows: store (code), sku, name, name_ur, unit, on_hand, reorder_point, target_level, state ("negative", "out" or
    "low"); at most `limit` (None: all). Totals: items, negative, out, low, of all that is short, also of what `limit`
    leaves out. `state` narrows to one of the three. One query, two where `limit` leaves something out.
    """
    short = short_levels(stores, category, state)
    found = list(short[: limit + 1] if limit else short)
    rows = [{"store": row.pop("code"), **row} for row in found[:limit]]
    if len(found) > len(rows):
        counts = short_counts(stores, category)
        totals = {name.value: counts[name] if state in (None, name) else 0 for name in SHORT}
    else:
        totals = {name.value: sum(row["state"] == name for row in rows) for name in SHORT}
    return Report(rows, {"items": sum(totals.values())} | totals)


def short_counts(stores: QuerySet[Store], category: Category | None = None) -> dict:
    """The totals of `low_stock`, without its rows. One query."""
    counts = levels_of(stores, category).filter(SHORT_LEVELS).aggregate(**count_states())
    return {"items": sum(counts.values()), **counts}


# Sales of the days since then, net of their voids, are the lines of these days and the voids among them that undo sales
# from before. Whatever is left above zero was really sold. Only for the rows that are shown the last sale is looked for,
# from the youngest day backwards, in the ledger's lines of that day: a day's net figure cannot tell a sale that was
# voided later from one that stands.
DEAD = """
WITH voided AS (
    SELECT r.store_id, r.product_id, 1 AS lines
    FROM inventory_document AS v
    JOIN inventory_movement AS r ON r.store_id = v.store_id AND r.document_id = v.id
    JOIN inventory_movement AS m ON m.store_id = r.store_id AND m.id = r.reverses_id
    WHERE v.store_id = ANY(%(stores)s) AND v.kind = 'sale' AND v.reverses_id IS NOT NULL
      AND v.business_date > %(since)s AND m.business_date <= %(since)s
), sold AS (
    SELECT store_id, product_id FROM (
        SELECT store_id, product_id, lines FROM reports_dailystock
        WHERE store_id = ANY(%(stores)s) AND business_date > %(since)s AND lines <> 0
        UNION ALL SELECT * FROM voided
    ) AS days GROUP BY store_id, product_id HAVING sum(lines) > 0
), dead AS (
    SELECT l.store_id, l.product_id, s.code, p.sku, p.name, p.name_ur, p.unit, l.on_hand,
           round(l.on_hand * l.average_cost, 2) AS value
    FROM inventory_stocklevel AS l
    JOIN stores_store AS s ON s.id = l.store_id
    JOIN catalog_product AS p ON p.id = l.product_id
    WHERE l.store_id = ANY(%(stores)s) AND l.on_hand > 0 {category}
      AND NOT EXISTS (SELECT FROM sold WHERE sold.store_id = l.store_id AND sold.product_id = l.product_id)
), shown AS (
    SELECT *, count(*) OVER () AS items, sum(value) OVER () AS worth
    FROM dead ORDER BY value DESC, sku, code LIMIT %(limit)s
)
SELECT code, sku, name, name_ur, unit, on_hand, value, (
    SELECT d.business_date FROM reports_dailystock AS d
    WHERE d.store_id = shown.store_id AND d.product_id = shown.product_id AND d.business_date <= %(since)s AND EXISTS (
        SELECT FROM inventory_movement AS m
        WHERE m.store_id = d.store_id AND m.business_date = d.business_date AND m.product_id = d.product_id
          AND m.kind = 'sale' AND m.reverses_id IS NULL
          AND NOT EXISTS (SELECT FROM inventory_movement AS r WHERE r.store_id = m.store_id AND r.reverses_id = m.id))
    ORDER BY d.business_date DESC LIMIT 1
), items, worth
FROM shown ORDER BY value DESC, sku, code
"""


def dead_stock(
    stores: QuerySet[Store],
    today: date,
    days: int = DEAD_DAYS,
    category: Category | None = None,
    limit: int | None = None,
) -> Report:
    """What lies there and was not sold for `days` days up to the business date `today`, the most valuable first.

    Rows: store (code), sku, name, name_ur, unit, on_hand, value_at_cost (rupees), last_sold (business date, None if
    never), days (since then, None if never); at most `limit` (None: all). A sale that was voided was no sale. Totals:
    items and value_at_cost of all that is dead, also of what `limit` leaves out. Two queries.
    """
    given = {
        "stores": list(stores.values_list("pk", flat=True)),
        "since": today - timedelta(days=days),
        "limit": limit,
    }
    within = ""
    if category:
        within = "AND p.category_id IN " + SUBTREE % "%(category)s"
        given["category"] = category.pk
    with connections[router.db_for_read(StockLevel)].cursor() as cursor:
        cursor.execute(DEAD.format(category=within), given)
        found = cursor.fetchall()
    names = ("store", "sku", "name", "name_ur", "unit", "on_hand", "value_at_cost", "last_sold")
    rows = [dict(zip(names, row, strict=False)) for row in found]
    for row in rows:
        row["days"] = (today - row["last_sold"]).days if row["last_sold"] else None
    items, worth = found[0][-2:] if found else (0, Decimal(0))
    return Report(rows, {"items": items, "value_at_cost": worth.quantize(PAISA)})
