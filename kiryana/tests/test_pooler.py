"""Two web machines behind a real PgBouncer in transaction mode: sixteen clients share three connections to the server.

Each machine is a gunicorn of its own with nothing in common but the database. PgBouncer runs with .docker/pgbouncer.ini; only
where the server is and how many connections it gets are the test's.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from django.core.management import call_command
from django.db import connection

from inventory.models import Document, Kind, Movement
from inventory.tests.test_webhooks import settle
from kiryana.cluster import tied_to_parent
from kiryana.tests.live import ROOT, Web, address_of_tests
from kiryana.tests.test_cluster import until
from stores.services import addresses, revoke_key, webhooks

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SERVER_CONNECTIONS = 3
ALL = "/api/v1/documents/"
PASSWORD = 'chai "aur" biscuit'
LIMITS = "current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not PROGRAM, reason="PgBouncer is not installed (Debian: apt-get install pgbouncer)"),
]


def version() -> tuple[int, ...]:
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout
    return tuple(map(int, re.search(r"PgBouncer (\d+)\.(\d+)", told).groups()))


class Pooler:
    """PgBouncer before the database `address`, with the product's own configuration."""

    def __init__(self, address: str, prepares: bool = False, limits: bool = True):
        self.address, self.prepares, self.limits = address, prepares, limits
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"postgresql://kiryana@127.0.0.1:{self.port}/kiryana?password=" + requests.utils.quote(
            PASSWORD
        )
        self.folder = Path(tempfile.mkdtemp(prefix="kiryana-pooler-"))
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as it runs)
        self.process = None
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def configuration(self) -> str:
        text = (ROOT / ".docker" / "pgbouncer.ini").read_text()
        given = psycopg.conninfo.conninfo_to_dict(self.address)
        names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "dbname"}
        server = " ".join(f"{name}='{given[key]}'" for key, name in names.items() if given.get(key))
        if not self.limits:
            text = re.sub(r" connect_query=.*", "", text)
        changes = {
            r"host=db port=5432 dbname=kiryana": server,
            r"listen_addr = \*": "listen_addr = 127.0.0.1",
            r"listen_port = 6432": f"listen_port = {self.port}",
            r"auth_type = ": "admin_users = kiryana\nauth_type = ",
            r"default_pool_size = 20": f"default_pool_size = {SERVER_CONNECTIONS}",
        }
        if self.prepares:
            changes[";max_prepared_statements"] = "max_prepared_statements"
        for before, after in changes.items():
            text, count = re.subn(before, lambda _found, after=after: after, text)
            assert count == 1, f"{before} is not in the file once"
        return text

    def start(self) -> None:
        (self.folder / "pgbouncer.ini").write_text(self.configuration())
        options = {}
        if os.geteuid() == 0:  # it refuses to run as root; who owns the server's socket may use it
            host = psycopg.conninfo.conninfo_to_dict(self.address).get("host", "")
            found = os.stat(host if host.startswith("/") else "/tmp")
            nobody = pwd.getpwnam("nobody")
            options = {
                "user": found.st_uid or nobody.pw_uid,
                "group": found.st_gid or nobody.pw_gid,
                "extra_groups": [],
            }
            os.chown(self.folder, options["user"], options["group"])
        self.process = subprocess.Popen(
            ["sh", ROOT / ".docker" / "pooler.sh", self.folder],
            env=os.environ | {"POSTGRES_PASSWORD": PASSWORD},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            preexec_fn=tied_to_parent(),
            **options,
        )

        def answers() -> bool:
            assert self.process.poll() is None, self.told()
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url):
                return True
            return False

        until(answers, "PgBouncer answers")

    def told(self) -> str:
        self.output.seek(0)
        return self.output.read()[-3000:]

    def show(self, what: str) -> list[dict]:
        """SHOW of the console of PgBouncer."""
        console = psycopg.conninfo.make_conninfo(self.url, dbname="pgbouncer")
        with psycopg.connect(console, autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
            cursor = admin.execute(f"SHOW {what}")
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def servers(self) -> list[dict]:
        """The connections to the server that there are."""
        return [row for row in self.show("SERVERS") if row["database"] == "kiryana"]

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        self.output.close()
        shutil.rmtree(self.folder)


WAYS = ["each statement as text"]
if PROGRAM and version() >= (1, 22):
    WAYS.append("statements stay prepared")


@pytest.fixture(scope="module", params=WAYS)
def pooler(request, django_db_setup):
    prepares = request.param == "statements stay prepared"
    made = Pooler(address_of_tests(), prepares)
    yield made
    made.end()


@pytest.fixture(scope="module")
def machines(pooler):
    """Two web machines."""
    with contextlib.ExitStack() as held:
        yield [held.enter_context(contextlib.closing(Machine(pooler))) for _number in range(2)]


class Machine(Web):
    """gunicorn as on a machine of its own, through the pooler."""

    def __init__(self, pooler: Pooler, **variables):
        prepares = {"PREPARED_STATEMENTS": "1"} if pooler.prepares else {}
        super().__init__(pooler.address, **({"POOLER_URL": pooler.url} | prepares | variables))

    close = Web.end


@pytest.fixture
def command(pooler):
    """command("migrate") is a running `manage.py migrate` of the same machine: it goes to the server itself."""
    running = []

    def start(*arguments, **variables) -> subprocess.Popen:
        ours = ("ALLOWED_HOSTS", "TEST_DATABASE", "POOLED")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment |= {"DATABASE_URL": pooler.address, "POOLER_URL": pooler.url} | variables
        started = subprocess.Popen(
            [sys.executable, "-W", "ignore", "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=tied_to_parent(),
        )
        running.append(started)
        return started

    yield start
    for process in running:
        process.kill()
        process.communicate()


def done(process: subprocess.Popen) -> str:
    told, _nothing = process.communicate(timeout=180)
    assert process.returncode == 0, told
    return told


def sale(reference: str, quantity: str = "0.250", sku: str = "FLR-0001") -> dict:
    return {
        "store": "LHE-0001",
        "kind": "sale",
        "reference": reference,
        "lines": [{"sku": sku, "quantity": quantity}],
    }


def sell(machine: Web, key: str, reference: str, **more) -> tuple[int, dict]:
    status, _headers, body = machine.ask("POST", ALL, sale(reference, **more), key=key)
    return status, json.loads(body)


def test_sixteen_clients_of_two_machines_sell_over_three_connections(
    machines, pooler, api_client, stocked, atta, together
):
    till = api_client().secret

    def client(number: int):
        return [sell(machines[(number + turn) % 2], till, f"s-{number}-{turn}")[0] for turn in range(6)]

    answers = together([lambda number=number: client(number) for number in range(16)])
    assert answers == [[201] * 6] * 16
    assert Document.objects.filter(kind=Kind.SALE).count() == 96
    assert stocked(atta).on_hand == 100 - 24
    assert 0 < len(pooler.servers()) <= SERVER_CONNECTIONS
    waited = [row for row in pooler.show("CLIENTS") if row["database"] == "kiryana"]
    assert len(waited) > SERVER_CONNECTIONS  # more clients than connections, or nothing was shared
    call_command("check_ledger")


def test_one_reference_sent_to_both_at_once_is_one_sale(machines, api_client, stocked, atta, together):
    till = api_client().secret
    asked = [
        lambda machine=machine: machine.ask("POST", ALL, sale("once"), key=till) for machine in machines * 8
    ]
    answers = together(asked)
    assert sorted(status for status, _headers, _body in answers) == [200] * 15 + [201]
    assert len({json.loads(body)["id"] for _status, _headers, body in answers}) == 1
    assert sell(machines[0], till, "once", quantity="2")[0] == 422
    assert stocked(atta).on_hand == 100 - atta.quantity_step * 250


def test_a_rate_is_one_rate_however_many_machines_count_it(machines, api_client, stocked, together):
    till = api_client(rate=20).secret
    asked = [
        lambda machine=machine, number=number: sell(machine, till, f"r-{number}")[0]
        for number, machine in enumerate(machines * 15)
    ]
    answers = together(asked)
    assert sorted(answers) == [201] * 20 + [429] * 10
    assert Document.objects.filter(kind=Kind.SALE).count() == 20


def test_a_key_that_is_revoked_opens_no_machine_any_more(machines, api_client, stocked):
    client = api_client()
    for number, machine in enumerate(machines * 3):
        assert sell(machine, client.secret, f"k-{number}")[0] == 201
    revoke_key(key=client.key)
    assert [sell(machine, client.secret, "late")[0] for machine in machines * 3] == [401] * 6


def test_who_signs_in_on_one_machine_sells_and_reads_reports_on_the_other(
    machines, stocked, cashier, manager, ghee, settings
):
    first, second = machines
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    manager.set_password("chai-aur-biscuit")
    manager.save()
    browser = requests.Session()

    def send(machine: Web, path: str, **fields):
        page = browser.get(machine.url + path, timeout=60)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        hidden = dict(re.findall(r'type="hidden" name="([\w-]+)" value="([^"]*)"', page.text))
        fields = hidden | fields | {"csrfmiddlewaretoken": token}
        return browser.post(machine.url + path, fields, timeout=60, headers={"Origin": machine.url})

    answer = send(first, "/login/", username=manager.username, password="chai-aur-biscuit")
    assert answer.status_code == 200
    assert urlsplit(answer.url).path == "/s/LHE-0001/"
    fields = {"act": "save", "lines-0-item": "GHE-0001", "lines-0-quantity": "3"}
    answer = send(second, "/s/LHE-0001/movements/sale/", **fields)
    assert answer.history, answer.text[-3000:]
    assert stocked(ghee).on_hand == 24 - 3
    for machine in machines:
        for report in ("daily-sales", "top-products", "low-stock", "inventory-value"):
            for form in ("", "?format=csv", "?format=xlsx"):
                page = browser.get(f"{machine.url}/s/LHE-0001/reports/{report}/{form}", timeout=60)
                assert page.status_code == 200
        csv = browser.get(f"{machine.url}/s/LHE-0001/reports/daily-sales/?format=csv", timeout=60)
        assert "1680.00" in csv.text
    call_command("check_ledger")


def test_reports_of_the_api_come_from_both(machines, api_client, stocked):
    till = api_client().secret
    assert sell(machines[0], till, "one", sku="GHE-0001", quantity="2")[0] == 201
    for machine in machines:
        for report in ("inventory-summary", "low-stock", "daily-sales", "top-products", "stock-value", "dead-stock", "movement-summary",
                       "shrinkage"):  # fmt: skip
            status, _headers, body = machine.ask("GET", f"/api/v1/reports/{report}/", key=till)
            assert status == 200, body
        status, _headers, body = machine.ask("GET", "/api/v1/reports/daily-sales/", key=till)
        assert json.loads(body)["totals"]["revenue"] == "1120.00"


def test_limits_and_the_clock_hold_on_every_connection_of_the_pool(machines, pooler):
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(psycopg.connect(pooler.url)) for _number in range(SERVER_CONNECTIONS)]
        seen = {line.execute(f"SELECT pg_backend_pid(), {LIMITS}").fetchone() for line in lines}
    assert len({row[0] for row in seen}) == SERVER_CONNECTIONS
    assert {row[1:] for row in seen} == {("5s", "3s", "1min")}
    # A server that keeps another time: what a client set follows it from connection to connection.
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(psycopg.connect(pooler.url, autocommit=True)) for _number in range(2)]
        lines[0].execute("SELECT set_config('TimeZone', 'Asia/Karachi', false)")
        lines[1].execute("SELECT set_config('TimeZone', 'UTC', false)")
        for line, zone in [(lines[0], "Asia/Karachi"), (lines[1], "UTC")] * 4:
            assert line.execute("SELECT current_setting('TimeZone')").fetchone() == (zone,)


