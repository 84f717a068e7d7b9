"""Reports read from a real replica: never less than was answered before, and never an error because of the replica.

Primary and replica are servers of this module's own, made of the same binaries; both write down each statement, by which the
tests know who was asked what.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests
from django.db import connections, router

from inventory.models import Movement
from kiryana.cluster import Cluster
from kiryana.routers import Reports
from kiryana.tests.live import ROOT, Web
from kiryana.tests.test_cluster import until
from reports.queries import replica as module
from stores.models import ApiKey, Store

PASSWORD = "chai-aur-biscuit"
SEED = """
from decimal import Decimal
from catalog.models import Category, Product
from inventory.services import Actor, Line, post_document
from stores.models import ApiKey, Membership, Store, User
from stores.services import create_key
store = Store.objects.create(code="LHE-0001", name="Madina Kiryana")
manager = User.objects.create_user("manager", "manager@example.pk", "chai-aur-biscuit")
Membership.objects.create(user=manager, store=store, role="manager")
ghee = Product.objects.create(sku="GHE-0001", name="Ghee", category=Category.objects.create(name="Fat"), cost_price=500, selling_price=560)
lines = [Line(product=ghee, quantity=Decimal(9000), unit_cost=Decimal(500))]
post_document(store=store, kind="receipt", lines=lines, actor=Actor.on_page(manager, "manager"))
print(create_key(name="Till", scopes=ApiKey.Scope.values, stores=[store])[1])
"""
REPORTS = (
    "inventory-summary", "low-stock", "daily-sales", "top-products", "stock-value", "dead-stock", "movement-summary", "shrinkage",
)  # fmt: skip
PAGES = (
    "",
    "reports/daily-sales/",
    "reports/inventory-value/",
    "reports/low-stock/",
    "reports/top-products/",
)
# What only reports ask, and what tells who is asking.
FIGURES = r"reports_dailystock|inventory_stocklevel|inventory_movement"
PEOPLE = r"stores_user|stores_membership|django_session|kiryana_cache|FROM stores_apikey WHERE"


class Told(Cluster):
    """A server that writes down what it is asked."""

    def __init__(self, home: Path, name: str = "postgres"):
        super().__init__(home, name, fast=True, tied=True)
        self.settings |= {"synchronous_commit": "on", "log_statement": "all"}
        self.seen = 0

    def asked(self, about: str) -> list[str]:
        """The statements since the last look that name what `about` (a pattern) fits."""
        with open(self.log, "rb") as log:
            log.seek(self.seen)
            text = log.read().decode()
            self.seen = log.tell()
        told = re.split(r"^\d{4}-\d\d-\d\d [\d:.]+ UTC \[\d+\] ", text, flags=re.MULTILINE)
        return [one for one in told if re.match(r"LOG:  (statement|execute)", one) and re.search(about, one)]

    def ask(self, statement: str):
        with psycopg.connect(self.url, autocommit=True) as line:
            cursor = line.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture(scope="module")
def pair():
    """(primary, replica, key): one store with ghee, and a key that may do everything."""
    home = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    home.chmod(0o711)
    primary, replica = Told(home), Told(home, "replica")
    try:
        primary.start()
        ours = ("ALLOWED_HOSTS", "TEST_DATABASE", "POOLER_URL")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment |= {"DATABASE_URL": primary.url, "KIRYANA_HOME": str(home)}
        for command in (["migrate", "-v0"], ["shell", "--no-imports", "-c", SEED]):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        replica.follow(primary)
        yield primary, replica, done.stdout.strip()
    finally:
        replica.stop()
        primary.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def web(pair):
    primary, replica, _key = pair
    made = Web(primary.url, config="kiryana.tests.eager", REPLICA_URL=replica.url, WEB_WORKERS="1")
    yield made
    made.end()


@pytest.fixture
def shop(pair, web):
    """The pair, level with each other, and nothing looked at yet."""
    made = Shop(*pair, web)
    made.level()
    return made


class Shop:
    sold = 0  # over all tests: they share the servers

    def __init__(self, primary: Told, replica: Told, key: str, web: Web):
        self.primary, self.replica, self.key, self.web = primary, replica, key, web

    def sell(self) -> None:
        Shop.sold += 1
        sale = {
            "store": "LHE-0001",
            "kind": "sale",
            "reference": f"s-{Shop.sold}",
            "lines": [{"sku": "GHE-0001", "quantity": "1"}],
        }
        status, _headers, body = self.web.ask("POST", "/api/v1/documents/", sale, key=self.key)
        assert status == 201, body

    def report(self, name: str = "daily-sales", query: str = "") -> dict:
        status, _headers, body = self.web.ask("GET", f"/api/v1/reports/{name}/{query}", key=self.key)
        assert status == 200, body
        return json.loads(body) if not query else body

    def sales(self) -> int:
        """How many there are, as the report says."""
        return self.report()["totals"]["documents"]

    def level(self) -> None:
        """Waits until the replica has replayed all there is, and is asked."""
        self.primary.ask("CREATE TABLE IF NOT EXISTS a_flushed_commit (); DROP TABLE a_flushed_commit")
        place = self.primary.ask("SELECT pg_current_wal_flush_lsn()")
        until(
            lambda: self.replica.ask(f"SELECT pg_last_wal_replay_lsn() >= '{place}'"),
            "the replica has replayed all",
        )
        until(lambda: self.sales() == Shop.sold and self.replica.asked(FIGURES), "the replica is asked")
        self.look_away()

    def look_away(self) -> None:
        self.primary.asked("")
        self.replica.asked("")


def test_reports_ask_the_replica_and_who_is_asking_the_primary_knows(shop):
    browser = requests.Session()
    page = browser.get(shop.web.url + "/login/", timeout=60).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    fields = {"username": "manager", "password": PASSWORD, "csrfmiddlewaretoken": token}
    signed_in = browser.post(shop.web.url + "/login/", fields, headers={"Origin": shop.web.url}, timeout=60)
    assert signed_in.url.endswith("/s/LHE-0001/")
    shop.level()
    for page in PAGES:
        for form in ("", "?format=csv", "?format=xlsx"):
            answer = browser.get(f"{shop.web.url}/s/LHE-0001/{page}{form}", timeout=60)
            assert answer.status_code == 200
            assert shop.replica.asked(FIGURES), page
            assert not shop.primary.asked(FIGURES), page
    for name in REPORTS:
        for query in ("", "?format=csv", "?store=LHE-0001"):
            shop.report(name, query)
            assert shop.replica.asked(FIGURES), name
            assert not shop.primary.asked(FIGURES), name
    shop.look_away()
    browser.get(f"{shop.web.url}/s/LHE-0001/reports/low-stock/", timeout=60)
    shop.report("low-stock", "?store=LHE-0001")
    assert not shop.replica.asked(PEOPLE)
    assert len(shop.primary.asked(PEOPLE)) >= 3  # session, user with his role; the key of the report


def test_a_sale_asks_neither_the_replica_nor_how_far_the_log_is(shop):
    shop.sell()
    assert not shop.primary.asked("pg_current_wal")
    assert not shop.replica.asked("")


def test_a_report_knows_every_sale_that_was_answered(shop):
    for _turn in range(30):
        shop.sell()
        assert shop.sales() == Shop.sold


def test_a_replica_that_stands_still_is_not_read_until_it_has_caught_up(shop):
    shop.replica.ask("SELECT pg_wal_replay_pause()")
    try:
        until(
            lambda: shop.replica.ask("SELECT pg_get_wal_replay_pause_state()") == "paused", "it stands still"
        )
        for _turn in range(2):
            shop.sell()
            assert shop.sales() == Shop.sold
            assert shop.primary.asked(FIGURES)
        assert not shop.replica.asked(FIGURES)
    finally:
        shop.replica.ask("SELECT pg_wal_replay_resume()")
    shop.level()
    assert shop.sales() == Shop.sold
    assert shop.replica.asked(FIGURES)


def test_a_report_that_the_replica_breaks_off_is_read_from_the_primary(shop):
    """It waits for a lock that is taken on both; there it is ended, then here it is let go on."""
    seen, waits = (
        [],
        "SELECT max(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'reports_'",
    )
    with psycopg.connect(shop.primary.url) as line:
        line.execute("LOCK TABLE reports_dailystock IN ACCESS EXCLUSIVE MODE")
        line.execute("SELECT pg_logical_emit_message(false, 'kiryana', 'flushed', true)")
        replayed = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'reports_dailystock'::regclass"
        until(lambda: shop.replica.ask(replayed), "the replica has the lock too")
        reader = threading.Thread(target=lambda: seen.append(shop.sales()))
        reader.start()
        waiting = until(lambda: shop.replica.ask(waits), "the report waits there")
        shop.replica.ask(f"SELECT pg_terminate_backend({waiting})")
        until(lambda: shop.primary.ask(waits), "the report waits here")
    reader.join(60)
    assert seen == [Shop.sold]


def test_a_replica_that_was_killed_costs_no_report(shop):
    os.kill(shop.replica.pid(), signal.SIGKILL)
    try:
        until(lambda: shop.replica.process.poll() is not None, "it is dead")
        for _turn in range(5):
            shop.sell()
            assert shop.sales() == Shop.sold
        for name in REPORTS:
            shop.report(name)
    finally:
        shop.replica.start()
    shop.level()


def test_a_server_that_goes_by_itself_is_no_replica_any_more_and_nor_is_one_that_follows_it(shop):
    def knows(server: Told, place: tuple) -> bool:
        with psycopg.connect(server.url) as line:
            return line.execute(module.KNOWS, place).fetchone()[0]

    def reached() -> tuple:
        with psycopg.connect(shop.primary.url) as line:
            return line.execute(module.REACHED).fetchone()

    other = Told(shop.primary.home, "other")
    try:
        assert knows(shop.replica, reached())
        shop.replica.ask("SELECT pg_promote()")
        assert not knows(shop.replica, reached())
        shop.replica.ask("SELECT pg_logical_emit_message(true, 'kiryana', repeat('x', 1000000))")
        other.follow(shop.replica)
        # Further than the primary, in recovery, and yet it will never know the primary's next sale.
        ahead = f"SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() > '{reached()[0]}'"
        until(lambda: other.ask(ahead), "the other one is ahead")
        assert not knows(other, reached())
        shop.look_away()
        shop.sell()
        assert shop.sales() == Shop.sold
        assert not shop.replica.asked(FIGURES)
    finally:
        other.stop()
        shop.replica.follow(shop.primary)
    shop.level()


def test_a_replica_takes_no_write(shop):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        shop.replica.ask("UPDATE stores_store SET name = ''")


# -- In this process


@contextmanager
def a_replica(**changes):
    """A database of this name beside the test's own: the same, but for `changes`."""
    connections.settings[module.REPLICA] = connections.settings["default"] | changes
    try:
        yield connections[module.REPLICA]
    finally:
        connections[module.REPLICA].close()
        del connections[module.REPLICA], connections.settings[module.REPLICA]


