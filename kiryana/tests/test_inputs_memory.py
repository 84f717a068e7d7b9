"""A real server under bodies that are too large, too deep or too long: it refuses them all and does not grow."""

import http.client
import json
import re
from pathlib import Path

import pytest

from kiryana.tests.live import Web, address_of_tests
from kiryana.tests.refusals import BATCH, DOCUMENTS, SALE

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024 * 1024
OPENED = json.dumps(SALE)[:-1]
WARM, ROUNDS = 2, 5
MOST_GROWTH, MOST_PEAK = 32 * MIB, 256 * MIB


def filled(opening: str, piece: str, closing: str) -> bytes:
    """As many of `piece`, with commas, as fit into the limit of a body."""
    count = (MIB - len(opening) - len(closing)) // (len(piece) + 1)
    return (opening + ",".join([piece] * count) + closing).encode()


# (address, body, status, code)
BODIES = [
    (DOCUMENTS, b"[" * MIB, 400, "parse_error"),
    (DOCUMENTS, b'{"a":' * (MIB // 5), 400, "parse_error"),
    (DOCUMENTS, b"[" * (MIB // 2) + b"]" * (MIB // 2), 400, "parse_error"),
    (DOCUMENTS, filled(OPENED + ',"x":[', "{}", "]}"), 400, "unknown_field"),
    (DOCUMENTS, filled(OPENED + ',"x":[', "[[[]]]", "]}"), 400, "unknown_field"),
    (DOCUMENTS, filled(OPENED + ',"x":[', '"\\u0686"', "]}"), 400, "unknown_field"),
    (DOCUMENTS, filled("{", '"a":1', "}"), 400, "duplicate_key"),
    (DOCUMENTS, (OPENED + f',"{"k" * 1_000_000}":1}}').encode(), 400, "unknown_field"),
    (DOCUMENTS, (OPENED + f',"x":{"9" * 1_000_000}}}').encode(), 400, "parse_error"),
    (DOCUMENTS, (OPENED + f',"x":0.{"3" * 1_000_000}}}').encode(), 400, "parse_error"),
    (DOCUMENTS, (OPENED + f',"notes":"{"x" * 1_000_000}"}}').encode(), 400, "validation_error"),
    (DOCUMENTS, json.dumps(SALE | {"lines": SALE["lines"] * 20_000}).encode(), 400, "validation_error"),
    (BATCH, filled('{"documents":[', "[]", "]}"), 400, "validation_error"),
    (DOCUMENTS, b"x" * (MIB + 1), 413, "body_too_large"),
    (DOCUMENTS, b"{" + b" " * (4 * MIB), 413, "body_too_large"),
]


def memory(pid: int, what: str) -> int:
    """VmRSS or VmHWM of a process, in bytes."""
    return int(re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def send_all(line: http.client.HTTPConnection, key: str) -> None:
    """Sends every body over one connection, which stays usable through all the refusals."""
    socket = None
    for url, body, status, code in BODIES:
        line.request("POST", url, body, {"X-API-Key": key, "Content-Type": "application/json"})
        socket = socket or line.sock
        answer = line.getresponse()
        told = json.loads(answer.read())
        assert (answer.status, told["code"]) == (status, code), body[:60]
        assert line.sock is socket, "the connection was closed"


def test_many_bad_bodies_leave_the_server_as_large_as_it_was(api_client, stocked):
    """In all some 100 MiB are sent; what one refusal takes is given back."""
    key = api_client(rate=1_000_000).secret
    web = Web(address_of_tests(), WEB_WORKERS="1")
    try:
        [worker] = web.workers()
        line = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        for _n in range(WARM):
            send_all(line, key)
        before = memory(worker, "VmRSS")
        for _n in range(ROUNDS):
            send_all(line, key)
        assert memory(worker, "VmRSS") - before < MOST_GROWTH
        assert memory(worker, "VmHWM") - before < MOST_PEAK
        assert web.workers() == [worker]
        # And it still does what it is for.
        line.request(
            "POST", DOCUMENTS, json.dumps(SALE), {"X-API-Key": key, "Content-Type": "application/json"}
        )
        assert line.getresponse().status == 201
    finally:
        web.end()