def test_prepared_statements_are_kept_by_the_server_only_where_the_pooler_keeps_them(
    machines, pooler, api_client, stocked
):
    till = api_client().secret
    for number in range(24):
        assert sell(machines[number % 2], till, f"p-{number}")[0] == 201
    # A refusal within a transaction: psycopg forgets what it prepared, and goes on.
    assert sell(machines[0], till, "p-0", quantity="7")[0] == 422
    assert sell(machines[0], till, "p-24")[0] == 201
    with psycopg.connect(pooler.url) as line:
        names = [name for (name,) in line.execute("SELECT statement FROM pg_prepared_statements")]
    assert bool([name for name in names if "INSERT INTO inventory_document" in name]) is pooler.prepares


class Unlimited(Machine):
    """A machine that need not become ready."""

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/healthz")[0] == 200
        return False


def test_a_machine_is_not_ready_behind_a_pooler_without_our_limits(pooler, stocked):
    loose = Pooler(address_of_tests(), limits=False)
    machine = Unlimited(loose)
    try:
        assert machine.ask("GET", "/readyz")[0] == 503
        assert "come without our statement_timeout, lock_timeout" in machine.told()
    finally:
        machine.end()
        loose.end()


def test_the_address_of_a_pooler_in_the_place_of_the_server_s_is_refused_at_once(pooler, command):
    told, _nothing = command("prepare", DATABASE_URL=pooler.url).communicate(timeout=180)
    assert "unsupported startup parameter" in told


