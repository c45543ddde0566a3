"""The ledger's file: lines that are chained, appended in batches, and never half there.

This is the plain, single-threaded part; :mod:`hoopguard.recorder.commit` brings the event loop to it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hoopguard.recorder import disk
from hoopguard.recorder.entry import Entry, encode, leaf_hash
from hoopguard.recorder.errors import StateError
from hoopguard.recorder.history import History, read_history
from hoopguard.recorder.state import Layout


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has no place in the chain yet; ``data`` holds plain JSON values."""

    time_us: int
    type: str
    exchange: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: the number of entries and the last one's leaf hash.

    It is what vouches for the last line, as the next line does for all others. Whoever can write
    the state folder can write it too; signed checkpoints will stand here.
    """

    size: int
    leaf: str

    def encode(self) -> bytes:
        """Return the file's bytes; always equally many, so that one write replaces all of them."""
        return f"{self.size:020d} {self.leaf}\n".encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read the file's bytes.

        Raises:
            ValueError: they are not what :meth:`encode` writes.
        """
        size, _, leaf = content.decode("ascii").rstrip("\n").partition(" ")
        head = cls(int(size), leaf)
        if head.encode() != content:
            raise ValueError("expected 20 digits, a space, 64 hexadecimal digits and a newline")
        return head


class Ledger:
    """Appends batches of entries; a batch is there whole or not at all."""

    def __init__(self, ledger: int, head: int, history: History, *, durable: bool) -> None:
        self._ledger = ledger
        self._head = head
        self._durable = durable
        self._size = history.size
        self._leaf = history.leaf
        self._length = history.length

    @classmethod
    def open(cls, layout: Layout, *, durable: bool) -> tuple[Self, History]:
        """Open the ledger for appending, cut a torn last line, and return what it says so far.

        Raises:
            StateError: a whole line is damaged; that is no crash's work, and nothing is changed.
        """
        history = read_history(layout.ledger)
        missing = _missing_entries(layout.head, history)
        ledger, head = _open_or_create(layout.ledger), _open_or_create(layout.head)
        disk.truncate(ledger, history.length)
        disk.sync_folder(layout.ledger.parent)
        return cls(ledger, head, history, durable=durable), history.with_missing(missing)

    @property
    def size(self) -> int:
        """Return the number of entries, which is the next one's ``seq``."""
        return self._size

    def append(self, drafts: Sequence[Draft]) -> int:
        """Write the drafts as the next entries and return the first one's ``seq``.

        Raises:
            OSError: they may be there in part; :meth:`rollback` takes them back.
        """
        first, leaf, lines = self._size, self._leaf, []
        for seq, draft in enumerate(drafts, first):
            line = encode(Entry(seq, draft.time_us, draft.type, draft.exchange, leaf, draft.data))
            leaf = leaf_hash(line)
            lines.append(line + b"\n")
        batch = b"".join(lines)
        disk.write_at(self._ledger, batch, self._length)
        if self._durable:
            disk.sync(self._ledger)
        disk.write_at(self._head, Head(first + len(lines), leaf).encode(), 0)
        self._size, self._leaf, self._length = first + len(lines), leaf, self._length + len(batch)
        return first

    def rollback(self) -> None:
        """Take back a batch that could not be written whole.

        Raises:
            OSError: not even that can be done; call again.
        """
        disk.truncate(self._ledger, self._length)
        disk.write_at(self._head, Head(self._size, self._leaf).encode(), 0)

    def close(self) -> None:
        """Bring head and ledger to the disk and close them."""
        try:
            disk.sync(self._ledger)
            disk.sync(self._head)
        finally:
            os.close(self._ledger)
            os.close(self._head)


def read_head(path: Path) -> Head | None:
    """Return what the head file says, or None if there is none.

    Raises:
        ValueError: it is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return Head.decode(content)


def _missing_entries(path: Path, history: History) -> int:
    """Return how many entries the head knows that the ledger lost (power cut under ``flush``)."""
    try:
        head = read_head(path)
    except ValueError as error:
        raise StateError(f"{path}: is damaged: {error}; run: hoopguard audit verify") from error
    if head is None or not head.size:
        return 0
    if head.size == history.size and head.leaf != history.leaf:
        raise StateError(f"{path}: the ledger's last entry was changed; run: hoopguard audit verify")
    return max(0, head.size - history.size)


def _open_or_create(path: Path) -> int:
    try:
        return disk.create(path)
    except FileExistsError:
        return disk.reopen(path)
