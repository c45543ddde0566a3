"""The state folder: where things are in it, which version wrote it, and that only one gateway uses it.

<state>/VERSION               the layout's version
<state>/lock                  held (flock) by the running gateway
<state>/ledger/ledger.jsonl   one entry a line
<state>/ledger/head           how many entries there are, and the last one's leaf hash
<state>/sessions/<folder>/0001.mitm
"""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hoopguard.recorder import disk
from hoopguard.recorder.errors import StateError

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside one state folder."""

    state: Path

    @property
    def lock(self) -> Path:
        """Return the file that the running gateway holds locked."""
        return self.state / "lock"

    @property
    def version(self) -> Path:
        """Return the file that names the layout's version."""
        return self.state / "VERSION"

    @property
    def ledger(self) -> Path:
        """Return the ledger's file."""
        return self.state / "ledger" / "ledger.jsonl"

    @property
    def head(self) -> Path:
        """Return the file that says where the ledger ends."""
        return self.state / "ledger" / "head"

    @property
    def sessions(self) -> Path:
        """Return the folder of session folders."""
        return self.state / "sessions"


def take(state: Path) -> int:
    """Make the state folder ours and return the descriptor that holds it; closing that lets go.

    Raises:
        StateError: another gateway runs on it, or a newer hoopguard wrote it.
    """
    layout = Layout(state)
    state.mkdir(mode=disk.FOLDER_MODE, parents=True, exist_ok=True)
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, disk.FILE_MODE)
    try:
        _lock(descriptor, state)
        if not layout.version.exists() and not layout.ledger.exists():
            _write_version(layout.version)
        check_version(state)
        for folder in (layout.ledger.parent, layout.sessions):
            disk.make_folder(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_version(state: Path) -> None:
    """Refuse a folder that this hoopguard cannot read.

    Raises:
        StateError: VERSION is missing, not a number, or newer than ours.
    """
    try:
        text = Layout(state).version.read_text("ascii").strip()
        found = int(text)
    except (OSError, ValueError) as error:
        raise StateError(
            f"{state}: expected a state folder with a VERSION file that holds a number: {error}"
        ) from error
    if found != VERSION:
        raise StateError(f"{state}: is of version {found}, and this hoopguard knows version {VERSION}")


def in_use(state: Path) -> bool:
    """Tell whether a gateway runs on this folder now."""
    try:
        descriptor = os.open(Layout(state).lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, state: Path) -> None:
    # Someone who only asks whether the folder is in use holds the lock for an instant: ask again.
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return
    raise StateError(f"{state}: another gateway is running on this state folder; stop it first")


def _write_version(path: Path) -> None:
    fresh = path.with_name("VERSION.new")
    fresh.unlink(missing_ok=True)
    descriptor = disk.create(fresh)
    try:
        disk.write_at(descriptor, f"{VERSION}\n".encode(), 0)
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)
    disk.sync_folder(path.parent)