def test_the_worker_hears_of_a_job_that_came_through_the_pooler(pooler, command, stocked):
    # It looks for jobs by itself once an hour only, so it is the server that tells it.
    worker = command("procrastinate", "worker", "--fetch-job-polling-interval", "3600", "--queues", "default")
    listening = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
    )
    until(lambda: one(listening), "the worker listens")
    defer = "from kiryana.tasks import forget_requests; print(forget_requests.defer())"
    number = int(done(command("shell", "--no-imports", "-c", defer, POOLED="1")).split()[-1])
    until(
        lambda: one("SELECT status::text FROM procrastinate_jobs WHERE id = %s", number) == "succeeded",
        "the job is done",
    )
    assert worker.poll() is None


def one(statement: str, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()[0]


def test_commands_work_beside_the_pooler(command, machines, api_client, stocked, monkeypatch):
    client = api_client()
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])
    settle()  # a webhook begins behind the oldest transaction that still runs, whoever's it is
    hook, _secret = webhooks.create_webhook(
        key=client.key, url="https://partner.example.com/hook", events=["movement.created"]
    )
    assert sell(machines[0], client.secret, "told")[0] == 201
    assert "No migrations to apply" in done(command("migrate"))
    assert done(command("prepare")) is not None
    settle()
    done(command("send_webhooks", "--once"))
    [delivery] = hook.deliveries.all()
    assert (delivery.type, delivery.tries) == ("movement.created", 1)
    assert done(command("check_ledger")) == ""
    assert Movement.objects.count() == 3
