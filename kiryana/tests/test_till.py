"""The till of the guide on the worst of lines: 10,000 sales, each recorded once, whatever happens on the way."""

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from kiryana.cluster import Cluster
from kiryana.tests.live import ROOT, BadLine, Web
from kiryana.tests.test_cluster import until

TILL = ROOT / "docs" / "examples" / "till.py"
SALES = 10_000
FOUND_SHOP = """
import django
django.setup()
from decimal import Decimal
from catalog.models import Category, Product
from inventory.services import Actor, Line, post_document
from stores.models import Store
from stores.services import create_key
store = Store.objects.create(code="LHE-0001", name="Madina Kiryana")
category = Category.objects.create(name="Tea & Coffee")
goods = [
    Product.objects.create(sku=f"TEA-{number:04}", name=f"Tea {number}", category=category, selling_price=40)
    for number in range(1, 9)
]
lines = [Line(product=product, quantity=Decimal(100_000), unit_cost=Decimal(30)) for product in goods]
post_document(store=store, kind="receipt", lines=lines, actor=Actor.importing(), reference="first-delivery")
print(create_key(name="Till", scopes=["movements:write"], stores=[store])[1])
"""


class Shop:
    """A database of its own that keeps what it has said, even through a power cut, and a key for one till."""

    def __init__(self, home: Path):
        self.cluster = Cluster(home, tied=True)
        self.url = self.cluster.start()
        self.manage("migrate", "-v0")
        made = self.python("-c", FOUND_SHOP)
        assert made.returncode == 0, made.stderr
        self.key = made.stdout.strip()
        self.database = psycopg.connect(self.url, autocommit=True)

    def python(self, *arguments) -> subprocess.CompletedProcess:
        ours = os.environ | {"DATABASE_URL": self.url, "DJANGO_SETTINGS_MODULE": "kiryana.settings"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=ours, capture_output=True, text=True
        )

    def manage(self, *arguments) -> str:
        done = self.python("manage.py", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def ask(self, question: str) -> tuple:
        return self.database.execute(question).fetchone()


@pytest.fixture(scope="module")
def shop():
    home = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    home.chmod(0o711)
    try:
        yield Shop(home)
    finally:
        Cluster(home).stop()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def till():
    """The module docs/examples/till.py."""
    spec = importlib.util.spec_from_file_location("till", TILL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sell(till, path: Path, dice: random.Random, count: int) -> Decimal:
    """Writes `count` sales of one line into the till's file; the units sold."""
    queue, units = till.Queue(str(path)), Decimal(0)
    with queue.rows:
        for _sale in range(count):
            quantity = dice.randint(1, 3)
            queue.add("LHE-0001", {"sku": f"TEA-{dice.randint(1, 8):04}", "quantity": str(quantity)})
            units += quantity
    queue.rows.close()
    return units


def test_10000_sales_over_a_line_that_drops_doubles_and_delays_are_10000_documents(shop, till, tmp_path):
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    print(f"SEED={seed}")
    dice = random.Random(seed)
    queue = tmp_path / "till.sqlite"
    units = sell(till, queue, dice, SALES)
    [durable] = shop.ask(
        "SELECT bool_and(setting = 'on') FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
    )
    assert durable

    def recorded() -> int:
        return shop.ask("SELECT count(*) FROM inventory_document WHERE kind = 'sale'")[0]

    web = Web(shop.url, WEB_WORKERS="2")
    line = BadLine(web.port, seed)
    own = {"API": f"{line.url}/api/v1", "KEY": shop.key, "TILL": str(queue)}

    def start(log) -> subprocess.Popen:
        # Batches of 50 on 3 connections; after 20 seconds without an answer a request counts as lost.
        command = [sys.executable, "-I", "-S", TILL, "send", "50", "3", "20"]
        return subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT)

    try:
        with open(tmp_path / "till.log", "w+") as log:
            # The till is killed in the middle of its work, twice, and starts again with what its file holds.
            for part in (SALES // 5, SALES // 2):
                client = start(log)
                try:
                    until(lambda part=part: recorded() >= part, f"{part} sales", 300)
                finally:
                    client.kill()
                assert client.wait() == -signal.SIGKILL
            client = start(log)
            try:
                assert client.wait(400) == 0
            finally:
                client.kill()
            log.seek(0)
            told = log.read()
    finally:
        line.end()
        web.end()
    print(dict(line.seen), told.count("once more"), "tries more")

    assert recorded() == SALES
    sold = "SELECT count(*), count(DISTINCT document_id), -sum(quantity) FROM inventory_movement WHERE kind = 'sale'"
    assert shop.ask(sold) == (SALES, SALES, units)
    assert shop.ask("SELECT sum(on_hand) FROM inventory_stocklevel") == (800_000 - units,)
    assert shop.manage("check_ledger") == ""
    # The till knows it, too; and the line was as bad as promised.
    rows = till.Queue(str(queue)).rows
    verdicts = dict(rows.execute("SELECT verdict, count(*) FROM sale GROUP BY verdict"))
    assert sum(verdicts.values()) == SALES
    assert verdicts.keys() == {"created", "replayed"}
    assert line.seen.keys() == set(BadLine.PACK)
    assert "rejected" not in told


def test_what_a_till_needs_is_in_the_standard_library_and_short():
    text = TILL.read_text()
    assert len(text.splitlines()) <= 150
    done = subprocess.run(
        [sys.executable, "-I", "-S", TILL, "send"], env={"TILL": ":memory:"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_till_tells_what_was_rejected_and_stops_where_trying_again_is_no_use(shop, tmp_path):
    own = os.environ | {"KEY": shop.key, "TILL": str(tmp_path / "till.sqlite")}

    def run(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-I", "-S", TILL, *arguments],
            env=own,
            capture_output=True,
            text=True,
            timeout=60,
        )

    web = Web(shop.url)
    own["API"] = f"{web.url}/api/v1"
    try:
        right = run("sell", "LHE-0001", "TEA-0001", "2").stdout.strip()
        wrong = run("sell", "LHE-0001", "NO-SUCH", "1").stdout.strip()
        done = run("send")
        assert (done.returncode, done.stdout) == (0, f"rejected {wrong}: There is no such product.\n")
        assert run("rejected").stdout == done.stdout
        found = f"SELECT count(*) FROM inventory_document WHERE reference IN ('{right}', '{wrong}')"
        assert shop.ask(found) == (1,)

        run("sell", "LHE-0001", "TEA-0001", "2")
        own["KEY"] = shop.key[:-1] + ("A" if shop.key[-1] != "A" else "B")
        done = run("send")
        assert done.returncode == 1
        assert done.stderr.startswith("The server refuses the whole batch. unauthenticated:")
    finally:
        web.end()
