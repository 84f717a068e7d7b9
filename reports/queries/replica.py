"""Where reports are read: from a replica of the database, once it knows all that the primary knew when it was asked.

A report first asks the primary how far its log has come, and is then read from the replica if that has replayed as much. So
nobody, on whatever page and with whatever key, sees less than what was answered to him or to anybody else before, and a sale
pays nothing for it. A replica that is behind, away, or of another server costs no report: the primary answers.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled

from stores.queries import in_order

REPLICA = "replica"  # in DATABASES, where REPLICA_URL is set
FIRST, CHUNK = 50, 2000  # rows of a long list that are read at once: few before the first line is sent
PATIENCE = 0.1  # seconds that a report waits for the replica to catch up
PAUSE = 0.003  # seconds between two looks at how far it is
BEHIND, AWAY = 1.0, 10.0  # seconds for which a replica that was behind, or did not answer, is left alone

# A commit is answered when the log is flushed up to it; where a server answers sooner, when it stands in the log. (Commands
# that write much, import_history and demo, answer sooner by themselves: for a fraction of a second they may be missed.)
REACHED = """
SELECT CASE current_setting('synchronous_commit')
       WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END::text, stores_home()
"""
# Places in the log say nothing on a server that is no replica of this one, or goes on by itself.
KNOWS = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= %s::pg_lsn AND stores_home() = %s"

log = logging.getLogger(__name__)
_reading: ContextVar[bool] = ContextVar("reading from the replica", default=False)


class Rest:
    """How long this process leaves the replica alone."""

    until, failed = 0.0, False


def reading() -> bool:
    """Whether what is read now, in this thread, is read for a report and from the replica."""
    return _reading.get()


def caught_up() -> bool:
    """Whether the replica knows all that the primary knows now; waits a moment for it. One query of each."""
    now = time.monotonic()
    if now < Rest.until:
        return False
    if Rest.failed:
        Rest.until = now + AWAY  # one report tries; the others do not wait with it
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(REACHED)
        place = cursor.fetchone()
    try:
        with connections[REPLICA].cursor() as cursor:
            cursor.execute(KNOWS, place)
            while not (knows := cursor.fetchone()[0]) and time.monotonic() < now + PATIENCE:
                time.sleep(PAUSE)
                cursor.execute(KNOWS, place)
    except (OperationalError, InterfaceError) as error:
        leave_alone(error)
        return False
    Rest.failed, Rest.until = False, 0.0 if knows else time.monotonic() + BEHIND
    return knows


def leave_alone(error: Exception) -> None:
    """The replica does not answer: for a while nobody asks it."""
    Rest.failed, Rest.until = True, time.monotonic() + AWAY
    connections[REPLICA].close()
    log.warning("Reports are read from the primary: the replica does not answer: %s", error)


def from_replica(view: Callable) -> Callable:
    """A view, or an action of the API, that only reads: what it asks of goods, ledger and reports, the replica answers.

    What the replica cannot answer is asked again, of the primary, from the beginning of the view. Writing in it is refused.
    """

    @wraps(view)
    def answer(*args, **kwargs):
        if REPLICA not in connections or not caught_up():
            return view(*args, **kwargs)
        before = _reading.set(True)
        try:
            return view(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            if not broke_off(error):
                raise
        finally:
            _reading.reset(before)
        return view(*args, **kwargs)

    return answer


def broke_off(error: Exception) -> bool:
    """Whether it was the replica that failed with `error`, so that the primary may be asked the same."""
    replica = connections[REPLICA]
    # What takes the replica too long would take the primary too long.
    if not replica.errors_occurred or isinstance(error.__cause__, QueryCanceled):
        return False
    if replica.connection is None or replica.connection.closed:
        leave_alone(error)
    return True


def in_chunks(rows: QuerySet[dict], order: str) -> Iterator[dict]:
    """`rows` (dicts with their id and the field of `order`) in the order of `stores.queries.in_order`, some at a time.

    The first are read now, the others when they are asked for: then no view runs any more, so where they are read is settled
    now. When a replica breaks off in the middle, the primary goes on with the next row. Each chunk is one statement of its
    own: the limits of statements hold for it, and between two of them the database keeps nothing for us, neither a cursor nor
    a transaction, however slowly the rows are taken. So rows that are written meanwhile are there if they come behind the
    place that was reached; none comes twice.
    """
    falling = order.startswith("-")
    fields = [name for name in [order.removeprefix("-")] if name not in ("id", "pk")]

    def read(alias: str, after: tuple | None, many: int) -> tuple[str, list[dict]]:
        try:
            return alias, list(in_order(rows.using(alias), fields, falling, after)[:many])
        except (OperationalError, InterfaceError) as error:
            if alias != REPLICA or reading() or not broke_off(error):
                raise
            return read(DEFAULT_DB_ALIAS, after, many)

    def all_of(alias: str, found: list[dict], many: int) -> Iterator[dict]:
        while found:
            yield from found
            if len(found) < many:
                return
            many = CHUNK
            alias, found = read(alias, tuple(found[-1][name] for name in (*fields, "id")), many)

    return all_of(*read(rows.db, None, FIRST), FIRST)
