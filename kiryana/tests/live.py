"""A real gunicorn for tests, a line to it that drops, cuts, doubles and delays, and plain requests over both."""

import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from kiryana.cluster import tied_to_parent
from kiryana.tests.test_cluster import until

ROOT = Path(__file__).resolve().parents[2]


def address_of_tests() -> str:
    """DATABASE_URL of the database that this test has."""
    given = connection.settings_dict
    parts = {
        "user": given["USER"],
        "password": given["PASSWORD"],
        "host": given["HOST"],
        "port": given["PORT"],
    }
    return f"postgresql:///{quote(given['NAME'])}?" + "&".join(
        f"{name}={quote(str(value), safe='')}" for name, value in parts.items() if value
    )


class Web:
    """gunicorn as it runs in production, on a port of its own; it ends with the test process, however that ends."""

    def __init__(self, database: str, root: Path = ROOT, config: str = "kiryana.serve", **variables):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the server)
        ours = ("ALLOWED_HOSTS", "TEST_DATABASE", "DJANGO_SETTINGS_MODULE", "POOLER_URL", "REPLICA_URL")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        if settings.POOLED:  # the whole suite goes through a pooler
            environment["POOLER_URL"] = database
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                f"--config=python:{config}",
                f"--bind=fd://{self.listener.fileno()}",
            ],
            cwd=root,
            env=environment | {"DATABASE_URL": database, "API_RATE": "100000/m", **variables},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            pass_fds=[self.listener.fileno()],
            preexec_fn=tied_to_parent(),
        )
        try:
            until(self.ready, "gunicorn answers", 60)
        except BaseException:
            self.end()
            raise

    def ready(self) -> bool:
        assert self.process.poll() is None, self.told()
        with contextlib.suppress(OSError):
            return self.ask("GET", "/readyz", timeout=5)[0] == 200
        return False

    def told(self, last: int = 5000) -> str:
        """What it has written, or the `last` characters of it."""
        self.output.seek(0)
        return self.output.read()[-last:]

    def workers(self) -> list[int]:
        """The process numbers of the workers, in no order."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self.process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def ask(self, method: str, path: str, body=None, *, key: str = "", timeout: float = 60, **headers):
        """(status, headers, body) of one request on a connection of its own; `body` is sent as JSON."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as line:
            line.sendall(request_bytes(method, path, body, key=key, **headers))
            return read_answer(line)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.listener.close()
        self.output.close()


def request_bytes(method: str, path: str, body=None, *, key: str = "", **headers) -> bytes:
    """One HTTP request as it goes over the line; Idempotency_Key="x" is the header Idempotency-Key."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"X-API-Key: {key}"] if key else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"] if body is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def read_answer(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """(status, headers by lower-case name, body) of what comes until the other end closes. Raises OSError if it is cut."""
    got = b"".join(iter(lambda: line.recv(65536), b""))
    head, _empty, body = got.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _colon, value in (one.partition(": ") for one in rest)}
    if not first or len(body) < int(headers.get("content-length", 0)):
        raise ConnectionError("the answer was cut off")
    return int(first.split()[1]), headers, body


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class BadLine:
    """A TCP line to `port` on which requests and answers meet every accident; what happens follows from `seed` alone.

    One request for each connection. Accidents are drawn like cards from a shuffled pack, so that each comes up.
    """

    PACK = (
        *["passes"] * 12,
        "dropped before the server",
        "request cut in the middle",
        "dropped while the server works",
        "answer lost",
        "answer cut in the middle",
        "doubled",
        "doubled at once",
        "delayed",
        "answered never, arrives late",
    )

    def __init__(self, port: int, seed: int):
        self.port, self.dice, self.pack = port, random.Random(seed), []
        self.seen = collections.Counter()
        self.loop, self.late, self.open = asyncio.new_event_loop(), set(), set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.run(asyncio.start_server(self.meet, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def end(self) -> None:
        """Closes the line, after what is still under way has arrived."""

        async def close():
            self.server.close()
            await asyncio.gather(*self.late, return_exceptions=True)
            # What is left belongs to clients that were killed.
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def card(self) -> str:
        if not self.pack:
            self.pack = self.dice.sample(self.PACK, len(self.PACK))
        return self.pack.pop()

    async def meet(self, reader, writer):
        """One connection of a client."""
        # asyncio itself holds its tasks only weakly.
        self.open.add(task := asyncio.current_task())
        task.add_done_callback(self.open.discard)
        accident, pause = self.card(), self.dice.uniform(0.05, 0.6)
        self.seen[accident] += 1
        try:
            request = await whole_request(reader)
            answer = await self.through(accident, pause, request)
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client, or the server, went away: on such a line nobody is told
        finally:
            writer.close()

    async def through(self, accident: str, pause: float, request: bytes) -> bytes:
        """What the client gets for its request; what the server got is another matter."""
        match accident:
            case "dropped before the server":
                return b""
            case "request cut in the middle":
                await self.forward(request[: len(request) // 2], wait=False)
                return b""
            case "dropped while the server works":
                await self.forward(request, wait=False)
                return b""
            case "answered never, arrives late":  # overtaken by the client's next try
                self.later(self.after(pause * 3, request))
                return b""
            case "answer lost":
                await self.forward(request)
                return b""
            case "answer cut in the middle":
                answer = await self.forward(request)
                return answer[: len(answer) // 2]
            case "doubled":
                await self.forward(request)
                return await self.forward(request)
            case "doubled at once":
                self.later(self.forward(request))
                return await self.forward(request)
            case "delayed":
                await asyncio.sleep(pause)
        return await self.forward(request)

    def later(self, work) -> None:
        task = self.loop.create_task(work)
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def after(self, pause: float, request: bytes) -> bytes:
        await asyncio.sleep(pause)
        return await self.forward(request)

    async def forward(self, request: bytes, wait: bool = True) -> bytes:
        """Sends to the server; its answer, or nothing when it is not waited for."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read() if wait else b""
        finally:
            writer.close()


async def whole_request(reader) -> bytes:
    """A request with its body, made to end the connection after its answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    return head + await reader.readexactly(length)
