"""bin/up with real processes: started, killed, started again; and the launcher that makes .venv."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from kiryana import up
from kiryana.cluster import Cluster, command_line
from kiryana.management.commands.prepare import LOCK
from kiryana.tests.test_cluster import until
from kiryana.venv import wanted

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home():
    made = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    yield made
    Cluster(made).stop()
    shutil.rmtree(made)


class Running:
    """A `bin/up` of the test; what it prints goes to a file."""

    def __init__(self, home: Path, **variables):
        self.home = home
        ours = ("DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS")
        environment = {key: value for key, value in os.environ.items() if key not in ours}
        environment |= {"KIRYANA_HOME": str(home), "PORT": "0", "DEMO": "0", **variables}
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the test)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kiryana.up"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def told(self) -> str:
        self.output.seek(0)
        return self.output.read()

    def state(self) -> dict:
        return json.loads((self.home / "run.json").read_text())

    def children(self) -> dict[int, str]:
        return {int(pid): born for pid, born in self.state()["children"].items()}

    def ready(self) -> str:
        """Wait for the address and return it."""

        def seen():
            assert self.process.poll() is None, self.told()
            return "Ctrl-C stops" in self.told()

        until(seen, "bin/up is ready", 90)
        return self.state()["url"]

    def end(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def answer(url: str) -> int:
    """The status of a page; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def living(processes: dict[int, str]) -> list[int]:
    return [pid for pid, born in processes.items() if up.born(pid) == born]


@pytest.fixture
def start(request):
    """start(home, PORT=...) runs `bin/up`; whatever still runs after the test is ended."""

    def begin(home: Path, **variables) -> Running:
        made = Running(home, **variables)
        request.addfinalizer(lambda: made.process.poll() is None and made.end())
        return made

    return begin


def test_it_starts_recovers_from_every_kill_and_stops_without_a_trace(home, start):
    # Two at once, on an empty home: one becomes the system, the other waits and says where that is.
    pair = [start(home), start(home)]
    until(lambda: any(one.process.poll() is not None for one in pair), "one of them sees the other", 90)
    second, first = sorted(pair, key=lambda one: one.process.poll() is None)
    url = first.ready()
    assert second.process.returncode == 0, second.told()
    assert f"already runs here: {url}" in second.told()
    cluster = Cluster(home)
    assert answer(f"{url}readyz") == 200
    assert all(f"{url}{path}" in first.told() for path in ("admin/", "docs"))
    assert stat.S_IMODE((home / "secret_key").stat().st_mode) == 0o600
    with psycopg.connect(cluster.url, autocommit=True) as database:
        database.execute("CREATE TABLE kept (n int)")

    # Each of its programs is killed: it is started again, on the same port.
    for pid in first.children():
        os.kill(pid, signal.SIGKILL)
    os.kill(cluster.pid(), signal.SIGKILL)
    before = first.children()

    def all_back() -> bool:
        now = first.children()
        return not before.keys() & now.keys() and len(living(now)) == 3 and answer(f"{url}readyz") == 200

    until(all_back, "all is back", 60)
    for name in ("PostgreSQL", "The web process", "The worker process", "The webhooks process"):
        assert f"{name} has ended" in first.told()
    for name in ("web", "worker", "webhooks"):
        assert (home / "logs" / f"{name}.log").exists()
    assert (
        '"logger": "gunicorn.error", "message": "Using worker: kiryana.worker.Worker"'
        in (home / "logs" / "web.log").read_text()
    )

    # It is killed itself, with PostgreSQL: nothing of it stays but data, and the next start has them.
    children, server = first.children(), cluster.pid()
    first.process.kill()
    os.kill(server, signal.SIGKILL)
    first.process.wait()
    third = start(home, PORT=url.rstrip("/").rpartition(":")[2])
    assert third.ready() == url
    assert living(children) == []
    assert answer(f"{url}readyz") == 200
    with psycopg.connect(cluster.url) as database:
        assert database.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)

    children = third.children()
    assert third.end(signal.SIGINT) == 0
    assert third.told().endswith("Stopped.\n")
    assert living(children) == []
    assert cluster.pid() == 0
    assert answer(f"{url}readyz") == 0
    assert not (home / "run.json").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_replica_is_made_started_again_and_stopped(home, start, earlier):
    cluster, replica = Cluster(home), Cluster(home, "replica")
    if earlier:  # what an earlier start left there is in nobody's way
        replica.start()
        replica.stop()
    run = start(home, REPLICA="1")
    url = run.ready()
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    with psycopg.connect(cluster.url, autocommit=True) as database:
        until(lambda: database.execute(streaming).fetchone()[0], "it follows")
    [web] = [pid for pid in run.children() if "gunicorn" in command_line(pid)]
    assert f"REPLICA_URL={replica.url}" in Path(f"/proc/{web}/environ").read_text().split("\0")
    os.kill(replica.pid(), signal.SIGKILL)
    until(lambda: "The replica has ended by itself" in run.told() and replica.ready(), "it is back", 60)
    assert answer(f"{url}readyz") == 200
    assert run.end() == 0
    assert (cluster.pid(), replica.pid()) == (0, 0)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "http"}, "PORT must be a whole number from 0 to 65535, not 'http'."),
        ({"PORT": "65536"}, "PORT must be a whole number from 0 to 65535, not '65536'."),
        ({"DEMO_STORES": "0"}, "DEMO_STORES must be a whole number from 1 to 520, not '0'."),
        ({"DEMO_DAYS": "-1"}, "DEMO_DAYS must be a whole number from 1 to 3650, not '-1'."),
        ({"DEMO": "perhaps"}, "DEMO must be 1 or 0, not 'perhaps'."),
        ({"REPLICA": "2"}, "REPLICA must be 1 or 0, not '2'."),
        (
            {"REPLICA": "1", "DATABASE_URL": "postgresql:///x"},
            "name the replica of DATABASE_URL in REPLICA_URL",
        ),
        ({"KIRYANA_HOME": "/proc/kiryana"}, "set KIRYANA_HOME to one that you may write to"),
    ],
)
def test_a_wrong_variable_is_refused_with_a_sentence(start, tmp_path, variables, sentence):
    run = start(tmp_path, **variables)
    assert run.process.wait(30) == 1
    assert sentence in run.told()
    assert "Traceback" not in run.told()
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_refused_before_anything_starts(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(tmp_path, PORT=str(port))
        assert run.process.wait(30) == 1
    assert f"Port {port} is used by another program" in run.told()
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "run.json").exists()


