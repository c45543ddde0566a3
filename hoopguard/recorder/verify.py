"""Does the record still say what was recorded? Reads files only, and changes none.

Found and named: an edited byte in ledger, head or segment; an entry removed, repeated, swapped or
inserted; a segment cut, removed, exchanged or added; bytes that no entry names; an exchange without
its one outcome. Not found: a ledger, head and segments rewritten all together by someone who can write
the state folder, and whole entries cut off the end together with the head and the flows that they name.
Only a checkpoint seen elsewhere shows that; signed checkpoints are to come.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hoopguard.recorder.chain import ChainWalk
from hoopguard.recorder.claims import ClaimedFlow, Claims
from hoopguard.recorder.contents import check_segment, survey
from hoopguard.recorder.errors import StateError
from hoopguard.recorder.ledger import Head, read_head
from hoopguard.recorder.problem import Problem, Report
from hoopguard.recorder.state import Layout, check_version, in_use

Progress = Callable[[int, int], None]
"""Told the number of bytes done and of all bytes to do."""

_IN_FLIGHT_S: Final = 5.0


def verify(state: Path, progress: Progress | None = None, session: str | None = None) -> Report:
    """Check the whole record, or the ledger and one session's segments, and report.

    Raises:
        StateError: this is no state folder, or not one that we can read.
    """
    layout = Layout(state)
    check_version(state)
    if not layout.ledger.is_file():
        raise StateError(f"{layout.ledger}: expected the ledger's file")
    live = in_use(state)
    claims = Claims()
    # Head and files first, then the ledger: a running gateway writes the ledger after the flow.
    head = _head(layout, claims.problems)
    there = survey(layout.sessions, session, claims.problems)
    step = _stepper(progress, layout.ledger.stat().st_size + sum(there.values()))
    walk = ChainWalk(layout.ledger, head, claims.take)
    walk.advance(step)
    if live:
        _await_entries(walk, claims, layout, there, step)
    walk.finish()
    if walk.torn_bytes and not live:
        claims.problems.append(Problem("torn", f"entry {walk.size}", "", "is not whole; the next start repairs it"))
    wanted = {place: flows for place, flows in claims.flows.items() if session in (None, place.split("/")[0])}
    for place in sorted(wanted.keys() | there.keys()):
        flows = sorted(wanted.get(place, []))
        claims.problems.extend(check_segment(layout.sessions, place, flows, there.get(place, 0), step))
    return _report(walk, claims, wanted, live=live, segment_bytes=sum(there.values()))


def _report(
    walk: ChainWalk, claims: Claims, flows: dict[str, list[ClaimedFlow]], *, live: bool, segment_bytes: int
) -> Report:
    problems = [*walk.problems, *claims.problems]
    still_open = claims.open_exchanges
    for exchange in () if live else still_open:
        where = f"entry {claims.intents[exchange]}"
        problems.append(Problem("open", where, exchange, "is an intent without an outcome, and no gateway runs"))
    return Report(
        entries=walk.size,
        exchanges=len(claims.intents),
        flows=sum(len(found) for found in flows.values()),
        segment_bytes=segment_bytes,
        leaf=walk.leaf,
        live=live,
        open_exchanges=tuple(still_open),
        repairs=tuple(claims.repairs),
        problems=tuple(problems),
    )


def _head(layout: Layout, problems: list[Problem]) -> Head | None:
    try:
        head = read_head(layout.head)
    except ValueError as error:
        problems.append(Problem("head", "ledger/head", "", f"is damaged: {error}"))
        return None
    if head is None:
        problems.append(Problem("head", "ledger/head", "", "is missing, so nothing vouches for the last entry"))
    return head


def _await_entries(
    walk: ChainWalk, claims: Claims, layout: Layout, there: dict[str, int], step: Callable[[int], None]
) -> None:
    """Give a running gateway time to write the entries of flows that the survey met half-way."""
    deadline = time.monotonic() + _IN_FLIGHT_S
    while _in_flight(claims, layout, there) and time.monotonic() < deadline:
        time.sleep(0.05)
        walk.advance(step)


def _in_flight(claims: Claims, layout: Layout, there: dict[str, int]) -> bool:
    """Tell whether a surveyed segment holds more than is claimed; forget what was taken back since."""
    waiting = False
    for place, length in list(there.items()):
        try:
            there[place] = min(length, (layout.sessions / place).stat().st_size)
        except FileNotFoundError:
            del there[place]
            continue
        named = max((flow.offset + flow.length for flow in claims.flows.get(place, ())), default=0)
        waiting = waiting or there[place] > named or not named
    return waiting


def _stepper(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(min(done, total), total)

    return step
