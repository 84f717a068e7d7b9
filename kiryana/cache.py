"""Django's cache in one UNLOGGED PostgreSQL table: shared by all processes, and exact.

`add` and `incr` are single statements, so a counter loses nothing between processes; the rate limits rest on that.
The cache has connections of its own that commit each statement: a request that is rolled back was still made, and no
counter stays locked until a request's transaction ends.
"""

import atexit
import hashlib
import itertools
import os
import pickle
import threading

import psycopg
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created
from psycopg_pool import ConnectionPool

CONNECTIONS = 4  # at most, for each process: as many as gunicorn's threads
WAIT = 2.0  # seconds for a free connection, and between two tries to reach a server that is away
STATEMENT_TIMEOUT = "3s"
FOREVER = 100 * 365 * 24 * 3600.0  # seconds; longer times are cut to it
LONGEST_KEY = 200  # letters; PostgreSQL cannot index keys of some thousand
SWEEP_EVERY = 100  # new keys of one process between two removals of what has run out
SWEEP_AT_MOST = 1000  # rows of one removal, so that no request waits long for it

# Arguments for connecting that only Django's own connections understand.
DJANGO_ONLY = ("cursor_factory", "context", "pool")

_pools: dict[tuple, ConnectionPool] = {}
_abandoned: list[ConnectionPool] = []
_lock = threading.Lock()


def close_pools() -> None:
    """Close all connections of this process; the next use of the cache opens new ones."""
    with _lock:
        closing = list(_pools.values())
        _pools.clear()
    for pool in closing:
        pool.close(timeout=1)


def _forget_pools() -> None:
    # A forked child must neither use nor close the sockets it shares with its parent, so it keeps them unused.
    global _lock
    _lock = threading.Lock()
    _abandoned.extend(_pools.values())
    _pools.clear()


def _close_before_dropping(connection, **kwargs) -> None:
    # Django connects without a database only to create or drop one: PostgreSQL refuses that while we are connected.
    if connection.alias == NO_DB_ALIAS:
        close_pools()


atexit.register(close_pools)
os.register_at_fork(after_in_child=_forget_pools)
connection_created.connect(_close_before_dropping, dispatch_uid="kiryana.cache")


def _pool(database) -> ConnectionPool:
    """The pool of this process for the database that Django's settings name now (tests change them while running)."""
    settings = database.settings_dict
    key = (settings["HOST"], settings["PORT"], settings["USER"], settings["NAME"])
    pool = _pools.get(key)
    if pool is None:
        with _lock:
            if (pool := _pools.get(key)) is None:
                parameters = database.get_connection_params()
                parameters = {name: value for name, value in parameters.items() if name not in DJANGO_ONLY}
                parameters["autocommit"] = True
                # Through a pooler nothing is said of the session: it is another's after each statement.
                if "options" in parameters:
                    parameters["application_name"] = "kiryana cache"
                    parameters["options"] += f" -c statement_timeout={STATEMENT_TIMEOUT}"
                pool = _pools[key] = ConnectionPool(
                    min_size=1,
                    max_size=CONNECTIONS,
                    timeout=WAIT,
                    reconnect_timeout=WAIT,
                    kwargs=parameters,
                    open=True,
                    name="kiryana-cache",
                )
    return pool


