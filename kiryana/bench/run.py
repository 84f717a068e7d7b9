"""One run: a server of its own, two ledgers, and every figure beside its limit."""

import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import psycopg

from kiryana.bench import history, limits, load, pages
from kiryana.bench.figures import Failed, Figure, in_row, in_turns
from kiryana.bench.seed import Size, fill
from kiryana.bench.server import ROOT, resident, serving, wait_until_ready
from kiryana.bench.trade import CSRF, Counter, Partner, Shelf
from kiryana.cluster import Cluster, tied_to_parent

DURABLE = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "wal_sync_method",
)
MARK = "made-by-bench"  # the file that says whose folder it is
KEPT = "kept.json"  # what is known of ledgers that are kept; FILLED is the small one before anything was sold in it
FILLED = "filled"
CLIENTS = 16
CASHIERS = 16
FULL = {
    "small": Size(520, 2000, 2), "large": Size(520, 2000, 20), "repeat": 5, "seconds": 2.0, "rounds": 3, "batches": 64,
    "import": (Size(8, 2000, 1), 200_000), "pages": 7, "again": 100, "every": 1, "transactions": 4_000, "requests": (100, 10_000),
    "starts": 5,
}  # fmt: skip
QUICK = {
    "small": Size(24, 200, 2), "large": Size(24, 200, 20), "repeat": 3, "seconds": 0.9, "rounds": 1, "batches": 12,
    "import": (Size(4, 200, 1), 16_000), "pages": 3, "again": 20, "every": 12, "transactions": 400, "requests": (100, 500), "starts": 1,
}  # fmt: skip
PEOPLE = """
INSERT INTO stores_membership (user_id, store_id, role)
SELECT id, 1, 'owner' FROM stores_user WHERE username = 'owner'
UNION ALL SELECT id, substr(username, 9)::int, 'cashier' FROM stores_user WHERE username LIKE 'cashier-%'
"""


