"""Sixteen keep-alive clients in one thread: they send requests that were made beforehand and note how long each answer took."""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


class Broken(Exception):
    """The server closed a connection or sent what is no answer."""


@dataclass(slots=True)
class Result:
    """What one run gave: seconds in all, seconds of each answer, how many were not as wanted.

    `busy` is (answers, seconds) of the time in which the work was in full flow: from when as many answers had come as there are
    clients to when the time was up. Before, all requests had come at once; afterwards they come from fewer and fewer clients.
    """

    seconds: float
    times: list[float] = field(repr=False)
    errors: int
    first_error: bytes = b""
    busy: tuple[int, float] | None = None

    @property
    def rate(self) -> float:
        """Answers a second."""
        answers, seconds = self.busy or (len(self.times), self.seconds)
        return answers / seconds


class Client:
    """One connection with one request under way."""

    def __init__(self, address: tuple[str, int]):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.begun = b"", 0.0

    def send(self, request: bytes) -> None:
        self.begun, self.buffer = time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """(status, body) when the answer is whole."""
        piece = self.socket.recv(262144)
        if not piece:
            raise Broken("The server closed the connection.")
        self.buffer += piece
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        lower = head.lower()
        place = lower.find(b"content-length:")
        if place < 0:
            return (int(head[9:12]), body) if ended(body) else None
        length = int(lower[place + 15 :].split(b"\r\n", 1)[0])
        return (int(head[9:12]), body) if len(body) >= length else None


def ended(body: bytes) -> bool:
    """Whether a body in chunks is whole. What a row of a file ends with can look like the end."""
    if not body.endswith(b"0\r\n\r\n"):
        return False
    place = 0
    while True:
        size, found, _rest = body[place : place + 20].partition(b"\r\n")
        if not found:
            return False
        if not int(size, 16):
            return True
        place += len(size) + int(size, 16) + 4


def run(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    clients: int = 16,
    seconds: float = 5.0,
    wanted: frozenset[int] = frozenset({200, 201}),
    most: int | None = None,
    patience: float = 60.0,
) -> Result:
    """Sends `requests` from `clients` connections, each as soon as the answer before it is there.

    Ends after `seconds`, after `most` answers, or when the requests are used up. Raises Broken when a connection is closed,
    or no answer has come for `patience` seconds.
    """
    selector, times, errors, first_error, busy = selectors.DefaultSelector(), [], 0, b"", None
    flowing = 0.0
    started = time.perf_counter()
    waiting = 0
    try:
        for _number in range(clients):
            request = next(requests, None)
            if request is None:
                break
            client = Client(address)
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(request)
            waiting += 1
        while waiting:
            ready = selector.select(timeout=patience)
            if not ready:
                raise Broken(f"No answer within {patience:g} seconds.")
            for key, _events in ready:
                client = key.data
                answer = client.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                times.append(now - client.begun)
                if len(times) == clients:
                    flowing = now
                if answer[0] not in wanted:
                    errors += 1
                    first_error = first_error or answer[1][:500]
                over = now - started > seconds or (most is not None and len(times) + waiting > most)
                if over and busy is None and len(times) > clients:
                    busy = len(times) - clients, now - flowing
                request = None if over else next(requests, None)
                if request is None:
                    selector.unregister(client.socket)  # the server may end it while others still work
                    client.socket.close()
                    waiting -= 1
                else:
                    client.send(request)
        return Result(time.perf_counter() - started, times, errors, first_error, busy)
    finally:
        for key in list(selector.get_map().values()):
            key.data.socket.close()
        selector.close()


def request(method: str, path: str, host: str, body: bytes = b"", **headers: str) -> bytes:
    """One HTTP/1.1 request as bytes; underscores in the names of headers stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
