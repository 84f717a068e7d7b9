"""A chain of any size, made by set-based SQL in minutes: 520 stores, 2,000 products, millions of movements.

It is a ledger like any other: `check_ledger` finds nothing in it. Everything is written with the triggers switched off
(`session_replication_role`), which only the superuser of the bench's own server may do.

The trade of a store comes in rounds. In the first every product is opened; in each later one it is sold once, eight
products to a basket. The last round is the trade of the last 30 days, so many baskets a day; all others are more than a
year ago: a larger ledger has a longer past, not more trade. What a page shows of today, a month or a year is the same in
both, so a page that is slower on the larger one has read what it did not need.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
from psycopg import sql

BASKET = 8  # lines of a document
PAST = 380  # days ago that the rounds before the last one end
RECENT = 30  # days that the last round lasts at most, none of them without a basket; the last was yesterday


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: `rounds` movements of each of `stores` x `products` levels."""

    stores: int
    products: int
    rounds: int

    @property
    def movements(self) -> int:
        return self.stores * self.products * self.rounds

    @property
    def levels(self) -> int:
        return self.stores * self.products


CATALOGUE = """
INSERT INTO catalog_category (id, name, name_ur) SELECT n, 'Shelf ' || n, 'خانہ ' || n FROM generate_series(1, 20) AS n;
INSERT INTO catalog_product (id, sku, name, name_ur, aliases, brand, unit, quantity_step, cost_price, selling_price, status,
                             updated_at, category_id)
SELECT n, 'BEN-' || lpad(n::text, 5, '0'), words[1 + n %% 12] || ' ' || brands[1 + n %% 7] || ' ' || n || ' g',
       urdu[1 + n %% 12] || ' ' || n, roman[1 + n %% 12], brands[1 + n %% 7], 'pc', 1, 40 + n %% 300, 50 + n %% 400, 'active', now(),
       1 + n %% 20
FROM generate_series(1, %(products)s) AS n,
     (SELECT ARRAY['Sugar','Tea','Flour','Rice','Ghee','Milk','Salt','Soap','Biscuit','Lentils','Spice','Oil'] AS words,
             ARRAY['چینی','چائے','آٹا','چاول','گھی','دودھ','نمک','صابن','بسکٹ','دال','مصالحہ','تیل'] AS urdu,
             ARRAY['cheeni','chai','aata','chawal','ghee','doodh','namak','sabun','biskut','daal','masala','tel'] AS roman,
             ARRAY['Tapal','National','Shan','Dalda','Rafhan','Lux','Mitchell'] AS brands) AS w;
INSERT INTO catalog_barcode (code, product_id) SELECT '8960' || lpad(n::text, 9, '0'), n FROM generate_series(1, %(products)s) AS n;
INSERT INTO stores_store (id, code, name, name_ur, address, area, city, phone, timezone, oversell_policy, status, sandbox, updated_at)
SELECT n, 'BEN-' || lpad(n::text, 4, '0'), 'Store ' || n, 'دکان ' || n, '', '', cities[1 + n %% 5], '', 'Asia/Karachi', 'allow', 'open',
       false, now()
FROM generate_series(1, %(stores)s) AS n, (SELECT ARRAY['Lahore','Karachi','Multan','Quetta','Peshawar'] AS cities) AS c;
"""
# The day of a basket of a round.
DAY = """
CREATE OR REPLACE FUNCTION pg_temp.day_of(round integer, rounds integer, basket bigint, baskets integer) RETURNS date
LANGUAGE sql STABLE AS $$
  SELECT (now() AT TIME ZONE 'Asia/Karachi')::date
    - CASE WHEN round = rounds THEN {recent} - (basket - 1)::integer * {recent} / baskets ELSE {past} + (rounds - 1 - round) * 17 END
$$
"""
LEVELS = """
INSERT INTO inventory_stocklevel (store_id, product_id, on_hand, average_cost, cost_estimated, seq, listed, reorder_point,
                                  target_level, last_business_date)
SELECT s, p.id, {opening} - (%(rounds)s - 1), p.cost_price, false, %(rounds)s, true,
       CASE WHEN (p.id + s) %% 40 = 0 THEN 10000 ELSE 5 END, NULL, pg_temp.day_of(%(rounds)s, %(rounds)s, (p.id - 1) / {basket} + 1, %(baskets)s)
FROM generate_series(%(first)s, %(last)s) AS s, catalog_product AS p ORDER BY s, p.id
"""
ALERTS = """
INSERT INTO inventory_lowstockalert (store_id, product_id, on_hand, reorder_point)
SELECT store_id, product_id, on_hand, reorder_point FROM inventory_stocklevel
WHERE store_id BETWEEN %(first)s AND %(last)s AND on_hand <= reorder_point ORDER BY store_id, product_id
"""
DOCUMENTS = """
INSERT INTO inventory_document (id, store_id, kind, reference, fingerprint, occurred_at, recorded_at, business_date, total, line_count,
                                notes, source)
SELECT (r::bigint - 1) * %(stores)s * %(baskets)s + (s - 1) * %(baskets)s + b, s, CASE r WHEN 1 THEN 'opening' ELSE 'sale' END,
       'bench-' || s || '-' || r || '-' || b, '\\x00', at, at, pg_temp.day_of(r, %(rounds)s, b, %(baskets)s), CASE r WHEN 1 THEN NULL ELSE basket.total END, basket.lines,
       '', 'import'
FROM generate_series(%(first)s, %(last)s) AS s, generate_series(1, %(rounds)s) AS r,
     (SELECT (id - 1) / {basket} + 1 AS b, sum(selling_price) AS total, count(*) AS lines FROM catalog_product GROUP BY 1) AS basket,
     LATERAL (SELECT pg_temp.day_of(r, %(rounds)s, b, %(baskets)s) + time '12:00' AT TIME ZONE 'Asia/Karachi' AS at) AS t
ORDER BY s, r, b
"""
MOVEMENTS = """
INSERT INTO inventory_movement (id, store_id, document_id, line_no, product_id, kind, quantity, unit_price, line_total, unit_cost,
                                balance_after, average_cost_after, seq, occurred_at, recorded_at, business_date)
SELECT (r::bigint - 1) * %(stores)s * %(products)s + (s - 1) * %(products)s + p.id, s,
       (r::bigint - 1) * %(stores)s * %(baskets)s + (s - 1) * %(baskets)s + (p.id - 1) / {basket} + 1, (p.id - 1) %% {basket} + 1, p.id,
       CASE r WHEN 1 THEN 'opening' ELSE 'sale' END, CASE r WHEN 1 THEN {opening} ELSE -1 END, CASE WHEN r > 1 THEN p.selling_price END,
       CASE WHEN r > 1 THEN p.selling_price END, p.cost_price, {opening} - (r - 1), p.cost_price, r, at, at,
       pg_temp.day_of(r, %(rounds)s, (p.id - 1) / {basket} + 1, %(baskets)s)
FROM generate_series(%(first)s, %(last)s) AS s, generate_series(1, %(rounds)s) AS r, catalog_product AS p,
     LATERAL (SELECT pg_temp.day_of(r, %(rounds)s, (p.id - 1) / {basket} + 1, %(baskets)s) + time '12:00' AT TIME ZONE 'Asia/Karachi' AS at) AS t
ORDER BY s, r, p.id
"""
DAYS = """
INSERT INTO reports_dailystock (store_id, product_id, business_date, opening, received, sold, other, closing, revenue, cost, documents, lines)
SELECT s, p.id, pg_temp.day_of(r, %(rounds)s, (p.id - 1) / {basket} + 1, %(baskets)s), CASE r WHEN 1 THEN 0 ELSE {opening} - (r - 2) END, CASE r WHEN 1 THEN {opening} ELSE 0 END,
       CASE r WHEN 1 THEN 0 ELSE 1 END, 0, {opening} - (r - 1), CASE r WHEN 1 THEN 0 ELSE p.selling_price END,
       CASE r WHEN 1 THEN 0 ELSE p.cost_price END, CASE WHEN r > 1 AND (p.id - 1) %% {basket} = 0 THEN 1 ELSE 0 END,
       CASE r WHEN 1 THEN 0 ELSE 1 END
FROM generate_series(%(first)s, %(last)s) AS s, generate_series(1, %(rounds)s) AS r, catalog_product AS p ORDER BY s, r, p.id
"""
SEQUENCES = """
SELECT setval(pg_get_serial_sequence(t, 'id'), (SELECT max(id) FROM {table})) FROM (VALUES ('{table}')) AS n (t)
"""
OPENING = "(2000 + (p.id * 7 + s * 13) %% 500)"
AT_ONCE = 20  # stores in one transaction
HANDS = 2  # connections that write side by side
LARGE = ("inventory_document", "inventory_movement", "reports_dailystock")
INDEXES = """
SELECT c.relname, k.conname IS NOT NULL, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid))
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
WHERE i.indrelid = %s::regclass ORDER BY c.relname
"""


