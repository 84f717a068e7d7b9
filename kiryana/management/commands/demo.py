from datetime import datetime

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from kiryana.demo.chain import NotEmpty, Plan, find_plan, found_chain, read_csv, renew_credentials, unfinished
from kiryana.demo.trade import open_practice, open_store, play
from stores.management import Progress, in_processes


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


class Command(BaseCommand):
    """Fill an empty database with the demo chain; a run that was killed is finished by the next one."""

    help = (
        "Fill an empty database with a chain of shops and their trade up to now. Logins and API keys are written to "
        "demo.json in KIRYANA_HOME. Killed at any point, the same command goes on from there."
    )

    def add_arguments(self, parser):
        parser.add_argument("--stores", type=int, default=20, help="1 to 520 (default 20)")
        parser.add_argument(
            "--days", type=int, default=60, help="days of trade, the last one is today (default 60)"
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="another number plays another story (default 1)"
        )
        parser.add_argument(
            "--until", type=datetime.fromisoformat, help="the end of the story, with offset (default now)"
        )
        parser.add_argument(
            "--processes", type=int, default=2, help="stores that are played at once (default 2)"
        )
        parser.add_argument(
            "--if-empty", action="store_true", help="leave a database that holds other data alone, quietly"
        )
        parser.add_argument(
            "--credentials",
            action="store_true",
            help="only make new passwords and keys for the demo that is there",
        )

    def handle(self, *, stores, days, seed, until, processes, if_empty, credentials, **options):
        most = len(read_csv("stores.csv"))
        if not 1 <= stores <= most or not 1 <= days <= 3650 or seed < 0 or processes < 1:
            raise CommandError(
                f"Give 1 to {most} stores, 1 to 3650 days, a seed and processes that are not negative."
            )
        now = timezone.now()
        until = now if until is None else until
        if timezone.is_naive(until) or until > now:
            raise CommandError("--until needs an offset, such as +05:00, and lies in the past.")
        try:
            plan = find_plan()
            if credentials:
                if plan is None:
                    raise CommandError("There is no demo in this database.")
                renew_credentials(plan)
                self.stderr.write("New passwords and keys are in demo.json of KIRYANA_HOME.")
                return
            if plan is None:
                asked = Plan(stores, days, seed, until.replace(microsecond=0))
                plan = found_chain(asked, open_store, open_practice)
        except NotEmpty:
            if if_empty:
                return
            raise CommandError("This database holds other data: the demo is only for an empty one.") from None
        todo = unfinished(plan)
        if not todo:
            if not if_empty:
                self.stderr.write("The demo is there already.")
            return
        if (plan.stores, plan.days, plan.seed) != (stores, days, seed):
            self.stderr.write(
                f"Finishing the demo that was begun: {plan.stores} stores, {plan.days} days, seed {plan.seed}."
            )
        progress, analysed = Progress("Demo", len(todo) * plan.days, "store days", self.stderr), False
        for done in in_processes(lambda store: play(store, plan), todo, processes):
            progress.add(done)
            if progress.done * 20 > progress.total and not analysed:
                analyse()  # the planner knows nothing of tables that were empty, and takes wrong indexes
                analysed = True
        seconds = progress.end()
        analyse()
        self.stderr.write(f"The demo is complete: {plan.stores} stores, {plan.days} days, {seconds:.0f} s.")
