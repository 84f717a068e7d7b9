from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from reports.queries.standing import MARK, MARKS, TOUCHED
from reports.services import CATEGORY_DAYS, DAILY, FIGURES, PRODUCT_DAYS, READ, STORE_DAYS
from stores.management import in_processes
from stores.models import Store

# Each question gives the first row of one store that breaks a rule, as (product or nothing, document or nothing, seq or
# nothing, what is wrong). What is expected is worked out here from DOMAIN.md, not with the functions that posted it.
LEDGER = """
WITH line AS (
    SELECT m.*, row_number() OVER one AS place,
           lag(balance_after, 1, 0::numeric) OVER one AS before, lag(average_cost_after) OVER one AS average,
           max(business_date) OVER (PARTITION BY product_id ORDER BY seq, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest,
           -sum(quantity) FILTER (WHERE kind IN ('sale', 'sale_return')) OVER one AS sold
    FROM inventory_movement AS m WHERE store_id = %(store)s
    WINDOW one AS (PARTITION BY product_id ORDER BY seq, id)
), told AS (
    SELECT *, kind IN ('sale', 'wastage', 'own_use', 'supplier_return', 'adjustment') AND reverses_id IS NULL AS at_average,
           CASE WHEN place = 1 THEN 0 ELSE average END AS had
    FROM line
), worth AS (
    SELECT *, CASE
        WHEN at_average AND place = 1 THEN unit_cost  -- nothing was known yet: the product's usual cost of that day
        WHEN at_average THEN had
        WHEN quantity > 0 AND before <= 0 THEN unit_cost
        WHEN before + quantity <= 0 THEN had
        WHEN before * had + quantity * unit_cost < 0 THEN had
        ELSE round((before * had + quantity * unit_cost) / (before + quantity), 4)
    END AS average_expected
    FROM told
)
SELECT product_id, document_id, seq, CASE
    WHEN NOT (quantity < 'NaN' AND balance_after < 'NaN' AND unit_cost < 'NaN' AND average_cost_after < 'NaN')
        THEN 'a number is NaN or infinite'
    WHEN seq <> place THEN format('seq is %%s, expected %%s', seq, place)
    WHEN balance_after <> before + quantity THEN format('balance_after is %%s, expected %%s', balance_after, before + quantity)
    WHEN kind NOT IN ('opening', 'receipt', 'sale', 'sale_return', 'adjustment', 'wastage', 'own_use', 'supplier_return') THEN format('the kind %%s is unknown', kind)
    WHEN quantity = 0 OR kind <> 'adjustment' AND (quantity > 0) <> ((kind IN ('opening', 'receipt', 'sale_return')) = (reverses_id IS NULL))
        THEN format('a quantity of %%s does not fit the kind %%s', quantity, kind)
    WHEN (kind IN ('sale', 'sale_return')) <> (unit_price IS NOT NULL AND line_total IS NOT NULL) OR line_total < 0 OR unit_price < 0
        THEN format('price %%s and total %%s do not fit the kind %%s', unit_price, line_total, kind)
    WHEN average_cost_after <> average_expected THEN format('average_cost_after is %%s, expected %%s', average_cost_after, average_expected)
    WHEN at_average AND unit_cost <> average_cost_after THEN format('unit_cost is %%s, expected the average %%s', unit_cost, average_cost_after)
    WHEN unit_cost < 0 OR average_cost_after < 0 THEN 'a cost is below zero'
    WHEN quantity < 0 AND balance_after < 0 AND NOT (kind = 'sale' AND reverses_id IS NULL)
        THEN format('leaves %%s on hand, which only a sale may', balance_after)
    WHEN kind = 'sale_return' AND reverses_id IS NULL AND returns_id IS NULL AND sold < 0 THEN 'more came back than had been sold'
    WHEN late <> coalesce(newest > business_date, false) THEN format('late is %%s, but the newest day before is %%s', late, newest)
END
FROM worth
WHERE seq <> place OR balance_after <> before + quantity OR average_cost_after <> average_expected
   OR NOT (quantity < 'NaN' AND balance_after < 'NaN' AND unit_cost < 'NaN' AND average_cost_after < 'NaN')
   OR kind NOT IN ('opening', 'receipt', 'sale', 'sale_return', 'adjustment', 'wastage', 'own_use', 'supplier_return') OR quantity = 0
   OR kind <> 'adjustment' AND (quantity > 0) <> ((kind IN ('opening', 'receipt', 'sale_return')) = (reverses_id IS NULL))
   OR (kind IN ('sale', 'sale_return')) <> (unit_price IS NOT NULL AND line_total IS NOT NULL) OR line_total < 0 OR unit_price < 0
   OR at_average AND unit_cost <> average_cost_after OR unit_cost < 0 OR average_cost_after < 0
   OR quantity < 0 AND balance_after < 0 AND NOT (kind = 'sale' AND reverses_id IS NULL)
   OR kind = 'sale_return' AND reverses_id IS NULL AND returns_id IS NULL AND sold < 0
   OR late <> coalesce(newest > business_date, false)
ORDER BY product_id, place LIMIT 1
"""

