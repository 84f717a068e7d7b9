"""The rate of a key is exact, however many processes answer."""

import collections
import os
import subprocess
import sys
import time
import zlib

import pytest
from django.conf import settings as used
from django.core.cache import cache
from django.db import connection

from stores.models import ApiKey
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


def wait_for_a_fresh_window(key: ApiKey) -> None:
    """A key's minute begins at a second of its own: not in the midst of the test, please."""
    left = (zlib.crc32(str(key.pk).encode()) - time.time()) % 60
    if left < 20:
        time.sleep(left + 1)
