"""What the entries claim that there is: exchanges and their outcomes, flows and their places."""

from dataclasses import dataclass, field

from hoopguard.recorder.entry import Entry
from hoopguard.recorder.history import flow_of
from hoopguard.recorder.problem import Problem
from hoopguard.recorder.segments import FOLDER_NAME, SEGMENT_NAME


@dataclass(frozen=True, slots=True, order=True)
class ClaimedFlow:
    """A flow as an entry names it."""

    offset: int
    length: int
    sha256: str
    seq: int
    exchange: str


@dataclass(slots=True)
class Claims:
    """Everything that the entries taken so far claim, and where they contradict each other.

    ``flows`` maps ``folder/0001.mitm`` to the flows in it.
    """

    problems: list[Problem] = field(default_factory=list)
    intents: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    flows: dict[str, list[ClaimedFlow]] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Take one entry's word."""
        if entry.type == "intent":
            self._once(self.intents, entry)
        elif entry.type == "outcome":
            if entry.exchange not in self.intents:
                self._complain(entry, "is an outcome without an intent")
            self._once(self.outcomes, entry)
            self._flow(entry)
        elif entry.type == "repair":
            self.repairs.append(f"entry {entry.seq}: {entry.data.get('what', '')}")

    def _once(self, seen: dict[str, int], entry: Entry) -> None:
        if entry.exchange in seen:
            self._complain(entry, f"is a second {entry.type}; the first is entry {seen[entry.exchange]}")
        seen.setdefault(entry.exchange, entry.seq)

    def _flow(self, entry: Entry) -> None:
        flow = flow_of(entry)
        if flow is None:
            return
        texts = [flow.get(key) for key in ("session", "segment", "sha256")]
        numbers = [flow.get(key) for key in ("offset", "length")]
        session, segment, sha256 = (text if isinstance(text, str) else "" for text in texts)
        offset, length = (number if type(number) is int else -1 for number in numbers)
        if not (FOLDER_NAME.fullmatch(session) and SEGMENT_NAME.fullmatch(segment)) or offset < 0 or length < 1:
            self.problems.append(Problem("flow", f"entry {entry.seq}", entry.exchange, "names a flow that cannot be"))
            return
        place = f"{session}/{segment}"
        self.flows.setdefault(place, []).append(ClaimedFlow(offset, length, sha256, entry.seq, entry.exchange))

    def _complain(self, entry: Entry, message: str) -> None:
        self.problems.append(Problem("law", f"entry {entry.seq}", entry.exchange, message))

    @property
    def open_exchanges(self) -> list[str]:
        """Return the exchanges that have an intent and no outcome."""
        return [exchange for exchange in self.intents if exchange not in self.outcomes]