LEVELS = """
WITH last AS (
    SELECT product_id, count(*) AS lines, sum(quantity) AS total, max(business_date) AS newest,
           (array_agg(balance_after ORDER BY seq DESC))[1] AS balance, (array_agg(average_cost_after ORDER BY seq DESC))[1] AS average
    FROM inventory_movement WHERE store_id = %(store)s GROUP BY product_id
)
SELECT product_id, NULL, NULL, CASE
    WHEN l.store_id IS NULL THEN format('has %%s movements but no level', lines)
    WHEN l.on_hand IS DISTINCT FROM coalesce(total, 0) THEN format('on_hand is %%s, expected %%s, the sum of the movements', l.on_hand, coalesce(total, 0))
    WHEN l.on_hand IS DISTINCT FROM coalesce(balance, 0) THEN format('on_hand is %%s, expected the last balance_after %%s', l.on_hand, balance)
    WHEN l.seq IS DISTINCT FROM coalesce(lines, 0) THEN format('the level counts %%s movements, expected %%s', l.seq, coalesce(lines, 0))
    WHEN l.average_cost IS DISTINCT FROM coalesce(average, 0) THEN format('average_cost is %%s, expected %%s', l.average_cost, coalesce(average, 0))
    WHEN l.last_business_date IS DISTINCT FROM newest THEN format('last_business_date is %%s, expected %%s', l.last_business_date, newest)
    ELSE format('oversold_since is %%s with %%s on hand', l.oversold_since, l.on_hand)
END
FROM last FULL JOIN (SELECT * FROM inventory_stocklevel WHERE store_id = %(store)s) AS l USING (product_id)
WHERE l.store_id IS NULL OR l.on_hand IS DISTINCT FROM coalesce(total, 0) OR l.on_hand IS DISTINCT FROM coalesce(balance, 0)
   OR l.seq IS DISTINCT FROM coalesce(lines, 0) OR l.average_cost IS DISTINCT FROM coalesce(average, 0)
   OR l.last_business_date IS DISTINCT FROM newest OR (l.on_hand < 0) <> (l.oversold_since IS NOT NULL)
ORDER BY product_id LIMIT 1
"""

