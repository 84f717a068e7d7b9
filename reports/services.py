"""What keeps the reports' own table right."""

from collections.abc import Iterator

from django.db import connection, transaction

from inventory.models import StockLevel
from stores.models import Store

CHUNK = 200  # products whose levels are held at once
# Every column of DailyStock for one store, worked out from the ledger alone: another road to what the trigger writes
# (sql/daily_stock.sql). The optional %(products)s narrows it.
DAILY = """
WITH day AS (
    SELECT product_id, business_date, sum(quantity) AS moved,
           coalesce(sum(quantity) FILTER (WHERE kind IN ('opening', 'receipt')), 0) AS received,
           coalesce(-sum(quantity) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS sold,
           coalesce(sum(line_total) FILTER (WHERE quantity < 0), 0) - coalesce(sum(line_total) FILTER (WHERE quantity > 0), 0)
               AS revenue,
           coalesce(-sum(round(quantity * unit_cost, 4)) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS cost,
           count(*) FILTER (WHERE kind = 'sale' AND reverses_id IS NULL AND line_no = 1)
               - count(*) FILTER (WHERE kind = 'sale' AND reverses_id IS NOT NULL AND line_no = 1) AS documents,
           count(*) FILTER (WHERE kind = 'sale' AND reverses_id IS NULL)
               - count(*) FILTER (WHERE kind = 'sale' AND reverses_id IS NOT NULL) AS lines
    FROM inventory_movement
    WHERE store_id = %(store)s AND (%(products)s::bigint[] IS NULL OR product_id = ANY(%(products)s))
    GROUP BY product_id, business_date
)
SELECT product_id, business_date, sum(moved) OVER upto - moved AS opening, received, sold, moved - received + sold AS other,
       sum(moved) OVER upto AS closing, revenue, cost, documents, lines
FROM day WINDOW upto AS (PARTITION BY product_id ORDER BY business_date)
"""
COLUMNS = "opening, received, sold, other, closing, revenue, cost, documents, lines"
REBUILD = f"""
WITH right_rows AS ({DAILY}), gone AS (
    DELETE FROM reports_dailystock AS d
    WHERE store_id = %(store)s AND product_id = ANY(%(products)s) AND NOT EXISTS (
        SELECT FROM right_rows AS r WHERE r.product_id = d.product_id AND r.business_date = d.business_date)
    RETURNING 1
), put AS (
    INSERT INTO reports_dailystock AS d (store_id, product_id, business_date, {COLUMNS})
    SELECT %(store)s, product_id, business_date, {COLUMNS} FROM right_rows
    ON CONFLICT (store_id, product_id, business_date) DO UPDATE
        SET ({COLUMNS}) = ROW ({", ".join(f"excluded.{name}" for name in COLUMNS.split(", "))})
        WHERE ({", ".join(f"d.{name}" for name in COLUMNS.split(", "))})
            IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in COLUMNS.split(", "))})
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put)
"""  # noqa: S608 - made of the constants above
# Days of products that have no level have no movement either: a level is never deleted while it has any.
ORPHANS = """
WITH gone AS (
    DELETE FROM reports_dailystock AS d WHERE store_id = %(store)s AND NOT EXISTS (
        SELECT FROM inventory_stocklevel AS l WHERE l.store_id = d.store_id AND l.product_id = d.product_id)
    RETURNING 1
)
SELECT count(*) FROM gone
"""


def rebuild_daily_stock(*, store: Store) -> Iterator[int]:
    """Makes the DailyStock of `store` equal to what its ledger says, some products in each transaction.

    Yields how many rows were wrong each time. Selling goes on meanwhile: a sale of the products at hand waits for the
    transaction, because posting writes the level first and the day after it, and the levels are held here, taken in the
    order in which a basket takes them (R2).
    """
    products = list(
        StockLevel.objects.filter(store=store).order_by("product").values_list("product", flat=True)
    )
    for start in range(0, len(products), CHUNK):
        chunk = products[start : start + CHUNK]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM inventory_stocklevel WHERE store_id = %(store)s AND product_id = ANY(%(products)s) "
                "ORDER BY product_id FOR UPDATE",
                {"store": store.pk, "products": chunk},
            )
            # A statement of its own: its snapshot sees what those had committed that we waited for.
            cursor.execute(REBUILD, {"store": store.pk, "products": chunk})
            yield cursor.fetchone()[0]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ORPHANS, {"store": store.pk})
        yield cursor.fetchone()[0]
