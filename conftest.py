"""The cast: stores, people, goods and keys that tests ask for by name."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_save
from django.utils import translation
from rest_framework.test import APIClient

from catalog.models import Barcode, Category, Pack, Product
from inventory.models import Kind, Reason, StockLevel
from inventory.services import Actor, Line, Posted, post_document
from kiryana.tests import shards
from stores.authentication.keys import refused_guesses, refused_keys
from stores.models import ApiKey, Membership, Store, User
from stores.services import create_key

GUARDS = {
    "inventory_movement": "movement_never_truncated",
    "inventory_document": "document_never_truncated",
    "inventory_stocklevel": "level_never_truncated",
}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Tests that commit are cleaned up by TRUNCATE, which the ledger refuses: here, and only here, it is let through."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, guard in GUARDS.items():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
        shards.guard(cursor)


connection_created.connect(shards.watch, dispatch_uid="shards")
pre_save.connect(shards.saved, dispatch_uid="shards")


@pytest.fixture(autouse=True)
def one_store_at_a_time():
    """Whatever a test makes the system do: no statement writes or locks rows of two stores, none saves one of them whole."""
    shards.found.clear()
    yield
    assert shards.found == []


@pytest.fixture(autouse=True)
def english():
    """Each test begins in English, whatever the one before it spoke."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def nobody_refused():
    """Each test begins without the refusals that a process remembers for a minute."""
    refused_keys.clear()
    refused_guesses.clear()


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """A slow hash protects stolen passwords; here it would only slow the tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def store(db):
    return Store.objects.create(code="LHE-0001", name="Madina Kiryana", name_ur="مدینہ کریانہ", city="Lahore")


@pytest.fixture
def other_store(db):
    return Store.objects.create(code="KHI-0001", name="Saddar Kiryana", name_ur="صدر کریانہ", city="Karachi")


@pytest.fixture
def staff(store) -> Callable[..., User]:
    """staff("manager") is a new user with that role in `store`; staff("cashier", other_store) in another."""

    def make(role: str, where: Store = store, **fields) -> User:
        number = User.objects.count() + 1
        user = User.objects.create_user(
            f"{role}-{number}", f"{role}-{number}@example.pk", "chai-aur-biscuit", **fields
        )
        Membership.objects.create(user=user, store=where, role=role)
        return user

    return make


@pytest.fixture
def cashier(staff):
    return staff("cashier")


@pytest.fixture
def manager(staff):
    return staff("manager")


@pytest.fixture
def owner(staff):
    return staff("owner")


@pytest.fixture
def auditor(staff):
    return staff("auditor")


@pytest.fixture
def head_office(db):
    """Somebody who may do everything in the admin, and works in no store."""
    return User.objects.create_superuser("head", "head@example.pk", "chai-aur-biscuit")


@pytest.fixture
def category(db):
    return Category.objects.create(name="Flour & Grains", name_ur="آٹا اور اناج")


@pytest.fixture
def atta(category):
    """Loose flour by the kilogram: Rs 130, usual cost Rs 120, weight label 21 00001."""
    product = Product.objects.create(
        sku="FLR-0001", name="Chakki Atta (loose)", name_ur="چکی آٹا (کھلا)", aliases="aata", category=category, unit="kg",
        quantity_step=Decimal("0.001"), cost_price=Decimal(120), selling_price=Decimal(130),
    )  # fmt: skip
    Barcode.objects.create(code="2100001000004", product=product)
    return product


@pytest.fixture
def ghee(category):
    """A tin of ghee by the piece: Rs 560, usual cost Rs 500, in cases of 12."""
    product = Product.objects.create(
        sku="GHE-0001", name="Dalda Ghee 1 kg", name_ur="ڈالڈا گھی 1 کلو", category=category, brand="Dalda",
        cost_price=Decimal(500), selling_price=Decimal(560),
    )  # fmt: skip
    Barcode.objects.create(code="8964000123456", product=product)
    case = Pack.objects.create(product=product, name="Case of 12", units_per_pack=12)
    Barcode.objects.create(code="18964000123453", product=product, pack=case)
    return product


@pytest.fixture
def post(store, manager) -> Callable[..., Posted]:
    """post("sale", (ghee, 2), (atta, "1.250")) records a document in `store` as its manager."""

    def act(kind: str, *lines, where: Store = store, actor: Actor | None = None, **options) -> Posted:
        made = [
            line
            if isinstance(line, Line)
            else Line(product=line[0], quantity=Decimal(line[1]), unit_cost=cost(kind, line))
            for line in lines
        ]
        return post_document(
            store=where, kind=kind, lines=made, actor=actor or Actor.on_page(manager, "manager"), **options
        )

    def cost(kind, line):
        return Decimal(line[2]) if len(line) > 2 and kind in ("receipt", "opening") else None

    return act


@pytest.fixture(params=["line by line", "many at once"])
def road(request, monkeypatch) -> str:
    """Runs a test twice: goods that leave are posted line by line, then as from many lines on."""
    monkeypatch.setattr("inventory.services.posting.MANY", 1 if request.param == "many at once" else 10**9)
    return request.param


@pytest.fixture
def stocked(post, atta, ghee):
    """`store` with 100 kg of atta at Rs 118 and 24 tins of ghee at Rs 510; `stocked(product)` is the level now."""
    post(Kind.RECEIPT, (atta, 100, 118), (ghee, 24, 510))

    def level(product: Product) -> StockLevel:
        return StockLevel.objects.get(store__code="LHE-0001", product=product)

    return level


@pytest.fixture
def reason(db):
    """reason("DAMAGED") is the coded reason that a new system has."""
    return lambda code: Reason.objects.get(code=code)


@pytest.fixture
def api_client(store) -> Callable[..., APIClient]:
    """api_client() speaks with a key of `store` that may do everything; scopes= and stores= narrow or move it."""

    def make(stores=(store,), scopes=ApiKey.Scope.values, **options) -> APIClient:
        key, secret = create_key(name="Till", scopes=scopes, stores=stores, **options)
        client = APIClient(headers={"x-api-key": secret})
        client.key, client.secret = key, secret
        return client

    return make


@pytest.fixture
def together() -> Callable[[list[Callable]], list]:
    """together([f, g, ...]) runs all at once, each in a thread with its own connection, and gives what each returned or raised."""

    def run(acts: list[Callable]) -> list:
        barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

        def work(place, act):
            try:
                connection.ensure_connection()
                barrier.wait(timeout=30)
                results[place] = act()
            except Exception as error:
                results[place] = error
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work, args=(place, act)) for place, act in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert not any(thread.is_alive() for thread in threads), "a thread is still waiting"
        return results

    return run
