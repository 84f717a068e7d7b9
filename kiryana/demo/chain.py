"""The demo chain before its first day: what it sells, where, and who works there.

All of it comes in one transaction with the first store's opening stock, whose note says how the demo was asked for: a
run that was killed is finished later from there.
"""

import csv
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction

from catalog.models import Barcode, Category, Pack, Product, StorePrice
from inventory.models import Document
from stores.models import ApiKey, Membership, Store, User
from stores.services import create_key, create_test_key, create_user, revoke_key

HERE = Path(__file__).resolve().parent
CREDENTIALS = "demo.json"  # in KIRYANA_HOME, readable for this account alone
OPENING, CLOSING = (
    "demo-opening",
    "demo-closing",
)  # references of the first and the last document of each store
PRACTICE = "TEST-0001"  # the sandbox, for test keys and for learning
PRACTICE_KEY = "Demo: practice"
LOCK = 4_711_002  # of this work alone, among PostgreSQL's advisory locks
UNITS = {"svc": Product.Unit.SERVICE}  # words of products.csv that are not ours
WORDS = [
    "aam",
    "adrak",
    "akhrot",
    "aloo",
    "anda",
    "angoor",
    "atta",
    "badam",
    "bajra",
    "barfi",
    "beri",
    "bhindi",
    "biryani",
    "chai",
    "chana",
    "chapati",
    "chawal",
    "chini",
    "chutney",
    "dahi",
    "dalia",
    "daal",
    "dhania",
    "doodh",
    "elaichi",
    "falsa",
    "gajar",
    "ghee",
    "gobi",
    "gulab",
    "gur",
    "haldi",
    "haleem",
    "halwa",
    "imli",
    "jalebi",
    "jaman",
    "kabab",
    "kaju",
    "karahi",
    "kela",
    "khajur",
    "kheer",
    "kishmish",
    "kofta",
    "korma",
    "kulfi",
    "laddu",
    "lassi",
    "laung",
    "limoo",
    "lobia",
    "maida",
    "makai",
    "makhan",
    "malai",
    "mango",
    "masala",
    "matar",
    "mirch",
    "misri",
    "mooli",
    "moong",
    "murgh",
    "naan",
    "namak",
    "nihari",
    "nimko",
    "paneer",
    "papar",
    "paratha",
    "pista",
    "pulao",
    "pyaz",
    "qeema",
    "rabri",
    "raita",
    "roti",
    "sabzi",
    "saag",
    "salan",
    "samosa",
    "sarson",
    "saunf",
    "sharbat",
    "shorba",
    "suji",
    "tamatar",
    "tandoor",
    "tikka",
    "til",
    "zafran",
    "zarda",
    "zeera",
]


class NotEmpty(Exception):
    """The database holds something that is not the demo."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for: so many stores, days of trade until an instant, and the seed of chance."""

    stores: int
    days: int
    seed: int
    until: datetime

    def note(self) -> str:
        return f"Demo chain: {self.stores} stores, {self.days} days, seed {self.seed}, until {self.until.isoformat()}"

    @classmethod
    def from_note(cls, note: str) -> "Plan | None":
        if found := re.fullmatch(r"Demo chain: (\d+) stores, (\d+) days, seed (\d+), until (\S+)", note):
            stores, days, seed, until = found.groups()
            return cls(int(stores), int(days), int(seed), datetime.fromisoformat(until))
        return None


def read_csv(name: str) -> list[dict]:
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def find_plan() -> Plan | None:
    """The plan of the demo in this database; None in an empty one. Raises NotEmpty where there is something else."""
    first = Store.objects.order_by("pk").first()
    if first is None:
        if Product.objects.exists() or User.objects.filter(username__in=[row[1] for row in CAST]).exists():
            raise NotEmpty
        return None
    note = Document.objects.filter(store=first, reference=OPENING).values_list("notes", flat=True).first()
    plan = Plan.from_note(note or "")
    if plan is None:
        raise NotEmpty
    return plan


def unfinished(plan: Plan) -> list[Store]:
    """The stores of the demo whose trade is not played to its end."""
    codes = [row["code"] for row in read_csv("stores.csv")[: plan.stores]]
    done = Document.objects.filter(store__code__in=codes, reference=CLOSING).values("store")
    return list(Store.objects.filter(code__in=codes).exclude(pk__in=done).order_by("pk"))