DOCUMENTS = """
WITH body AS (
    SELECT document_id, count(*) AS lines, min(line_no) AS first, max(line_no) AS last, count(DISTINCT line_no) AS places,
           sum(line_total) AS total, count(reverses_id) AS reversing,
           min(kind) AS kind, max(kind) AS other_kind, min(occurred_at) AS occurred, max(occurred_at) AS other_occurred,
           min(recorded_at) AS recorded, max(recorded_at) AS other_recorded,
           min(business_date) AS day, max(business_date) AS other_day,
           min(reason_id) AS reason, max(reason_id) AS other_reason, count(reason_id) AS reasons
    FROM inventory_movement WHERE store_id = %(store)s GROUP BY document_id
)
SELECT NULL, coalesce(d.id, b.document_id), NULL, CASE
    WHEN d.id IS NULL THEN format('%%s movements belong to a document that is not there', b.lines)
    WHEN b.document_id IS NULL THEN 'has no movements'
    WHEN (d.line_count, 1, d.line_count, d.line_count) IS DISTINCT FROM (b.lines, b.first, b.last, b.places)
        THEN format('has %%s lines numbered %%s to %%s, expected 1 to %%s', b.lines, b.first, b.last, d.line_count)
    WHEN d.total IS DISTINCT FROM b.total THEN format('total is %%s, expected %%s', d.total, b.total)
    WHEN (d.kind, d.kind) IS DISTINCT FROM (b.kind, b.other_kind) THEN format('the kind is %%s, that of its movements %%s', d.kind, b.kind)
    WHEN (d.occurred_at, d.occurred_at, d.recorded_at, d.recorded_at) IS DISTINCT FROM (b.occurred, b.other_occurred, b.recorded, b.other_recorded)
        THEN 'its movements happened or were recorded at another time'
    WHEN (d.business_date, d.business_date) IS DISTINCT FROM (b.day, b.other_day)
        THEN format('business_date is %%s, that of its movements %%s', d.business_date, b.day)
    WHEN d.business_date <> (d.occurred_at AT TIME ZONE %(zone)s)::date
        THEN format('business_date is %%s, expected %%s in %%s', d.business_date, (d.occurred_at AT TIME ZONE %(zone)s)::date, %(zone)s)
    WHEN (d.reason_id, d.reason_id) IS DISTINCT FROM (b.reason, b.other_reason) THEN 'its movements have another reason'
    ELSE format('%%s of its %%s movements are reversals', b.reversing, b.lines)
END
FROM (SELECT * FROM inventory_document WHERE store_id = %(store)s) AS d FULL JOIN body AS b ON b.document_id = d.id
WHERE d.id IS NULL OR b.document_id IS NULL OR d.total IS DISTINCT FROM b.total
   OR (d.line_count, 1, d.line_count, d.line_count) IS DISTINCT FROM (b.lines, b.first, b.last, b.places)
   OR (d.kind, d.kind, d.occurred_at, d.occurred_at) IS DISTINCT FROM (b.kind, b.other_kind, b.occurred, b.other_occurred)
   OR (d.recorded_at, d.recorded_at, d.business_date, d.business_date) IS DISTINCT FROM (b.recorded, b.other_recorded, b.day, b.other_day)
   OR d.business_date <> (d.occurred_at AT TIME ZONE %(zone)s)::date
   OR (d.reason_id, d.reason_id) IS DISTINCT FROM (b.reason, b.other_reason)
   OR b.reasons <> CASE WHEN d.reason_id IS NULL THEN 0 ELSE b.lines END
   OR b.reversing <> CASE WHEN d.reverses_id IS NULL THEN 0 ELSE b.lines END
ORDER BY 2 LIMIT 1
"""

REFERENCES = """
SELECT NULL, max(id), NULL, format('the reference %%s stands for %%s documents', reference, count(*))
FROM inventory_document WHERE store_id = %(store)s GROUP BY reference HAVING count(*) > 1 OR reference = ''
ORDER BY 2 LIMIT 1
"""

