"""What keeps the reports' own tables right."""

import logging
import time
from collections.abc import Iterator
from datetime import date

from django.db import connection, transaction

from inventory.models import StockLevel
from reports.models import ClosedDays
from reports.queries.standing import DELTA, LAST_SOLD, MARK, MARKS, NOW, THEN, TOUCHED
from stores.models import Store

log = logging.getLogger(__name__)

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


# -- Days that are over ------------------------------------------------------------------------------------------------
TOGETHER = 20  # stores that are summed up in one transaction
SPAN = 31  # days of each of them
PATIENCE = 60.0  # seconds that are waited for postings that were running when the clock was read
FIGURES = ("documents", "lines", "sold", "revenue", "cost")
SUMS = ", ".join(f"sum({name}) AS {name}" for name in FIGURES)


def close_days(*, patience: float = PATIENCE) -> int:
    """Sums up the days that are over (sql/closed_days.sql), and what came late to days that were; gives how many it moved.

    Afterwards reports read the sums; before, and while it runs, they read daily stock and are as right. Each transaction
    does some days of some stores: killed at any line, it goes on from there the next time, and of two at once one does
    nothing. When a posting that runs since before the days were over does not end within `patience` seconds, it is left to
    the next time.
    """
    begin_closing()
    with connection.cursor() as cursor:
        cursor.execute("SELECT reports_closable()")
        [target] = cursor.fetchone()
    # In this order: who writes to one of these days without looking at the lock began before the clock was read.
    if not outlasts("reports_writers", patience):
        return 0
    recount_categories()
    return sum(sum_up(target))


def recount_categories() -> int:
    """Counts the closed days of categories whose products were moved; gives of how many stores. Until then reports of them are
    slow and right.

    What it costs follows the past of all stores: at first it counts every category. Each store is a transaction of its own, so
    nobody who tells the feed waits for more than that; killed, it goes on from there the next time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT reports_note_categories()")
    stores, found = 0, True
    while found:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT reports_recount_store()")
            [found] = cursor.fetchone()
        stores += found
    return stores


def begin_closing() -> None:
    """Every store but the sandboxes has a row by which its days can be closed; committed before anybody is waited for."""
    missing = Store.objects.filter(sandbox=False).exclude(pk__in=ClosedDays.objects.values("pk"))
    for store in missing:
        ClosedDays.objects.bulk_create([ClosedDays(store=store)], ignore_conflicts=True)


def outlasts(writers: str, patience: float) -> bool:
    """Waits until all transactions have ended that the SQL function `writers` names now; False after `patience` seconds."""
    waited_for, until = running(writers), time.monotonic() + patience
    while waited_for := waited_for & running(writers):
        if time.monotonic() >= until:
            log.warning("Sums wait for a transaction that has been writing for %d seconds.", patience)
            return False
        time.sleep(0.1)
    return True


def running(writers: str) -> set[str]:
    """The transactions that the SQL function `writers` names."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {writers}()")
        return {row[0] for row in cursor.fetchall()}


def sum_up(target: date) -> Iterator[int]:
    """Closes the days of all stores up to `target`, which nobody writes to without the lock; yields what each step moved."""
    stores = list(ClosedDays.objects.order_by("store").values_list("store", flat=True))
    for start in range(0, len(stores), TOGETHER):
        moved = True
        while moved:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT reports_sum_up(%s, %s, %s)", [stores[start : start + TOGETHER], target, SPAN]
                )
                [moved] = cursor.fetchone()
            yield moved


