"""How levels stand: from the sums of Standing where they can tell, and from the levels that have changed since."""

from django.db import connections
from django.db.models import QuerySet

from catalog.models import Category
from reports.queries.answers import SUBTREE
from reports.queries.days import named
from stores.models import Store

# Without a mark every level of every store is looked at, whoever sets one meanwhile.
MARK = """
SELECT count(*) > 0, coalesce(max(movement), 9223372036854775807), coalesce(max(level), 9223372036854775807),
       coalesce(max(priced_at), now())
FROM reports_standingmark
"""
MARKS = ("marked", "movement", "level", "priced_at")
# The levels of `mine` that may count for something else than their Standing says; see sql/standing.sql why these are enough.
# A mark that is older than the sums only makes it longer. OFFSET 0 has them looked up by their keys: they are few, which the
# planner cannot know.
TOUCHED = """
touched AS MATERIALIZED (
    SELECT store_id, product_id FROM (
        SELECT mine.id AS store_id, l.product_id FROM mine
        CROSS JOIN LATERAL (SELECT product_id FROM inventory_stocklevel WHERE store_id = mine.id OFFSET 0) AS l
        WHERE NOT %(marked)s OR NOT EXISTS (SELECT FROM reports_storestanding AS k WHERE k.store_id = mine.id)
        UNION ALL SELECT store_id, product_id FROM inventory_movement WHERE id > %(movement)s
        UNION ALL SELECT store_id, product_id FROM inventory_stocklevel WHERE id > %(level)s
        UNION ALL SELECT store_id, product_id FROM reports_restated
        UNION ALL SELECT store_id, product_id FROM catalog_storeprice
            WHERE effective_from > least(%(priced_at)s, statement_timestamp())
        UNION ALL SELECT l.store_id, p.id FROM (
                SELECT p.id FROM catalog_product AS p LEFT JOIN reports_productstanding AS k ON k.product_id = p.id
                WHERE (p.selling_price, p.status IN ('active', 'discontinued')) IS DISTINCT FROM (k.selling_price, k.in_use)
                OFFSET 0
            ) AS p CROSS JOIN LATERAL (SELECT store_id FROM inventory_stocklevel WHERE product_id = p.id OFFSET 0) AS l
    ) AS changed
    WHERE store_id IN (SELECT id FROM mine) {within} GROUP BY 1, 2
)"""
# Each of them as it stands now. The values are those of levels.VALUED.
NOW = """
own_price AS (
    SELECT DISTINCT ON (store_id, product_id) store_id, product_id, price FROM catalog_storeprice
    WHERE (store_id, product_id) IN (SELECT store_id, product_id FROM touched) AND effective_from <= statement_timestamp()
    ORDER BY store_id, product_id, effective_from DESC, id DESC
), now AS (
    SELECT l.store_id, l.product_id, l.on_hand > 0 AS stocked,
           CASE WHEN l.on_hand < 0 THEN 0 WHEN l.on_hand = 0 THEN 1 WHEN l.listed AND l.on_hand <= l.reorder_point THEN 2 END AS urgency,
           round(l.on_hand * l.average_cost, 2) AS value_at_cost,
           round(l.on_hand * coalesce(o.price, p.selling_price), 2) AS value_at_price {last_sold}
    FROM touched
    CROSS JOIN LATERAL (
        SELECT * FROM inventory_stocklevel AS l
        WHERE l.store_id = touched.store_id AND l.product_id = touched.product_id OFFSET 0
    ) AS l
    JOIN catalog_product AS p ON p.id = l.product_id
    LEFT JOIN own_price AS o ON o.store_id = l.store_id AND o.product_id = l.product_id
    WHERE l.on_hand <> 0 OR (l.listed AND p.status IN ('active', 'discontinued'))
)"""
# The newest business date of a sale that stands, from the youngest day backwards, in the ledger's lines of that day: a day's net
# figure cannot tell a sale that was voided later from one that stands.
LAST_SOLD = """, (
    SELECT d.business_date FROM reports_dailystock AS d
    WHERE d.store_id = l.store_id AND d.product_id = l.product_id AND EXISTS (
        SELECT FROM inventory_movement AS m
        WHERE m.store_id = d.store_id AND m.business_date = d.business_date AND m.product_id = d.product_id
          AND m.kind = 'sale' AND m.reverses_id IS NULL
          AND NOT EXISTS (SELECT FROM inventory_movement AS r WHERE r.store_id = m.store_id AND r.reverses_id = m.id))
    ORDER BY d.business_date DESC LIMIT 1
) AS last_sold"""
THEN = """
before AS (
    SELECT k.* FROM touched
    CROSS JOIN LATERAL (
        SELECT * FROM reports_standing AS k WHERE k.store_id = touched.store_id AND k.product_id = touched.product_id OFFSET 0
    ) AS k
)"""
# What was added since to the sums, by level: plus what it counts for now, minus what it counted for.
DELTA = """
delta AS (
    SELECT 1 AS sign, store_id, product_id, urgency, value_at_cost, value_at_price FROM now
    UNION ALL SELECT -1, store_id, product_id, urgency, -value_at_cost, -value_at_price FROM before
)"""
# Every level of `mine` as it stands, for questions that look at each.
ALL = """
standing AS (
    SELECT {columns} FROM reports_standing AS k
    WHERE store_id IN (SELECT id FROM mine) {within} {kept}
      AND NOT EXISTS (SELECT FROM touched WHERE touched.store_id = k.store_id AND touched.product_id = k.product_id)
    UNION ALL SELECT {columns} FROM now WHERE true {kept}
)"""


def asked_of_standing(
    stores: QuerySet[Store], ctes: tuple[str, ...], question: str, category: Category | None, **given
) -> list[tuple]:
    """The rows of `question` about `stores`, with the CTEs that it needs, of one category and what nests in it.

    {within} in any of them stands for the condition on `product_id`. Two queries.
    """
    mine, own = named(stores)
    within = ""
    if category:
        within = f"AND product_id IN (SELECT id FROM catalog_product WHERE category_id IN {SUBTREE % '%(category)s'})"  # noqa: S608
        given["category"] = category.pk
    with connections[stores.db].cursor() as cursor:
        # Asked before: written into the statement, the planner knows how little lies behind it.
        cursor.execute(MARK)
        given |= own | dict(zip(MARKS, cursor.fetchone(), strict=True))
        text = ", ".join((mine, TOUCHED, *ctes)) + question
        cursor.execute(text.replace("{within}", within), given)
        return cursor.fetchall()
