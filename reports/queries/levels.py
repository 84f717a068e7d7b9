"""How stores stand now: what lies there, what it is worth, what is short, what is not sold."""

from datetime import date, timedelta
from decimal import Decimal

from django.db import connections
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
from reports.queries.standing import ALL, DELTA, LAST_SOLD, NOW, THEN, asked_of_standing
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


SINCE = (NOW.format(last_sold=""), THEN, DELTA)
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
# From the sums of the stores, or for one category from its levels; plus what changed since.
SUMMARY = """
SELECT store_id, sum(products)::bigint, sum(low)::bigint, sum(out)::bigint, sum(negative)::bigint, sum(at_cost), sum(at_price) FROM (
    {sums}
    UNION ALL SELECT store_id, sign, CASE WHEN urgency = 2 THEN sign ELSE 0 END, CASE WHEN urgency = 1 THEN sign ELSE 0 END,
           CASE WHEN urgency = 0 THEN sign ELSE 0 END, value_at_cost, value_at_price
    FROM delta
) AS parts GROUP BY store_id
"""
OF_STORES = """
SELECT store_id, products, low, out, negative, value_at_cost AS at_cost, value_at_price AS at_price
FROM reports_storestanding WHERE store_id IN (SELECT id FROM mine)
"""
OF_LEVELS = """
SELECT store_id, count(*) AS products, count(*) FILTER (WHERE urgency = 2) AS low, count(*) FILTER (WHERE urgency = 1) AS out,
       count(*) FILTER (WHERE urgency = 0) AS negative, sum(value_at_cost) AS at_cost, sum(value_at_price) AS at_price
FROM reports_standing WHERE store_id IN (SELECT id FROM mine) {within} GROUP BY store_id
"""
# By product first: from the sums of the products, if the question is about every store that is in them, else from the levels.
EVERY = """
every AS MATERIALIZED (
    SELECT NOT EXISTS (SELECT FROM reports_storestanding WHERE store_id NOT IN (SELECT id FROM mine)) AS yes
)"""
WORTH = """
SELECT c.name, c.name_ur, v.category_id, v.products, v.at_cost, v.at_price FROM (
    SELECT category_id, count(*) AS products, sum(at_cost) AS at_cost, sum(at_price) AS at_price FROM (
        SELECT p.category_id, parts.product_id, sum(at_cost) AS at_cost, sum(at_price) AS at_price FROM (
            SELECT product_id, levels, value_at_cost AS at_cost, value_at_price AS at_price FROM reports_productstanding
            WHERE (SELECT yes FROM every) {within}
            UNION ALL SELECT product_id, count(*), sum(value_at_cost), sum(value_at_price) FROM reports_standing
            WHERE NOT (SELECT yes FROM every) AND store_id IN (SELECT id FROM mine) {within} GROUP BY product_id
            UNION ALL SELECT product_id, sign, value_at_cost, value_at_price FROM delta
        ) AS parts JOIN catalog_product AS p ON p.id = parts.product_id
        GROUP BY p.category_id, parts.product_id HAVING sum(levels) > 0
    ) AS goods GROUP BY category_id
) AS v JOIN catalog_category AS c ON c.id = v.category_id
ORDER BY v.at_cost DESC, c.name
"""
# Both answers of one pass: every category, then the products that lie there with the most value (`top` of them, found before
# their names are looked up).
BY_CATEGORY_AND_BEST = """
, worth AS (
    SELECT category_id, count(DISTINCT product_id) AS products, sum(at_cost) AS at_cost, sum(at_price) AS at_price
    FROM valued GROUP BY category_id
), most AS (
    SELECT product_id, sum(on_hand) AS on_hand, sum(at_cost) AS at_cost, sum(at_price) AS at_price FROM valued WHERE on_hand > 0
    GROUP BY product_id ORDER BY sum(at_cost) DESC FETCH FIRST (%(top)s) ROWS WITH TIES
), best AS (
    SELECT p.sku, p.name, p.name_ur, p.unit, m.on_hand, m.at_cost, m.at_price
    FROM most AS m JOIN catalog_product AS p ON p.id = m.product_id ORDER BY m.at_cost DESC, p.sku LIMIT %(top)s
)
SELECT NULL AS sku, c.name, c.name_ur, NULL AS unit, NULL AS on_hand, w.category_id, w.products, w.at_cost, w.at_price
FROM worth AS w JOIN catalog_category AS c ON c.id = w.category_id
UNION ALL SELECT sku, name, name_ur, unit, on_hand, NULL, NULL, at_cost, at_price FROM best
ORDER BY at_cost DESC, sku, name
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


NOTHING = {
    "products": 0,
    "low": 0,
    "out": 0,
    "negative": 0,
    "value_at_cost": PAISA * 0,
    "value_at_price": PAISA * 0,
}


def sums_by_store(stores: QuerySet[Store], category: Category | None = None) -> dict[int, dict]:
    """The figures of `inventory_summary` of each of `stores` (ids) that has anything; NOTHING are those of the others. Two queries."""
    summary = SUMMARY.replace("{sums}", OF_LEVELS if category else OF_STORES)
    found = asked_of_standing(stores, SINCE, summary, category)
    return {store: dict(zip(NOTHING, sums, strict=True)) for store, *sums in found if sums[0]}


def inventory_summary(stores: QuerySet[Store], category: Category | None = None) -> Report:
    """How each store stands now.

    Rows: store (code), products, low, out, negative, value_at_cost and value_at_price (rupees, see VALUED), in the
    order of codes, also for a store that has nothing. Three queries.
    """
    found = sums_by_store(stores, category)
    known = stores.order_by("code").values_list("pk", "code")
    rows = [{"store": code, **found.get(pk, NOTHING)} for pk, code in known]
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
    value_at_price. One query.
    """
    rows, best = [], []
    for sku, name, name_ur, unit, on_hand, category_id, products, *values in asked_of_levels(
        stores, BY_CATEGORY_AND_BEST, category, top=top
    ):
        worth = dict(zip(("value_at_cost", "value_at_price"), values, strict=True))
        if category_id is None:
            best.append(
                {"sku": sku, "name": name, "name_ur": name_ur, "unit": unit, "on_hand": on_hand} | worth
            )
        else:
            named = {
                "category": name,
                "category_ur": name_ur,
                "category_id": category_id,
                "products": products,
            }
            rows.append(named | worth)
    return ValueReport(rows, totals_of(rows, products=0, value_at_cost=PAISA, value_at_price=PAISA), best)


