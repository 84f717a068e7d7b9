"""The rate of a key is exact, however many processes answer."""

import collections
import os
import subprocess
import sys
import threading
import time
import zlib

import pytest
from django.conf import settings as used
from django.core.cache import cache
from django.db import connection

from kiryana.tests.live import Web, address_of_tests
from stores.authentication.keys import Refusal, Refusals, find_key, refused_guesses, refused_keys
from stores.models import ApiKey
from stores.models.keys import checksum
from stores.services import create_key

PROCESSES, LIMIT = 4, 25
# One process: some requests of one key, each through the whole stack, from two threads; then the statuses it got.
ASK = """
import os, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "kiryana.settings"
import django
django.setup()
from django.db import connections
from django.test import Client
statuses = []
def ask():
    client = Client(headers={"x-api-key": os.environ["ASKING_KEY"]})
    for _n in range(%d):
        statuses.append(client.get("/api/v1/me/").status_code)
    connections.close_all()
print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=ask) for _n in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*statuses)
"""


@pytest.mark.django_db(transaction=True)
def test_of_four_times_the_limit_from_four_processes_exactly_the_limit_passes(store):
    cache.clear()
    key, secret = create_key(name="Till", scopes=ApiKey.Scope.values, stores=[store], rate=LIMIT)
    where = connection.settings_dict
    environment = os.environ | {
        "ASKING_KEY": secret,
        "DATABASE_URL": f"postgresql://{where['USER']}@/{where['NAME']}?host={where['HOST']}",
        "LOG_LEVEL": "ERROR",
    }
    if where["PORT"]:
        environment["DATABASE_URL"] += f"&port={where['PORT']}"
    if where["PASSWORD"]:
        environment["PGPASSWORD"] = where["PASSWORD"]
    asking = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ASK % (LIMIT // 2 + 1)],
            cwd=used.BASE_DIR, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _n in range(PROCESSES)
    ]  # fmt: skip
    try:
        for one in asking:
            assert one.stdout.readline() == "ready\n", one.stderr.read()
        wait_for_a_fresh_window(key)
        for one in asking:
            one.stdin.write("go\n")
            one.stdin.flush()
        counted = collections.Counter(
            status for one in asking for status in one.communicate(timeout=60)[0].split()
        )
    finally:
        for one in asking:
            one.kill()
            one.wait()
    total = PROCESSES * 2 * (LIMIT // 2 + 1)
    assert total >= 4 * LIMIT
    assert counted == {"200": LIMIT, "429": total - LIMIT}


ME = "/api/v1/me/"


@pytest.mark.django_db
def test_a_key_beyond_its_rate_is_refused_again_without_any_query(
    api_client, monkeypatch, django_assert_num_queries, time_machine
):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    partner, neighbour = api_client(rate=1), api_client()
    partner.get(ME)
    first = partner.get(ME)
    counted = []
    # The counter is asked where the key is.
    monkeypatch.setattr(
        "stores.authentication.keys.find_key", lambda *given: counted.append(1) or find_key(*given)
    )
    with django_assert_num_queries(0):
        again = partner.get(ME, headers={"x-request-id": first.headers["X-Request-Id"]})
        posted = partner.post("/api/v1/documents/", {"store": "LHE-0001"})
        partner.credentials()
        bearer = partner.get("/api/v1/nothing/", headers={"authorization": f"Bearer {partner.secret}"})
    assert counted == []
    assert (first.status_code, first.content) == (again.status_code, again.content)
    # What a view would add is not asked for.
    kept = {"Allow": first.headers["Allow"]}
    assert dict(first.headers) == dict(again.headers) | kept
    for answer in (again, posted, bearer):
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert answer.headers["RateLimit-Policy"] == '"key";q=1;w=60'
        assert answer.headers["RateLimit"] == f'"key";r=0;t={answer.headers["Retry-After"]}'
    assert neighbour.get(ME).status_code == 200
    assert counted == [1]


@pytest.mark.django_db
def test_another_cache_counts_as_well(api_client, settings, time_machine):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "limits"}
    settings.CACHES = settings.CACHES | {"limits": memory}
    partner, other = api_client(rate=2), api_client(rate=2)
    answers = [partner.get(ME) for _n in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert [answer.headers["RateLimit"][:10] for answer in answers] == ['"key";r=1;', *['"key";r=0;'] * 3]
    assert other.get(ME).status_code == 200
    time_machine.shift(61)
    assert partner.get(ME).status_code == 200


@pytest.mark.django_db
def test_a_key_that_opens_nothing_is_not_counted(api_client, client, time_machine):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    partner = api_client(rate=1)
    body = partner.secret[:20] + "0" * 32
    wrong = body + checksum(body)
    assert [ask(client, wrong) for _n in range(3)] == [401] * 3
    assert partner.get(ME).status_code == 200


@pytest.mark.django_db
def test_a_refusal_is_remembered_in_the_words_that_were_asked_for(api_client):
    partner = api_client(rate=1)
    partner.get(ME)
    counted, remembered = (partner.get(ME, headers={"accept-language": "ur"}) for _n in range(2))
    assert len(refused_keys) == 1
    assert not counted.json()["title"].isascii()
    for name in ("title", "detail"):
        assert counted.json()[name] == remembered.json()[name]
    assert counted.headers["Content-Language"] == remembered.headers["Content-Language"] == "ur"


@pytest.mark.django_db
def test_a_refusal_is_forgotten_when_its_window_ends_and_not_a_second_later(api_client, time_machine):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    partner = api_client(rate=1)
    partner.get(ME)
    assert partner.get(ME).status_code == 429
    wait = int(partner.get(ME).headers["Retry-After"])
    time_machine.shift(wait - 1)
    assert partner.get(ME).status_code == 429
    time_machine.shift(1)
    assert partner.get(ME).status_code == 200
    assert partner.get(ME).status_code == 429


@pytest.mark.django_db
def test_wrong_keys_beyond_the_limit_are_refused_without_any_query_and_right_ones_are_not(
    client, api_client, settings, monkeypatch, django_assert_num_queries
):
    settings.API_GUESS_RATE = "2/m"
    right = api_client()
    _id, wrong = ApiKey.new_secret()
    _id, another = ApiKey.new_secret()
    assert [ask(client, wrong) for _n in range(3)] == [401, 401, 429]
    with django_assert_num_queries(0):
        assert [ask(client, wrong), ask(client, "no key at all"), ask(client, wrong[:-1])] == [429] * 3
    # One that could be right is looked for; it is counted, and from then on known too.
    with django_assert_num_queries(1):
        assert [ask(client, another), ask(client, another)] == [429, 429]
    assert ask(client, wrong, REMOTE_ADDR="10.0.0.9") == 401
    assert ask(client, right.secret) == 200


def ask(client, key: str, **variables) -> int:
    return client.get(ME, headers={"x-api-key": key}, **variables).status_code


def test_only_so_many_refusals_are_remembered(monkeypatch, time_machine):
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    monkeypatch.setattr(Refusals, "MOST", 3)
    kept, now = Refusals(), int(time.time())
    for number in range(3):
        kept.note(f"short {number}", Refusal(now + number))
    kept.note("one too many", Refusal(now + 60))
    assert kept.find("one too many") is None
    assert kept.find("short 0") is not None
    time_machine.shift(2)
    kept.note("there is room again", Refusal(now + 60))
    assert kept.find("there is room again") is not None
    assert kept.find("short 0") is None
    assert kept.find("short 2") is not None
    assert len(kept) == 2


@pytest.mark.django_db
def test_the_memory_is_empty_while_nobody_is_refused(api_client):
    assert api_client().get(ME).status_code == 200
    assert not refused_keys
    assert not refused_guesses


@pytest.mark.django_db(transaction=True)
def test_floods_are_answered_at_their_own_expense(store):
    """Sixteen lines ask with a key that is refused; another key is answered as if they were not there."""
    noisy = create_key(name="Noisy", scopes=["stores:read"], stores=[store], rate=1)[1]
    quiet = create_key(name="Quiet", scopes=["stores:read"], stores=[store])[1]
    web, stop, answers = Web(address_of_tests()), threading.Event(), collections.Counter()

    def flood():
        while not stop.is_set():
            answers[web.ask("GET", ME, key=noisy)[0]] += 1

    lines = [threading.Thread(target=flood) for _n in range(16)]
    try:
        wait_for_a_fresh_window(ApiKey.objects.get(name="Noisy"))
        for _n in range(6):  # each process has heard it from the counter
            web.ask("GET", ME, key=noisy)
        began = time.monotonic()
        for line in lines:
            line.start()
        assert [web.ask("GET", ME, key=quiet)[0] for _n in range(30)] == [200] * 30
        stop.set()
        for line in lines:
            line.join(30)
        took = time.monotonic() - began
    finally:
        stop.set()
        web.end()
    # Each line waits a tenth of a second for each answer, and takes no thread meanwhile.
    assert answers.keys() == {429}
    assert answers.total() <= 16 * (took / 0.1 + 1)


def wait_for_a_fresh_window(key: ApiKey) -> None:
    """A key's minute begins at a second of its own: not in the midst of the test, please."""
    left = (zlib.crc32(key.public_id.encode()) - time.time()) % 60
    if left < 20:
        time.sleep(left + 1)