class PostgresCache(BaseCache):
    """LOCATION is the table's name. Whole numbers are kept as such, so that they can be counted; all else is pickled.

    Only this project writes the table: who can write there can already run code here, as with Django's own cache.
    When the database is away its errors are Django's (`OperationalError`), after at most `WAIT` seconds.
    """

    def __init__(self, table, params):
        super().__init__(params)
        self.table = table if table.isidentifier() and table.isascii() else None
        if self.table is None:
            raise NotSupportedError(f"LOCATION of the cache must be the name of a table, not {table!r}.")
        self.alias = params.get("OPTIONS", {}).get("DATABASE", DEFAULT_DB_ALIAS)
        self._added = itertools.count(1)

    # -- Speaking with PostgreSQL

    def _run(self, statement: str, *arguments) -> list[tuple]:
        """Run one statement ({t} is the table) and return its rows; once more when its connection turns out dead."""
        database = connections[self.alias]
        statement = statement.replace("{t}", self.table)
        with database.wrap_database_errors:
            pool = _pool(database)
            for last in (False, True):
                with pool.connection() as connection:
                    try:
                        cursor = connection.execute(statement, arguments, binary=True)
                        return cursor.fetchall() if cursor.description else []
                    except psycopg.OperationalError:
                        if last or not connection.closed:
                            raise
                pool.check()  # a restarted server leaves only dead connections

    def _key(self, key, version) -> str:
        """The key as stored. One that is very long or has letters PostgreSQL does not take is stored as its digest."""
        made = self.make_key(key, version)
        if len(made) > LONGEST_KEY or not (made.isascii() and made.isprintable()):
            made = "#" + hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest()
        return made

    def _seconds(self, timeout) -> float | None:
        """Seconds from now until a value runs out; None for never."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else min(float(timeout), FOREVER)

    @staticmethod
    def _pack(value) -> tuple[int | None, bytes | None]:
        if type(value) is int and -(2**63) <= value < 2**63:
            return value, None
        return None, pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    @staticmethod
    def _unpack(number, value):
        return pickle.loads(value) if number is None else number  # noqa: S301  (see the class)

    # -- What Django asks of a cache

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        number, packed = self._pack(value)
        # The question in front spares a counter that is there the lock that ON CONFLICT takes even to do nothing.
        added = self._run(
            """
            INSERT INTO {t} AS kept (key, number, value, expires)
            SELECT %s, %s::bigint, %s::bytea, now() + make_interval(secs => %s::float8)
            WHERE NOT EXISTS (SELECT FROM {t} WHERE key = %s AND (expires IS NULL OR expires > now()))
            ON CONFLICT (key) DO UPDATE
            SET number = excluded.number, value = excluded.value, expires = excluded.expires
            WHERE kept.expires <= now()
            RETURNING true
            """,
            made := self._key(key, version),
            number,
            packed,
            self._seconds(timeout),
            made,
        )
        if added:
            self._sweep()
        return bool(added)

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self.set_many({key: value}, timeout, version)

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        if not data:
            return []
        packed = [(self._key(key, version), *self._pack(value)) for key, value in data.items()]
        keys, numbers, values = map(list, zip(*packed, strict=True))
        self._run(
            """
            INSERT INTO {t} (key, number, value, expires)
            SELECT key, number, value, now() + make_interval(secs => %s::float8)
            FROM unnest(%s::text[], %s::bigint[], %s::bytea[]) AS given (key, number, value)
            ORDER BY key
            ON CONFLICT (key) DO UPDATE
            SET number = excluded.number, value = excluded.value, expires = excluded.expires
            """,
            self._seconds(timeout),
            keys,
            numbers,
            values,
        )
        self._sweep()
        return []

    def get(self, key, default=None, version=None):
        found = self._run(
            "SELECT number, value FROM {t} WHERE key = %s AND (expires IS NULL OR expires > now())",
            self._key(key, version),
        )
        return self._unpack(*found[0]) if found else default

    def get_many(self, keys, version=None):
        asked = {self._key(key, version): key for key in keys}
        found = self._run(
            "SELECT key, number, value FROM {t} WHERE key = ANY(%s) AND (expires IS NULL OR expires > now())",
            list(asked),
        )
        return {asked[key]: self._unpack(number, value) for key, number, value in found}

    def incr(self, key, delta=1, version=None):
        """Add `delta` to a whole number and return the sum; ValueError when there is none under `key`."""
        counted = self._run(
            """
            UPDATE {t} SET number = number + %s::bigint
            WHERE key = %s AND number IS NOT NULL AND (expires IS NULL OR expires > now())
            RETURNING number
            """,
            delta,
            self._key(key, version),
        )
        if not counted:
            raise ValueError(f"No whole number is kept under the key {key!r}.")
        return counted[0][0]

    def touch(self, key, timeout=DEFAULT_TIMEOUT, version=None):
        touched = self._run(
            """
            UPDATE {t} SET expires = now() + make_interval(secs => %s::float8)
            WHERE key = %s AND (expires IS NULL OR expires > now())
            RETURNING true
            """,
            self._seconds(timeout),
            self._key(key, version),
        )
        return bool(touched)

    def delete(self, key, version=None):
        gone = self._run(
            "DELETE FROM {t} WHERE key = %s RETURNING expires IS NULL OR expires > now()",
            self._key(key, version),
        )
        return bool(gone and gone[0][0])

    def delete_many(self, keys, version=None):
        # Locked in the order in which set_many writes.
        self._run(
            "DELETE FROM {t} WHERE key IN (SELECT key FROM {t} WHERE key = ANY(%s) ORDER BY key FOR UPDATE)",
            [self._key(key, version) for key in keys],
        )

    def clear(self):
        # Not TRUNCATE: that would wait for every reader, and is slower for the few rows of a test.
        self._run("DELETE FROM {t}")

    def _sweep(self) -> None:
        """Now and then remove what has run out. What another process is sweeping or has just renewed is left alone."""
        if next(self._added) % SWEEP_EVERY == 0:
            self._run(
                """
                DELETE FROM {t} WHERE key IN (
                    SELECT key FROM {t} WHERE expires <= now() LIMIT %s FOR UPDATE SKIP LOCKED
                )
                """,
                SWEEP_AT_MOST,
            )


class RateCounter(PostgresCache):
    """The same for rate limits alone: counting a request is one statement instead of two.

    django-ratelimit counts with `add(key, 1)` and, when that was there already, `incr(key)`. Here `add` of 1 counts at
    once, and the `incr` that the same thread sends next only returns what was counted. Not for locks or other values.
    """

    def __init__(self, table, params):
        super().__init__(table, params)
        self._counted = threading.local()

    def counting(self, asked: str) -> str:
        """A statement, or a part of one (WITH), that counts one under each (key, seconds to live) that the query `asked`
        gives, and returns each number. Keys are those of `make_key`.

        The partners' API counts a request where it asks for its key: in a statement that commits by itself, as ours do.
        """
        return f"""
            INSERT INTO {self.table} AS kept (key, number, expires)
            SELECT key, 1, now() + make_interval(secs => seconds) FROM ({asked}) AS asked (key, seconds)
            ON CONFLICT (key) DO UPDATE SET
                number = CASE WHEN kept.expires <= now() THEN 1 ELSE kept.number + 1 END,
                expires = CASE WHEN kept.expires <= now() THEN excluded.expires ELSE kept.expires END
            RETURNING number
            """  # noqa: S608  (the table's name is an identifier)

    def counted(self, number: int) -> None:
        """What `counting` gave; now and then what has run out is removed."""
        if number == 1:
            self._sweep()

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._counted.last = None
        if value != 1:
            return super().add(key, value, timeout, version)
        made = self._key(key, version)
        rows = self.counting("SELECT %s::text, %s::float8")
        count = self._run(rows, made, self._seconds(timeout))[0][0]
        if count == 1:
            self._sweep()
            return True
        self._counted.last = made, count
        return False

    def incr(self, key, delta=1, version=None):
        last, self._counted.last = getattr(self._counted, "last", None), None
        if delta == 1 and last and last[0] == self._key(key, version):
            return last[1]
        return super().incr(key, delta, version)