def stock_value(stores: QuerySet[Store], category: Category | None = None) -> Report:
    """What the goods on the shelves are worth now, by category, and what selling them would leave.

    Rows: those of `inventory_value`, of one category and what nests in it where one is named, each with margin (value at
    price less value at cost, rupees). Two queries.
    """
    names = ("category", "category_ur", "category_id", "products", "value_at_cost", "value_at_price")
    found = asked_of_standing(stores, (*SINCE, EVERY), WORTH, category)
    rows = [dict(zip(names, row, strict=True)) for row in found]
    for row in rows:
        row["margin"] = row["value_at_price"] - row["value_at_cost"]
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


# Only what is shown is looked up.
SHORTEST = """, shown AS (
    SELECT d.store_id, d.product_id, d.urgency, s.code, p.sku, p.name, p.name_ur, p.unit,
           count(*) FILTER (WHERE urgency = 0) OVER () AS negative, count(*) FILTER (WHERE urgency = 1) OVER () AS out,
           count(*) FILTER (WHERE urgency = 2) OVER () AS low
    FROM standing AS d JOIN stores_store AS s ON s.id = d.store_id JOIN catalog_product AS p ON p.id = d.product_id
    ORDER BY urgency, p.name, p.sku, s.code LIMIT %(limit)s
)
SELECT code, sku, name, name_ur, unit, l.on_hand, l.reorder_point, l.target_level, urgency, negative, out, low
FROM shown CROSS JOIN LATERAL (
    SELECT * FROM inventory_stocklevel AS l WHERE l.store_id = shown.store_id AND l.product_id = shown.product_id OFFSET 0
) AS l
ORDER BY urgency, name, sku, code
"""


