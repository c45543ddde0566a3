"""Session folders of ``.mitm`` segments: one folder a session, its flows one after another.

The folder's name is for people (``ls`` reads as a log); what it says exactly is in the ledger.
A segment is what mitmproxy's own writer would have written, so it opens it.
"""

import hashlib
import os
import re
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hoopguard.recorder import disk

FOLDER_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z_[A-Za-z0-9@.+-]{1,64}_[A-Za-z0-9@.+-]{1,64}_[0-9a-f]{8}")
SEGMENT_NAME: Final = re.compile(r"[0-9]{4,9}\.mitm")


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two exchanges one session; ``subject`` is only for the folder's name."""

    principal: str
    connection: str
    session: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """Where a flow's bytes are, and their digest."""

    session: str
    segment: str
    offset: int
    length: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """Return what an outcome's entry says under ``flow``."""
        return asdict(self)


@dataclass(slots=True)
class _Session:
    folder: str
    part: int = 0
    length: int = 0
    used: float = 0.0
    _path: tuple[int, Path] | None = None

    @property
    def segment(self) -> str:
        return f"{self.part:04d}.mitm"

    def path_in(self, root: Path) -> Path:
        """Return the segment's path; one object while the segment is the same, for it remembers its hash."""
        if self._path is None or self._path[0] != self.part:
            self._path = (self.part, root / self.folder / self.segment)
        return self._path[1]


class SegmentWriter:
    """Appends flows to their sessions' segments; what was appended stands only after :meth:`commit`."""

    def __init__(self, root: Path, segment_bytes: int, idle_s: float, max_open: int = 64) -> None:
        self._root = root
        self._segment_bytes = segment_bytes
        self._idle_s = idle_s
        self._max_open = max_open
        self._sessions: OrderedDict[SessionKey, _Session] = OrderedDict()
        self._files: OrderedDict[Path, int] = OrderedDict()
        self._unsynced: set[Path] = set()
        self._before: dict[SessionKey, tuple[int, int]] = {}
        self._undo: list[tuple[Path, int | None]] = []

    def folder_of(self, key: SessionKey, now: float) -> str:
        """Return the folder of the key's session; one that was idle too long is over, a new one begins."""
        self._close_idle(now)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session(self._free_name(key, now))
        session.used = now
        self._sessions.move_to_end(key)
        return session.folder

    def append(self, key: SessionKey, flow: bytes, now: float) -> FlowRecord:
        """Write one serialised flow at the end of its session's segment, or of the next one.

        Raises:
            OSError: the flow may be there in part; :meth:`rollback` takes it back.
        """
        folder = self.folder_of(key, now)
        session = self._sessions[key]
        self._before.setdefault(key, (session.part, session.length))
        if not session.part or (session.length and session.length + len(flow) > self._segment_bytes):
            self._next_segment(session)
        path = session.path_in(self._root)
        self._undo.append((path, session.length))
        self._unsynced.add(path)
        disk.write_at(self._file(path), flow, session.length)
        record = FlowRecord(folder, session.segment, session.length, len(flow), hashlib.sha256(flow).hexdigest())
        session.length += len(flow)
        return record

    def sync(self) -> None:
        """Return once all that was appended is on the disk, folders included."""
        for path in sorted(self._unsynced):
            disk.sync(self._file(path))
        for folder in sorted({path.parent for path, length in self._undo if length is None}):
            disk.sync_folder(folder)
            disk.sync_folder(self._root)

    def commit(self) -> None:
        """Let what was appended since the last commit stand."""
        self._undo.clear()
        self._before.clear()
        self._unsynced.clear()

    def rollback(self) -> None:
        """Take back what was appended since the last commit; may be called again after it failed.

        Raises:
            OSError: the disk does not even let us cut files; nothing is forgotten.
        """
        while self._undo:
            path, length = self._undo[-1]
            if length is None:
                self._forget(path)
                path.unlink(missing_ok=True)
            else:
                disk.truncate(self._file(path), length)
            self._undo.pop()
        for key, (part, length) in self._before.items():
            if (session := self._sessions.get(key)) is not None:
                session.part, session.length = part, length
        self.commit()

    def close(self) -> None:
        """Close all files."""
        for path in list(self._files):
            self._forget(path)

    def _next_segment(self, session: _Session) -> None:
        """Begin the next segment; it becomes the session's only once its file is there."""
        folder = self._root / session.folder
        disk.make_folder(folder)
        path = folder / f"{session.part + 1:04d}.mitm"
        self._keep(path, disk.create(path))
        self._undo.append((path, None))
        session.part, session.length = session.part + 1, 0

    def _file(self, path: Path) -> int:
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path]
        return self._keep(path, disk.reopen(path))

    def _keep(self, path: Path, descriptor: int) -> int:
        self._files[path] = descriptor
        while len(self._files) > self._max_open:
            self._forget(next(iter(self._files)))
        return descriptor

    def _forget(self, path: Path) -> None:
        if (descriptor := self._files.pop(path, None)) is not None:
            os.close(descriptor)

    def _close_idle(self, now: float) -> None:
        # The least recently used come first; a session in the running batch stays for the rollback.
        for key, session in list(self._sessions.items()):
            if now - session.used <= self._idle_s:
                break
            if key not in self._before:
                self._forget(self._root / session.folder / session.segment)
                del self._sessions[key]

    def _free_name(self, key: SessionKey, now: float) -> str:
        taken = {session.folder for session in self._sessions.values()}
        while (name := folder_name(key, now, secrets.token_hex(4))) in taken or os.path.lexists(self._root / name):
            pass
        return name


def folder_name(key: SessionKey, now: float, session_id: str) -> str:
    """Return ``20261122T153000Z_alice@example.com_llama_1a2b3c4d``, safe whatever the subject holds."""
    began = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{began}_{_safe(key.subject or key.principal)}_{_safe(key.connection)}_{session_id}"


def _safe(text: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9@.+-]+", "-", text[:256])
    return re.sub(r"\.{2,}", ".", kept).strip("-.")[:64] or "unknown"
