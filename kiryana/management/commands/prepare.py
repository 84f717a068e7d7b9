import time

import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connections

from stores.services.feed import settle_in

LOCK = 4_711_001  # of this command alone, among PostgreSQL's advisory locks


class Command(BaseCommand):
    """Bring the database to this version; the second of two that start together waits and finds nothing to do."""

    help = (
        "Migrate, collect static files where they are needed, and with --demo-stores fill an empty database."
    )
    requires_system_checks = []  # migrate runs those that matter here

    def add_arguments(self, parser):
        parser.add_argument(
            "--demo-stores", type=int, help="stores of the demo chain; without it there is no demo"
        )
        parser.add_argument("--demo-days", type=int, default=60, help="days of trade (default 60)")

    def handle(self, *, demo_stores, demo_days, **options):
        parameters = connections["default"].get_connection_params()
        for ours in ("cursor_factory", "context"):
            parameters.pop(ours, None)
        try:
            holder = psycopg.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            raise CommandError(f"The database does not answer: {error}") from None
        with holder:
            # Asked again and again, not waited for: a waiting statement would hold up CREATE INDEX CONCURRENTLY.
            while not holder.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:
                time.sleep(0.2)
            call_command("migrate", interactive=False, verbosity=min(options["verbosity"], 1))
            if settle_in():
                self.stdout.write(
                    "The data came from another server: the feed of changes goes on behind what it had."
                )
            if not settings.WHITENOISE_USE_FINDERS:
                call_command("collectstatic", interactive=False, verbosity=0)
            if demo_stores:
                call_command("demo", "--if-empty", "--stores", str(demo_stores), "--days", str(demo_days))