# What the sums must be: daily stock of the closed days, less what is still noted as late.
STORE_DAYS = f"""
SELECT store_id, business_date, {SUMS} FROM (
    SELECT d.store_id, d.business_date, {", ".join(f"d.{name}" for name in FIGURES)}
    FROM reports_dailystock AS d JOIN reports_closeddays AS c ON c.store_id = d.store_id AND d.business_date <= c.upto
    WHERE d.store_id = %(store)s
    UNION ALL
    SELECT store_id, business_date, {", ".join(f"-{name}" for name in FIGURES)} FROM reports_latefigures WHERE store_id = %(store)s
) AS days GROUP BY store_id, business_date
"""  # noqa: S608 - made of the constants above
PRODUCT_DAYS = f"""
SELECT business_date, product_id, {SUMS} FROM (
    SELECT d.business_date, d.product_id, {", ".join(f"d.{name}" for name in FIGURES)}
    FROM reports_dailystock AS d JOIN reports_closeddays AS c ON c.store_id = d.store_id AND d.business_date <= c.upto
    UNION ALL
    SELECT business_date, product_id, {", ".join(f"-{name}" for name in FIGURES)} FROM reports_latefigures
) AS days GROUP BY business_date, product_id
"""  # noqa: S608

# By category from the ledger's lines; days that have late figures, and uncounted categories, are right when the job has counted them.
CATEGORY_DAYS = """
WITH line AS (
    SELECT n.category_id, m.business_date, m.document_id, m.kind, m.reverses_id IS NOT NULL AS void, m.quantity, m.line_total, m.unit_cost
    FROM inventory_movement AS m JOIN reports_categoryproduct AS n ON n.product_id = m.product_id
    JOIN reports_closeddays AS c ON c.store_id = m.store_id AND m.business_date <= c.upto AND n.category_id <> ALL(c.uncounted)
    WHERE m.store_id = %(store)s
)
SELECT %(store)s::bigint AS store_id, category_id, business_date,
       count(DISTINCT document_id) FILTER (WHERE kind = 'sale' AND NOT void)
           - count(DISTINCT document_id) FILTER (WHERE kind = 'sale' AND void) AS documents,
       count(*) FILTER (WHERE kind = 'sale' AND NOT void) - count(*) FILTER (WHERE kind = 'sale' AND void) AS lines,
       coalesce(-sum(quantity) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS sold,
       coalesce(sum(line_total) FILTER (WHERE quantity < 0), 0) - coalesce(sum(line_total) FILTER (WHERE quantity > 0), 0)
           AS revenue,
       coalesce(-sum(round(quantity * unit_cost, 4)) FILTER (WHERE kind IN ('sale', 'sale_return')), 0) AS cost
FROM line
WHERE business_date NOT IN (SELECT business_date FROM reports_latefigures WHERE store_id = %(store)s)
GROUP BY category_id, business_date
"""
READ = """store_id = %(store)s
    AND category_id NOT IN (SELECT unnest(uncounted) FROM reports_closeddays WHERE store_id = %(store)s)
    AND business_date NOT IN (SELECT business_date FROM reports_latefigures WHERE store_id = %(store)s)"""


def put_right(table: str, keys: tuple[str, str], right: str, within: str = "true") -> str:
    """The statement that makes the rows of `table` that are `within` equal to those of the query `right`."""
    same, names = " AND ".join(f"r.{key} = s.{key}" for key in keys), ", ".join(FIGURES)
    kept = ", ".join(f"s.{name}" for name in FIGURES)
    return f"""
    WITH right_rows AS ({right}), gone AS (
        DELETE FROM {table} AS s WHERE {within} AND NOT EXISTS (SELECT FROM right_rows AS r WHERE {same}) RETURNING 1
    ), put AS (
        INSERT INTO {table} AS s ({", ".join(keys)}, {names}) SELECT {", ".join(keys)}, {names} FROM right_rows
        ON CONFLICT ({", ".join(keys)}) DO UPDATE SET ({names}) = ROW ({", ".join(f"excluded.{name}" for name in FIGURES)})
            WHERE ({kept}) IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in FIGURES)})
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put)
    """  # noqa: S608


REBUILD_STORE_DAYS = put_right(
    "reports_storeday", ("store_id", "business_date"), STORE_DAYS, "s.store_id = %(store)s"
)
REBUILD_CATEGORY_DAYS = put_right(
    "reports_categoryday", ("store_id", "category_id", "business_date"), CATEGORY_DAYS, READ
)
REBUILD_PRODUCT_DAYS = put_right("reports_productday", ("business_date", "product_id"), PRODUCT_DAYS)