def test_a_database_that_is_away_is_told_without_a_traceback(start, tmp_path):
    run = start(tmp_path, DATABASE_URL="postgresql://kiryana@/kiryana?host=/nonexistent")
    assert run.process.wait(60) == 1
    assert "The database does not answer" in run.told()
    assert "Traceback" not in run.told()
    assert not (tmp_path / "postgres").exists()


# -- Its parts


@pytest.fixture
def system(tmp_path, monkeypatch):
    for name in ("PORT", "DEMO", "DEMO_STORES", "DEMO_DAYS"):
        monkeypatch.delenv(name, raising=False)
    return up.System(tmp_path)


def sleeper() -> subprocess.Popen:
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


def test_what_a_killed_start_left_is_ended_and_nobody_else(system):
    left, stranger = sleeper(), sleeper()
    try:
        children = {
            str(left.pid): up.born(left.pid),
            str(stranger.pid): "of an earlier process with this number",
        }
        system.state_file.write_text(
            json.dumps({"pid": 1, "born": "never", "ready": True, "children": children})
        )
        assert system.end_leftovers() is True
        assert left.wait(10) == -signal.SIGTERM
        assert stranger.poll() is None
        assert system.end_leftovers() is False
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


def test_who_does_not_listen_is_killed():
    deaf = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()",
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    deaf.stdout.readline()
    up.end({deaf.pid: up.born(deaf.pid)}, patience=0.2)
    assert deaf.wait(10) == -signal.SIGKILL
    deaf.stdout.close()


def test_a_program_that_cannot_start_is_given_up_with_its_last_words(system, monkeypatch):
    monkeypatch.setattr(up, "MOST_DEATHS", 2)
    child = up.Child(
        "web", [sys.executable, "-c", "print('no such module'); exit(3)"], system.home / "web.log"
    )
    system.children = [child]
    child.start()

    def look():
        system.look_after_all()
        return False

    with pytest.raises(up.Refused, match=r"(?s)web process ends again and again.*no such module.*web\.log"):
        until(look, "giving up", 30)
    assert child.log.read_text() == "no such module\n" * 2


def test_a_program_that_ends_later_is_started_again_less_and_less_often(system, monkeypatch, capsys):
    monkeypatch.setattr(up, "MOST_DEATHS", 2)
    child = up.Child("worker", ["false"], system.home / "worker.log")
    system.children, system.ready = [child], True
    pauses = []
    for _ in range(9):
        child.start()
        child.process.wait()
        child.retry_at = 0.0
        before = time.monotonic()
        system.look_after_all()
        pauses.append(round(child.retry_at - before, 1))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_logins_and_keys_of_the_demo_are_printed(system, capsys):
    made = {
        "logins": [{"who": "Owner", "username": "asma", "password": "invented-1"}],
        "keys": [{"name": "Till", "key": "kir_live_invented"}],
    }
    (system.home / "demo.json").write_text(json.dumps(made))
    system.tell()
    told = capsys.readouterr().out
    assert all(word in told for word in ("Owner", "asma", "invented-1", "Till", "kir_live_invented"))
    system.demo = False
    system.tell()
    assert "asma" not in capsys.readouterr().out


