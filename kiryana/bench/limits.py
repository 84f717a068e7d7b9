"""The limits beside the figures: the posting statement under pgbench, COPY, and plain writes without rules."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from kiryana.bench.figures import Failed
from kiryana.bench.seed import BASKET, Size, without_indexes
from kiryana.bench.trade import DOCUMENTS, sale
from kiryana.cluster import find_binaries

# A sale whose values stand for others: each is found again in the statement, and nothing else there has its value.
STORE, PRODUCTS, REFERENCE = 20, range(31, 39), "the-reference-of-the-bench"
CLIENTS = 8  # of pgbench


# -- The posting statement ------------------------------------------------------------------------------------------
def posting_statement(key: str, lines: int) -> tuple[str, object]:
    """The statement, with its parameters, by which a sale of `lines` lines over the API goes into the ledger.

    It is heard while a request of `key` is answered (in this process, and taken back), so it is the one in use.
    """
    from django.db import connection, transaction
    from django.test import Client

    heard = []

    def listen(execute, statement, params, many, context):
        if "INSERT INTO inventory_movement" in str(statement):
            heard.append((str(statement), params))
        return execute(statement, params, many, context)

    body = sale(STORE, PRODUCTS[:lines]) | {"reference": REFERENCE}
    with transaction.atomic():
        with connection.execute_wrapper(listen):
            answer = Client(headers={"x-api-key": key}).post(DOCUMENTS, body, content_type="application/json")
        transaction.set_rollback(True)
    if answer.status_code != 201 or len(heard) != 1:
        raise Failed(f"The posting statement was not heard: {answer.status_code} {answer.content[:300]!r}")
    return heard[0]


def drawn_for(size: Size) -> tuple[list[str], dict[object, str]]:
    """What a script draws first, and by what each of the values of the sale that was heard is then replaced."""
    draws = [f"\\set store random(1, {size.stores})", "\\set reference random(1, 9000000000000000)"]
    known: dict[object, str] = {
        STORE: ":store",
        f"BEN-{STORE:04}": "'BEN-' || lpad(:store::text, 4, '0')",
        REFERENCE: "'bench-' || :reference::text",
    }
    for place, product in enumerate(PRODUCTS):
        draws.append(f"\\set product{place} random_zipfian(1, {size.products}, 1.001)")
        known |= {
            product: f":product{place}",
            f"BEN-{product:05}": f"'BEN-' || lpad(:product{place}::text, 5, '0')",
        }
    # Numbers may also go as text, for the server to convert.
    return draws, known | {str(number): known[number] for number in (STORE, *PRODUCTS)}


def as_sql(value, known: dict[object, str]) -> str:
    """A parameter as SQL: what is in `known` by its expression, all else as it stands, also inside of lists and JSON."""
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(as_sql(each, known) for each in value)}]" if value else "'{}'"
    if type(value) in (int, str) and value in known:
        return known[value]
    if type(value) is bytes:
        return f"'\\x{value.hex()}'::bytea"
    if type(value) is str and value[:1] in ("[", "{"):
        places = []

        def marked(inner):
            if isinstance(inner, dict):
                return {name: marked(each) for name, each in inner.items()}
            if isinstance(inner, list):
                return [marked(each) for each in inner]
            if type(inner) in (int, str) and inner in known:
                places.append(known[inner])
                return f"<<{len(places) - 1}>>" if type(inner) is str else f"<<{len(places) - 1}#>>"
            return inner

        with contextlib.suppress(ValueError):
            text = sql.Literal(json.dumps(marked(json.loads(value)))).as_string(None)
            text = re.sub(r'"<<(\d+)#>>"', lambda found: f"<<{found[1]}>>", text.strip())
            quote = (
                "E'" if text.startswith("E") else "'"
            )  # with backslashes in it, each piece of it begins so
            return (
                "("
                + re.sub(r"<<(\d+)>>", lambda found: f"' || ({places[int(found[1])]})::text || {quote}", text)
                + ")"
            )
    return sql.Literal(value).as_string(None)


def as_script(statement: str, params, size: Size) -> str:
    """A script for pgbench that runs `statement` for another store, other products and a new reference each time.

    Products are drawn by zipf's law; whatever else the statement is given stays as it was heard.
    """
    draws, known = drawn_for(size)
    if isinstance(params, dict):
        text = re.sub(r"%\((\w+)\)s", lambda found: as_sql(params[found[1]], known), statement)
    else:
        rest = iter(params or ())
        text = re.sub(r"%s", lambda found: as_sql(next(rest), known), statement)
    text = " ".join(text.replace("%%", "%").split()).rstrip("; ") + ";"
    used = [draw for draw in draws if re.search(rf":{draw.split()[1]}\b", text)]
    if not {":store", ":reference", ":product0"} <= set(re.findall(r"(?<!:):[a-z]+[0-9]*", text)):
        raise Failed("The posting statement names no store, reference or product that the bench knows.")
    return "\n".join([*used, text, ""])


def pgbench(
    url: str, script: str, folder: Path, *, seconds: float = 1, clients: int = CLIENTS, transactions: int = 0
) -> float:
    """Transactions a second of `script`, prepared, by `clients` connections; for `seconds`, or so many `transactions` each."""
    file = folder / "script.sql"
    file.write_text(script)
    tool = find_binaries()[0] / "pgbench"
    if not tool.exists():
        raise Failed(f"There is no pgbench in {tool.parent}: install postgresql-contrib.")
    length = ["-t", str(transactions)] if transactions else ["-T", str(max(round(seconds), 1))]
    done = subprocess.run(
        [tool, "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), *length, "-f", file, url],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env=os.environ | {"PGOPTIONS": "-c plan_cache_mode=force_generic_plan"},  # as the web process has it
    )  # fmt: skip
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None or "number of failed transactions: 0 " not in done.stdout:
        raise Failed(f"pgbench: {done.stderr[-800:] or done.stdout[-800:]}")
    return float(rate[1])


# -- COPY -----------------------------------------------------------------------------------------------------------
PRIMARY = """
SELECT array_agg(a.attname ORDER BY k.place)
FROM pg_constraint AS c CROSS JOIN unnest(c.conkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
WHERE c.contype = 'p' AND c.conrelid = %s::regclass
"""


def links(connection: psycopg.Connection, table: str) -> list[str]:
    """Every link that the model of `table` declares, as a foreign key: also those that the database holds by a trigger."""
    from django.apps import apps

    [model] = [model for model in apps.get_models() if model._meta.db_table == table]
    made = []
    for field in model._meta.concrete_fields:
        if field.is_relation:
            other = field.related_model._meta.db_table
            keys = connection.execute(PRIMARY, [other]).fetchone()[0]
            own = [field.column if key == "id" else key for key in keys]
            made.append(
                f"FOREIGN KEY ({', '.join(own)}) REFERENCES {other} ({', '.join(keys)}) DEFERRABLE INITIALLY DEFERRED"
            )
    return made


@contextlib.contextmanager
def twin(connection: psycopg.Connection, table: str) -> Iterator[str]:
    """An empty table like `table` with the same indexes and checks, and its links as foreign keys, but without triggers."""
    name = f"bench_{table}"
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.execute(
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES"
        " INCLUDING STORAGE INCLUDING GENERATED INCLUDING IDENTITY)"
    )
    for definition in links(connection, table):
        connection.execute(f"ALTER TABLE {name} ADD {definition}")
    options = connection.execute(
        "SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [table]
    ).fetchone()[0]
    if options:
        connection.execute(f"ALTER TABLE {name} SET ({', '.join(options)})")
    try:
        yield name
    finally:
        connection.execute(f"DROP TABLE {name}")


def fill_twin(connection: psycopg.Connection, table: str) -> None:
    """Brings all rows of `table` into its twin: whoever writes without rules has a past as long, and indexes as large."""
    name = f"bench_{table}"
    with connection.transaction(), without_indexes(connection, [name]):
        connection.execute("SET LOCAL session_replication_role = replica")  # no key needs to be checked again
        connection.execute(f"INSERT INTO {name} SELECT * FROM {table}")  # noqa: S608  (names of tables only)
        connection.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}")  # noqa: S608


def copy_rate(url: str, after: int) -> float:
    """Rows a second at which COPY brings the movements with ids above `after` into an empty table like theirs."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = "id, document_id, line_no, store_id, product_id, kind, quantity, entered_quantity, unit_price, line_total, "
        columns += "unit_cost, cost_estimated, oversell, balance_after, average_cost_after, seq, occurred_at, recorded_at, "
        columns += "business_date, late"
        with connection.cursor().copy(
            f"COPY (SELECT {columns} FROM inventory_movement WHERE id > {int(after)} ORDER BY id) TO STDOUT"  # noqa: S608
        ) as copy:
            rows = b"".join(bytes(block) for block in copy)
        with twin(connection, "inventory_movement") as name:
            began = time.perf_counter()
            with connection.cursor().copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
                for place in range(0, len(rows), 65536):
                    copy.write(rows[place : place + 65536])
            seconds = time.perf_counter() - began
            count = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
    if not count:
        raise Failed("There are no movements for COPY to bring.")
    return count / seconds


def newest(url: str) -> int:
    """The highest id of a movement."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT coalesce(max(id), 0) FROM inventory_movement").fetchone()[0]


# -- Processor time of the database -----------------------------------------------------------------------------------
# One who checks nothing: the level moves, and a line is written.
PLAIN = """
UPDATE bench_inventory_stocklevel SET on_hand = on_hand - 1, seq = seq + 1, updated_at = now()
  WHERE store_id = :store AND product_id = :product0;
INSERT INTO bench_inventory_movement
  (document_id, line_no, store_id, product_id, kind, quantity, unit_price, line_total, unit_cost, oversell, balance_after,
   average_cost_after, seq, occurred_at, recorded_at, business_date, late, cost_estimated)
  VALUES (:document, :line, :store, :product0, 'sale', -1, 50, 50, 40, '', 1, 40, :reference, now(), now(), current_date, false, false);
"""
# And what a posting writes beside them: its document, the day's figures, the feed.
BESIDE = """
INSERT INTO bench_inventory_document
  (store_id, kind, reference, fingerprint, occurred_at, recorded_at, business_date, total, line_count, notes, source)
  VALUES (:store, 'sale', 'plain ' || :reference::text, decode(repeat('00', 32), 'hex'), now(), now(), current_date, 50, 1, '', 'api');
INSERT INTO bench_reports_dailystock AS d
  (store_id, product_id, business_date, opening, received, sold, other, closing, revenue, cost, documents, lines)
  VALUES (:store, :product0, current_date, 2, 0, 1, 0, 1, 50, 40, 1, 1)
  ON CONFLICT (store_id, product_id, business_date) DO UPDATE SET sold = d.sold + 1, closing = d.closing - 1,
    revenue = d.revenue + 50, cost = d.cost + 40, documents = d.documents + 1, lines = d.lines + 1;
INSERT INTO bench_stores_change (type, store_id, subject) VALUES ('movement.created', :store, :reference);
"""
TWINS = (
    "inventory_stocklevel",
    "inventory_movement",
    "inventory_document",
    "reports_dailystock",
    "stores_change",
)


def plain_script(size: Size, *, beside: bool) -> str:
    """The writes of a one-line sale without any rule, in one transaction."""
    baskets = -(-size.products // BASKET)
    drawn = [
        f"\\set store random(1, {size.stores})",
        "\\set reference random(1, 9000000000000000)",
        f"\\set product0 random_zipfian(1, {size.products}, 1.001)",
        # No line is written twice, although all lines are of the documents that are there.
        "\\set line random(1, 2000000000)",
        f"\\set document (:store - 1) * {baskets} + 1",
    ]
    return "\n".join([*drawn, "BEGIN;", (PLAIN + (BESIDE if beside else "")).strip(), "COMMIT;", ""])


def cpu_of_dead_children(process: int) -> float:
    """Seconds of processor time of the children that a process has had: the backends that have ended, for the server."""
    parts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[13]) + int(parts[14])) / os.sysconf("SC_CLK_TCK")


def backend_seconds(server: int, url: str, script: str, folder: Path, transactions: int) -> float:
    """Seconds of processor time that one backend of the server process `server` needs for so many transactions."""
    before = cpu_of_dead_children(server)
    pgbench(url, script, folder, clients=1, transactions=transactions)
    deadline = time.monotonic() + 5
    while (used := cpu_of_dead_children(server) - before) <= 0.02 and time.monotonic() < deadline:
        time.sleep(0.05)  # until the server has buried the backend
    return used
