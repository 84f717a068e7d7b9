"""The web server of the bench: the same gunicorn with the same settings as bin/up, on a free port."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kiryana.cluster import tied_to_parent

ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 60  # seconds
Web = tuple[tuple[str, int], subprocess.Popen]  # the address of a web server, and its process


class NotReady(Exception):
    """The server did not begin to answer."""


@contextlib.contextmanager
def serving(url: str, log: Path, **environment: str) -> Iterator[Web]:
    """gunicorn over the database at `url`, ended afterwards. It is still starting: `wait_until_ready` is for the caller."""
    with socket.create_server(("127.0.0.1", 0)) as listener, open(log, "ab") as out:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--config", "python:kiryana.serve"]
        command += ["--bind", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ
            | {"DATABASE_URL": url, "POOLER_URL": "", "REPLICA_URL": ""}
            | {"PORT": str(port), "API_RATE": "100000000/m"}
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            preexec_fn=tied_to_parent(),
        )
    try:
        yield ("127.0.0.1", port), process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(port: int, process: subprocess.Popen) -> None:
    """Returns with the first good answer of /readyz. Raises NotReady."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise NotReady("The web server of the bench does not become ready; see its log.")


def resident(process: subprocess.Popen) -> dict[int, int]:
    """Bytes of memory of each worker, by process number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process.pid:
                    pages = int((folder / "statm").read_text().split()[1])
                    found[int(folder.name)] = pages * os.sysconf("SC_PAGE_SIZE")
    return found
