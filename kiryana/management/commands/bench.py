import subprocess
import sys

from django.conf import settings
from django.core.management.base import BaseCommand

from kiryana.bench.__main__ import add_arguments


class Command(BaseCommand):
    """bin/bench, for those who look among the commands."""

    help = "Measure this system on this machine, on a PostgreSQL of its own; the database of the settings is not touched."
    requires_system_checks = []

    def add_arguments(self, parser):
        add_arguments(parser)

    def handle(self, *, quick, only, repeat, json, home, **options):
        # A process of its own: the settings of this one know another database.
        words = ["--quick"] if quick else []
        words += [word for name in only or () for word in ("--only", name)]
        for name, value in (("--repeat", repeat), ("--json", json), ("--home", home)):
            words += [name, str(value)] if value is not None else []
        sys.exit(subprocess.call([sys.executable, "-m", "kiryana.bench", *words], cwd=settings.BASE_DIR))