@pytest.fixture
def in_a_report(db, monkeypatch):
    """As in a view that reads from a replica."""
    monkeypatch.setattr(router, "routers", [Reports()])
    with a_replica():
        before = module._reading.set(True)
        yield
        module._reading.reset(before)


def test_a_report_that_writes_or_locks_is_stopped(in_a_report):
    with pytest.raises(RuntimeError, match="A report reads"):
        Store.objects.create(code="X", name="X")
    with pytest.raises(RuntimeError, match="A report reads"):
        Store.objects.filter(pk=1).update(name="")
    with pytest.raises(RuntimeError, match="A report reads"):
        list(Store.objects.select_for_update())
    assert Store.objects.all().db == module.REPLICA
    assert ApiKey.objects.all().db == "default"


def test_what_came_from_the_replica_is_saved_on_the_primary(store, monkeypatch):
    monkeypatch.setattr(router, "routers", [Reports()])
    store._state.db = module.REPLICA
    store.name = "Another"
    store.save()
    assert store._state.db == "default"
    assert store.memberships.all().db == "default"


@pytest.fixture
def nowhere(db, monkeypatch):
    """A replica that nobody reaches, and a process that has not tried yet; gives the list of tries."""
    for name, value in {"until": 0.0, "failed": False}.items():
        monkeypatch.setattr(module.Rest, name, value)
    with a_replica(HOST="/nowhere") as replica:
        tries = []
        # Django's own for tests would refuse a database that the test did not announce.
        real = replica.wrap_database_errors(replica.connect)
        replica.ensure_connection = lambda: (tries.append(replica), real())
        yield tries


