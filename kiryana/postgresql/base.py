"""Django's backend for PostgreSQL, and two things more: statements that stay prepared, and no question between requests."""

import select

from django.db.backends.postgresql import base, operations


class Prepared(base.ServerBindingCursor):
    """Sends values beside the statement, not in it, so that the server parses and plans it once for each connection.

    From which use on, OPTIONS["prepare_threshold"] says; None never prepares, as PgBouncer wants it.
    """

    # pghistory puts a statement of its own in front of others, and two cannot be prepared as one. What has a name is let be.
    name = "prepared"


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor, sql, params):
        # psycopg does not keep the text of what it sent by the name of a prepared statement.
        if isinstance(cursor, Prepared):
            return self.compose_sql(sql, params)
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def prepared(self):
        """A cursor for the few statements that every sale runs. As any cursor of Django's it is logged and counted."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(Prepared(self.connection))

    def is_usable(self):
        """Whether the kept connection still leads to the server.

        Asked at the beginning of each request, so without a round trip while all is well: a server that was stopped, or
        cut us off, has closed its end, and that can be seen from here. Only when something has arrived is it asked.
        """
        if self.connection is None or self.connection.closed:
            return False
        if not self.errors_occurred and not has_arrived(self.connection.fileno()):
            return True
        return super().is_usable()


def has_arrived(number: int) -> bool:
    """Whether there is something to read from the socket, be it its end."""
    waiting = select.poll()
    waiting.register(number, select.POLLIN | select.POLLPRI)
    return bool(waiting.poll(0))