@transaction.atomic
def rebuild_sums(*, store: Store | None = None) -> int:
    """Makes the sums of the days of `store`, or of each product's days over all stores, equal to daily stock; gives how many were wrong.

    Selling goes on meanwhile, late facts too: only the job that sums up waits. Each kind of sum in one statement, so one snapshot.
    """
    of_store = (REBUILD_STORE_DAYS, REBUILD_CATEGORY_DAYS)
    wrong = 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reports_sum_up'))")
        for statement in of_store if store else (REBUILD_PRODUCT_DAYS,):
            cursor.execute(statement, {"store": store.pk} if store else None)
            wrong += cursor.fetchone()[0]
    return wrong


# -- How levels stand --------------------------------------------------------------------------------------------------
# All of them at one instant: prices that begin meanwhile are for the next time.
CHANGED = f"{TOUCHED}, {NOW.format(last_sold=LAST_SOLD)}, {THEN}, {DELTA}".replace("{within}", "").replace(
    "statement_timestamp()", "transaction_timestamp()"
)
# Stores that are counted: a store that was once stays counted, whatever becomes of it.
COUNTED = "SELECT id FROM stores_store WHERE NOT sandbox UNION SELECT store_id FROM reports_storestanding"
IN_USE = "p.status IN ('active', 'discontinued')"
RESTATE_PRODUCTS = f"""
WITH mine (id) AS MATERIALIZED ({COUNTED}), {CHANGED}
INSERT INTO reports_productstanding AS k (product_id, levels, value_at_cost, value_at_price, selling_price, in_use)
SELECT p.id, d.levels, d.value_at_cost, d.value_at_price, p.selling_price, {IN_USE}
FROM catalog_product AS p JOIN (
    SELECT product_id, sum(sign) AS levels, sum(value_at_cost) AS value_at_cost, sum(value_at_price) AS value_at_price
    FROM delta GROUP BY product_id
) AS d ON d.product_id = p.id
ON CONFLICT (product_id) DO UPDATE SET
    levels = k.levels + excluded.levels, value_at_cost = k.value_at_cost + excluded.value_at_cost,
    value_at_price = k.value_at_price + excluded.value_at_price
"""  # noqa: S608 - made of constants, as those below
# The levels of a store that is new to it are all looked at.
RESTATE_STORE = f"""
WITH mine (id) AS MATERIALIZED (SELECT %(store)s::bigint), {CHANGED}, put AS (
    INSERT INTO reports_standing AS k (store_id, product_id, stocked, urgency, value_at_cost, value_at_price, last_sold)
    SELECT store_id, product_id, stocked, urgency, value_at_cost, value_at_price, last_sold FROM now
    ON CONFLICT (store_id, product_id) DO UPDATE SET (stocked, urgency, value_at_cost, value_at_price, last_sold)
        = ROW (excluded.stocked, excluded.urgency, excluded.value_at_cost, excluded.value_at_price, excluded.last_sold)
        WHERE (k.stocked, k.urgency, k.value_at_cost, k.value_at_price, k.last_sold) IS DISTINCT FROM
            (excluded.stocked, excluded.urgency, excluded.value_at_cost, excluded.value_at_price, excluded.last_sold)
), gone AS (
    DELETE FROM reports_standing AS k USING touched
    WHERE k.store_id = %(store)s AND k.product_id = touched.product_id AND NOT EXISTS (
        SELECT FROM now WHERE now.product_id = k.product_id)
), sums AS (
    INSERT INTO reports_storestanding AS k (store_id, products, low, out, negative, value_at_cost, value_at_price)
    SELECT %(store)s, coalesce(sum(sign), 0), coalesce(sum(sign) FILTER (WHERE urgency = 2), 0),
           coalesce(sum(sign) FILTER (WHERE urgency = 1), 0), coalesce(sum(sign) FILTER (WHERE urgency = 0), 0),
           coalesce(sum(value_at_cost), 0), coalesce(sum(value_at_price), 0)
    FROM delta
    ON CONFLICT (store_id) DO UPDATE SET
        products = k.products + excluded.products, low = k.low + excluded.low, out = k.out + excluded.out,
        negative = k.negative + excluded.negative, value_at_cost = k.value_at_cost + excluded.value_at_cost,
        value_at_price = k.value_at_price + excluded.value_at_price
)
SELECT count(*) FROM touched
"""  # noqa: S608
TO_RESTATE = f"""
WITH mine (id) AS MATERIALIZED ({COUNTED}), {TOUCHED.replace("{within}", "")}
SELECT store_id FROM touched UNION SELECT id FROM mine WHERE id NOT IN (SELECT store_id FROM reports_storestanding) ORDER BY 1
"""  # noqa: S608
PRICED_WITH = f"""
INSERT INTO reports_productstanding AS k (product_id, levels, value_at_cost, value_at_price, selling_price, in_use)
SELECT p.id, 0, 0, 0, p.selling_price, {IN_USE}
FROM catalog_product AS p LEFT JOIN reports_productstanding AS old ON old.product_id = p.id
WHERE (p.selling_price, {IN_USE}) IS DISTINCT FROM (old.selling_price, old.in_use)
ON CONFLICT (product_id) DO UPDATE SET selling_price = excluded.selling_price, in_use = excluded.in_use
"""  # noqa: S608
MARKED = """
INSERT INTO reports_standingmark (id, movement, level, priced_at)
VALUES (1, %(new_movement)s, %(new_level)s, transaction_timestamp())
ON CONFLICT (id) DO UPDATE SET movement = excluded.movement, level = excluded.level, priced_at = excluded.priced_at
"""


