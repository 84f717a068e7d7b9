import signal
import threading

from django.core.management.base import BaseCommand

from inventory.tasks.webhooks import send_webhooks


class Command(BaseCommand):
    """Tell partners what changes, until asked to stop."""

    help = (
        "Queue what changes for the webhooks of partners, and send it. Runs until SIGTERM or SIGINT; several may run at "
        "once, and a killed one loses nothing."
    )

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="end when nothing more is due")

    def handle(self, *, once, **options):
        stop = threading.Event()
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, lambda *_: stop.set())
        send_webhooks(stop=stop, once=once)
