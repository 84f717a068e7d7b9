import getpass
import os
import secrets
import sys

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from stores.models import Membership, Store, User
from stores.services import create_user

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another


class Command(BaseCommand):
    """Make a user, with stores and groups, in one go."""

    help = (
        "Make a user. The password is asked for; without a terminal it is the first line of stdin, or KIRYANA_PASSWORD of the "
        "environment. With --generate a new one is made, and only it is printed on stdout."
    )

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument(
            "--store",
            action="append",
            default=[],
            metavar="CODE:ROLE",
            help=f"may be repeated; roles: {', '.join(Membership.Role.values)}",
        )
        parser.add_argument(
            "--group", action="append", default=[], metavar="NAME", help="of the head office; may be repeated"
        )
        parser.add_argument("--email", default="")
        parser.add_argument("--language", choices=User.Language.values, default=User.Language.ENGLISH)
        parser.add_argument("--staff", action="store_true", help="may enter the admin")
        parser.add_argument("--superuser", action="store_true", help="may do everything in the admin")
        parser.add_argument("--generate", action="store_true", help="make a password and print it")

    def handle(self, *, username, store, group, email, language, staff, superuser, generate, **options):
        roles = []
        for text in store:
            code, _colon, role = text.partition(":")
            if role not in Membership.Role.values:
                raise CommandError(
                    f"“{text}” is not CODE:ROLE with a role of {', '.join(Membership.Role.values)}."
                )
            place = Store.objects.filter(code=code).first()
            if place is None:
                raise CommandError(f"There is no store {code}.")
            roles.append((place, role))
        groups = {each.name: each for each in Group.objects.filter(name__in=group)}
        if unknown := [name for name in group if name not in groups]:
            known = ", ".join(Group.objects.order_by("name").values_list("name", flat=True))
            raise CommandError(f"There is no group {unknown[0]}. There are: {known}.")
        if User.objects.filter(username=username).exists():
            raise CommandError(f"The user name {username} is taken.")
        password = self.generated() if generate else self.given()
        try:
            validate_password(password, User(username=username, email=email))
            create_user(
                username=username, password=password, email=email, language=language, store_roles=roles,
                groups=groups.values(), is_staff=staff or superuser or bool(groups), is_superuser=superuser,
            )  # fmt: skip
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from None
        if generate:
            self.stdout.write(password)
        else:
            self.stderr.write(f"{username} can sign in now.")

    @staticmethod
    def generated() -> str:
        """Four groups of four letters: 79 bits, easily read out on the telephone."""
        return "-".join("".join(secrets.choice(LETTERS) for _place in range(4)) for _group in range(4))

    @staticmethod
    def given() -> str:
        """The password from the environment, the terminal (twice) or stdin."""
        if password := os.environ.get("KIRYANA_PASSWORD"):
            return password
        if sys.stdin.isatty():
            password = getpass.getpass("Password: ")
            if password != getpass.getpass("Again: "):
                raise CommandError("The two passwords differ.")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("No password was given. Type one, or use --generate.")
        return password