VOIDS = """
WITH void AS (
    SELECT *, row_number() OVER (PARTITION BY reverses_id ORDER BY id) AS turn
    FROM inventory_document WHERE store_id = %(store)s AND reverses_id IS NOT NULL
)
SELECT NULL, v.id, NULL, CASE
    WHEN v.turn > 1 THEN format('voids document %%s a second time', v.reverses_id)
    WHEN d.id IS NULL THEN format('voids document %%s, which is not there', v.reverses_id)
    WHEN d.reverses_id IS NOT NULL THEN format('voids document %%s, which is a void itself', d.id)
    ELSE format('does not mirror document %%s', d.id)
END
FROM void AS v LEFT JOIN inventory_document AS d ON d.store_id = v.store_id AND d.id = v.reverses_id
WHERE v.turn > 1 OR d.id IS NULL OR d.reverses_id IS NOT NULL
   OR (v.kind, v.total, v.line_count, v.returns_id) IS DISTINCT FROM (d.kind, d.total, d.line_count, d.returns_id)
ORDER BY v.id LIMIT 1
"""

REVERSALS = """
WITH back AS (
    SELECT *, row_number() OVER (PARTITION BY reverses_id ORDER BY id) AS turn
    FROM inventory_movement WHERE store_id = %(store)s AND reverses_id IS NOT NULL
)
SELECT r.product_id, r.document_id, r.seq, CASE
    WHEN r.turn > 1 THEN format('reverses movement %%s a second time', r.reverses_id)
    WHEN m.id IS NULL THEN format('reverses movement %%s, which is not there', r.reverses_id)
    WHEN m.reverses_id IS NOT NULL THEN format('reverses movement %%s, which is a reversal itself', m.id)
    WHEN m.document_id IS DISTINCT FROM d.reverses_id THEN format('reverses a movement of document %%s, but its document voids %%s', m.document_id, d.reverses_id)
    WHEN r.seq <= m.seq THEN 'stands before what it reverses'
    ELSE format('is no mirror of movement %%s: quantity %%s for %%s, cost %%s for %%s', m.seq, r.quantity, m.quantity, r.unit_cost, m.unit_cost)
END
FROM back AS r
LEFT JOIN inventory_movement AS m ON m.store_id = r.store_id AND m.id = r.reverses_id
LEFT JOIN inventory_document AS d ON d.store_id = r.store_id AND d.id = r.document_id
WHERE r.turn > 1 OR m.id IS NULL OR m.reverses_id IS NOT NULL OR m.document_id IS DISTINCT FROM d.reverses_id OR r.seq <= m.seq
   OR (r.product_id, r.kind, r.quantity, r.unit_price, r.line_total, r.unit_cost, r.returns_id)
      IS DISTINCT FROM (m.product_id, m.kind, -m.quantity, m.unit_price, m.line_total, m.unit_cost, m.returns_id)
ORDER BY r.product_id, r.seq LIMIT 1
"""

RETURNS = """
WITH back AS (
    SELECT *, sum(quantity) OVER (PARTITION BY returns_id ORDER BY seq) AS returned
    FROM inventory_movement WHERE store_id = %(store)s AND returns_id IS NOT NULL
)
SELECT r.product_id, r.document_id, r.seq, CASE
    WHEN m.id IS NULL THEN format('returns movement %%s, which is not there', r.returns_id)
    WHEN r.kind <> 'sale_return' OR m.kind <> 'sale' OR m.reverses_id IS NOT NULL OR m.product_id <> r.product_id THEN 'returns what is not a sale of this product'
    WHEN r.returned > -m.quantity OR r.returned < 0 THEN format('%%s came back of %%s sold', r.returned, -m.quantity)
    WHEN v.id IS NOT NULL THEN 'returns a sale that was voided'
    ELSE format('came back at a cost of %%s, expected %%s', r.unit_cost, m.unit_cost)
END
FROM back AS r
LEFT JOIN inventory_movement AS m ON m.store_id = r.store_id AND m.id = r.returns_id
LEFT JOIN inventory_movement AS v ON v.store_id = r.store_id AND v.reverses_id = r.returns_id AND r.reverses_id IS NULL AND r.seq > v.seq
WHERE m.id IS NULL OR r.kind <> 'sale_return' OR m.kind <> 'sale' OR m.reverses_id IS NOT NULL OR m.product_id <> r.product_id
   OR r.returned > -m.quantity OR r.returned < 0 OR v.id IS NOT NULL OR r.unit_cost <> m.unit_cost
ORDER BY r.product_id, r.seq LIMIT 1
"""