class Bench:
    """Everything of one run below the folder `home`, which is emptied afterwards. Use it in a `with`.

    With `keep` the filled ledgers stay there, and the next run with `keep` takes them as they were filled.
    """

    def __init__(
        self, home: Path, *, quick: bool, only: Iterable[str], repeat: int | None = None, keep: bool = False
    ):
        self.home, self.only, self.keep = home, set(only), keep
        self.plan = QUICK if quick else FULL
        self.repeat = repeat or self.plan["repeat"]
        self.figures: list[Figure] = []
        self.about: dict = {"small": self.plan["small"].movements, "large": self.plan["large"].movements}
        self.begun, self.ready = time.monotonic(), False

    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def say(self, words: str) -> None:
        print(f"{self.seconds():6.1f} s  {words}", file=sys.stderr, flush=True)

    def wants(self, *names: str) -> bool:
        return bool(self.only & set(names))

    def figure(self, *arguments, **options) -> Figure:
        self.figures.append(Figure(*arguments, **options))
        return self.figures[-1]

    # -- The server and its databases

    def __enter__(self) -> "Bench":
        # What is here is deleted: never the data of somebody who named the wrong folder.
        mark = self.home / MARK
        if any(self.home.iterdir()) and not mark.exists():
            raise Failed(f"{self.home} is not empty and not of an earlier run: name another folder.")
        mark.touch()
        self.folder = Path(tempfile.mkdtemp(prefix="kiryana-bench-"))
        self.cluster = Cluster(self.home, tied=True)
        self.cluster.stop()  # of a run that was killed
        if self.kept is None and self.cluster.base.exists():
            self.cluster.remove()
        return self

    @property
    def wanted(self) -> dict[str, Size]:
        """The ledgers that this run needs, by name."""
        return {name: self.plan[name] for name in (("small", "large") if self.wants("pages") else ("small",))}

    @property
    def kept(self) -> dict | None:
        """What is known of the ledgers that an earlier run has kept, if they are those that this one needs."""
        file = self.home / KEPT
        if not (self.keep and file.is_file() and self.cluster.base.exists()):
            return None
        told = json.loads(file.read_text())
        fits = all(told["sizes"].get(name) == asdict(size) for name, size in self.wanted.items())
        return told if fits else None

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.folder)
        if self.ready:
            from django.db import connections

            connections.close_all()
        self.cluster.stop()
        shutil.rmtree(self.home / "logs", ignore_errors=True)
        made = [
            "up.lock",
            "run.json",
            "secret_key",
        ]  # by bin/up; with its key kept sessions would be nobody's
        if self.kept is None:
            self.cluster.remove()
            made.append(KEPT)
        for name in made:
            (self.home / name).unlink(missing_ok=True)

    def url(self, name: str) -> str:
        return self.cluster.url.replace("@/kiryana", f"@/{name}")

    def admin(self, *statements: str) -> None:
        """Statements about whole databases."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def environment(self, name: str) -> dict:
        return os.environ | {"DATABASE_URL": self.url(name), "KIRYANA_HOME": str(self.home)}

    def prepare(self) -> None:
        """Server, schema, people and both ledgers."""
        self.say("starting PostgreSQL and making the schema")
        self.cluster.start()
        with psycopg.connect(self.url("postgres")) as connection:
            shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in DURABLE}
        self.about |= {"postgresql": shown.pop("server_version"), "settings": shown}
        if (shown["fsync"], shown["synchronous_commit"], shown["full_page_writes"]) != ("on", "on", "on"):
            raise Failed(f"The server is not durable: {shown}")
        kept = self.kept
        if kept:
            self.people = kept["people"]
            self.bare()
        names = ("kiryana", FILLED, *(["large"] if "large" in self.wanted else [])) if kept else ("kiryana",)
        with self.migrated(*names):
            os.environ |= {"DATABASE_URL": self.url("small"), "KIRYANA_HOME": str(self.home)}
            os.environ |= {"API_RATE": "100000000/m", "DJANGO_SETTINGS_MODULE": "kiryana.settings"}
            import django

            django.setup()
            logging.disable(logging.WARNING)  # of this process; the web server logs as always
            self.ready = True
        if kept:
            self.say("taking up the ledgers of an earlier run")
            self.admin(
                "DROP DATABASE IF EXISTS small",
                f"CREATE DATABASE small TEMPLATE {FILLED} STRATEGY file_copy",
            )
        else:
            self.fill()
        self.key, self.owner, self.head, self.cashiers = self.people
        self.admin("CHECKPOINT")

    def bare(self) -> None:
        """Puts the database without a ledger back where it belongs, as `measure_start` has left it in an earlier run."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            if "bare" in there:
                connection.execute("DROP DATABASE IF EXISTS kiryana")
                connection.execute("ALTER DATABASE bare RENAME TO kiryana")

    def fill(self) -> None:
        """People, and the ledgers that this run needs, side by side."""
        self.admin("CREATE DATABASE small TEMPLATE kiryana")
        self.make_people()
        self.admin("CREATE DATABASE large TEMPLATE small")

        def filled(name: str) -> None:
            size = self.wanted[name]
            self.say(
                f"filling {name}: {size.stores} stores x {size.products} products, {size.movements:,} movements"
            )
            fill(self.url(name), size, self.progress(name, size.stores))
            with psycopg.connect(self.url(name)) as connection:
                connection.execute(PEOPLE)
            self.say(f"{name} is filled")

        # Fewer checkpoints meanwhile: each has the pages that come after it written twice.
        self.admin("ALTER SYSTEM SET max_wal_size = '8GB'", "SELECT pg_reload_conf()")
        with ThreadPoolExecutor() as pool:
            list(pool.map(filled, self.wanted))
        self.admin("ALTER SYSTEM RESET max_wal_size", "SELECT pg_reload_conf()")
        if self.keep:
            sizes = {name: asdict(size) for name, size in self.wanted.items()}
            self.admin(
                f"ALTER DATABASE small RENAME TO {FILLED}",
                f"CREATE DATABASE small TEMPLATE {FILLED} STRATEGY file_copy",
            )
            (self.home / KEPT).write_text(json.dumps({"people": self.people, "sizes": sizes}))

    def progress(self, name: str, stores: int):
        """Says how far the filling of `name` is, about ten times."""
        said = [0]

        def told(done: int) -> None:
            if done * 10 // stores > said[0] and self.plan is FULL:
                said[0] = done * 10 // stores
                self.say(f"  {name}: {done} of {stores} stores")

        return told

    @contextlib.contextmanager
    def migrated(self, *databases: str) -> Iterator[None]:
        """Gives these databases the schema of today, while what is inside is done."""
        runs = [
            subprocess.Popen(
                [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=self.environment(database),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=tied_to_parent(),
            )
            for database in databases
        ]  # fmt: skip
        yield
        for run in runs:
            _nothing, words = run.communicate()
            if run.returncode:
                raise Failed(f"migrate: {words[-1500:]}")

    def make_people(self) -> None:
        """A partner's key for all stores, an owner, cashiers and head office, all signed in."""
        from django.db import connection
        from django.test import Client

        from stores.models import ApiKey, User
        from stores.services import create_key

        def signed_in(user) -> str:
            client = Client()
            client.force_login(user)
            return client.cookies["sessionid"].value

        _key, secret = create_key(name="Bench", scopes=ApiKey.Scope.values, all_stores=True)
        owner, head = User.objects.create_user("owner"), User.objects.create_superuser("head")
        cashiers = [
            (store, signed_in(User.objects.create_user(f"cashier-{store}")))
            for store in range(1, CASHIERS + 1)
        ]
        self.people = [secret, signed_in(owner), signed_in(head), cashiers]
        connection.close()

    @contextlib.contextmanager
    def web(self, name: str = "small", *, ready: bool = True, **environment: str) -> Iterator:
        with serving(
            self.url(name),
            self.folder / "web.log",
            ready=ready,
            KIRYANA_HOME=str(self.home),
            **environment,
        ) as served:
            yield served

    # -- The figures

    def run(self) -> None:
        self.prepare()
        if self.wants("pages"):
            self.measure_pages()
        if self.wants("memory", "sale", "basket", "batch", "page", "hot"):
            with self.web() as (address, process):
                if self.wants("memory"):  # of workers that have done nothing yet
                    self.measure_memory(address, process)
                if self.wants("sale", "basket", "page", "hot"):
                    self.measure_trade(address)
                if self.wants("batch"):
                    self.measure_batch(address)
        for name in ("import", "guarantees", "start"):
            if self.wants(name):
                getattr(self, f"measure_{name}")()

    def asked(
        self, address, requests: Iterator[bytes], seconds: float, wanted=frozenset({201}), **options
    ) -> load.Result:
        """A run of requests that were made beforehand; refuses one with a wrong answer in it."""
        made = list(itertools.islice(requests, int(seconds * 1500)))
        result = load.run(
            address, iter(made), seconds=seconds, wanted=wanted, **{"clients": CLIENTS} | options
        )
        if result.errors or not result.times:
            raise Failed(f"{result.errors} wrong answers, the first: {result.first_error!r}")
        return result

    def measure_trade(self, address) -> None:
        """Sales and baskets beside L, and what is compared with the one-line sale."""
        size, seconds = self.plan["small"], self.plan["seconds"]
        shelf, host = Shelf(size), f"{address[0]}:{address[1]}"
        partner, counter = Partner(host, self.key), Counter(host, self.cashiers)
        empty = load.request("GET", "/healthz", host)
        wanted = {lines for name, lines in (("sale", 1), ("basket", 8)) if self.wants(name)}
        rates: dict[str, Callable[[], float]] = {}  # of each rate, what measures it for some seconds
        if wanted:
            rates["empty view"] = lambda: self.healthy(address, empty, seconds)
        if self.wants("sale", "page", "hot"):
            rates["sale"] = lambda: self.asked(address, partner.sales(shelf, 1), seconds).rate
        for lines in sorted(wanted):
            script = limits.as_script(*limits.posting_statement(self.key, lines), size)
            rates[f"pgbench of {lines}"] = partial(
                limits.pgbench, self.url("small"), script, self.folder, seconds=seconds
            )
        if self.wants("basket"):
            rates["basket"] = lambda: self.asked(address, partner.sales(shelf, 8), seconds).rate
        if self.wants("page"):
            rates["page"] = lambda: self.asked(address, counter.sales(shelf), seconds, frozenset({302})).rate
        if self.wants("hot"):
            rates["hot"] = lambda: self.asked(address, partner.sales_of_one(1, 1), seconds).rate
        goals = {
            "sale": ("one-line sale by API", "/s (empty view, then pgbench)", 0.35, 0.55),
            "basket": ("8-line basket by API", "/s (empty view, then pgbench)", 0.35, 0.55),
            "page": ("sale page, cashier", "/s by API", 0.5, 0.8),
            "hot": ("hot product", "/s spread over products", 0.4, 0.7),
        }
        figures = {
            name: self.figure(title, "/s", against, goal, stretch)
            for name, (title, against, goal, stretch) in goals.items()
            if self.wants(name)
        }
        self.say("warming up")
        self.asked(address, partner.sales(shelf, 1), seconds / 2)
        self.asked(address, partner.sales(shelf, 8), seconds / 2)
        for turn in range(self.repeat):
            self.admin("CHECKPOINT")
            found = in_turns(rates, self.plan["rounds"], turn)
            for name, figure in figures.items():
                limit = (
                    in_row(found["empty view"], found[f"pgbench of {1 if name == 'sale' else 8}"])
                    if name in ("sale", "basket")
                    else found["sale"]
                )
                figure.add(found[name], limit)
                figure.detail.setdefault("rates", []).append(found)
            self.say(
                f"sales, {turn + 1} of {self.repeat}: "
                + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in found.items())
            )

    def healthy(self, address, request: bytes, seconds: float) -> float:
        result = load.run(
            address, itertools.repeat(request), seconds=seconds, clients=CLIENTS, wanted=frozenset({200})
        )
        if result.errors:
            raise Failed(f"/healthz: {result.first_error!r}")
        return result.rate

    def measure_batch(self, address) -> None:
        """200 documents of 5 lines in one request, beside COPY of the very lines they made."""
        figure = self.figure("batch of 200 x 5 lines", "lines/s", "lines/s by COPY", 0.3, 0.5)
        shelf, partner = Shelf(self.plan["small"], seed=3), Partner(f"{address[0]}:{address[1]}", self.key)
        count = self.plan["batches"]
        for turn in range(self.repeat + 1):
            before = limits.newest(self.url("small"))
            made = list(
                itertools.islice(partner.batches(shelf, 200, 5), CLIENTS // 2 if turn == 0 else count)
            )
            # Fewer clients than batches: whichever worker is free takes the next, to the end.
            result = self.asked(address, iter(made), 120, frozenset({200, 201}), clients=CLIENTS // 2)
            written = limits.newest(self.url("small")) - before
            if written < len(made) * 1000:
                raise Failed(f"The batches wrote {written} lines, not {len(made) * 1000}.")
            if turn:  # the first one warms up
                figure.add(count * 1000 / result.seconds, limits.copy_rate(self.url("small"), before))
                self.say(
                    f"batch, {turn} of {self.repeat}: {figure.pairs[-1][0]:,.0f} lines/s, COPY {figure.pairs[-1][1]:,.0f}"
                )

    def measure_import(self) -> None:
        """import_history into an empty system, beside COPY of the very lines it made."""
        figure = self.figure("import_history", "lines/s", "lines/s by COPY", 0.4, 0.7)
        size, wanted = self.plan["import"]
        lines = history.write_history(self.folder, size, wanted)
        for turn in range(min(self.repeat, 2 if self.plan is QUICK else 3)):
            self.admin("DROP DATABASE IF EXISTS history", "CREATE DATABASE history TEMPLATE kiryana")
            done = subprocess.run(
                [*history.WORDS, str(self.folder)], cwd=ROOT, env=self.environment("history"), capture_output=True, text=True,
                stdin=subprocess.DEVNULL, check=False, preexec_fn=tied_to_parent(),
            )  # fmt: skip
            if done.returncode:
                raise Failed(f"import_history: {done.stderr[-800:]}")
            written = limits.newest(self.url("history"))
            if written < lines:
                raise Failed(f"import_history wrote {written} lines of {lines}.")
            figure.add(lines / float(done.stdout), limits.copy_rate(self.url("history"), 0))
            self.say(
                f"import, {turn + 1}: {figure.pairs[-1][0]:,.0f} lines/s, COPY {figure.pairs[-1][1]:,.0f}"
            )
        self.admin("DROP DATABASE history")

    def measure_pages(self) -> None:
        """Every page of the small and of the large ledger, and pages deep in a list."""
        times = self.plan["pages"]
        headers = {
            "partner": {"X_API_Key": self.key},
            "owner": {"Cookie": f"sessionid={self.owner}; csrftoken={CSRF}"},
            "head": {"Cookie": f"sessionid={self.head}; csrftoken={CSRF}"},
        }
        with psycopg.connect(self.url("small")) as connection, connection.cursor() as cursor:
            found = pages.addresses(cursor)[:: self.plan["every"]]
        with (
            self.web("small", ready=False, WEB_WORKERS="1") as (here, process),
            self.web("large", WEB_WORKERS="1") as (there, _),
        ):
            wait_until_ready(here[1], process)
            small, large = pages.Reader(here, headers), pages.Reader(there, headers)
            try:
                found = pages.shown(small, found)
                self.say(f"{len(found)} pages, {times} times each on both ledgers")
                loops: list[float] = []
                wrong = pages.measure(small, large, found, times, self.plan["again"], loops)
                found = [address for address in found if not address.failed]
                deep = [
                    pages.depth(large, path, pages.DEPTHS)
                    for path in ("/api/v1/movements/", "/api/v1/documents/")
                ]
            finally:
                small.close()
                large.close()
        growth = self.figure("pages: large to small ledger", "ms", "ms on the small", 1.25, 1.05, False)
        worst = max(found, key=lambda address: address.ratio)
        growth.add(pages.quick(worst.large) * 1000, pages.quick(worst.small) * 1000)
        growth.detail = {
            address.name + " " + address.path: [
                round(pages.quick(address.small) * 1000, 2),
                round(pages.quick(address.large) * 1000, 2),
            ]
            for address in found
        }
        all_of = self.figure("pages: all together", "ms", "ms on the small", 1.25, 1.05, False)
        for turn in range(times):
            all_of.add(
                sum(address.large[turn] for address in found) * 1000,
                sum(address.small[turn] for address in found) * 1000,
            )
        slow = self.figure("pages: p95 of the slowest", "ms", "ms allowed", 1.0, 0.5, False)

        def share(address: pages.Address) -> float:
            return pages.p95(address.large) / address.allowed

        last = max(found, key=share)
        slow.add(pages.p95(last.large) * 1000, last.allowed * 1000)
        alone = self.figure("pages: p95 of a bare loop", "ms", "ms at best", None, None, False)
        alone.add(pages.p95(loops) * 1000, min(loops) * 1000)
        turned = self.figure("pages: deep in a list", "ms", "ms for the first page", 1.25, 1.05, False)
        for value, limit in deep:
            turned.add(value * 1000, limit * 1000)
        slowest = sorted(found, key=share, reverse=True)[:5]
        self.say(f"grows most: {worst.path} ({worst.ratio:.2f})")
        self.say(
            "slowest: " + ", ".join(f"{one.path} {pages.p95(one.large) * 1000:.0f} ms" for one in slowest)
        )
        if wrong:
            raise Failed("; ".join(wrong))

    def measure_guarantees(self) -> None:
        """Processor time of a backend that posts, beside that of one who writes without rules."""
        size, count = self.plan["small"], self.plan["transactions"]
        script = limits.as_script(*limits.posting_statement(self.key, 1), size)
        bare = self.figure("guarantees: posting", "ms CPU", "ms: UPDATE + INSERT", 1.3, 1.1, False)
        rows = self.figure("guarantees: same rows", "ms CPU", "ms: all its rows, no rules", None, None, False)
        server = self.cluster.pid()
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(psycopg.connect(self.url("small"), autocommit=True))
            # A worker of autovacuum that ends in between would be counted.
            stack.callback(self.admin, "ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")
            self.admin("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
            for name in limits.TWINS:
                stack.enter_context(limits.twin(connection, name))
            for name in ("inventory_stocklevel", "inventory_movement"):
                limits.fill_twin(connection, name)
                connection.execute(f"VACUUM ANALYZE bench_{name}")
            scripts = [script, *(limits.plain_script(size, beside=beside) for beside in (False, True))]
            # In turns of a second or so: how fast the machine is, it changes by the minute.
            rounds = max(count // 1000, 1)
            for turn in range(self.repeat):
                used = [0.0, 0.0, 0.0]
                for _round in range(rounds):
                    for place, each in enumerate(scripts):
                        used[place] += limits.backend_seconds(
                            server, self.url("small"), each, self.folder, count // rounds
                        )
                used = [seconds / count * 1000 for seconds in used]
                bare.add(used[0], used[1])
                rows.add(used[0], used[2])
                self.say(f"guarantees, {turn + 1}: {' / '.join(f'{each:.3f}' for each in used)} ms a sale")

    def measure_memory(self, address, process) -> None:
        """What a worker has grown to after many requests, beside what it was after a few."""
        few, many = self.plan["requests"]
        figure = self.figure("memory of a worker", "MB", f"MB after {few} requests", 1.15, 1.05, False)
        figure.detail = {"requests": many}
        shelf, partner = (
            Shelf(self.plan["small"], seed=4),
            Partner(f"{address[0]}:{address[1]}", self.key),
        )
        lists = itertools.cycle(["/api/v1/movements/", "/api/v1/inventory/", "/api/v1/products/"])
        mixed = (
            partner.get(next(lists)) if number % 10 == 9 else sale
            for number, sale in enumerate(partner.sales(shelf, 1))
        )
        told = []
        for count in (few, many - few):
            made = iter(list(itertools.islice(mixed, count)))
            result = load.run(address, made, seconds=600, clients=CLIENTS)
            if result.errors or len(result.times) != count:
                raise Failed(f"memory: {result.errors} wrong answers, the first: {result.first_error!r}")
            sizes = resident(process)
            told.append(sum(sizes.values()) / len(sizes) / 1e6)
        figure.add(told[1], told[0])
        self.say(f"memory: {told[0]:.1f} MB, after {many} requests {told[1]:.1f} MB")

    def measure_start(self) -> None:
        """A bin/up on data that are there to the first answer, on the ledger of this run."""
        figure = self.figure("cold start: second bin/up", "s", "s allowed", 1.0, 0.5, False)
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname IN ('kiryana', 'small')"
        self.admin(ended, "ALTER DATABASE kiryana RENAME TO bare", "ALTER DATABASE small RENAME TO kiryana")
        self.cluster.stop()
        ours = Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()
        command = [str(ROOT / "bin" / "up")] if ours else [sys.executable, "-m", "kiryana.up"]
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        for turn in range(self.plan["starts"]):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            environment |= {"KIRYANA_HOME": str(self.home), "DEMO": "0", "PORT": str(port)}
            began = time.perf_counter()
            with open(self.folder / "up.log", "ab") as log:
                process = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=tied_to_parent()
                )  # fmt: skip
            try:
                wait_until_ready(port, process)
                seconds = time.perf_counter() - began
            finally:
                process.terminate()
                process.wait(60)
            figure.add(seconds, 6.0)
            self.say(f"start, {turn + 1}: {seconds:.1f} s")