def test_a_dead_replica_costs_one_report_its_patience_and_the_others_nothing(
    nowhere, monkeypatch, django_assert_num_queries
):
    @module.from_replica
    def view():
        return "answered"

    clock = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    for moment, tried in [(0, 1), (0, 1), (module.AWAY - 1, 1), (module.AWAY + 1, 2), (module.AWAY + 2, 2)]:
        clock[0] = 1000.0 + moment
        # Who tries asks the primary how far it is; who does not try asks nobody.
        with django_assert_num_queries(tried - len(nowhere)):
            assert view() == "answered"
        assert len(nowhere) == tried


@pytest.mark.django_db
def test_without_a_replica_nobody_asks_for_one(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert module.from_replica(lambda: "answered")() == "answered"


@pytest.mark.django_db(transaction=True)
def test_a_long_list_that_the_replica_breaks_off_goes_on_from_the_primary(post, ghee, store, monkeypatch):
    for number in range(1, 13):
        post("receipt", (ghee, number, 500))
    monkeypatch.setattr(module, "FIRST", 2)
    monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(module.Rest, "until", 0.0)
    monkeypatch.setattr(module.Rest, "failed", False)
    asked = []
    with a_replica() as there:
        there.ensure_connection = lambda: there.connection or there.connect()
        for alias in ("default", module.REPLICA):
            connections[alias].execute_wrappers.append(
                lambda run, sql, *told, alias=alias: (
                    'FROM "inventory_movement"' in sql and asked.append(alias),
                    run(sql, *told),
                )[1]
            )
        try:
            lines = (
                Movement.objects.filter(store=store)
                .using(module.REPLICA)
                .values("id", "quantity", "business_date")
            )
            lines = module.in_chunks(lines, Movement.NEWEST_DAY_FIRST)
            got = [next(lines)["quantity"] for _number in range(4)]
            assert asked == [module.REPLICA] * 2
            there.connection.close()
            got += [line["quantity"] for line in lines]
        finally:
            connections["default"].execute_wrappers.pop()
    assert got == list(range(12, 0, -1))
    assert asked[2:] == ["default"] * 3