# A return without its bill comes back at the cost of the newest sale before it.
UNBILLED = """
SELECT r.product_id, r.document_id, r.seq, format('came back at a cost of %%s, expected %%s', r.unit_cost, s.unit_cost)
FROM inventory_movement AS r LEFT JOIN LATERAL (
    SELECT unit_cost FROM inventory_movement AS m
    WHERE m.store_id = r.store_id AND m.product_id = r.product_id AND m.seq < r.seq AND m.kind = 'sale' AND m.reverses_id IS NULL
    ORDER BY seq DESC LIMIT 1
) AS s ON true
WHERE r.store_id = %(store)s AND r.kind = 'sale_return' AND r.returns_id IS NULL AND r.reverses_id IS NULL
  AND r.unit_cost IS DISTINCT FROM s.unit_cost
ORDER BY r.product_id, r.seq LIMIT 1
"""

COLUMNS = ("opening", "received", "sold", "other", "closing", "revenue", "cost", "documents", "lines")
DAYS = f"""
WITH expected AS ({DAILY})
SELECT product_id, NULL, NULL, CASE
    WHEN d.store_id IS NULL THEN format('the day %%s is missing in the daily stock', business_date)
    WHEN e.closing IS NULL THEN format('the day %%s has no movements but stands in the daily stock', business_date)
    ELSE format('the day %%s: ', business_date) || concat_ws(', ', {
    ", ".join(
        f"CASE WHEN d.{name} <> e.{name} THEN format('{name} is %%s, expected %%s', d.{name}, e.{name}) END"
        for name in COLUMNS
    )
})
END
FROM expected AS e
FULL JOIN (SELECT * FROM reports_dailystock WHERE store_id = %(store)s) AS d USING (product_id, business_date)
WHERE ({", ".join(f"d.{name}" for name in COLUMNS)}) IS DISTINCT FROM ({
    ", ".join(f"e.{name}" for name in COLUMNS)
})
ORDER BY product_id, business_date LIMIT 1
"""  # noqa: S608 - made of the constants above


def sums_differ(table: str, within: str, keys: tuple[str, str], right: str, product: str) -> str:
    """The question for the first row of `table` that is not what `right` gives; sums of nothing may be there or not."""
    told = ", ".join(
        f"CASE WHEN coalesce(s.{name}, 0) <> coalesce(e.{name}, 0) THEN "
        f"format('{name} is %%s, expected %%s', coalesce(s.{name}, 0), coalesce(e.{name}, 0)) END"
        for name in FIGURES
    )
    differ = " OR ".join(f"coalesce(s.{name}, 0) <> coalesce(e.{name}, 0)" for name in FIGURES)
    return f"""
    WITH expected AS ({right})
    SELECT {product}, NULL, NULL, format('the sums of the closed day %%s: ', business_date) || concat_ws(', ', {told})
    FROM expected AS e FULL JOIN (SELECT * FROM {table} WHERE {within}) AS s USING ({", ".join(keys)})
    WHERE {differ} ORDER BY business_date, {product} LIMIT 1
    """  # noqa: S608 - made of constants


STORE_SUMS = sums_differ(
    "reports_storeday", "store_id = %(store)s", ("store_id", "business_date"), STORE_DAYS, "NULL::bigint"
)
CATEGORY_SUMS = sums_differ(
    "reports_categoryday",
    READ,
    ("store_id", "category_id", "business_date"),
    CATEGORY_DAYS,
    "NULL::bigint",
)
PRODUCT_SUMS = sums_differ(
    "reports_productday", "true", ("business_date", "product_id"), PRODUCT_DAYS, "product_id"
)

