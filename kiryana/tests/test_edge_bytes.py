"""What reaches gunicorn as bytes: broken, too long, too slow. Spoken through real sockets to a real gunicorn."""

import contextlib
import json
import os
import re
import select
import selectors
import signal
import socket
import time
from pathlib import Path

import pytest
from gunicorn.config import Config

from kiryana import worker
from kiryana.middleware import security_headers
from kiryana.tests.live import Web, address_of_tests
from kiryana.tests.test_cluster import until

pytestmark = pytest.mark.django_db
HOST = b"Host: 127.0.0.1\r\n"
ME = b"GET /api/v1/me/ HTTP/1.1\r\n"
POST = b"POST /api/v1/documents/ HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker):
    """gunicorn as it runs in production, but that it waits one and a half seconds instead of twenty."""
    with django_db_blocker.unblock():
        server = Web(address_of_tests(), config="kiryana.tests.impatient")
    yield server
    server.end()


def connect(web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), 20)


def answer(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer as it comes from the line, which may stay open after it."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = line.recv(65536)
        assert piece, f"closed after {got!r}"
        got += piece
    head, _empty, body = got.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _colon, value in (one.partition(": ") for one in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        body += line.recv(65536)
    return int(first.split()[1]), headers, body


def is_closed(line: socket.socket) -> bool:
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


REFUSED = {
    "a line of 5,000": (b"GET /api/v1/" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "address_too_long"),
    "a line that never ends": (b"GET /api/v1/" + b"a" * 9000, 414, "address_too_long"),
    "a query of 5,000": (b"GET /api/v1/me/?a=" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "address_too_long"),
    "a header of 9,000": (ME + HOST + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
    "61 headers": (ME + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(60)) + b"\r\n", 431, "headers_too_large"),
    "headers that never end": (ME + HOST + b"X-Long: " + b"a" * 600_000, 431, "headers_too_large"),
    "no host": (ME + b"\r\n", 400, "bad_request"),
    "two hosts": (ME + HOST + HOST + b"\r\n", 400, "bad_request"),
    "an empty host": (ME + b"Host:\r\n\r\n", 400, "bad_request"),
    "a host of two words": (ME + b"Host: a b\r\n\r\n", 400, "bad_request"),
    "another's host": (ME + b"Host: evil.example\r\n\r\n", 400, "bad_request"),
    "a host with a path": (ME + b"Host: 127.0.0.1/x\r\n\r\n", 400, "bad_request"),
    "two hosts in one": (ME + b"Host: 127.0.0.1, evil.example\r\n\r\n", 400, "bad_request"),
    "a length below nothing": (POST + b"Content-Length: -1\r\n\r\n", 400, "bad_request"),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}", 400, "bad_request"),
    "a length of letters": (POST + b"Content-Length: two\r\n\r\n{}", 400, "bad_request"),
    "a length of Arabic digits": (POST + "Content-Length: ٢\r\n\r\n{}".encode(), 400, "bad_request"),
    "an empty length": (POST + b"Content-Length:\r\n\r\n", 400, "bad_request"),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400, "bad_request"),
    "two lengths in one": (POST + b"Content-Length: 2, 2\r\n\r\n{}", 400, "bad_request"),
    "a length and chunks": (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    "chunks and a length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
    "another encoding": (POST + b"Transfer-Encoding: cow\r\n\r\n", 400, "bad_request"),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400, "bad_request"),
    "a folded length": (POST + b"Content-Length:\r\n 2\r\n\r\n{}", 400, "bad_request"),
    "a folded header": (ME + HOST + b"X: a\r\n b\r\n\r\n", 400, "bad_request"),
    "a space before the colon": (ME + HOST + b"X : a\r\n\r\n", 400, "bad_request"),
    "a header without a colon": (ME + HOST + b"X\r\n\r\n", 400, "bad_request"),
    "a null in a header": (ME + HOST + b"X: a\x00b\r\n\r\n", 400, "bad_request"),
    "line feeds alone": (b"GET /api/v1/me/ HTTP/1.1\nHost: 127.0.0.1\n\n", 400, "bad_request"),
    "two types": (POST + b"Content-Type: text/xml\r\nContent-Length: 2\r\n\r\n{}", 400, "bad_request"),
    "a method of signs": (b"G@T /api/v1/me/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "no method": (b" /api/v1/me/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "no version": (b"GET /api/v1/me/\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "another version": (b"GET /api/v1/me/ HTTP/3.0\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "a path of letters beyond ASCII": ("GET /api/v1/ق/ HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400, "bad_request"),
    "an unknown expectation": (POST + b"Expect: a-miracle\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n" + b"x" * 100, 400, "bad_request"),
    "a chunk without a size": (CHUNKED + b"zz\r\n", 400, "bad_request"),
    "a chunk with a size below nothing": (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    "a chunk that is longer than it says": (CHUNKED + b"1\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_view_ever_sees_is_refused_in_the_words_of_the_api(web, name):
    sent, status, code = REFUSED[name]
    with connect(web) as line:
        with contextlib.suppress(ConnectionError):  # refused before all of it was sent
            line.sendall(sent)
        got, headers, body = answer(line)
        assert is_closed(line)
    problem = json.loads(body)
    assert (got, problem["status"], problem["code"]) == (status, status, code)
    assert list(problem) == ["type", "title", "status", "code", "detail", "request_id", "errors"]
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["cache-control"] == "private, no-store"
    for header, value in security_headers(secure=False).items():
        assert headers[header.lower()] == value


def test_refusals_speak_the_language_that_was_asked_for(web):
    with connect(web) as line:
        line.sendall(ME + b"Accept-Language: ur\r\n\r\n")
        _status, headers, body = answer(line)
    assert headers["content-language"] == "ur"
    assert not json.loads(body)["title"].isascii()


def test_refusals_stand_in_the_access_log_without_their_keys(web):
    with connect(web) as line:
        line.sendall(
            b"GET /api/v1/kir_live_0123456789_secret?token=abc123&limit=5 HTTP/1.1\r\nHost: a b\r\n\r\n"
        )
        _status, headers, _body = answer(line)
    told = until(lambda: find_line(web, headers["x-request-id"]), "the refusal is in the log", 10)
    assert told["path"] == "/api/v1/kir_live_[redacted]?token=[redacted]&limit=5"
    assert (told["method"], told["status"], told["code"]) == ("GET", 400, "bad_request")
    assert told["address"] == "127.0.0.1"
    assert told["bytes"] > 100


def test_the_code_is_set_apart_from_what_requests_leave_behind(web):
    [apart, left] = map(int, re.search(r"set apart: (\d+), left: (\d+)", web.told(last=10_000_000)).groups())
    assert apart > 50_000
    assert left < apart / 20


def held_by(web) -> dict[int, int]:
    """How many connections each worker holds, as the kernel sees it."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {row[9] for row in rows if int(row[1].split(":")[1], 16) == web.port and row[3] == "01"}
    found = dict.fromkeys(web.workers(), 0)
    for pid in found:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found[pid] += link.readlink().name.removeprefix("socket:[").removesuffix("]") in ours
    return found


def test_new_connections_go_to_the_worker_that_holds_fewer(django_db_setup, django_db_blocker):
    """One is stopped while others come, which the other one takes all. Awake again, it gets the next ones."""
    with django_db_blocker.unblock():
        server = Web(
            address_of_tests(),
            config="kiryana.tests.polite",
            WEB_WORKERS="2",
            GUNICORN_CMD_ARGS="--keep-alive=60",
        )
    try:
        sleeper, other = server.workers()
        with contextlib.ExitStack() as stack:

            def come(count):
                lines = [stack.enter_context(connect(server)) for _number in range(count)]
                for line in lines:
                    line.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
                assert {answer(line)[0] for line in lines} == {200}

            os.kill(sleeper, signal.SIGSTOP)
            come(24)
            assert held_by(server) == {sleeper: 0, other: 24}
            os.kill(sleeper, signal.SIGCONT)
            for _number in range(24):
                come(1)
            # By chance it would be twelve. The last one may go to either: nobody is ahead by more than one.
            assert held_by(server)[sleeper] >= 23
    finally:
        server.end()


def test_a_worker_takes_what_nobody_wanted_and_gives_way_again(monkeypatch):
    monkeypatch.setattr(worker, "HELD", [0] * 256)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours = worker.Worker(1, os.getpid(), [listener], None, 30, Config(), None)
        worker.HELD[1:3] = 6, 1  # one more than there are: it holds five, another one none
        ours.poller = stack.enter_context(contextlib.closing(selectors.DefaultSelector()))

        def turn(came: int):
            """One turn of the loop after so many have come."""
            for _number in range(came):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            ours.set_accept_enabled(True)
            ours.wait_for_and_dispatch_events(10 if came else 0)

        for before, come in ((5, 2), (7, 4)):  # the second time it gives way as it did the first
            turn(come)
            assert (ours.nr_conns, ours._accepting) == (before, False)
            monkeypatch.setattr(ours, "waits_until", ours.waits_until - worker.GIVES_WAY)
            turn(came=0)
            assert (ours.nr_conns, ours._accepting) == (before + come, True)
        for conn in list(ours.pending_conns):
            ours.drop(conn)


def find_line(web, request_id: str) -> dict | None:
    lines = [line for line in web.told().splitlines() if f'"request_id": "{request_id}"' in line]
    return json.loads(lines[0]) if lines else None


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),  # the one version that may name no host
        (b"\r\nGET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET http://127.0.0.1/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n", 200),
        (b"GET /api/v1/" + b"a" * 4000 + b"/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (ME + HOST + b"X-Long: " + b"a" * 8000 + b"\r\n\r\n", 401),
        (ME + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(59)) + b"\r\n", 401),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", 401),
        (CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX-Sum: 1\r\n\r\n", 401),
        (POST + b"Content-Length: 0\r\n\r\n", 401),
    ],
)
def test_what_is_unusual_but_right_is_answered_and_the_line_stays_usable(web, sent, status):
    with connect(web) as line:
        line.sendall(sent)
        assert answer(line)[0] == status
        if b"HTTP/1.0" in sent:
            assert is_closed(line)
        else:
            line.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert answer(line)[0] == 200


def test_requests_one_behind_the_other_are_answered_in_order(web):
    with connect(web) as line:
        line.sendall((POST + b"Content-Length: 2\r\n\r\n{}") * 2 + b"GET /healthz HTTP/1.1\r\n" + HOST)
        got = b""
        while got.count(b"HTTP/1.1 401 ") < 2:  # the third is not complete when they are answered
            got += line.recv(65536)
        line.sendall(b"Connection: close\r\n\r\n")
        got += b"".join(iter(lambda: line.recv(65536), b""))
    assert [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] == [401, 401, 200]


def test_who_asks_before_sending_is_told_to_go_on_once(web):
    with connect(web) as line:
        line.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"{}")
        assert answer(line)[0] == 401


def test_a_body_beyond_the_limit_is_refused_and_the_line_stays_usable(web):
    with connect(web) as line:
        line.sendall(POST + b"Content-Length: 1500000\r\n\r\n" + b" " * 1_500_000)
        status, headers, _body = answer(line)
        assert (status, headers["content-type"]) == (401, "application/problem+json")
        line.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer(line)[0] == 200


SLOW = {
    "half a line": b"GET /api/v1/me/ HT",
    "half a head": ME + HOST + b"X-Slow: 1\r\n",
    "a body that does not come": POST + b"Content-Length: 10\r\n\r\n{",
    "chunks that do not come": CHUNKED + b"a\r\n{",
    "an expected body that does not come": POST + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_what_does_not_arrive_in_time_is_refused(web, name):
    with connect(web) as line:
        line.sendall(SLOW[name])
        if "expected" in name:
            assert b"100 Continue" in line.recv(1000)
        status, headers, body = answer(line)
        assert is_closed(line)
    assert (status, json.loads(body)["code"]) == (408, "request_timeout")
    assert headers["content-type"] == "application/problem+json"


def test_a_byte_now_and_then_buys_no_time(web):
    with connect(web) as line:
        line.sendall(POST + b"Content-Length: 1000\r\n\r\n")
        line.settimeout(0.2)
        began, got = time.monotonic(), b""
        while not got:
            assert time.monotonic() - began < 8
            line.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                got = line.recv(65536)
    assert got.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("name", ["half a line", "half a head", "a body that does not come"])
def test_what_ends_early_is_refused_at_once(web, name):
    with connect(web) as line:
        line.sendall(SLOW[name])
        line.shutdown(socket.SHUT_WR)
        status, _headers, body = answer(line)
    assert (status, json.loads(body)["code"]) == (400, "bad_request")


def test_who_says_nothing_is_let_go_without_a_word(web):
    with connect(web) as line:
        assert line.recv(1) == b""


def test_slow_and_silent_clients_keep_nobody_waiting(web):
    """Five times as many of them as there are threads, of every kind, and some that do not take their refusal."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connect(web)) for _n in range(40)]
        for number, line in enumerate(lines):
            line.sendall([b"", *SLOW.values(), ME + b"\r\n"][number % 7])
        assert web.ask("GET", "/healthz")[0] == 200
        # And that before the patience with any of those who say nothing had ended.
        assert not select.select(lines[::7], [], [], 0)[0]


def test_unfinished_requests_hold_no_more_memory_than_they_may(web):
    """Two processes keep 8 MiB each in this test; 40 megabytes are sent to them and never completed."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connect(web)) for _n in range(40)]
        answered = []
        for line in lines:
            line.settimeout(0.05)
            with contextlib.suppress(ConnectionError, TimeoutError):
                line.sendall(POST + b"Content-Length: 1000001\r\n\r\n" + b" " * 1_000_000)
        for line in lines:
            line.settimeout(10)
            with contextlib.suppress(ConnectionError):
                answered.append(line.recv(65536)[9:12])
    assert answered.count(b"503") >= 15
    assert web.ask("GET", "/healthz")[0] == 200


def test_a_worker_asked_to_end_answers_what_has_begun_and_ends(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        server = Web(address_of_tests(), config="kiryana.tests.impatient")
    try:
        with connect(server) as silent, connect(server) as half:
            half.sendall(POST + b"Content-Length: 2\r\n\r\n{")
            assert server.ask("GET", "/healthz")[0] == 200
            server.process.terminate()
            half.sendall(b"}")
            assert answer(half)[0] == 401
            assert silent.recv(1) == b""
            assert server.process.wait(9) == 0
    finally:
        server.end()
