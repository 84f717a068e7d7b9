"""Webhooks and kill -9: whenever a process that queues or sends is killed, no message is lost, and none gets a second id."""

# ruff: noqa: F401, F811  (fixtures come from the other file)

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F

from inventory.models import Kind
from inventory.tests.test_webhooks import events, hook, key, queued, reachable, run, settle, sink
from stores.models import Change, Delivery
from stores.services import deliveries, webhooks
from stores.tests.sink import reply

pytestmark = pytest.mark.django_db(transaction=True)

# The command as it is, but for where names lead, who may be reached, and where it is killed.
PROGRAM = """
import os, signal, sys
import django
django.setup()
from django.core.management import call_command
from django.db.models.query import QuerySet
from inventory.tasks import webhooks as work
from stores.models import FanOut
from stores.services import addresses, deliveries, sending

port, point = int(sys.argv[1]), sys.argv[2]
addresses.resolve = lambda host, _port: [("127.0.0.1", port)]
addresses.is_public = lambda address: True

def die(*_args):
    os.kill(os.getpid(), signal.SIGKILL)

def around(home, name, before=False, when=lambda *args: True):
    real = getattr(home, name)
    def act(*args, **options):
        if before and when(*args):
            die()
        made = real(*args, **options)
        if when(*args) and made:
            die()
        return made
    setattr(home, name, act)

of_place = lambda rows, *_: rows.model is FanOut
match point:
    case "queued, place not moved":
        around(QuerySet, "update", before=True, when=of_place)
    case "place moved, not committed":
        around(QuerySet, "update", when=of_place)
    case "queued and committed":
        around(work, "fan_out")
    case "taken, not sent":
        around(work, "take")
    case "made ready, not sent":
        around(sending.Sender, "post", before=True)
    case "sent, not written down":
        around(work, "finish", before=True)
    case "written down, not committed":
        around(QuerySet, "update", when=lambda rows, *_: rows.model._meta.model_name == "delivery")
call_command("send_webhooks", *sys.argv[3:])
"""


@pytest.fixture
def start(sink, tmp_path):
    """start("taken, not sent") runs the command in a process of its own until it is killed there."""
    trusted = tmp_path / "authority.pem"
    sink.authority.cert_pem.write_to_path(str(trusted))
    known = connection.settings_dict
    address = psycopg.conninfo.make_conninfo(
        dbname=known["NAME"], user=known["USER"], password=known["PASSWORD"] or None, host=known["HOST"],
        port=known["PORT"] or None,
    )  # fmt: skip
    environment = os.environ | {
        "DATABASE_URL": address,
        "DJANGO_SETTINGS_MODULE": "kiryana.settings",
        "SSL_CERT_FILE": str(trusted),
        "SECRET_KEY": settings.SECRET_KEY,
    }
    processes = []

    def begin(point="", *options):
        program = [sys.executable, "-c", PROGRAM, str(sink.port), point, *options]
        processes.append(
            subprocess.Popen(program, cwd=settings.BASE_DIR, env=environment, stderr=subprocess.PIPE)
        )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def killed(process) -> None:
    """Waits until the process has been killed, and nothing else came of it."""
    assert process.wait(60) == -signal.SIGKILL, process.stderr.read().decode()[-2000:]


def leases_run_out():
    Delivery.objects.exclude(claimed_at=None).update(claimed_at=F("claimed_at") - deliveries.LEASE)


@pytest.mark.parametrize(
    "point", ["queued, place not moved", "place moved, not committed", "queued and committed"]
)
def test_killed_while_queueing_each_change_is_queued_once(
    start, hook, sink, reachable, stocked, post, ghee, point
):
    settle()
    hook()
    for number in range(5):
        post(Kind.SALE, (ghee, 1), reference=f"s{number}")
    settle()
    killed(start(point))
    made = [event_id for event_id, type in queued() if type == "movement.created"]
    assert len(made) == (5 if point == "queued and committed" else 0)
    run(sink)
    told = [event_id for event_id, type in queued() if type == "movement.created"]
    sold = [event_id for event_id, type in events() if type == "movement.created"][-5:]
    assert told == sold
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    arrived = [request.headers["webhook-id"] for request in sink.requests]
    assert sorted(arrived) == sorted(event_id for event_id, _type in queued())


@pytest.mark.parametrize(("point", "before"), [
    ("taken, not sent", 0), ("made ready, not sent", 0), ("sent, not written down", 1), ("written down, not committed", 1),
])  # fmt: skip
def test_killed_while_sending_the_message_arrives_under_its_id(start, hook, sink, reachable, point, before):
    delivery = webhooks.send_test(webhook=hook())
    killed(start(point))
    assert len(sink.requests) == before
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries) == ("waiting", 0)
    assert delivery.claimed_at is not None
    run(sink)
    assert len(sink.requests) == before  # who was killed still has the lease
    leases_run_out()
    run(sink)
    assert [request.headers["webhook-id"] for request in sink.requests] == [delivery.event_id] * (before + 1)
    assert len({request.body for request in sink.requests}) == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries) == ("delivered", 1)


def test_killed_in_the_middle_of_a_post(start, hook, sink, reachable):
    delivery = webhooks.send_test(webhook=hook())
    sink.answer = lambda *_: sink.closing.wait(30) and None
    process = start()
    sink.wait_for(1, patience=60)
    process.kill()
    killed(process)
    sink.answer = None
    leases_run_out()
    run(sink)
    assert [request.headers["webhook-id"] for request in sink.requests] == [delivery.event_id] * 2
    delivery.refresh_from_db()
    assert delivery.status == "delivered"


def test_two_commands_at_once_send_each_message_once(start, hook, sink, reachable, stocked, post, atta):
    settle()
    hook(), hook()
    for number in range(30):
        post(Kind.SALE, (atta, "0.100"), reference=f"s{number}")
    settle()
    both = [start("", "--once"), start("", "--once")]
    assert [process.wait(90) for process in both] == [0, 0]
    run(sink)
    arrived = [(request.line, request.headers["webhook-id"]) for request in sink.requests]
    assert len(arrived) == len(set(arrived)) == Delivery.objects.count()
    assert len([type for _id, type in queued() if type == "movement.created"]) == 60
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_the_command_ends_well(start, hook, sink, reachable, ending):
    delivery = webhooks.send_test(webhook=hook())

    def slow(_request, _stream):
        process.send_signal(ending)
        sink.closing.wait(0.5)
        return reply()

    sink.answer = slow
    process = start()
    begun = time.monotonic()
    assert process.wait(60) == 0, process.stderr.read().decode()[-2000:]
    assert time.monotonic() - begun < 60
    delivery.refresh_from_db()
    assert (delivery.status, len(sink.requests)) == ("delivered", 1)


def test_what_is_queued_is_as_old_as_what_changed(hook, stocked, post, ghee):
    """The sale's own transaction notes what is to be told: rolled back, nobody hears of it."""
    settle()
    hook()
    before = Change.objects.count()
    with pytest.raises(RuntimeError), deliveries.transaction.atomic():
        post(Kind.SALE, (ghee, 1))
        assert Change.objects.count() > before
        raise RuntimeError
    settle()
    deliveries.fan_out()
    assert (Change.objects.count(), queued()) == (before, [])