# Levels that were changed since the mark may stand otherwise by now: reports look at them anew. Worked out here from the ledger
# and the prices of the instant; a level that reports do not count has no row.
STANDING = f"""
WITH mine (id) AS MATERIALIZED (SELECT %(store)s::bigint), {TOUCHED.replace("{within}", "")}, own AS (
    SELECT DISTINCT ON (product_id) product_id, price FROM catalog_storeprice
    WHERE store_id = %(store)s AND effective_from <= statement_timestamp() ORDER BY product_id, effective_from DESC, id DESC
), sold AS (
    SELECT m.product_id, max(m.business_date) AS last_sold FROM inventory_movement AS m
    LEFT JOIN inventory_movement AS r ON r.store_id = m.store_id AND r.reverses_id = m.id
    WHERE m.store_id = %(store)s AND m.kind = 'sale' AND m.reverses_id IS NULL AND r.id IS NULL GROUP BY m.product_id
), expected AS (
    SELECT l.product_id, on_hand > 0 AS stocked,
           CASE sign(on_hand) WHEN -1 THEN 0 WHEN 0 THEN 1 ELSE CASE WHEN listed AND on_hand <= reorder_point THEN 2 END END::smallint AS urgency,
           round(on_hand * average_cost, 2)::kiryana_worth AS value_at_cost,
           round(on_hand * coalesce(own.price, selling_price), 2)::kiryana_worth AS value_at_price,
           last_sold
    FROM inventory_stocklevel AS l JOIN catalog_product AS p ON p.id = l.product_id
    LEFT JOIN own ON own.product_id = l.product_id LEFT JOIN sold ON sold.product_id = l.product_id
    WHERE l.store_id = %(store)s AND (on_hand <> 0 OR listed AND p.status IN ('active', 'discontinued'))
)
SELECT product_id, NULL, NULL, format('the kept standing is %%s, expected %%s', k, e)
FROM expected AS e FULL JOIN (
    SELECT product_id, stocked, urgency, value_at_cost, value_at_price, last_sold FROM reports_standing WHERE store_id = %(store)s
) AS k USING (product_id)
WHERE k IS DISTINCT FROM e AND product_id NOT IN (SELECT product_id FROM touched)
ORDER BY product_id LIMIT 1
"""  # noqa: S608 - made of constants
STANDING_SUMS = """
WITH right_sums AS (
    SELECT count(*) AS products, count(*) FILTER (WHERE urgency = 2) AS low, count(*) FILTER (WHERE urgency = 1) AS out,
           count(*) FILTER (WHERE urgency = 0) AS negative, coalesce(sum(value_at_cost), 0) AS value_at_cost,
           coalesce(sum(value_at_price), 0) AS value_at_price
    FROM reports_standing WHERE store_id = %(store)s
)
SELECT NULL, NULL, NULL, format('the sums of the kept standing are %%s, expected %%s', k, e)
FROM right_sums AS e LEFT JOIN (
    SELECT products, low, out, negative, value_at_cost, value_at_price FROM reports_storestanding WHERE store_id = %(store)s
) AS k ON true
WHERE (k.products, k.low, k.out, k.negative, k.value_at_cost, k.value_at_price)
    IS DISTINCT FROM (e.products, e.low, e.out, e.negative, e.value_at_cost, e.value_at_price) AND (k IS NOT NULL OR e.products > 0)
"""
PRODUCT_STANDING_SUMS = """
SELECT product_id, NULL, NULL, format('the sums of the kept standing are %s, expected %s', k, e)
FROM (
    SELECT product_id, count(*) AS levels, sum(value_at_cost) AS value_at_cost, sum(value_at_price) AS value_at_price
    FROM reports_standing GROUP BY product_id
) AS e FULL JOIN (SELECT product_id, levels, value_at_cost, value_at_price FROM reports_productstanding) AS k USING (product_id)
WHERE (coalesce(k.levels, 0), coalesce(k.value_at_cost, 0), coalesce(k.value_at_price, 0))
    IS DISTINCT FROM (coalesce(e.levels, 0), coalesce(e.value_at_cost, 0), coalesce(e.value_at_price, 0))
ORDER BY product_id LIMIT 1
"""

