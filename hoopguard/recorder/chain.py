"""Walking the ledger's chain: which entry is damaged, which is missing, which is out of its place.

Every entry is vouched for twice: by naming the leaf before it, and by being named by the one after it
(the last one by the head). Which of two neighbours is to blame for a broken link, their other links tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hoopguard.recorder.entry import GENESIS, Entry, EntryError, decode, leaf_hash
from hoopguard.recorder.history import read_lines
from hoopguard.recorder.ledger import Head
from hoopguard.recorder.problem import Problem, ProblemKind


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as found; ``linked`` tells whether it continues the line before it."""

    leaf: str
    entry: Entry | None
    fault: str
    linked: bool

    @property
    def exchange(self) -> str:
        return self.entry.exchange if self.entry else ""


class ChainWalk:
    """Walks a ledger line by line; :meth:`advance` may be called again when it has grown.

    A line is judged when the one after it is known, the last one by :meth:`finish`.
    """

    def __init__(self, path: Path, head: Head | None, each: Callable[[Entry], None]) -> None:
        self._path = path
        self._head = head
        self._each = each
        self._offset = 0
        self._place = -1
        self._blamed = False
        self._exchange = ""
        self._line: _Line | None = None
        self._headed: str | None = None
        self.leaf = GENESIS
        self.problems: list[Problem] = []
        self.torn_bytes = 0

    @property
    def size(self) -> int:
        """Return the number of entries that there should be by the lines judged so far."""
        return self._place + 1

    def advance(self, step: Callable[[int], None]) -> None:
        """Walk over the whole lines that are there now, telling ``step`` their bytes."""
        self.torn_bytes = 0
        for raw in read_lines(self._path, self._offset):
            if not raw.endswith(b"\n"):
                self.torn_bytes = len(raw)
                return
            self._offset += len(raw)
            line = _read(raw[:-1], self._line)
            if self._line is not None:
                self._judge(self._line, named=_names(line.entry, self._line))
            self._line = line
            if line.entry is not None:
                self._each(line.entry)
            step(len(raw))

    def finish(self) -> None:
        """Judge the last line and the ledger's end by the head, which was read before the walk."""
        head, line = self._head, self._line
        if line is not None:
            named = head is None or head.size != self.size + 1 or head.leaf == line.leaf
            self._judge(line, named=named)
            if line.linked and not named:
                self._blame("changed", self._place, line, "is not the one that the head names: one of them was changed")
        if head is not None and head.size > self.size:
            self._missing(self.size, head.size - 1)
        elif head is not None and 0 < head.size < self.size and self._headed != head.leaf:
            self.problems.append(Problem("head", "ledger/head", "", f"does not name entry {head.size - 1} as it is"))

    def _judge(self, line: _Line, *, named: bool) -> None:
        """Find the line's place; ``named`` tells whether the line after it vouches for it."""
        expected, entry = self._place + 1, line.entry
        if entry is None or not (line.linked or named):
            own = f"; it calls itself entry {entry.seq}" if entry is not None and entry.seq != expected else ""
            self._blame("changed", expected, line, (line.fault or "was changed, or does not belong here") + own)
            self._place, self._blamed = expected, True
        else:
            if not line.linked:
                self._explain_break(entry.seq, expected, line)
            self._place, self._blamed = entry.seq, False
        if self._head is not None and self._place == self._head.size - 1:
            self._headed = line.leaf
        self._exchange, self.leaf = line.exchange, line.leaf

    def _explain_break(self, seq: int, expected: int, line: _Line) -> None:
        """Say why a line that the next one vouches for does not continue the one before it."""
        if seq > expected:
            self._missing(expected, seq - 1)
        elif self._blamed:
            return
        elif seq < expected:
            self._blame("repeated", seq, line, "is there again, or in another place than it was")
        elif expected == 0:
            self._blame("changed", 0, line, "does not begin the chain")
        else:
            where = f"entry {expected - 1}"
            self.problems.append(Problem("changed", where, self._exchange, "was changed after it was recorded"))

    def _blame(self, kind: ProblemKind, place: int, line: _Line, message: str) -> None:
        self.problems.append(Problem(kind, f"entry {place}", line.exchange, message))

    def _missing(self, first: int, last: int) -> None:
        where = f"entry {first}" if first == last else f"entries {first} to {last}"
        self.problems.append(Problem("missing", where, "", "missing from the ledger"))


def _read(raw: bytes, before: _Line | None) -> _Line:
    try:
        entry = decode(raw)
    except EntryError as error:
        return _Line(leaf_hash(raw), None, str(error), linked=False)
    linked = _names(entry, before) if before else (entry.seq == 0 and entry.prev == GENESIS)
    return _Line(leaf_hash(raw), entry, "", linked)


def _names(entry: Entry | None, before: _Line) -> bool:
    """Tell whether an entry names the line before it as it is."""
    if entry is None or entry.prev != before.leaf:
        return False
    return before.entry is None or entry.seq == before.entry.seq + 1
