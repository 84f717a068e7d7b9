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
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import psycopg

from kiryana.bench import history, limits, load, pages
from kiryana.bench.figures import Failed, Figure, in_row, in_turns, short
from kiryana.bench.pace import Pace
from kiryana.bench.seed import Size, fill
from kiryana.bench.server import ROOT, Web, resident, serving, wait_until_ready
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
TRADE = ("memory", "sale", "basket", "page", "hot", "batch")  # figures of one web server
MARK = "made-by-bench"  # the file that says whose folder it is
KEPT = "kept.json"  # what is known of ledgers that are kept; FILLED is the small one before anything was sold in it
FILLED = "filled"
CLIENTS = 16
CASHIERS = 16
LEAST = 7.0  # seconds for pages, however late it is: a page that was asked three times says little
# "until": the second by which a figure is measured, as often as fits in; in a full run counted from when the ledgers are filled.
FULL = {
    "small": Size(520, 2000, 2), "large": Size(520, 2000, 20), "repeat": 5, "seconds": 1.0, "rounds": 5, "batches": 32,
    "import": (Size(8, 2000, 1), 90_000), "pages": 7, "again": 100, "every": 1, "transactions": 1_000, "posts": 4,
    "requests": (100, 10_000), "starts": 3, "until": {"pages": 200, "guarantees": 430, "sales": 540, "starts": 555},
}  # fmt: skip
QUICK = {
    "small": Size(24, 200, 2), "large": Size(24, 200, 20), "repeat": 3, "seconds": 0.4, "rounds": 4, "batches": 12,
    "import": (Size(4, 200, 1), 16_000), "pages": 3, "again": 20, "every": 16, "transactions": 200, "posts": 8,
    "requests": (100, 300), "starts": 1, "until": {"pages": 26, "guarantees": 58, "sales": 82, "starts": 88},
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
        self.filled = 0.0  # the second of this run in which its ledgers were there

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
        self.pace = Pace()
        self.cluster = Cluster(self.home, tied=True)
        self.cluster.stop()  # of a run that was killed
        if self.kept is None and self.cluster.base.exists():
            self.cluster.remove()
        return self

    @property
    def wanted(self) -> dict[str, Size]:
        """The ledgers that this run needs, by name."""
        return {name: self.plan[name] for name in self.read or ("small",)}

    @property
    def read(self) -> tuple[str, ...]:
        """The ledgers whose pages are read."""
        return ("small", "large") if self.wants("pages") else ()

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
            warnings.filterwarnings("ignore", "No directory at")  # of styles: none are served here
            self.ready = True
        if kept:
            self.say("taking up the ledgers of an earlier run")
            if "large" in self.wanted:  # what was read of it then is in its log of requests
                with psycopg.connect(self.url("large")) as connection:
                    connection.execute("TRUNCATE stores_apirequest")
            self.admin(
                "DROP DATABASE IF EXISTS small",
                f"CREATE DATABASE small TEMPLATE {FILLED} STRATEGY file_copy",
            )
        else:
            self.fill()
        self.key, self.owner, self.head, self.cashiers = self.people
        self.admin("CHECKPOINT")
        self.filled = self.seconds()

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
                [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"], cwd=ROOT, env=self.environment(database),
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

    def web(self, name: str, **environment: str) -> contextlib.AbstractContextManager[Web]:
        """A web server over the database `name`, which begins to start."""
        return serving(self.url(name), self.folder / "web.log", KIRYANA_HOME=str(self.home), **environment)

    # -- The figures

    def run(self) -> None:
        with self.pace:
            self.measure_ledgers()
            if self.wants("start"):
                self.measure_start()

    def measure_ledgers(self) -> None:
        """Every figure but that of a start, which needs the server for itself."""
        with contextlib.ExitStack() as readers, contextlib.ExitStack() as traders:
            # They start while the schema is made: none of them connects before it is asked for something.
            pair = [readers.enter_context(self.web(name, WEB_WORKERS="1")) for name in self.read]
            counter = traders.enter_context(self.web("small")) if self.wants(*TRADE) else None
            self.prepare()
            self.pace.settle()
            if pair:
                with readers, self.pace.resting():
                    self.measure_pages(*pair)
            if counter:
                wait_until_ready(counter[0][1], counter[1])
                if self.wants("memory"):  # of workers that have done nothing yet
                    self.measure_memory(*counter)
                if self.wants("batch"):
                    self.measure_batch(counter[0])
            for name in ("import", "guarantees"):
                if self.wants(name):
                    getattr(self, f"measure_{name}")()
            # Last, because they take what time a quick run has left.
            if self.wants("sale", "basket", "page", "hot"):
                self.measure_trade(counter[0])

    def left(self, figure: str) -> float:
        """Seconds that this run has left for a figure."""
        begun = 0 if self.plan is QUICK else self.filled
        return begun + self.plan["until"][figure] - self.seconds()

    def turns(
        self, figure: str, measures: Sequence[tuple[str, Callable[[], float]]], most: int, seconds: float
    ) -> Iterator[dict[str, float]]:
        """What `in_turns` found in each turn, of `most` rounds or as many as fit into the time of the figure.

        The first round is expected to take so many seconds.
        """
        for turn in range(self.repeat):
            if self.plan is FULL:  # a run is then longer than what comes between two checkpoints
                self.admin("CHECKPOINT")
            began = time.monotonic()
            rounds = max(1, int(min(self.left(figure) / (self.repeat - turn) / seconds, most)))
            found = in_turns(measures, rounds, turn)
            seconds = (time.monotonic() - began) / rounds
            self.say(
                f"{figure}, {turn + 1} of {self.repeat}: "
                + ", ".join(f"{name} {short(value)}" for name, value in found.items())
            )
            yield found

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

    def trade(self, address) -> list[tuple[str, Callable[[], float]]]:
        """What is measured in turns, by name: the limits of a sale and of a basket, and what is sold in a second."""
        size, seconds = self.plan["small"], self.plan["seconds"]
        shelf, host = Shelf(size), f"{address[0]}:{address[1]}"
        partner, counter = Partner(host, self.key), Counter(host, self.cashiers)
        empty = load.request("GET", "/healthz", host)

        def sales(requests: Iterator[bytes], wanted: int = 201) -> Callable[[], float]:
            return lambda: self.asked(address, requests, seconds, frozenset({wanted})).rate

        measures = []
        if self.wants("sale", "basket"):
            measures.append(("empty view", lambda: self.healthy(address, empty, seconds)))
        for lines, name in ((1, "sale"), (8, "basket")):
            if self.wants(name):
                script = limits.as_script(*limits.posting_statement(self.key, lines), size)
                post = partial(limits.pgbench, self.url("small"), script, self.folder)
                # By number and not by time, which pgbench takes in whole seconds. The first run warms up and tells the number.
                number = max(round(post(transactions=50) * seconds / limits.CLIENTS), 1)
                measures.append((f"pgbench of {lines}", partial(post, transactions=number)))
        # Three figures rest on the rate of a sale: it is measured twice as long.
        one_line = [("sale", sales(partner.sales(shelf, 1)))] if self.wants("sale", "page", "hot") else []
        baskets = [("basket", sales(partner.sales(shelf, 8)))] if self.wants("basket") else []
        forms = [("page", sales(counter.sales(shelf), 302))] if self.wants("page") else []
        hot = [("hot", sales(partner.sales_of_one(1, 1)))] if self.wants("hot") else []
        return one_line + measures + baskets + one_line + forms + hot

    def measure_trade(self, address) -> None:
        """Sales and baskets beside L, and what is compared with the one-line sale."""
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
        measures = [(name, partial(self.pace.rate, measure)) for name, measure in self.trade(address)]
        self.say("warming up")
        for name, measure in dict(measures).items():
            if name in goals:
                measure()
        for found in self.turns(
            "sales", measures, self.plan["rounds"], len(measures) * self.plan["seconds"] * 1.2
        ):
            for name, figure in figures.items():
                lines = {"sale": 1, "basket": 8}.get(name)
                limit = in_row(found["empty view"], found[f"pgbench of {lines}"]) if lines else found["sale"]
                figure.add(found[name], limit)
                figure.detail.setdefault("rates", []).append(found)

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
                itertools.islice(partner.batches(shelf, 200, 5), CLIENTS // 4 if turn == 0 else count)
            )
            rate = self.pace.rate(partial(self.sent, address, made))
            written = limits.newest(self.url("small")) - before
            if written < len(made) * 1000:
                raise Failed(f"The batches wrote {written} lines, not {len(made) * 1000}.")
            if turn:  # the first one warms up
                figure.add(rate, self.copied("small", before))
                self.say(
                    f"batch, {turn} of {self.repeat}: {figure.pairs[-1][0]:,.0f} lines/s, COPY {figure.pairs[-1][1]:,.0f}"
                )

    def sent(self, address, batches: list[bytes]) -> float:
        """Lines a second, of batches of 1,000. Fewer clients than batches: whichever worker is free takes the next, to the end."""
        result = self.asked(address, iter(batches), 120, frozenset({200, 201}), clients=CLIENTS // 2)
        return len(batches) * 1000 / result.seconds

    def copied(self, name: str, after: int) -> float:
        """The limit of what was written behind the movement `after`, of two times: COPY takes half as long as what it is beside."""
        return sum(self.pace.rate(partial(limits.copy_rate, self.url(name), after)) for _time in range(2)) / 2

    def measure_import(self) -> None:
        """import_history into an empty system, beside COPY of the very lines it made."""
        figure = self.figure("import_history", "lines/s", "lines/s by COPY", 0.4, 0.7)
        size, wanted = self.plan["import"]
        lines = history.write_history(self.folder, size, wanted)
        for turn in range(min(self.repeat, 3)):
            self.admin("DROP DATABASE IF EXISTS history", "CREATE DATABASE history TEMPLATE kiryana")
            seconds = self.pace.time(partial(history.seconds_of_import, self.folder, "history"))
            written = limits.newest(self.url("history"))
            if written < lines:
                raise Failed(f"import_history wrote {written} lines of {lines}.")
            figure.add(lines / seconds, self.copied("history", 0))
            self.say(
                f"import, {turn + 1}: {figure.pairs[-1][0]:,.0f} lines/s, COPY {figure.pairs[-1][1]:,.0f}"
            )
        self.admin("DROP DATABASE history")

    def measure_pages(self, small: Web, large: Web) -> None:
        """Every page of the small and of the large ledger, and pages deep in a list."""
        times = self.plan["pages"]
        headers = {
            "partner": {"X_API_Key": self.key},
            "owner": {"Cookie": f"sessionid={self.owner}; csrftoken={CSRF}"},
            "head": {"Cookie": f"sessionid={self.head}; csrftoken={CSRF}"},
        }
        with psycopg.connect(self.url("small")) as connection, connection.cursor() as cursor:
            found = pages.addresses(cursor)[:: self.plan["every"]]
        for (_host, port), process in (small, large):
            wait_until_ready(port, process)
        here, there = (
            contextlib.closing(pages.Reader(address, headers)) for address, _process in (small, large)
        )
        with here as here, there as there:
            found = pages.shown(here, found)
            self.say(f"{len(found)} pages, {times} times each on both ledgers")
            loops: list[float] = []
            until = self.seconds() + max(self.left("pages"), LEAST)
            wrong = pages.measure(
                here, there, found, times, self.plan["again"], loops, lambda: self.seconds() < until
            )
            found = [address for address in found if not address.failed]
            lists = ("/api/v1/movements/", "/api/v1/documents/")
            deep = [pages.depth(there, path, pages.DEPTHS) for path in lists]
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
        figures = {
            "plain": self.figure("guarantees: posting", "ms CPU", "ms: UPDATE + INSERT", 1.3, 1.1, False)
        }
        if self.plan is FULL:
            name, against = "guarantees: same rows", "ms: all its rows, no rules"
            figures["beside"] = self.figure(name, "ms CPU", against, None, None, False)
        scripts = {"posting": limits.as_script(*limits.posting_statement(self.key, 1), size)}
        scripts |= {name: limits.plain_script(size, beside=name == "beside") for name in figures}
        server = self.cluster.pid()

        def used(script: str) -> float:
            """Milliseconds of a backend for one transaction."""
            seconds = limits.backend_seconds(server, self.url("small"), script, self.folder, count)
            return seconds / count * 1000

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
            posts = [
                (name, partial(self.pace.time, partial(used, script))) for name, script in scripts.items()
            ]
            for found in self.turns("guarantees", posts, self.plan["posts"], 1.0):
                for name, figure in figures.items():
                    figure.add(found["posting"], found[name])

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
        figure.detail = {"seconds": []}  # as they were, whatever the machine's speed
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname IN ('kiryana', 'small')"
        self.admin(ended, "ALTER DATABASE kiryana RENAME TO bare", "ALTER DATABASE small RENAME TO kiryana")
        self.cluster.stop()
        ours = Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()
        command = [str(ROOT / "bin" / "up")] if ours else [sys.executable, "-m", "kiryana.up"]
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        for turn in range(self.plan["starts"]):
            if turn and self.left("starts") < figure.detail["seconds"][-1]:
                break
            figure.add(self.started(command, environment, figure.detail["seconds"]), 6.0)
            self.say(f"start, {turn + 1}: {figure.pairs[-1][0]:.1f} s")

    def started(self, command: list[str], environment: dict[str, str], noted: list[float]) -> float:
        """Seconds of one start, which is ended again; how many it were at the machine's speed of the moment goes to `noted`."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = environment | {"KIRYANA_HOME": str(self.home), "DEMO": "0", "PORT": str(port)}
        began = time.perf_counter()
        with open(self.folder / "up.log", "ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=tied_to_parent()
            )  # fmt: skip

        def ready() -> float:
            wait_until_ready(port, process)
            noted.append(time.perf_counter() - began)
            return noted[-1]

        try:
            return self.pace.time(ready)
        finally:
            process.terminate()
            process.wait(60)
