"""gunicorn's threaded worker, made patient: threads get whole requests only, and every refusal is problem+json.

gunicorn gives a thread to each connection and lets it wait for the bytes; some slow or silent clients are then all it takes
to stop a shop. Here the one loop that waits for sockets gathers a request until it is complete - headers, and a body of up
to `MOST_GATHERED` bytes - and only then hands it to a thread, which reads it from memory with gunicorn's own parser. What
does not arrive within `ARRIVES_WITHIN` seconds is answered 408. A request that is certain to be refused again - its key is
beyond its rate, its address has sent too many wrong ones - waits here for a moment first, without a thread: a flood then
takes its own time instead of that of the others. What gunicorn refuses before Django sees it (too long, too
many headers, framing that two servers might read differently) is answered here, in the words and with the headers of the
API, and noted in the access log. Workers share new connections out: one that holds more than another lets it go first.

It rests on the insides of the gunicorn version that requirements.txt pins; kiryana/tests/test_edge_bytes.py speaks to it
through real sockets.
"""

import contextlib
import gc
import json
import mmap
import re
import selectors
import socket
import time
import uuid
from collections import deque
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace

from gunicorn import http, util
from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, NoMoreData, ParseException
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from kiryana.logs import Lines, shown_path

PIECE = 65536
ARRIVES_WITHIN = 20.0  # seconds from the first byte of a request to its last
SILENT_FOR = 20.0  # seconds that a new connection may wait with its first byte
ANSWER_WITHIN = 20.0  # seconds for a client to take the next piece of an answer
LINGERS = 2.0  # seconds that a refused client has to read the answer before the connection is torn
MOST_DRAINED = 1024 * 1024  # bytes that are read and thrown away meanwhile
LONGEST_SIZE_LINE = 100  # bytes of the line that begins a chunk
MOST_GATHERED = 1024 * 1024 + PIECE  # bytes of a body; a longer one is read by its thread, if at all
MOST_OF_ALL = 64 * 1024 * 1024  # bytes that all unfinished requests of one process hold together
RESTS = 0.1  # seconds that the answer to a key waits which this process knows to be refused
REFUSES_EACH = 0.005  # seconds between two such answers, however many connections ask
GIVES_WAY = 0.01  # seconds that a new connection is left to a worker that holds fewer

