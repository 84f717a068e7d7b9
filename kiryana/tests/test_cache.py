"""The cache in PostgreSQL: exact between processes, whatever happens to its connections."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import django
import pytest
from django.core.cache import caches
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from kiryana import cache as module

ROOT = Path(__file__).resolve().parents[2]
FOREVER_AND_MORE = 10**12  # seconds
CACHES = {
    "default": {"BACKEND": "kiryana.cache.PostgresCache", "LOCATION": "kiryana_cache"},
    "limits": {"BACKEND": "kiryana.cache.RateCounter", "LOCATION": "kiryana_cache"},
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def cache():
    with override_settings(CACHES=CACHES):
        caches["default"].clear()
        yield caches["default"]
        caches["default"].clear()


@pytest.fixture(params=["default", "limits"])
def either(request, cache):
    return caches[request.param]


def rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kiryana_cache")
        return cursor.fetchone()[0]


def script(body: str, *arguments, alias="default") -> subprocess.Popen:
    """Another process that has only Django, this cache and the database of the test."""
    settings = connection.settings_dict
    database = {key: settings[key] for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    head = (
        "import os, sys, threading, django\n"
        "from django.conf import settings\n"
        f"settings.configure(DATABASES={{'default': {database!r}}}, CACHES={CACHES!r}, RATELIMIT_USE_CACHE={alias!r})\n"
        "django.setup()\n"
        f"from django.core.cache import caches; cache = caches[{alias!r}]\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + body, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# -- Exact


COUNT = """
from django.test import RequestFactory
from django_ratelimit.core import is_ratelimited

limit, threads = int(sys.argv[1]), int(sys.argv[2])
barrier, passed = threading.Barrier(threads), []