def restate(*, patience: float = PATIENCE) -> int:
    """Brings Standing and its sums up to date (sql/standing.sql); gives how many levels it looked at.

    Its cost follows what was posted since the last time, the first time the number of levels. Reports are right before,
    meanwhile and after; they are quick when it was here not long ago. Killed, it has done nothing; of two at once one does
    nothing. When a posting that runs already does not end within `patience` seconds, it is left to the next time.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT movement, level FROM reports_numbers_given()")
        movement, level = cursor.fetchone()
    # In this order: whoever was given one of these numbers has ended when the snapshot is taken.
    return count_standing(movement, level) if outlasts("reports_movers", patience) else 0


def count_standing(movement: int, level: int) -> int:
    """Counts everything that was changed since the mark, and sets it to these numbers, up to which all is committed."""
    with connection.cursor() as cursor:
        # Of the session, and taken before the snapshot: that must see what the one before had committed.
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('reports_restate'))")
        if not cursor.fetchone()[0]:
            return 0
        try:
            return count_in_one_snapshot(movement, level)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('reports_restate'))")


def count_in_one_snapshot(movement: int, level: int) -> int:
    """All steps look at the same instant: what one of them counts, every other does."""
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return count_with(cursor, movement, level)


def count_with(cursor, movement: int, level: int) -> int:
    """The steps of `count_standing`; each statement writes to one store."""
    cursor.execute(MARK)
    given = dict(zip(MARKS, cursor.fetchone(), strict=True))
    given |= {"new_movement": movement, "new_level": level}
    cursor.execute(TO_RESTATE, given)
    stores, looked_at = [row[0] for row in cursor.fetchall()], 0
    cursor.execute(RESTATE_PRODUCTS, given)
    for store in stores:
        cursor.execute(RESTATE_STORE, given | {"store": store})
        looked_at += cursor.fetchone()[0]
    cursor.execute(PRICED_WITH)
    cursor.execute("SELECT DISTINCT store_id FROM reports_restated")
    for store in [row[0] for row in cursor.fetchall()]:
        cursor.execute("DELETE FROM reports_restated WHERE store_id = %s", [store])
    cursor.execute(MARKED, given)
    return looked_at


@transaction.atomic
def forget_standing() -> None:
    """Makes the job count every level anew. Until it was here, reports are slow and right."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reports_restate'))")
        cursor.execute(
            "TRUNCATE reports_standing, reports_storestanding, reports_productstanding, reports_standingmark"
        )
