"""Build or bring up to date .venv: called by scripts/bootstrap, with a Python that is known to do.

Only one runs at a time (a file lock, which the kernel lets go of whatever happens to its holder), and the stamp
that says "done" is written last: an interrupted build is begun again.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

VENV: Final = Path(".venv")
STAMP: Final = VENV / ".hoopguard-stamp"
BUILDING: Final = VENV / ".hoopguard-building"
LOCK: Final = Path(".venv.lock")
PIP: Final = (str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
RUNS: Final = "import sys, pip; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 15))"


def main(stamp: str) -> int:
    """Leave a .venv that has exactly ``stamp``; return the process's exit code."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp() == stamp:
            return 0
        try:
            _build(stamp)
        except subprocess.CalledProcessError:
            sys.stderr.write("error: the locked packages could not be installed; the reason is above\n")
            return 2
        STAMP.write_text(stamp)
        BUILDING.unlink(missing_ok=True)
    return 0


def _stamp() -> str:
    try:
        return STAMP.read_text()
    except OSError:
        return ""


def _build(stamp: str) -> None:
    if not _can_be_kept(stamp):
        sys.stdout.write(f"making .venv with Python {sys.version.split()[0]} (once; some minutes)\n")
        sys.stdout.flush()
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        BUILDING.touch()
        venv.create(VENV, with_pip=True, symlinks=True)
    BUILDING.touch()
    STAMP.unlink(missing_ok=True)
    _run(*PIP, "install", "--require-hashes", "-r", "locks/dev.txt")
    _run(*PIP, "install", "--no-deps", "--no-build-isolation", "-e", ".")


def _can_be_kept(stamp: str) -> bool:
    """Tell whether .venv is whole, was made for this place, and has a Python that will do."""
    made_here = not STAMP.exists() or _stamp().split(" ", 2)[-1] == stamp.split(" ", 2)[-1]
    if BUILDING.exists() or not made_here:
        return False
    try:
        return subprocess.run([PIP[0], "-c", RUNS], check=False, capture_output=True).returncode == 0  # noqa: S603
    except OSError:
        return False


def _run(*command: str) -> None:
    # A PYTHONPATH or a --user default of whoever calls must not leak into what is built.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_USER")}
    subprocess.run(command, check=True, env=environment)  # noqa: S603 - our own words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
