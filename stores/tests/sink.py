"""A partner's server for tests: real TLS on loopback, which counts who connects and answers as it is told."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field

import trustme

NAME = "partner.example.com"


@dataclass
class Request:
    """One request that arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


def reply(status: int = 200, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
    return head.encode() + body


@dataclass
class Sink:
    """`answer(request, connection)` gives what is sent back; or it writes to the connection itself and gives None."""

    authority: trustme.CA = field(default_factory=trustme.CA)
    name: str = NAME
    answer: object = None
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(self.name).configure_cert(self.tls)
        self.arrived = threading.Condition()
        self.closing = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def client_tls(self) -> ssl.SSLContext:
        """What believes this sink's certificate, and no other."""
        tls = ssl.create_default_context()
        self.authority.configure_trust(tls)
        return tls

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self.listener.accept()
                with self.arrived:
                    self.connections += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with (
            contextlib.suppress(OSError, ValueError),
            connection,
            self.tls.wrap_socket(connection, server_side=True) as stream,
        ):
            request = self.read(stream)
            with self.arrived:
                self.requests.append(request)
                self.arrived.notify_all()
            answer = self.answer(request, stream) if self.answer else reply()
            if answer is not None:
                stream.sendall(answer)

    def read(self, stream) -> Request:
        reader = stream.makefile("rb")
        line, headers = reader.readline().decode().strip(), {}
        while row := reader.readline().decode().strip():
            name, _colon, value = row.partition(":")
            headers[name.lower()] = value.strip()
        return Request(line, headers, reader.read(int(headers.get("content-length", 0))))

    def wait_for(self, number: int, patience: float = 20) -> list[Request]:
        """The requests, as soon as so many have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= number, patience), self.requests
            return list(self.requests)

    def close(self):
        self.closing.set()
        self.listener.close()
