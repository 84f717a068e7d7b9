"""The figures of days, added up: from the sums of closed days where they can tell, else from daily stock."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connections
from django.db.models import QuerySet

from catalog.models import Category
from reports.queries.answers import SUBTREE
from stores.models import Store


class Figures(NamedTuple):
    """Sales, sale lines, units sold, rupees taken, cost of what was sold; net of returns and voids.

    By product, a sale counts where its first line does; of a category, it counts once however many of its lines belong there.
    """

    documents: int = 0
    lines: int = 0
    sold: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)


NAMES = ", ".join(Figures._fields)
SUMS = """coalesce(sum(documents), 0)::bigint AS documents, coalesce(sum(lines), 0)::bigint AS lines,
    coalesce(sum(sold), 0) AS sold, coalesce(sum(revenue), 0) AS revenue, coalesce(sum(cost), 0) AS cost"""
# The daily stock of each store behind its closed days, which are those up to `closed`; one look-up in its index by store and
# date for each store. OFFSET keeps the planner from reading the daily stock of all stores to join them with the few.
OPEN_DAYS = f"""
SELECT d.store_id, d.product_id, d.business_date, {NAMES}
FROM mine LEFT JOIN reports_closeddays AS c ON c.store_id = mine.id
CROSS JOIN LATERAL (
    SELECT * FROM reports_dailystock
    WHERE store_id = mine.id AND business_date BETWEEN greatest(%(start)s::date, {{closed}} + 1) AND %(end)s {{within}} OFFSET 0
) AS d
"""  # noqa: S608 - made of the constants above
LATE = f"""
SELECT store_id, product_id, business_date, {NAMES} FROM reports_latefigures
WHERE store_id IN (SELECT id FROM mine) AND business_date BETWEEN %(start)s AND %(end)s {{within}}
"""  # noqa: S608
# By store and by day: the sums of each store.
OF_STORES = f"""
SELECT store_id, NULL::bigint AS product_id, business_date, {NAMES}
FROM mine CROSS JOIN LATERAL (
    SELECT * FROM reports_storeday WHERE store_id = mine.id AND business_date BETWEEN %(start)s AND %(end)s OFFSET 0
) AS s
UNION ALL {LATE.format(within="")}
UNION ALL {OPEN_DAYS.format(closed="coalesce(c.upto, '0001-01-01')", within="")}
"""  # noqa: S608
# By product: the sums of each product, if the question is about every store that is in them.
OF_PRODUCTS = f"""
SELECT NULL::bigint AS store_id, product_id, business_date, {NAMES} FROM reports_productday
WHERE (SELECT yes FROM every) AND business_date BETWEEN %(start)s AND %(end)s {{within}}
UNION ALL SELECT * FROM ({LATE}) AS late WHERE (SELECT yes FROM every)
UNION ALL {OPEN_DAYS.format(closed="CASE WHEN (SELECT yes FROM every) THEN coalesce(c.upto, '0001-01-01') ELSE '0001-01-01' END", within="{within}")}
"""  # noqa: S608
# Of a category, by store and by day: the sums of each store, if they were made of the products that are in it now. How many
# sales it was in cannot be added up from products, so open days and those that have late figures are counted in the ledger.
OF_CATEGORY = f"""
SELECT mine.id AS store_id, NULL::bigint AS product_id, k.business_date, {NAMES}
FROM mine CROSS JOIN LATERAL (
    SELECT * FROM reports_categoryday
    WHERE (SELECT yes FROM counted) AND store_id = mine.id AND category_id = %(category)s
      AND business_date BETWEEN %(start)s AND %(end)s OFFSET 0
) AS k
WHERE mine.id NOT IN (SELECT store_id FROM reports_closeddays WHERE %(category)s = ANY(uncounted))
  AND NOT EXISTS (SELECT FROM late WHERE late.store_id = mine.id AND late.business_date = k.business_date)