# How many connections each worker holds, and one more; 0 where there is none. The same memory in all of them: it is made
# before they are. Only to share new connections out: that one is a moment behind does no harm.
HELD = memoryview(mmap.mmap(-1, 4 * 256)).cast("i")

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*(?=\r\n)", re.IGNORECASE)
FRAMED = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n)", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
SENDERS = re.compile(
    rb"\r\n(x-api-key|authorization|x-forwarded-for):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
BARE_LF = re.compile(rb"(?<!\r)\n")


def set_apart() -> None:
    """Has Python's search for circles leave alone what is there now: the code, which stays as long as the process.

    To go through all of it takes as long as several pages, and every request of the process waits meanwhile.
    """
    gc.collect()
    gc.freeze()


class TooSlow(TimeoutError):
    """The request has not arrived in time."""


class TooMuch(Exception):
    """More has arrived, of all requests together, than this process keeps in memory."""


class Broken(ParseException):
    """The request cannot be taken as it is; the text says why, for the log."""


class Arrived(SocketUnreader):
    """Hands gunicorn's parser what has been gathered, and then what the socket still brings until the deadline."""

    def __init__(self, sock, data: bytes, deadline: float):
        super().__init__(sock)
        self.buf.write(data)
        self.deadline = deadline

    def chunk(self, size_hint=None):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooSlow
        self.sock.settimeout(left)
        try:
            data = super().chunk(size_hint)
        except TimeoutError:
            raise TooSlow from None
        finally:
            self.sock.settimeout(ANSWER_WITHIN)
        if not data:
            raise NoMoreData  # a body that ends early is broken, not short
        return data


class Connection(gthread.TConn):
    """One client. `gathered` is what has arrived of its next request."""

    def __init__(self, cfg, sock, client, server):
        super().__init__(cfg, sock, client, server)
        self.gathered = bytearray()
        self.failure: Exception | None = None  # why the request is refused without being read any further
        self.told_to_continue = False
        self.begin(SILENT_FOR)

    def begin(self, within: float, data: bytes = b"") -> None:
        """A new request may come; `data` has come with the one before."""
        self.gathered[:] = data
        self.body_at = self.scanned = 0  # where the body begins, 0 before that is known; where to look on
        self.body_length: int | None = None  # None for chunks
        self.told_to_continue = False
        self.timeout = self.deadline = time.monotonic() + within

    @property
    def has_begun(self) -> bool:
        return bool(self.gathered)

    def is_complete(self) -> bool:
        """Whether a thread can answer what has been gathered without waiting: all of it is there, or it is wrong."""
        data = self.gathered
        if not self.body_at:
            end = data.find(b"\r\n\r\n", max(self.scanned - 3, 0))
            if end < 0:
                hopeless, self.scanned = self.is_hopeless(), len(data)
                return hopeless
            self.body_at = self.scanned = end + 4
            head = bytes(data[: end + 2])
            framings, lengths = FRAMED.findall(head), LENGTH.findall(head)
            if not framings:
                self.body_length = 0
            elif len(framings) == 1 and lengths and int(lengths[0]) <= MOST_GATHERED:
                self.body_length = int(lengths[0])
            elif len(framings) > 1 or not CHUNKED.search(head):
                return True  # too long, or a framing that is refused
            if (expected := EXPECTS.search(head)) and not self.is_all_there():
                if expected[1].lower() != b"100-continue":
                    return True  # nothing that anybody knows
                self.told_to_continue = True
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.is_all_there()

    def is_hopeless(self) -> bool:
        """Whether the unfinished head is refused however it goes on."""
        data, cfg = self.gathered, self.cfg
        line_ends = data.find(b"\r\n", 2 if data[:2] == b"\r\n" else 0)
        most = cfg.limit_request_fields * (cfg.limit_request_field_size + 2) + cfg.limit_request_line
        return (
            (line_ends < 0 and len(data) > cfg.limit_request_line + 4)
            or len(data) > most
            or BARE_LF.search(data, max(self.scanned - 1, 0)) is not None
        )

    def is_all_there(self) -> bool:
        data = self.gathered
        if self.body_length is not None:
            return len(data) - self.body_at >= self.body_length
        # Chunks: from one size to the next, until the last, or one that is none.
        while len(data) - self.body_at <= MOST_GATHERED:
            size = CHUNK_SIZE.match(data, self.scanned)
            if size is None:
                line = data[self.scanned : self.scanned + LONGEST_SIZE_LINE]
                return (b"\r\n" in line or len(line) == LONGEST_SIZE_LINE) and self.is_broken(
                    "a chunk has no size"
                )
            length, after = int(size[1], 16), size.end()
            if length == 0:
                return data[after : after + 2] == b"\r\n" or data.find(b"\r\n\r\n", after) >= 0
            if after + length + 2 > len(data):
                return len(data) - self.body_at + length > MOST_GATHERED
            if data[after + length : after + length + 2] != b"\r\n":
                return self.is_broken("a chunk is longer than it says")
            self.scanned = after + length + 2
        return True

    def is_broken(self, why: str) -> bool:
        """Notes that no more needs to come: this chunk cannot be read."""
        self.failure = Broken(why)
        return True

    def init(self):
        """Gives the parser what was gathered. In the thread that answers."""
        self.sock.settimeout(ANSWER_WITHIN)
        data, self.gathered = bytes(self.gathered), bytearray()
        if self.parser is None:
            self.parser = http.get_parser(self.cfg, self.sock, self.client)
            self.initialized = True
        # One deadline for a whole request: what a thread still waits for was not short of time either.
        self.parser.unreader = Arrived(self.sock, data, self.deadline)


class Worker(gthread.ThreadWorker):
    """See above. Plain HTTP/1 only: TLS ends at the proxy."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lingering: deque[Connection] = deque()  # answered and closed on our side
        self.resting: deque[Connection] = deque()  # whole requests that are certain to be refused
        self.next_refusal = 0.0  # when the next of them may be answered at the earliest
        self.gathering = 0  # bytes of all requests that are not complete
        self.patience_ends = None  # when a stopping worker lets go of connections that are silent
        self.waits_until = 0.0  # before then new connections are left to others; 0 when they are not

    @property
    def place(self) -> int:
        """Of this worker in HELD."""
        return self.age % len(HELD)

    @property
    def nr_conns(self) -> int:
        return HELD[self.place] - 1

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        HELD[self.place] = count + 1

    def load_wsgi(self):
        super().load_wsgi()
        from stores.authentication import keys  # not before there is Django

        self.keys = keys
        set_apart()

    # -- In the loop: nothing here may wait

    def set_accept_enabled(self, enabled):
        super().set_accept_enabled(enabled and time.monotonic() >= self.waits_until)

    def is_ahead(self) -> bool:
        """Whether another worker holds fewer connections than this one, by more than one."""
        others = [held for place, held in enumerate(HELD) if held and place != self.place]
        return bool(others) and self.nr_conns - (min(others) - 1) > 1

    def accept(self, listener):
        """A new connection has come; a worker that is ahead of others lets them go first. Whoever wakes up soonest would else
        hold most connections, those that are kept for hours too, and its processor be busy while another is idle."""
        if self.is_ahead():
            self.waits_until = time.monotonic() + GIVES_WAY
            self.set_accept_enabled(False)
        else:
            self.take(listener)

    def take(self, listener) -> bool:
        """Takes a connection that has come, if there still is one."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        self.nr_conns += 1
        conn = Connection(self.cfg, sock, client, listener.getsockname())
        self.pending_conns.append(conn)
        self.poller.register(sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        self.on_pending_socket_readable(conn, sock)  # most send at once
        return True

    def take_what_is_left(self) -> None:
        """Those that nobody wanted while this worker gave way. It gives way to the next ones anew."""
        self.waits_until = 0.0
        for listener in self.sockets:
            while self.nr_conns < self.worker_connections and self.take(listener):
                pass

    def on_client_socket_readable(self, conn, client):
        """The next request of a connection that was kept alive begins."""
        self.keepalived_conns.remove(conn)
        conn.begin(ARRIVES_WITHIN)
        self.pending_conns.append(conn)
        self.poller.modify(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        self.on_pending_socket_readable(conn, client)

    def on_pending_socket_readable(self, conn, client):
        """More of a request has arrived."""
        try:
            data = client.recv(PIECE)
            if data:
                if not conn.has_begun:
                    self.pending_conns.remove(conn)
                    conn.timeout = conn.deadline = time.monotonic() + ARRIVES_WITHIN
                    self.pending_conns.append(conn)
                conn.gathered += data
                self.gathering += len(data)
                complete = conn.is_complete()
        except BlockingIOError:
            return
        except OSError:
            self.drop(conn)
            return
        if not data:
            if not conn.has_begun:
                self.drop(conn)
                return
            conn.failure = Broken("ended early")
        elif not complete:
            if self.gathering <= MOST_OF_ALL:
                return
            conn.failure = TooMuch()
        self.hand_over(conn)

    def hand_over(self, conn) -> None:
        """A thread answers the request that is complete."""
        self.pending_conns.remove(conn)
        self.gathering -= len(conn.gathered)
        self.poller.unregister(conn.sock)
        self.answer(conn)

    def answer(self, conn) -> None:
        """Gives the request to a thread; after a rest when it is certain to be refused."""
        if conn.failure or not self.is_refused(conn):
            self.enqueue_req(conn)
            return
        now = time.monotonic()
        conn.timeout = self.next_refusal = max(now + RESTS, self.next_refusal + REFUSES_EACH)
        self.resting.append(conn)

    def is_refused(self, conn) -> bool:
        """Whether this process knows that the sender of this request is refused for now."""
        if not (self.keys.refused_keys or self.keys.refused_guesses):
            return False
        meta = {"REMOTE_ADDR": conn.client[0] if isinstance(conn.client, tuple) else ""}
        for name, value in SENDERS.findall(conn.gathered[: conn.body_at]):
            name = f"HTTP_{name.decode().upper().replace('-', '_')}"
            value = value.decode("latin-1")
            meta[name] = f"{meta[name]},{value}" if name in meta else value
        return self.keys.remembered(SimpleNamespace(META=meta)) is not None

    def drop(self, conn) -> None:
        """A client that has gone, or never said a word."""
        if conn in self.pending_conns:
            self.pending_conns.remove(conn)
            self.gathering -= len(conn.gathered)
        self.forget(conn)

    def forget(self, conn) -> None:
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        util.close(conn.sock)

    def finish_request(self, conn, fs):
        """A thread has answered: the connection is kept for the next request, or closed when its client has read."""
        try:
            keep = not fs.cancelled() and fs.result()
            conn.sock.setblocking(False)
            if not keep:
                self.linger(conn)
            else:
                self.listen(conn)
        except Exception:
            self.log.exception("A connection was lost after its answer.")
            self.forget(conn)

    def listen(self, conn) -> None:
        """The next request may come, or be there already."""
        if data := conn.parser.unreader.take_buffered():
            conn.begin(ARRIVES_WITHIN, data)
            if conn.is_complete():
                self.answer(conn)
                return
            self.gathering += len(data)
            self.pending_conns.append(conn)
            callback = self.on_pending_socket_readable
        else:
            conn.set_timeout()
            if not self.alive:
                conn.timeout = min(conn.timeout, time.monotonic() + gthread.STOP_KEEPALIVE_LINGER)
            self.keepalived_conns.append(conn)
            callback = self.on_client_socket_readable
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def linger(self, conn) -> None:
        """Closes our side, and the connection when its client has closed his: closing at once would tear the answer out
        of his hands while he is still sending."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.forget(conn)
            return
        conn.timeout, conn.drained = time.monotonic() + LINGERS, 0
        self.lingering.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_lingering_socket_readable, conn)
        )

    def on_lingering_socket_readable(self, conn, client):
        try:
            data = client.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.drained += len(data)
        if not data or conn.drained > MOST_DRAINED:
            self.lingering.remove(conn)
            self.forget(conn)

    def murder_pending(self):
        """What has not arrived in time is refused; who was silent is let go."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns[0]
            if conn.has_begun:
                conn.failure = TooSlow()
                self.hand_over(conn)
            else:
                self.drop(conn)
        while self.lingering and self.lingering[0].timeout <= now:
            self.forget(self.lingering.popleft())
        if not self.alive:
            self.patience_ends = self.patience_ends or now + gthread.STOP_KEEPALIVE_LINGER
            if self.patience_ends <= now:
                for conn in [conn for conn in self.pending_conns if not conn.has_begun]:
                    self.drop(conn)
        while self.resting and (self.resting[0].timeout <= now or not self.alive):
            self.enqueue_req(self.resting.popleft())

    def wait_for_and_dispatch_events(self, timeout):
        """Wakes up when a request has rested, or others have been let go first."""
        now = time.monotonic()
        if self.resting:
            timeout = min(timeout, max(self.resting[0].timeout - now, 0))
        if now < self.waits_until:
            timeout = min(timeout, self.waits_until - now)
        elif self.waits_until and self._accepting:
            self.take_what_is_left()
        super().wait_for_and_dispatch_events(timeout)

    # -- In a thread

    def handle(self, conn):
        """Answers one request; whether the connection is kept."""
        if conn.failure:
            self.handle_error(None, conn.sock, conn.client, conn.failure, bytes(conn.gathered))
            return False
        head = bytes(conn.gathered[:PIECE])
        req = None
        try:
            conn.init()
            req = next(conn.parser)
            check_host(req)
            if conn.told_to_continue:
                req._expected_100_continue = False
            keep = self.handle_request(req, conn)
        except StopIteration:
            return False  # the answer had begun already
        except (TooSlow, NoMoreData) as error:
            self.handle_error(req, conn.sock, conn.client, error, head)
            return False
        except OSError as error:
            self.log.debug("The client has gone: %s", error)
            return False
        except Exception as error:
            self.handle_error(req, conn.sock, conn.client, error, head)
            return False
        try:
            return self._keepalive_after(conn, keep)
        except (OSError, ParseException):
            return False  # answered, but where the next request would begin is unknown

    def handle_error(self, req, client, addr, exc, head: bytes = b""):
        """Answers what was refused before Django saw it; any other error is a fault of ours."""
        if isinstance(exc, LimitRequestLine):
            code = "address_too_long"
        elif isinstance(exc, LimitRequestHeaders):
            code = "headers_too_large"
        elif isinstance(exc, TooSlow):
            code = "request_timeout"
        elif isinstance(exc, ParseException | NoMoreData):
            code = "bad_request"
        elif isinstance(exc, TooMuch):
            code = "busy"
        else:
            code = "server_error"
            self.log.exception("Error handling request")
        try:
            answer = refusal(code, head, addr[0] if addr else "")
            client.settimeout(ANSWER_WITHIN)
            client.sendall(answer)
        except OSError:
            self.log.debug("The client has gone before its refusal.")


def check_host(req) -> None:
    """Refuses a request that does not name one host of ours (ALLOWED_HOSTS); only HTTP/1.0 may name none."""
    from django.conf import settings
    from django.http.request import split_domain_port, validate_host

    hosts = [value for name, value in req.headers if name == "HOST"]
    if not hosts and req.version == (1, 0):
        return
    if len(hosts) != 1 or not validate_host(split_domain_port(hosts[0])[0], settings.ALLOWED_HOSTS):
        raise Broken("the host is none of ours")


REQUEST_LINE = re.compile(rb"(?:\r\n)?([!-~]{1,20}) ([!-~]*)")
LANGUAGE = re.compile(rb"\r\naccept-language:[ \t]*([ -~]{1,500})\r\n", re.IGNORECASE)
FORWARDED = re.compile(rb"\r\nx-forwarded-for:[ \t]*([ -~]{1,500})\r\n", re.IGNORECASE)


def refusal(code: str, head: bytes, peer: str) -> bytes:
    """The whole answer for a request that Django never saw, whose bytes began with `head`; also writes its log line."""
    # Only here, in a worker that has loaded Django.
    from django.utils import translation

    from kiryana.api.errors import PROBLEM, body_of
    from kiryana.middleware import KEPT_NOWHERE, access_line, security_headers
    from stores.access import client_address
    from stores.authentication.problems import RETRY, Problem

    meta = {"REMOTE_ADDR": peer}
    for name, pattern in (("HTTP_ACCEPT_LANGUAGE", LANGUAGE), ("HTTP_X_FORWARDED_FOR", FORWARDED)):
        if found := pattern.search(head):
            meta[name] = found[1].decode("ascii")
    asked = SimpleNamespace(META=meta, COOKIES={}, id=uuid.uuid4().hex)
    language = translation.get_language_from_request(asked)
    with translation.override(language):
        body = body_of(Problem(code), asked)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    status = HTTPStatus(body["status"])
    headers = {
        "Date": util.http_date(),
        "Connection": "close",
        "Content-Type": PROBLEM,
        "Content-Length": str(len(content)),
        "Content-Language": language,
        "X-Request-Id": asked.id,
        "Cache-Control": KEPT_NOWHERE,
        **security_headers(secure=False),
    }
    if code == "busy":
        headers["Retry-After"] = str(RETRY)
    line = REQUEST_LINE.match(head[:400])
    method, target = (part.decode("ascii") for part in line.groups()) if line else ("", "")
    path, _mark, query = target.partition("?")
    access_line(
        request_id=asked.id,
        method=method,
        path=shown_path(path, query),
        status=status.value,
        code=code,
        bytes=len(content),
        address=client_address(asked),
    )
    first = f"HTTP/1.1 {status.value} {status.phrase}"
    lines = [first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if method == "HEAD" else content)


class Log(Logger):
    """gunicorn's log, in the form of all others."""

    def setup(self, cfg):
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(Lines())
