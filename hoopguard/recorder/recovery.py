"""What a crash leaves behind, found by comparing the files with the ledger, and put in order.

Bytes that no entry names belong to a flow whose outcome was never recorded, so nobody was told that
it was. They go; the entry that says so stays. Missing bytes are not invented: ``verify`` names them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoopguard.recorder import disk
from hoopguard.recorder.history import History
from hoopguard.recorder.segments import FOLDER_NAME, SEGMENT_NAME
from hoopguard.recorder.state import Layout


@dataclass(frozen=True, slots=True)
class Surplus:
    """Bytes of one segment, from ``keep`` to its end, that no entry names."""

    path: Path
    keep: int
    removed: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """Return what the repair's entry says."""
        return {
            "what": "bytes that no entry names were removed",
            "session": self.path.parent.name,
            "segment": self.path.name,
            "offset": self.keep,
            "length": self.removed,
            "sha256": self.sha256,
        }

    def remove(self) -> None:
        """Cut them off; a segment of which nothing is left goes whole."""
        if not self.keep:
            self.path.unlink()
            return
        with self.path.open("r+b") as file:
            disk.truncate(file.fileno(), self.keep)
            disk.sync(file.fileno())


def segment_files(sessions: Path) -> Iterator[Path]:
    """Yield the segments under the sessions' folder; what is not named like one is not ours."""
    for folder in sorted(sessions.iterdir()) if sessions.is_dir() else ():
        if FOLDER_NAME.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            for path in sorted(folder.iterdir()):
                if SEGMENT_NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    yield path


def find_surplus(layout: Layout, history: History) -> list[Surplus]:
    """Return all bytes of segments that the ledger does not know of."""
    found = []
    for path in segment_files(layout.sessions):
        keep = history.named.get((path.parent.name, path.name), 0)
        length = path.stat().st_size
        if length > keep or not keep:
            found.append(_surplus(path, keep, length))
    return found


def loss_as_json(history: History) -> list[dict[str, Any]]:
    """Return what the repairs' entries say of the ledger itself."""
    losses: list[dict[str, Any]] = []
    if history.torn:
        losses.append(
            {
                "what": "a torn last line was removed from the ledger",
                "offset": history.length,
                "length": len(history.torn),
                "sha256": hashlib.sha256(history.torn).hexdigest(),
            }
        )
    if history.missing:
        losses.append(
            {
                "what": "the ledger ended before its head: entries were lost",
                "first": history.size,
                "count": history.missing,
            }
        )
    return losses


def _surplus(path: Path, keep: int, length: int) -> Surplus:
    with path.open("rb") as file:
        file.seek(keep)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Surplus(path, keep, length - keep, digest)