ALERTS = """
WITH a AS (
    SELECT *, row_number() OVER (PARTITION BY product_id, closed_at IS NULL ORDER BY id) AS turn
    FROM inventory_lowstockalert WHERE store_id = %(store)s
)
SELECT product_id, NULL, NULL, CASE
    WHEN a.closed_at IS NULL AND a.turn > 1 THEN 'has two open alerts'
    WHEN a.on_hand > a.reorder_point THEN format('an alert was opened at %%s, above the reorder point %%s', a.on_hand, a.reorder_point)
    ELSE format('has an open alert with %%s on hand, above the reorder point %%s', l.on_hand, l.reorder_point)
END
FROM a LEFT JOIN (SELECT * FROM inventory_stocklevel WHERE store_id = %(store)s) AS l USING (product_id)
WHERE a.closed_at IS NULL AND (a.turn > 1 OR l.on_hand IS NULL OR l.on_hand > l.reorder_point) OR a.on_hand > a.reorder_point
ORDER BY product_id LIMIT 1
"""

QUESTIONS = (
    LEDGER,
    LEVELS,
    DOCUMENTS,
    REFERENCES,
    VOIDS,
    REVERSALS,
    RETURNS,
    UNBILLED,
    DAYS,
    STORE_SUMS,
    CATEGORY_SUMS,
    STANDING,
    STANDING_SUMS,
    ALERTS,
)
NAMES = """
SELECT (SELECT sku FROM catalog_product WHERE id = %(product)s),
       (SELECT reference FROM inventory_document WHERE store_id = %(store)s AND id = %(document)s)
"""


def first_broken(store: Store) -> Iterator[str]:
    """The first row of `store` that breaks a rule, in words; nothing when all is well.

    All questions see one instant: sales that go on meanwhile do not look like faults.
    """
    given = {"store": store.pk, "zone": store.timezone, "products": None}
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Few, large sorts: more memory for each saves writing them to disk.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(MARK)
        given |= dict(zip(MARKS, cursor.fetchone(), strict=True))
        for question in QUESTIONS:
            cursor.execute(question, given)
            if row := cursor.fetchone():
                product, document, seq, wrong = row
                cursor.execute(NAMES, given | {"product": product, "document": document})
                sku, reference = cursor.fetchone()
                words = [store.code]
                if product is not None:
                    words.append(sku or f"product {product}")
                if seq is not None:
                    words.append(f"movement {seq}")
                if document is not None:
                    words.append(f"document {document}" + (f" ({reference})" if reference else ""))
                yield f"{', '.join(words)}: {wrong}."
                return


def first_broken_of_products() -> Iterator[str]:
    """The first sum of a product over all stores that is not that of their days."""
    with connection.cursor() as cursor:
        for question in (PRODUCT_SUMS, PRODUCT_STANDING_SUMS):
            cursor.execute(question)
            if not (row := cursor.fetchone()):
                continue
            cursor.execute(NAMES, {"product": row[0], "store": None, "document": None})
            yield f"All stores, {cursor.fetchone()[0] or row[0]}: {row[3]}."
            return


class Command(BaseCommand):
    """Prove that the ledger, the levels and all that follows from them agree."""

    help = "Prove the invariants of the ledger. Silent when all holds; else names the first broken row and exits with 1."

    def add_arguments(self, parser):
        parser.add_argument("--store", metavar="CODE", help="only this store")
        parser.add_argument(
            "--processes", type=int, default=2, help="stores that are checked at once (default 2)"
        )

    def handle(self, *, store, processes, **options):
        stores = Store.objects.order_by("code")
        if store and not (stores := stores.filter(code=store)):
            raise CommandError(f"There is no store {store}.")
        for broken in in_processes(first_broken, list(stores), processes):
            raise CommandError(broken)
        if not store:
            for broken in first_broken_of_products():
                raise CommandError(broken)