def low_stock(
    stores: QuerySet[Store],
    category: Category | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> Report:
    """What is below zero, out, or at or below its reorder point now, the most urgent first.

    Rows: store (code), sku, name, name_ur, unit, on_hand, reorder_point, target_level, state ("negative", "out" or
    "low"); at most `limit` (None: all). Totals: items, negative, out, low, of all that is short, also of what `limit`
    leaves out. `state` narrows to one of the three. Two queries.
    """
    given = {"urgency": SHORT.index(state) if state else None, "limit": limit}
    ctes = (
        NOW.format(last_sold=""),
        ALL.replace("{columns}", "store_id, product_id, urgency").replace(
            "{kept}",
            "AND urgency IS NOT NULL AND (%(urgency)s::int IS NULL OR urgency = %(urgency)s)",
        ),
    )
    found = asked_of_standing(stores, ctes, SHORTEST, category, **given)
    names = ("store", "sku", "name", "name_ur", "unit", "on_hand", "reorder_point", "target_level", "state")
    rows = [dict(zip(names, row, strict=False)) for row in found]
    for row in rows:
        row["state"] = SHORT[row["state"]].value
    counts = found[0][-len(SHORT) :] if found else (0,) * len(SHORT)
    totals = {name.value: count for name, count in zip(SHORT, counts, strict=True)}
    return Report(rows, {"items": sum(totals.values())} | totals)


def short_counts(stores: QuerySet[Store], category: Category | None = None) -> dict:
    """The totals of `low_stock`, without its rows. One query."""
    counts = levels_of(stores, category).filter(SHORT_LEVELS).aggregate(**count_states())
    return {"items": sum(counts.values()), **counts}


# Dead is what has no sale that stands behind %(since)s. If the question is about every store that is counted, the most valuable
# are found in the order of their index, as many as are shown and those of equal value; NOT IN keeps the planner from a join,
# which would lose that order. Of other stores, all their levels are looked at.
IS_DEAD = "stocked AND (last_sold IS NULL OR last_sold <= %(since)s)"
OF_EVERY = f"reports_standing WHERE (SELECT yes FROM every) AND {IS_DEAD} {{within}}"  # noqa: S608
OF_MINE = f"""(
    SELECT * FROM reports_standing
    WHERE NOT (SELECT yes FROM every) AND store_id IN (SELECT id FROM mine) AND {IS_DEAD} {{within}} OFFSET 0
) AS of_mine WHERE true"""  # noqa: S608
BEST = """
AND (store_id, product_id) NOT IN (SELECT store_id, product_id FROM touched)
ORDER BY value_at_cost DESC FETCH FIRST (coalesce(%(limit)s, 9223372036854775807)) ROWS WITH TIES
"""
DEAD = f"""
, most AS (
    (SELECT store_id, product_id, value_at_cost, last_sold FROM {OF_EVERY} {BEST})
    UNION ALL (SELECT store_id, product_id, value_at_cost, last_sold FROM {OF_MINE} {BEST})
    UNION ALL SELECT store_id, product_id, value_at_cost, last_sold FROM now WHERE {IS_DEAD}
), shown AS (
    SELECT d.*, s.code, p.sku, p.name, p.name_ur, p.unit
    FROM most AS d JOIN stores_store AS s ON s.id = d.store_id JOIN catalog_product AS p ON p.id = d.product_id
    ORDER BY value_at_cost DESC, p.sku, s.code LIMIT %(limit)s
), totals AS (
    SELECT sum(items)::bigint AS items, sum(worth) AS worth FROM (
        SELECT count(*) AS items, coalesce(sum(value_at_cost), 0) AS worth FROM {OF_EVERY}
        UNION ALL SELECT count(*), coalesce(sum(value_at_cost), 0) FROM {OF_MINE}
        UNION ALL SELECT -count(*), -coalesce(sum(value_at_cost), 0) FROM before WHERE {IS_DEAD}
        UNION ALL SELECT count(*), coalesce(sum(value_at_cost), 0) FROM now WHERE {IS_DEAD}
    ) AS parts
)
SELECT code, sku, name, name_ur, unit, l.on_hand, value_at_cost, last_sold, items, worth
FROM shown CROSS JOIN LATERAL (
    SELECT on_hand FROM inventory_stocklevel AS l
    WHERE l.store_id = shown.store_id AND l.product_id = shown.product_id OFFSET 0
) AS l
CROSS JOIN totals
ORDER BY value_at_cost DESC, sku, code
"""  # noqa: S608 - made of constants


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
    ctes = (
        # Its last sale is looked for once for each of them.
        NOW.format(last_sold=LAST_SOLD).replace("now AS (", "now AS MATERIALIZED (", 1),
        THEN,
        EVERY,
    )
    since = today - timedelta(days=days)
    found = asked_of_standing(stores, ctes, DEAD, category, since=since, limit=limit)
    names = ("store", "sku", "name", "name_ur", "unit", "on_hand", "value_at_cost", "last_sold")
    rows = [dict(zip(names, row, strict=False)) for row in found]
    for row in rows:
        row["days"] = (today - row["last_sold"]).days if row["last_sold"] else None
    items, worth = found[0][-2:] if found else (0, Decimal(0))
    return Report(rows, {"items": items, "value_at_cost": worth.quantize(PAISA)})
