from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from stores.models import ApiKey, Store
from stores.services import create_key


def listed(text: str) -> list[str]:
    """The parts of `text`, separated by commas or blanks."""
    return text.replace(",", " ").split()


class Command(BaseCommand):
    """Make an API key for a partner and print it; it can never be shown again."""

    help = "Make an API key. Only the key is printed on stdout, this one time."

    def add_arguments(self, parser):
        parser.add_argument("--name", required=True, help="whose key it is")
        parser.add_argument(
            "--stores", required=True, metavar="A,B|all", help="codes of the stores it may see, or all"
        )
        parser.add_argument(
            "--scopes",
            required=True,
            nargs="+",
            metavar="SCOPE",
            help=f"{', '.join(ApiKey.Scope.values)}; or read, or all",
        )
        parser.add_argument("--rate", type=int, help="requests a minute, where the usual rate does not fit")
        parser.add_argument(
            "--expires",
            type=datetime.fromisoformat,
            metavar="TIME",
            help="with offset: 2027-12-31T23:59+05:00",
        )

        parser.add_argument(
            "--test",
            action="store_true",
            help="a test key (kir_test_): sees sandbox stores, and nothing else",
        )

    def handle(self, *, name, stores, scopes, rate, expires, test, **options):
        if not name.strip() or len(name) > 100:
            raise CommandError("The name has 1 to 100 letters.")
        if rate is not None and rate < 1:
            raise CommandError("The rate is at least 1 request a minute.")
        if expires is not None and timezone.is_naive(expires):
            raise CommandError("--expires needs an offset, such as +05:00.")
        everywhere = stores.strip() == "all"
        codes = [] if everywhere else listed(stores)
        found = {store.code: store for store in Store.objects.filter(code__in=codes)}
        if unknown := [code for code in codes if code not in found]:
            raise CommandError(f"There is no store {unknown[0]}.")
        wanted = set()
        for scope in (part for text in scopes for part in listed(text)):
            if scope == "all":
                wanted |= set(ApiKey.Scope.values) - (ApiKey.LIVE_ONLY if test else set())
            elif scope == "read":
                wanted |= {value for value in ApiKey.Scope.values if value.endswith(":read")}
            else:
                wanted.add(scope)
        try:
            _key, secret = create_key(
                name=name.strip(),
                scopes=wanted,
                stores=found.values(),
                all_stores=everywhere,
                rate=rate,
                expires_at=expires,
                is_test=test,
            )
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from None
        self.stdout.write(secret)