def call():
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7")
    barrier.wait()
    for _ in range(limit // threads):
        passed.append(not is_ratelimited(request, group="race", key="ip", rate=f"{limit}/d", increment=True))


cache.get("the connection is open")
print("ready", flush=True)
input()
team = [threading.Thread(target=call) for _ in range(threads)]
[one.start() for one in team]
[one.join() for one in team]
print(len(passed), sum(passed))
"""


@pytest.mark.parametrize("alias", ["default", "limits"])
def test_four_processes_with_four_times_the_limit_let_exactly_the_limit_through(alias):
    limit = 96
    team = [script(COUNT, limit, 8, alias=alias) for _ in range(4)]
    for process in team:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in team:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in team]
    assert [errors for _, errors in told] == [""] * 4
    counts = [tuple(map(int, out.split())) for out, _ in told]
    assert [calls for calls, _ in counts] == [limit] * 4
    assert sum(passed for _, passed in counts) == limit
    assert sum(1 for _, passed in counts if passed) > 1, "the processes did not run at the same time"


def test_counting_a_request_is_one_statement(cache, monkeypatch):
    limits, sent = caches["limits"], []
    run = module.PostgresCache._run
    monkeypatch.setattr(
        module.PostgresCache, "_run", lambda self, *given: sent.append(given) or run(self, *given)
    )
    assert limits.add("calls", 1, 60) is True
    for expected in (2, 3):
        sent.clear()
        assert limits.add("calls", 1, 60) is False
        assert limits.incr("calls") == expected
        assert len(sent) == 1
    assert limits.incr("calls") == 4  # without an add before, it counts by itself
    assert cache.get("calls") == 4


def test_what_was_counted_for_one_key_is_not_told_for_another(cache):
    limits = caches["limits"]
    for _ in range(3):
        limits.add("mine", 1, 60)
    limits.add("yours", 1, 60)
    assert limits.incr("mine") == 4
    limits.add("mine", 1, 60)
    assert limits.incr("yours") == 2
    assert limits.add("mine", 0, 60) is False  # asking without counting
    assert limits.get("mine") == 5


def test_a_rolled_back_request_was_still_made(either):
    either.add("calls", 1, 60)

    class Failed(Exception):
        pass

    with pytest.raises(Failed), transaction.atomic():
        assert either.incr("calls") == 2
        raise Failed
    assert either.incr("calls") == 3


def test_a_count_begins_anew_when_its_time_is_over(either):
    assert either.add("calls", 1, 60)
    assert either.touch("calls", -1)
    with pytest.raises(ValueError, match="No whole number"):
        either.incr("calls")
    assert either.add("calls", 1, 60) is True
    assert either.incr("calls") == 2


# -- A cache like any other of Django's


@pytest.mark.parametrize(
    "value", [0, -7, 2**63 - 1, 2**63, True, None, 1.5, Decimal("1.250"), "چینی", b"\x00", {"a": [1, (2,)]}]
)
def test_a_value_comes_back_as_it_went(cache, value):
    cache.set("value", value)
    got = cache.get("value", "nothing")
    assert (type(got), got) == (type(value), value)
    assert cache.get_many(["value", "other"]) == {"value": value}


def test_add_leaves_what_is_there(cache):
    assert cache.add("lock", "first") is True
    assert cache.add("lock", "second") is False
    assert cache.get("lock") == "first"


def test_counting_keeps_the_time_and_refuses_what_is_no_number(cache):
    cache.set("calls", 5, timeout=60)
    assert (cache.incr("calls", 10), cache.decr("calls", 3)) == (15, 12)
    with connection.cursor() as cursor:
        cursor.execute("SELECT expires BETWEEN now() AND now() + interval '60 seconds' FROM kiryana_cache")
        assert cursor.fetchall() == [(True,)]
    cache.set("name", "text")
    for key in ("name", "missing"):
        with pytest.raises(ValueError, match="No whole number"):
            cache.incr(key)
    assert cache.get("name") == "text"


def test_time_decides_what_is_there(cache):
    cache.set("over", 1, timeout=-1)
    cache.set("now", 1, timeout=0)
    cache.set("always", 1, timeout=None)
    cache.set("long", 1, timeout=FOREVER_AND_MORE)
    assert cache.get_many(["over", "now", "always", "long"]) == {"always": 1, "long": 1}
    assert cache.get("over") is None
    assert "over" not in cache
    assert cache.touch("over") is False
    assert cache.delete("over") is False
    assert cache.touch("always", 60) is True
    assert cache.touch("always", -1) is True
    assert cache.get("always") is None


def test_many_at_once_and_the_way_out(cache):
    assert cache.set_many({"a": 1, "b": "two", "c": [3]}, timeout=60) == []
    cache.set("b", "second")
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": "second", "c": [3]}
    cache.delete_many(["a", "c", "missing"])
    assert cache.get_many(["a", "b", "c"]) == {"b": "second"}
    assert (cache.delete("b"), cache.delete("b")) == (True, False)
    assert cache.set_many({}) == []
    cache.set("d", 1, version=2)
    assert (cache.get("d"), cache.get("d", version=2)) == (None, 1)
    cache.clear()
    assert rows() == 0


def test_any_text_can_be_a_key(cache):
    keys = ["with a blank", "چینی", "nul \x00", "lone \udc80", "x" * 100_000, "x" * 100_001]
    cache.set_many({key: number for number, key in enumerate(keys)})
    assert cache.get_many(keys) == {key: number for number, key in enumerate(keys)}


def test_what_has_run_out_is_removed_while_the_cache_is_used(cache, monkeypatch):
    cache.set_many({f"old {number}": number for number in range(50)}, timeout=-1)
    cache.set("kept", 1)
    monkeypatch.setattr(module, "SWEEP_EVERY", 10)
    for number in range(10):
        cache.add(f"new {number}", 1, 60)
    assert rows() == 11
    assert cache.get("kept") == 1


# -- Connections


def end_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'kiryana cache' AND datname = current_database()"
        )
        return cursor.fetchone()[0]


def test_a_restarted_server_is_not_noticed(either):
    either.set("calls", 1)
    for expected in (2, 3):
        assert end_connections() > 0
        assert either.incr("calls") == expected


def test_a_server_that_is_away_is_an_error_of_django(cache, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.2)
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "/nonexistent")
        with pytest.raises(OperationalError):
            cache.get("anything")
    assert cache.get("anything") is None


def test_the_database_of_the_tests_can_be_dropped(cache):
    cache.set("value", 1)
    assert module._pools
    with connection._nodb_cursor():
        assert not module._pools
    assert cache.get("value") == 1


def test_a_forked_process_counts_on_without_disturbing_its_parent():
    body = """
cache.set("calls", 1)
child = os.fork()
print(cache.incr("calls") > 1, flush=True)
if child:
    print(os.waitpid(child, 0)[1] == 0, cache.get("calls"), cache.incr("calls"))
"""
    out, errors = script(body).communicate(timeout=60)
    assert errors == ""
    assert sorted(out.split()) == sorted(["True", "True", "True", "3", "4"])


def test_the_table_is_not_worth_a_log_and_can_be_taken_back():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'kiryana_cache'")
        assert cursor.fetchall() == [("u",)]
        with pytest.raises(django.db.IntegrityError), transaction.atomic():
            cursor.execute("INSERT INTO kiryana_cache (key) VALUES ('neither number nor value')")


def test_only_a_plain_name_is_a_table():
    with pytest.raises(django.db.NotSupportedError):
        module.PostgresCache("kiryana_cache; DROP TABLE stores_store", {})


def test_the_pool_takes_what_settings_say_about_the_connection(cache):
    cache.get("anything")
    told = {pool.kwargs["dbname"] for pool in module._pools.values()}
    assert told == {connection.settings_dict["NAME"]}
    assert all(pool.kwargs["autocommit"] is True for pool in module._pools.values())
    # Also how often a statement is used before it stays prepared, which no pooler of old would bear.
    assert {pool.kwargs["prepare_threshold"] for pool in module._pools.values()} == {2}


def test_behind_a_pooler_the_cache_changes_no_session(cache, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"prepare_threshold": None})
    module.close_pools()
    cache.get("anything")
    [pool] = module._pools.values()
    assert pool.kwargs["prepare_threshold"] is None
    assert not {"options", "application_name"} & pool.kwargs.keys()
    module.close_pools()
