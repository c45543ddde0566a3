"""What a ledger says so far, as far as whoever continues it has to know."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from hoopguard.recorder.entry import GENESIS, Entry, EntryError, decode, leaf_hash
from hoopguard.recorder.errors import StateError


@dataclass(frozen=True, slots=True)
class History:
    """The ledger's end, its open exchanges, and how many bytes of each segment it names.

    ``length`` counts the whole lines' bytes, ``torn`` is what stands behind them.
    ``named`` maps (session folder, segment) to the end of the last flow in it.
    """

    size: int = 0
    leaf: str = GENESIS
    length: int = 0
    torn: bytes = b""
    missing: int = 0
    open_exchanges: dict[str, int] = field(default_factory=dict)
    named: dict[tuple[str, str], int] = field(default_factory=dict)

    def with_missing(self, missing: int) -> Self:
        """Return the same history, of which ``missing`` last entries were lost."""
        return replace(self, missing=missing)


def read_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the file's lines from ``offset``, each with its newline; a torn last one comes without."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            yield from file
    except FileNotFoundError:
        return


def read_history(path: Path) -> History:
    """Read a ledger to its end.

    Raises:
        StateError: a whole line is damaged or out of place.
    """
    size, leaf, length, torn = 0, GENESIS, 0, b""
    open_exchanges: dict[str, int] = {}
    named: dict[tuple[str, str], int] = {}
    for line in read_lines(path):
        if not line.endswith(b"\n"):
            torn = line
            break
        entry = _next_entry(path, line[:-1], size, leaf)
        size, leaf, length = size + 1, leaf_hash(line[:-1]), length + len(line)
        _remember(entry, open_exchanges, named)
    return History(size, leaf, length, torn, 0, open_exchanges, named)


def flow_of(entry: Entry) -> dict[str, Any] | None:
    """Return the flow record that an outcome names, or None; its values are as the ledger has them."""
    flow = entry.data.get("flow") if entry.type == "outcome" else None
    return flow if isinstance(flow, dict) else None


def _next_entry(path: Path, line: bytes, seq: int, leaf: str) -> Entry:
    try:
        entry = decode(line)
        if entry.seq != seq or entry.prev != leaf:
            raise EntryError("does not continue the chain")
    except EntryError as error:
        raise StateError(f"{path}: entry {seq} {error}; run: hoopguard audit verify") from error
    return entry


def _remember(entry: Entry, open_exchanges: dict[str, int], named: dict[tuple[str, str], int]) -> None:
    if entry.type == "intent":
        open_exchanges[entry.exchange] = entry.seq
    elif entry.type == "outcome":
        open_exchanges.pop(entry.exchange, None)
    if (flow := flow_of(entry)) is not None:
        place = str(flow.get("session")), str(flow.get("segment"))
        end = int(flow.get("offset") or 0) + int(flow.get("length") or 0)
        named[place] = max(named.get(place, 0), end)