@transaction.atomic
def found_chain(plan: Plan, open_store, open_practice) -> Plan:
    """Fills an empty database with the chain; `open_store(store, plan)` brings the first opening stock.

    `open_practice(store, plan, products)` stocks the sandbox.

    Gives the plan that holds: this one, or that of another run that was faster. Logins and keys are in `demo.json`
    before the transaction ends, so that they are never lost.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    if other := find_plan():
        return other
    products = make_catalogue()
    stores = make_stores(plan, products)
    make_people(stores)
    open_store(stores[0], plan)
    open_practice(make_practice_store(), plan, products)
    write_credentials(make_credentials(stores))
    return plan


def make_catalogue() -> list[Product]:
    """Categories, products with barcodes, and cases, from products.csv."""
    rows = read_csv("products.csv")
    categories = {row["category"]: row["category_ur"] for row in rows}
    Category.objects.bulk_create(Category(name=name, name_ur=urdu) for name, urdu in categories.items())
    category = {each.name: each for each in Category.objects.all()}
    Product.objects.bulk_create(
        Product(
            sku=row["sku"],
            name=row["name"],
            name_ur=row["name_ur"],
            aliases=row["aliases"],
            category=category[row["category"]],
            brand=row["brand"],
            unit=UNITS.get(row["unit"], row["unit"]),
            quantity_step=Decimal(1).scaleb(-int(row["decimals"])),
            cost_price=Decimal(row["cost_price"]),
            selling_price=Decimal(row["sale_price"]),
        )
        for row in rows
    )
    products = {product.sku: product for product in Product.objects.order_by("sku")}
    Barcode.objects.bulk_create(
        Barcode(code=row["barcode"], product=products[row["sku"]]) for row in rows if row["barcode"]
    )
    Pack.objects.bulk_create(
        Pack(
            product=products[row["sku"]],
            name=f"Case of {row['case_qty']}",
            units_per_pack=Decimal(row["case_qty"]),
        )
        for row in rows
        if row["case_qty"]
    )
    return list(products.values())


def make_stores(plan: Plan, products: list[Product]) -> list[Store]:
    """The first stores of stores.csv; every fourth sells some brands a little dearer than the rest of the chain."""
    rows = read_csv("stores.csv")[: plan.stores]
    policies = {7: Store.OversellPolicy.BLOCK, 9: Store.OversellPolicy.ALLOW}
    Store.objects.bulk_create(
        Store(
            code=row["code"],
            name=row["name"],
            name_ur=row["name_ur"],
            address=row["address"],
            area=row["area"],
            city=row["city"],
            phone=row["phone"],
            timezone=row["timezone"],
            oversell_policy=policies.get(number % 10, Store.OversellPolicy.WARN),
        )
        for number, row in enumerate(rows)
    )
    stores = list(Store.objects.filter(code__in=[row["code"] for row in rows]).order_by("pk"))
    since = plan.until - timedelta(days=plan.days + 1)
    branded = [product for product in products if product.brand and product.selling_price >= 100]
    for number, store in enumerate(stores):
        if number % 4 == 1:
            StorePrice.objects.bulk_create(
                StorePrice(
                    store=store,
                    product=product,
                    price=(product.selling_price * Decimal("1.03")).quantize(Decimal(1)),
                    effective_from=since,
                )
                for product in branded[number % 13 :: 13]
            )
    return stores


def make_practice_store() -> Store:
    """The sandbox: no live key sees it, and no total of the chain counts it."""
    return Store.objects.create(
        code=PRACTICE,
        name="Practice shop",
        name_ur="مشق کی دکان",
        city="Lahore",
        sandbox=True,
    )


# (who, user name, role, number of his stores, language, name); the first is the head office.
CAST = (
    ("head office", "head", None, 0, "en", "Sana Malik"),
    ("owner of several stores", "owner", "owner", 6, "en", "Tariq Mahmood"),
    ("manager", "manager", "manager", 1, "en", "Bilal Ahmed"),
    ("cashier", "cashier", "cashier", 1, "en", "Adeel Raza"),
    ("cashier, in Urdu", "cashier-urdu", "cashier", 1, "ur", "عائشہ بی بی"),
    ("auditor", "auditor", "auditor", 6, "en", "Farah Siddiqui"),
)
FIRST = [
    "Ali",
    "Hassan",
    "Usman",
    "Zubair",
    "Imran",
    "Kashif",
    "Nadeem",
    "Saima",
    "Rabia",
    "Hina",
    "Asma",
    "Waqas",
    "Junaid",
    "Faisal",
    "Shahid",
    "Naveed",
    "Amna",
    "Iqra",
    "Sadia",
    "Noman",
]
LAST = [
    "Khan",
    "Butt",
    "Chaudhry",
    "Awan",
    "Qureshi",
    "Sheikh",
    "Mirza",
    "Baig",
    "Shah",
    "Abbasi",
    "Memon",
    "Baloch",
    "Afridi",
    "Gill",
    "Dar",
    "Ansari",
    "Rana",
    "Bhatti",
]


def make_people(stores: list[Store]) -> None:
    """A manager and two cashiers in every store. They cannot sign in until head office gives them a password."""
    people, posts = [], []
    for number, store in enumerate(stores):
        for place, role in enumerate(("manager", "cashier", "cashier")):
            seat = number * 3 + place
            people.append(
                User(
                    username=f"{store.code.lower()}-{role}{place or ''}",
                    first_name=FIRST[seat % len(FIRST)],
                    last_name=LAST[seat % len(LAST)],
                    email=f"{store.code.lower()}-{role}{place or ''}@kiryana.example"
                    if role == "manager"
                    else "",
                    password=make_password(None),
                    language="ur" if seat % 4 == 2 else "en",
                )
            )
            posts.append((people[-1].username, store, role))
    User.objects.bulk_create(people)
    ids = dict(
        User.objects.filter(username__in=[name for name, _store, _role in posts]).values_list(
            "username", "pk"
        )
    )
    Membership.objects.bulk_create(
        Membership(user_id=ids[name], store=store, role=role) for name, store, role in posts
    )


def make_credentials(stores: list[Store]) -> dict:
    """Logins that people try the system with, and API keys, all with new secrets; older ones stop working.

    A login that exists gets a new password only.
    """
    logins, owner = [], None
    for who, username, role, count, language, name in CAST:
        password = new_password()
        if user := User.objects.filter(username=username).first():
            user.set_password(password)
            user.save(update_fields=["password"])
        else:
            mine = [(store, role) for store in stores[:count]]
            user = create_user(
                username=username, password=password, email=f"{username}@kiryana.example", language=language,
                store_roles=mine, is_staff=role is None, is_superuser=role is None,
            )  # fmt: skip
            user.first_name, _space, user.last_name = name.partition(" ")
            user.save(update_fields=["first_name", "last_name"])
        logins.append({"who": who, "username": username, "password": password})
        # Who owns shops practises here too, and finds the test key among his own.
        if role == Membership.Role.OWNER and (practice := Store.objects.filter(sandbox=True).first()):
            Membership.objects.get_or_create(user=user, store=practice, defaults={"role": role})
            owner = user
    keys = []
    reading = [scope for scope in ApiKey.Scope.values if scope.endswith(":read")]
    for name, some, scopes in (
        ("Demo: all stores", [], ApiKey.Scope.values),
        (f"Demo: {stores[0].code} only", stores[:1], [*reading, ApiKey.Scope.MOVEMENTS_WRITE]),
    ):
        for old in ApiKey.objects.usable().filter(name=name):
            revoke_key(key=old)
        _key, secret = create_key(name=name, scopes=scopes, stores=some, all_stores=not some)
        keys.append({"name": name, "key": secret})
    if owner:
        for old in ApiKey.objects.usable().filter(name=PRACTICE_KEY, is_test=True):
            revoke_key(key=old)
        _key, secret = create_test_key(owner=owner, name=PRACTICE_KEY)
        keys.append({"name": PRACTICE_KEY, "key": secret})
    return {"logins": logins, "keys": keys}


def new_password() -> str:
    """Easily typed, hard to guess: four words and two digits, about 33 bits (sign-in attempts are limited)."""
    return "-".join([*(secrets.choice(WORDS) for _place in range(4)), str(10 + secrets.randbelow(90))])


def write_credentials(made: dict) -> Path:
    """Puts logins and keys into KIRYANA_HOME/demo.json, whole or not at all."""
    settings.KIRYANA_HOME.mkdir(parents=True, exist_ok=True)
    file = settings.KIRYANA_HOME / CREDENTIALS
    half = file.with_suffix(".half")
    half.unlink(missing_ok=True)
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(made, out, indent=1, ensure_ascii=False)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    half.replace(file)
    return file


@transaction.atomic
def renew_credentials(plan: Plan) -> dict:
    """New passwords and keys for the demo of this database, written before the old ones stop working."""
    codes = [row["code"] for row in read_csv("stores.csv")[: plan.stores]]
    made = make_credentials(list(Store.objects.filter(code__in=codes).order_by("pk")))
    write_credentials(made)
    return made