UNION ALL
SELECT afresh.store_id, NULL, d.business_date, 0, d.lines, d.sold, d.revenue, d.cost
FROM afresh CROSS JOIN LATERAL (
    SELECT * FROM reports_dailystock
    WHERE store_id = afresh.store_id AND business_date BETWEEN first_day AND last_day AND product_id IN (SELECT id FROM goods) OFFSET 0
) AS d
UNION ALL
SELECT store_id, NULL, business_date, count(*) FILTER (WHERE NOT void) - count(*) FILTER (WHERE void), 0, 0, 0, 0
FROM (
    SELECT DISTINCT afresh.store_id, m.business_date, m.document_id, m.reverses_id IS NOT NULL AS void
    FROM afresh CROSS JOIN LATERAL (
        SELECT * FROM inventory_movement
        WHERE store_id = afresh.store_id AND business_date BETWEEN first_day AND last_day AND kind = 'sale'
          AND product_id IN (SELECT id FROM goods) OFFSET 0
    ) AS m
) AS basket GROUP BY store_id, business_date
"""  # noqa: S608
MINE = "WITH mine (id) AS MATERIALIZED ({stores})"
EVERY = """, every AS MATERIALIZED (
    SELECT NOT EXISTS (SELECT FROM reports_closeddays WHERE store_id NOT IN (SELECT id FROM mine)) AS yes
)"""
COUNTED = f""", goods AS MATERIALIZED (
    SELECT id FROM catalog_product WHERE category_id IN {SUBTREE % "%(category)s"}
), held AS MATERIALIZED (
    SELECT product_id AS id FROM reports_categoryproduct WHERE category_id = %(category)s
), counted AS MATERIALIZED (
    -- Products that are in no category there have no day that is closed.
    SELECT EXISTS (SELECT FROM held) AND NOT EXISTS (SELECT FROM held WHERE id NOT IN (SELECT id FROM goods)) AND NOT EXISTS (
        SELECT FROM goods WHERE id NOT IN (SELECT id FROM held) AND id IN (SELECT product_id FROM reports_categoryproduct)) AS yes
), late AS MATERIALIZED (
    SELECT DISTINCT store_id, business_date FROM reports_latefigures
    WHERE store_id IN (SELECT id FROM mine) AND business_date BETWEEN %(start)s AND %(end)s
), afresh AS MATERIALIZED (
    SELECT mine.id AS store_id, greatest(%(start)s::date, coalesce(c.upto, '0001-01-01') + 1) AS first_day, %(end)s::date AS last_day
    FROM mine LEFT JOIN (
        SELECT * FROM reports_closeddays WHERE (SELECT yes FROM counted) AND %(category)s <> ALL(uncounted)
    ) AS c ON c.store_id = mine.id
    UNION ALL SELECT late.store_id, business_date, business_date
    FROM late JOIN reports_closeddays AS c ON c.store_id = late.store_id
    WHERE (SELECT yes FROM counted) AND %(category)s <> ALL(uncounted)
)"""  # noqa: S608


def named(stores: QuerySet[Store]) -> tuple[str, dict]:
    """The CTE `mine` with the ids of `stores`, and its parameters."""
    mine, own = stores.order_by().values("pk").query.sql_with_params()
    given = {f"own{place}": value for place, value in enumerate(own)}
    return MINE.format(stores=mine % tuple(f"%({name})s" for name in given)), given


def summed(
    stores: QuerySet[Store], start: date, end: date, category: Category | None, by: str | None
) -> tuple[str, str, dict]:
    """(what goes before a query, a query of the sums by `by`, its parameters); see `figures`.

    One statement must hold it all: in one snapshot, what a posting or the job moves is in one place alone.
    """
    before, given = named(stores)
    given |= {"start": start, "end": end}
    days = OF_STORES
    if category and by != "product_id":
        before, days = before + COUNTED, OF_CATEGORY
        given["category"] = category.pk
    elif by == "product_id":
        within = ""
        if category:
            within = f"AND product_id IN (SELECT id FROM catalog_product WHERE category_id IN {SUBTREE % '%(category)s'})"  # noqa: S608
            given["category"] = category.pk
        before, days = before + EVERY, OF_PRODUCTS.format(within=within)
    key = by or "1"
    return before, f"SELECT {key} AS key, {SUMS} FROM ({days}) AS days GROUP BY {key if by else '()'}", given  # noqa: S608


def figures(
    stores: QuerySet[Store], start: date, end: date, category: Category | None = None, by: str | None = None
) -> dict:
    """The figures of a period in `stores`, of one category and what nests in it: by "store_id", "product_id" or "business_date".

    Gives Figures by key, in no order; without `by`, under the key None. What there was no trade of is left out. One query.
    """
    before, query, given = summed(stores, start, end, category, by)
    with connections[stores.db].cursor() as cursor:
        cursor.execute(before + query, given)
        return {key if by else None: Figures(*found) for key, *found in cursor.fetchall()}