def fill(url: str, size: Size, told: Callable[[int], None] = lambda stores: None) -> None:
    """Fills the migrated database at `url`, which has no stores and no goods yet; `told` hears how many stores are done."""
    with contextlib.ExitStack() as stack:
        connection, *others = (stack.enter_context(opened(url)) for _hand in range(HANDS))
        with without_indexes(connection, LARGE):
            write(connection, size, told, others)
        connection.execute("VACUUM ANALYZE")  # what follows is planned by what there is: a fifth of the time
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda job, hand: job(hand), (sum_up, restate), (connection, *others)))
        connection.execute("VACUUM ANALYZE")


def opened(url: str) -> psycopg.Connection:
    """A connection for large statements, of which nothing needs to outlive a crash."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(
        "SET synchronous_commit = off; SET work_mem = '64MB'; SET maintenance_work_mem = '512MB'"
    )
    return connection


@contextlib.contextmanager
def without_indexes(connection: psycopg.Connection, tables: Iterable[str]) -> Iterator[None]:
    """Takes the indexes of `tables` away meanwhile: made at the end, of all rows at once, they cost a fraction."""
    taken = []
    for table in tables:
        for name, is_rule, definition in connection.execute(INDEXES, [table]).fetchall():
            on, named = sql.Identifier(table), sql.Identifier(name)
            if is_rule:
                connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(on, named))
                taken.append(
                    sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(on, named, sql.SQL(definition))
                )
            else:
                connection.execute(sql.SQL("DROP INDEX {}").format(named))
                taken.append(sql.SQL(definition))
    yield
    for statement in taken:
        connection.execute(statement)


def sum_up(connection: psycopg.Connection) -> None:
    """Closes the days that are over, as the job does in production; nobody else writes here, so nobody is waited for."""
    connection.execute(
        "INSERT INTO reports_closeddays (store_id) SELECT id FROM stores_store ON CONFLICT DO NOTHING"
    )
    stores = [row[0] for row in connection.execute("SELECT store_id FROM reports_closeddays ORDER BY 1")]
    # Before the first day is closed: from then on each day is counted by category as it is closed.
    connection.execute("SELECT reports_note_categories()")
    while connection.execute("SELECT reports_recount_store()").fetchone()[0]:
        pass
    for first in range(0, len(stores), AT_ONCE):
        moved = True
        while moved:
            [moved] = connection.execute(
                "SELECT reports_sum_up(%s, reports_closable(), 31)", [stores[first : first + AT_ONCE]]
            ).fetchone()


def restate(connection: psycopg.Connection) -> None:
    """Counts how levels stand, as the job does in production; nobody else writes here, so nobody is waited for."""
    from reports.services import count_with

    with connection.transaction(), connection.cursor() as cursor:
        given = cursor.execute("SELECT movement, level FROM reports_numbers_given()").fetchone()
        count_with(cursor, *given)


def write(
    connection: psycopg.Connection,
    size: Size,
    told: Callable[[int], None] = lambda stores: None,
    others: Sequence[psycopg.Connection] = (),
) -> None:
    """Writes it all on connections of the superuser, side by side; the triggers of these sessions are off until it is done."""
    words = {
        "opening": OPENING,
        "basket": BASKET,
        "past": PAST,
        "recent": min(RECENT, -(-size.products // BASKET)),
    }
    baskets = -(-size.products // BASKET)
    given = {"stores": size.stores, "products": size.products, "rounds": size.rounds, "baskets": baskets}
    cursors = [psycopg.ClientCursor(hand) for hand in (connection, *others)]
    for cursor in cursors:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(DAY.format(**words))
    cursors[0].execute(CATALOGUE, given)
    waiting, done = iter(range(1, size.stores + 1, AT_ONCE)), itertools.count(AT_ONCE, AT_ONCE)

    def write_stores(cursor: psycopg.ClientCursor) -> None:
        for first in waiting:
            group = given | {"first": first, "last": min(first + AT_ONCE - 1, size.stores)}
            with cursor.connection.transaction():
                for statement in (LEVELS, ALERTS, DOCUMENTS, MOVEMENTS, DAYS):
                    cursor.execute(statement.format(**words), group)
            told(min(next(done), size.stores))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write_stores, cursors))
    for table in (
        "catalog_category",
        "catalog_product",
        "stores_store",
        "inventory_document",
        "inventory_movement",
    ):
        cursors[0].execute(SEQUENCES.format(table=table))
    for cursor in cursors:
        cursor.execute("RESET session_replication_role")
