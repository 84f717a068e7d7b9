from django.core.management.base import BaseCommand, CommandError

from reports.services import forget_standing, rebuild_daily_stock, rebuild_sums, restate
from stores.models import Store


class Command(BaseCommand):
    """Make DailyStock anew from the ledger; it must give the same rows. How levels stand is counted anew beside it."""

    help = "Make the daily figures equal to what the ledger says. Says how many rows were wrong; 0 is as it should be."

    def add_arguments(self, parser):
        parser.add_argument("--store", metavar="CODE", help="only this store")

    def handle(self, *, store, **options):
        stores = Store.objects.order_by("code")
        if store and not (stores := stores.filter(code=store)):
            raise CommandError(f"There is no store {store}.")
        wrong = sum(sum(rebuild_daily_stock(store=each)) + rebuild_sums(store=each) for each in stores)
        if not store:  # those of a product are of all stores
            wrong += rebuild_sums()
            forget_standing()
            restate()
        self.stdout.write(f"{wrong} rows corrected.")
