"""Listing the recorded sessions, and reading one back with mitmproxy's own reader."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoopguard.recorder.entry import Entry, EntryError, decode
from hoopguard.recorder.errors import StateError
from hoopguard.recorder.history import flow_of, read_lines
from hoopguard.recorder.segments import FOLDER_NAME, SEGMENT_NAME
from hoopguard.recorder.state import Layout, check_version

if TYPE_CHECKING:
    from mitmproxy.flow import Flow


@dataclass(slots=True)
class SessionSummary:
    """One session as the ledger knows it; times are Unix microseconds, ``outcomes`` counts by name."""

    session: str
    subject: str = ""
    principal: str = ""
    connection: str = ""
    first_us: int = 0
    last_us: int = 0
    exchanges: int = 0
    flow_bytes: int = 0
    models: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    segments: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain JSON values."""
        return {**asdict(self), "outcomes": dict(self.outcomes)}


def list_sessions(state: Path) -> list[SessionSummary]:
    """Return all sessions, the oldest first.

    Raises:
        StateError: this is no state folder, or its ledger cannot be read.
    """
    check_version(state)
    intents: dict[str, Entry] = {}
    sessions: dict[str, SessionSummary] = {}
    for entry in _entries(Layout(state).ledger):
        if entry.type == "intent":
            intents[entry.exchange] = entry
        elif entry.type == "outcome" and (name := entry.data.get("session")):
            _add(sessions.setdefault(str(name), SessionSummary(str(name))), intents.pop(entry.exchange, entry), entry)
    return sorted(sessions.values(), key=lambda session: (session.first_us, session.session))


def find_session(state: Path, part: str) -> SessionSummary:
    """Return the one session whose folder's name contains ``part``.

    Raises:
        StateError: there is none, or more than one.
    """
    found = [session for session in list_sessions(state) if part in session.session]
    exact = [session for session in found if session.session == part]
    if len(exact or found) != 1:
        known = "; ".join(session.session for session in found[:5])
        raise StateError(
            f"no session's name contains {part!r}" if not found else f"{part!r} fits {len(found)} sessions: {known}"
        )
    return (exact or found)[0]


def segment_paths(state: Path, session: SessionSummary) -> list[Path]:
    """Return the session's segments in order.

    Raises:
        StateError: the ledger names what cannot be a segment's path.
    """
    if not (FOLDER_NAME.fullmatch(session.session) and all(map(SEGMENT_NAME.fullmatch, session.segments))):
        raise StateError(f"the ledger names a session that cannot be: {session.session!r}")
    return [Layout(state).sessions / session.session / segment for segment in session.segments]


def read_session(state: Path, session: SessionSummary) -> Iterator["Flow"]:
    """Yield the session's flows.

    Raises:
        StateError: a segment is gone, or mitmproxy cannot read it.
    """
    from mitmproxy.exceptions import FlowReadException
    from mitmproxy.io import FlowReader

    for path in segment_paths(state, session):
        try:
            with path.open("rb") as file:
                yield from FlowReader(file).stream()
        except (OSError, FlowReadException) as error:
            raise StateError(f"{path}: {error}; run: hoopguard audit verify") from error


def _entries(ledger: Path) -> Iterator[Entry]:
    for seq, line in enumerate(read_lines(ledger)):
        if not line.endswith(b"\n"):
            return
        try:
            yield decode(line[:-1])
        except EntryError as error:
            raise StateError(f"{ledger}: entry {seq} {error}; run: hoopguard audit verify") from error


def _add(session: SessionSummary, intent: Entry, outcome: Entry) -> None:
    """Count one exchange in; who and where come from the intent, how it ended from the outcome."""
    principal = intent.data.get("principal")
    principal = principal if isinstance(principal, dict) else {}
    session.principal = session.principal or str(principal.get("id") or "")
    session.subject = session.subject or str(principal.get("subject") or "")
    session.connection = session.connection or str(intent.data.get("connection") or "")
    session.first_us = min(session.first_us or intent.time_us, intent.time_us)
    session.last_us = max(session.last_us, outcome.time_us)
    session.exchanges += 1
    session.outcomes[str(outcome.data.get("outcome") or "unknown")] += 1
    model = str(intent.data.get("model") or "")
    if model and model not in session.models:
        session.models.append(model)
    if (flow := flow_of(outcome)) is not None:
        session.flow_bytes += int(flow.get("length") or 0)
        if (segment := str(flow.get("segment"))) not in session.segments:
            session.segments.append(segment)