def test_the_lock_tells_who_runs(system, capsys):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()",
            str(system.home / "up.lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    state = {"pid": holder.pid, "born": up.born(holder.pid), "ready": True, "url": "http://127.0.0.1:1/"}
    system.state_file.write_text(json.dumps(state))
    assert system.take_turn() is None
    assert f"already runs here: http://127.0.0.1:1/ (process {holder.pid})" in capsys.readouterr().out
    holder.communicate(b"\n")
    lock = system.take_turn()
    assert lock is not None
    os.close(lock)


@pytest.mark.django_db(transaction=True)
def test_only_one_prepares_a_database_at_a_time():
    settings = connection.settings_dict
    url = psycopg.conninfo.make_conninfo(
        dbname=settings["NAME"], user=settings["USER"], host=settings["HOST"], port=settings["PORT"] or None
    )
    with psycopg.connect(url, autocommit=True, password=settings["PASSWORD"] or None) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        second = subprocess.Popen(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        asks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock(%' AND pid <> pg_backend_pid()"
        until(lambda: first.execute(asks).fetchone()[0], "the second asks for its turn", 60)
        assert second.poll() is None
        first.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    told = second.communicate(timeout=60)[0]
    assert second.returncode == 0, told
    assert "No migrations to apply" in told


# -- bin/python: making .venv


@pytest.fixture(scope="module")
def clone():
    """A small project with bin/python, and requirements that need no network."""
    made = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    (made / "kiryana").mkdir()
    (made / "kiryana" / "__init__.py").touch()
    for file in ("bin/python", "kiryana/venv.py"):
        (made / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, made / file)
    (made / "requirements.txt").write_text("# nothing\n")
    yield made
    shutil.rmtree(made)


def python(clone: Path, *arguments, **variables) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHON")}
    path = f"{Path(sys.base_prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [clone / "bin" / "python", *arguments],
        cwd="/",
        env=environment | {"PATH": path} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_at_once_make_one_environment_and_what_a_killed_pip_left_is_made_anew(clone):
    # pip was killed here: its Python would do, but nothing beside it is sure.
    left = clone / ".venv"
    (left / "bin").mkdir(parents=True)
    (left / "bin" / "python").symlink_to(sys._base_executable)
    (left / "installing").touch()
    (left / "half-written").touch()

    where = ("-c", "import sys; print(sys.prefix)")
    pair = [python(clone, *where), python(clone, *where)]
    told = [one.communicate(timeout=120)[0] for one in pair]
    assert [one.returncode for one in pair] == [0, 0], told
    assert sum("Making a virtual environment" in text for text in told) == 1
    assert all(text.splitlines()[-1] == str(left) for text in told)
    assert not (left / "half-written").exists()

    again = python(clone, *where)
    assert again.communicate(timeout=60)[0] == f"{left}\n"  # nothing to make, nothing to say


def test_changed_requirements_are_installed_and_a_failure_is_told(clone):
    stamp = clone / ".venv" / "installed"
    stamp.parent.mkdir(exist_ok=True)
    (clone / "requirements.txt").write_text("./no-such-package\n")
    failed = python(clone, "-c", "print('not reached')")
    told = failed.communicate(timeout=120)[0]
    assert failed.returncode == 1
    assert "pip could not install what requirements.txt names" in told
    assert "not reached" not in told
    assert not stamp.exists()
    (clone / "requirements.txt").write_text("# nothing again\n")
    mended = python(clone, "-c", "print('reached')")
    told = mended.communicate(timeout=120)[0]
    assert told.endswith("reached\n")
    assert "Making" not in told
    assert stamp.read_text() == wanted_in(clone)


def wanted_in(clone: Path) -> str:
    program = "from kiryana import venv; print(venv.wanted(venv.PYTHON), end='')"
    return subprocess.run([sys.executable, "-c", program], cwd=clone, capture_output=True, text=True).stdout


def test_an_old_python_is_refused_with_a_sentence(clone, tmp_path):
    for name in ("python3", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    refused = python(clone, "-c", "print('not reached')", PATH=str(tmp_path))
    assert refused.communicate(timeout=30)[0].startswith("Python 3.11 or newer is needed")
    assert refused.returncode == 1


def test_this_python_is_good_enough():
    assert wanted(Path(sys.executable)).endswith("True\n")
    assert wanted(Path("/nonexistent/python")) == ""


def test_the_commands_can_be_run():
    for name in ("up", "test", "bench", "python"):
        file = ROOT / "bin" / name
        assert os.access(file, os.X_OK)
        assert subprocess.run(["sh", "-n", file]).returncode == 0
    with open(ROOT / ".ci" / "run") as script:
        assert "bin/test" in script.read()
