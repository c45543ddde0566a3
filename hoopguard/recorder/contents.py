"""Do the sessions' files hold exactly the flows that the ledger claims?"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from hoopguard.recorder.claims import ClaimedFlow
from hoopguard.recorder.problem import Problem
from hoopguard.recorder.segments import FOLDER_NAME, SEGMENT_NAME

_READ_BYTES: Final = 1 << 20


def survey(sessions: Path, session: str | None, problems: list[Problem]) -> dict[str, int]:
    """Return the segments that there are and their lengths; what cannot be one is a problem.

    Keys are ``folder/0001.mitm``. Only ``session``'s, if one is named.
    """
    found: dict[str, int] = {}
    for folder in sorted(sessions.iterdir()) if sessions.is_dir() else ():
        if session is not None and folder.name != session:
            continue
        if folder.is_symlink() or not folder.is_dir() or not FOLDER_NAME.fullmatch(folder.name):
            problems.append(Problem("extra", f"sessions/{folder.name}", "", "is not a session's folder"))
            continue
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not path.is_file() or not SEGMENT_NAME.fullmatch(path.name):
                problems.append(Problem("extra", f"sessions/{folder.name}/{path.name}", "", "is not a segment"))
            else:
                found[f"{folder.name}/{path.name}"] = path.stat().st_size
    return found


def check_segment(
    sessions: Path, place: str, flows: Sequence[ClaimedFlow], known_length: int, step: Callable[[int], None]
) -> Iterator[Problem]:
    """Hash the claimed flows of one segment, which come sorted by offset, and look for other bytes.

    ``known_length`` is the length at the survey: what was written since is not missed in the ledger.
    """
    where = f"sessions/{place}"
    if not flows:
        if known_length or (sessions / place).exists():
            yield Problem("extra", where, "", f"no entry names this segment of {known_length} bytes")
        return
    try:
        descriptor = os.open(sessions / place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        names = ", ".join(flow.exchange for flow in flows[:5]) + (", …" if len(flows) > 5 else "")
        message = f"cannot be read ({error.strerror}); it held {len(flows)} flows: {names}"
        yield Problem("missing", where, flows[0].exchange, message)
        return
    with os.fdopen(descriptor, "rb") as file:
        yield from _check_flows(file, where, flows, known_length, step)


def _check_flows(
    file: BinaryIO, where: str, flows: Sequence[ClaimedFlow], known_length: int, step: Callable[[int], None]
) -> Iterator[Problem]:
    size, end = os.fstat(file.fileno()).st_size, 0
    for flow in flows:
        spot = f"{where} @{flow.offset}+{flow.length}"
        if flow.offset > end:
            yield _unnamed(where, end, min(flow.offset, size))
        elif flow.offset < end:
            yield Problem("flow", spot, flow.exchange, f"entry {flow.seq} names bytes that another entry names, too")
        if flow.offset + flow.length > size:
            yield Problem("cut", spot, flow.exchange, f"the file ends at {size}, before this flow does")
        elif _digest(file, flow, step) != flow.sha256:
            yield Problem("changed", spot, flow.exchange, f"these bytes are not those that entry {flow.seq} recorded")
        end = max(end, flow.offset + flow.length)
    if min(known_length, size) > end:
        yield _unnamed(where, end, min(known_length, size))


def _unnamed(where: str, start: int, end: int) -> Problem:
    return Problem("unnamed", f"{where} @{start}+{end - start}", "", "no entry names these bytes")


def _digest(file: BinaryIO, flow: ClaimedFlow, step: Callable[[int], None]) -> str:
    digest, left = hashlib.sha256(), flow.length
    file.seek(flow.offset)
    while left and (chunk := file.read(min(left, _READ_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
        step(len(chunk))
    return digest.hexdigest()
