"""The log of each partner's requests (`ApiRequest`): noted while answering, written a moment later by a thread.

No request waits for it or fails by it. The thread starts with the first row, in the web process that has it (after the
fork), and writes about once a second, or sooner when many have gathered, on a connection of its own. A process that ends
in good order writes what it still holds; with `kill -9`, or when the database stays away until `MOST_WAITING` rows have
gathered, the rows are lost. The access log has every request.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from datetime import datetime
from typing import NamedTuple

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two writings
AT_ONCE = 200  # rows that are not kept waiting longer, and the most of one statement
MOST_WAITING = 20_000  # rows; beyond, new ones are dropped and counted

# A key may have been deleted since: its rows go with it.
INSERT = """
    INSERT INTO stores_apirequest (key_id, at, request_id, method, path, status, code, milliseconds, address)
    SELECT key_id, at, request_id, method, path, status, code, milliseconds, address::inet
    FROM unnest(
        %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::int[], %s::text[]
    ) WITH ORDINALITY AS row (key_id, at, request_id, method, path, status, code, milliseconds, address, place)
    WHERE EXISTS (SELECT FROM stores_apikey WHERE id = key_id)
    ORDER BY place
"""


class Row(NamedTuple):
    """One request of a key; the fields are those of ApiRequest."""

    key: int
    at: datetime
    request_id: str
    method: str
    path: str
    status: int
    code: str
    milliseconds: int
    address: str | None


def insert(batch: list[Row]) -> None:
    """Writes rows with one statement. A key that is deleted in that very moment fails it; the second time it is gone."""
    for last in (False, True):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(INSERT, [list(column) for column in zip(*batch, strict=True)])
            return
        except IntegrityError:
            if last:
                raise


class RequestLog:
    """Rows on their way into the database. Without `begin()` (tests, commands) they are written by `flush()` only."""

    def __init__(self):
        self.rows: deque[Row] = deque()
        self.lost = 0
        self.background = False
        self._reset()

    def _reset(self) -> None:
        """Locks and thread of this process; a forked child has neither its parent's thread nor its rows."""
        self._starting, self._writing = threading.Lock(), threading.Lock()
        self._some, self._many, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def _after_fork(self) -> None:
        self.rows.clear()
        self._reset()

    def begin(self) -> None:
        """From now on a thread writes; it starts with the first row."""
        self.background = True

    def note(self, row: Row) -> None:
        """Takes a row; at once, and never an error."""
        if len(self.rows) >= MOST_WAITING:
            self.lost += 1
            return
        self.rows.append(row)
        if self.background:
            if self._thread is None:
                self._start()
            self._some.set()
            if len(self.rows) >= AT_ONCE:
                self._many.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._some.wait()
            self._many.wait(EVERY)
            self._some.clear()
            self._many.clear()
            close_old_connections()  # the server may have been started anew
            try:
                self.flush()
            except (OperationalError, InterfaceError) as error:
                log.warning("Rows of the request log wait for the database: %s", error)
                time.sleep(EVERY)
                self._some.set()
            except Exception:
                log.exception("Rows of the request log could not be written.")

    def flush(self) -> int:
        """Writes all that is waiting, on the connection of this thread; how many rows. Errors of the database leave
        what was not written yet waiting."""
        written = 0
        with self._writing:
            while batch := [self.rows.popleft() for _row in range(min(AT_ONCE, len(self.rows)))]:
                try:
                    insert(batch)
                except (OperationalError, InterfaceError):
                    self.rows.extendleft(reversed(batch))
                    raise
                written += len(batch)
        if lost := self.lost:
            self.lost = 0
            log.error(
                "%d rows of the request log were dropped: the database did not take them in time.", lost
            )
        return written

    def end(self) -> None:
        """The process ends: writes what is left."""
        if not self.background:
            return
        self._ended.set()
        self._some.set()
        try:
            self.flush()
        except Exception:
            log.exception("%d rows of the request log are lost.", len(self.rows))
        finally:
            connection.close()


request_log = RequestLog()
os.register_at_fork(after_in_child=request_log._after_fork)
atexit.register(request_log.end)
