"""What `bin/up` runs: start all, wait until it is ready, keep it running, stop all. Standard library only, no Django.

Each child dies with this process, however it dies (Linux), and is written down in run.json beside the data, so that the
next start can end what a kill left behind.
"""

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from kiryana.cluster import Cluster, ClusterError, make_home, tied_to_parent

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 12  # seconds that a child has to finish its work before it is killed
READY_WITHIN = 90  # seconds for the web process to answer
MOST_DEATHS = 5  # of one child within a minute, before all is ready: then starting it again helps nobody
LONGEST_PAUSE = 30  # seconds between two starts of a child that ends again and again
LOG_LIMIT = 10_000_000  # bytes; a longer log is put aside at the next start


class Refused(Exception):
    """The system cannot be started; the text is a sentence for the person at the screen."""


class Stop(BaseException):
    """Somebody pressed Ctrl-C or sent SIGTERM."""


def born(pid: int) -> str:
    """When the living process `pid` began, in a form that no later process of that number has; "" when there is none."""
    try:
        if Path("/proc/self/stat").exists():
            # The name in brackets may hold anything; the 20th field after it is the start in ticks since boot.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                return ""
            return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def number(name: str, default: int, least: int, most: int) -> int:
    """The environment variable `name` as a whole number from `least` to `most`."""
    text = os.environ.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Refused(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def flag(name: str, default: str) -> bool:
    """The environment variable `name` as a boolean."""
    text = os.environ.get(name, "").strip().lower() or default
    if text not in ("0", "1", "false", "true", "no", "yes", "off", "on"):
        raise Refused(f"{name} must be 1 or 0, not {text!r}.")
    return text in ("1", "true", "yes", "on")


def say(text: str = "") -> None:
    print(text, flush=True)


class Child:
    """One program that has to run as long as the system does."""

    def __init__(self, name: str, command: list[str], log: Path, **options):
        self.name, self.command, self.log, self.options = name, command, log, options
        self.process: subprocess.Popen | None = None
        self.deaths: list[float] = []
        self.retry_at = 0.0  # when a dead one is started again

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.old"))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop the children in order
                preexec_fn=tied_to_parent(),
                **self.options,
            )

    def dead(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def last_words(self) -> str:
        lines = (
            self.log.read_bytes()[-6000:].decode(errors="replace").splitlines()[-15:]
            if self.log.exists()
            else []
        )
        return "\n".join([*lines, f"The whole log is {self.log}."])


def end(pids: dict[int, str], patience: float) -> None:
    """End the processes `pids` (number: when it was born): ask, wait up to `patience` seconds, kill with their groups."""

    def alive() -> list[int]:
        return [pid for pid, when in pids.items() if when and born(pid) == when]

    for pid in alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in alive():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class System:
    """Everything that one `bin/up` starts."""

    def __init__(self, home: Path):
        self.home = home
        self.port = number("PORT", 8000, 0, 65535)  # 0 takes a free one
        self.stores = number("DEMO_STORES", 20, 1, 520)
        self.days = number("DEMO_DAYS", 60, 1, 3650)
        self.demo = flag("DEMO", "1")
        self.replicates = flag("REPLICA", "0")
        if self.replicates and os.environ.get("DATABASE_URL"):
            raise Refused(
                "REPLICA=1 copies the embedded PostgreSQL: name the replica of DATABASE_URL in REPLICA_URL instead."
            )
        self.state_file = home / "run.json"
        self.logs = home / "logs"
        self.cluster: Cluster | None = None
        self.replica: Cluster | None = None
        self.children: list[Child] = []
        self.ready = False
        self.environment = os.environ | {
            "KIRYANA_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "kiryana.settings",
            "PYTHONUNBUFFERED": "1",
        }

    # -- One at a time

    def take_turn(self) -> int | None:
        """The descriptor of the lock that says we are the one; None when another is, and is ready."""
        lock = os.open(self.home / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                state = self.read_state()
                if state.get("ready"):
                    say(
                        f"Kiryana already runs here: {state['url']} (process {state['pid']}). "
                        f"Stop it where it was started with Ctrl-C, or with: kill {state['pid']}"
                    )
                    return None
                if not told:
                    say("Another bin/up is starting or stopping here; waiting for it ...")
                    told = True
                time.sleep(0.2)

    def read_state(self) -> dict:
        try:
            state = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return (
            state
            if isinstance(state, dict) and born(state.get("pid", 0)) == state.get("born")
            else state | {"ready": False}
        )

    def write_state(self) -> None:
        processes = {child.process.pid: child.process for child in self.children if child.process}
        state = {
            "pid": os.getpid(),
            "born": born(os.getpid()),
            "url": self.url,
            "ready": self.ready,
            "cluster": self.cluster is not None and self.cluster.process is not None,
            "replica": self.replica is not None,
            "children": {str(pid): born(pid) for pid in processes},
        }
        half = self.state_file.with_suffix(".half")
        half.write_text(json.dumps(state))
        half.replace(self.state_file)

    def end_leftovers(self) -> bool:
        """End what a killed bin/up of this home left running; whether there was one."""
        if not self.state_file.exists():
            return False
        state = self.read_state()
        children = {int(pid): when for pid, when in state.get("children", {}).items() if pid.isdigit()}
        if any(when and born(pid) == when for pid, when in children.items()):
            say("The last start was killed; ending what it left running ...")
        end(children, PATIENCE)
        if state.get("replica"):
            Cluster(self.home, "replica").stop()
        if state.get("cluster"):
            Cluster(self.home).stop()
        self.state_file.unlink()
        return True

    # -- Starting

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def take_port(self, patience: float) -> socket.socket:
        """Listen at the port from the beginning: nobody can take it while we prepare, and a browser that comes early waits.

        `patience` is how many seconds the port may still be used by somebody.
        """
        deadline = time.monotonic() + patience
        while True:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", self.port))
                listener.listen(512)
            except PermissionError:
                raise Refused(
                    f"This account may not use port {self.port}; choose one above 1023: PORT=8001 bin/up"
                ) from None
            except OSError:
                listener.close()
                if time.monotonic() > deadline:
                    raise Refused(
                        f"Port {self.port} is used by another program. Stop that, or choose another port: PORT=8001 bin/up"
                    ) from None
                time.sleep(0.1)
            else:
                self.port = listener.getsockname()[1]
                return listener

    def make_secret_key(self) -> None:
        file = self.home / "secret_key"
        if not file.exists():
            half = file.with_suffix(".half")
            half.unlink(missing_ok=True)
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(64))
            half.replace(file)

    def start_database(self) -> None:
        if os.environ.get("DATABASE_URL"):
            say("Using the database of DATABASE_URL.")
            return
        for other_way in (
            "POOLER_URL",
            "REPLICA_URL",
        ):  # to the server of a DATABASE_URL, which is not this one
            self.environment.pop(other_way, None)
        self.cluster = Cluster(self.home, tied=True)
        new = not self.cluster.data.exists()
        say(f"{'Making' if new else 'Starting'} PostgreSQL; its data is in {self.cluster.data} ...")
        self.environment["DATABASE_URL"] = self.cluster.start()
        self.write_state()

    def prepare(self) -> None:
        """Migrate and fill an empty database, in a process of its own whose progress is seen here."""
        command = [sys.executable, "manage.py", "prepare"]
        if self.demo:
            command += ["--demo-stores", str(self.stores), "--demo-days", str(self.days)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=tied_to_parent(),
        )
        try:
            code = process.wait()
        except Stop:
            end({process.pid: born(process.pid)}, PATIENCE)
            process.wait()
            raise
        if code:
            raise Refused("The database could not be prepared; the reason stands above.")

    def start_replica(self) -> None:
        """Copy the database and let reports be read from the copy, which follows it."""
        if not self.replicates:
            return
        self.replica = Cluster(self.home, "replica", tied=True)
        self.write_state()
        say(f"Making a replica of the database for reports; its data is in {self.replica.data} ...")
        self.environment["REPLICA_URL"] = self.replica.follow(self.cluster)

    def start_children(self, listener: socket.socket) -> None:
        """Name all that has to run, and start the web process."""
        self.logs.mkdir(exist_ok=True)
        options = {"env": self.environment | {"PORT": str(self.port)}}
        # What a web process is, kiryana/serve.py says, here and in the container.
        web = [sys.executable, "-m", "gunicorn", "--config=python:kiryana.serve"]
        web += [f"--bind=fd://{listener.fileno()}"]
        worker = [sys.executable, "manage.py", "procrastinate", "worker"]
        webhooks = [sys.executable, "manage.py", "send_webhooks"]
        self.children = [
            Child("web", web, self.logs / "web.log", pass_fds=[listener.fileno()], **options),
            Child("worker", worker, self.logs / "worker.log", **options),
            Child("webhooks", webhooks, self.logs / "webhooks.log", **options),
        ]
        self.children[0].start()
        self.write_state()

    def answers(self) -> bool:
        """Whether /readyz says that the system is ready."""
        named = [
            name for name in os.environ.get("ALLOWED_HOSTS", "").replace("*", "").split(",") if name.strip()
        ]
        host = named[0].strip().lstrip(".") if named else "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Host": host})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self.answers():
            self.look_after_all()
            if time.monotonic() > deadline:
                raise Refused(f"The system does not become ready.\n{self.children[0].last_words()}")
            time.sleep(0.1)
        # They do their work later anyway: beside the web process they would keep people waiting for its first page.
        for child in self.children[1:]:
            child.start()
        self.ready = True
        self.write_state()

    # -- Running

    def look_after_all(self) -> None:
        """Start again what has died."""
        if self.cluster and not (
            self.cluster.process.poll() is None if self.cluster.process else self.cluster.pid()
        ):
            say("PostgreSQL has ended by itself; starting it again ...")
            self.cluster.start()
            self.write_state()
        if self.replica and not self.replica.pid():
            say("The replica has ended by itself; starting it again ...")
            self.replica.start()
        for child in self.children:
            if not child.dead():
                continue
            now = time.monotonic()
            if not child.retry_at:
                child.deaths = [moment for moment in child.deaths if moment > now - 60] + [now]
                # Once all was ready, it may be the surroundings (a full disk): then shops come back by themselves.
                if len(child.deaths) >= MOST_DEATHS and not self.ready:
                    raise Refused(f"The {child.name} process ends again and again.\n{child.last_words()}")
                pause = min(2 ** (len(child.deaths) - 1) / 2, LONGEST_PAUSE)
                child.retry_at = now + pause
                say(
                    f"The {child.name} process has ended (code {child.process.returncode}); starting it again in "
                    f"{pause:g} seconds. Its log is {child.log}."
                )
            elif now >= child.retry_at:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.process.pid, signal.SIGKILL)  # what a killed one left of its own children
                child.retry_at = 0.0
                child.start()
                self.write_state()

    def tell(self) -> None:
        say()
        say(f"Kiryana is ready: {self.url}")
        say(f"  pages   {self.url}")
        say(f"  admin   {self.url}admin/")
        say(f"  API     {self.url}docs")
        try:
            made = json.loads((self.home / "demo.json").read_text()) if self.demo else {}
        except (OSError, ValueError):
            made = {}
        if logins := made.get("logins"):
            say("\nSign in as (all invented, for trying it out):")
            for login in logins:
                say(f"  {login['who']:<24} {login['username']:<24} {login['password']}")
        if keys := made.get("keys"):
            say("\nAPI keys (header X-API-Key):")
            for key in keys:
                say(f"  {key['name']:<24} {key['key']}")
        if not logins:
            say("\nThe first account of the head office is made with: bin/python manage.py createsuperuser")
        say(f"\nLogs are in {self.logs}. Ctrl-C stops all of it.")

    def stop(self) -> None:
        """Stop the children and then the server, only what we started."""
        with contextlib.suppress(OSError):
            say("\nStopping ...")
        self.ready = False
        self.write_state()
        end(
            {child.process.pid: born(child.process.pid) for child in self.children if child.process}, PATIENCE
        )
        for child in self.children:
            if child.process:
                child.process.wait()
        if self.replica:
            self.replica.stop()
        if self.cluster and self.cluster.process:
            self.cluster.stop()
        self.state_file.unlink(missing_ok=True)

    def run(self) -> None:
        """Start all and stay. Ends by an exception: Stop when asked to, Refused or ClusterError when it cannot go on."""
        killed = self.end_leftovers()
        listener = self.take_port(patience=PATIENCE if killed else 0)
        try:
            self.write_state()
            self.make_secret_key()
            self.start_database()
            self.prepare()
            self.start_replica()
            self.start_children(listener)
            self.wait_until_ready()
            self.tell()
            while True:
                time.sleep(0.5)
                self.look_after_all()
        finally:
            for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(ending, signal.SIG_IGN)  # the way out is not to be cut short
            self.stop()
            listener.close()


def main() -> int:
    def stop(*_) -> None:
        raise Stop

    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, stop)
    os.umask(0o077)  # keys, logins and logs are for this account alone
    try:
        home = make_home(Path(os.environ.get("KIRYANA_HOME") or ROOT / "var").resolve())
        system = System(home)
        lock = system.take_turn()
        if lock is None:
            return 0
        system.run()
    except (Refused, ClusterError) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1
    except Stop:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
