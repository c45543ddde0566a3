"""Verification finds and names every change, and imagines none."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import entries, exchange, make, open_recorder, segments

from hoopguard.recorder import disk
from hoopguard.recorder.commit import Recorder
from hoopguard.recorder.entry import Entry, encode, leaf_hash
from hoopguard.recorder.errors import StateError
from hoopguard.recorder.ledger import Head
from hoopguard.recorder.problem import Report
from hoopguard.recorder.segments import SessionKey
from hoopguard.recorder.verify import verify

EXAMPLES = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("original") / "state"
    make(state)
    return state


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "state"


def copy(original: Path, scratch: Path) -> Path:
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(original, scratch)
    return scratch


def lines_of(state: Path) -> list[bytes]:
    return (state / "ledger" / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def put_lines(state: Path, lines: list[bytes]) -> Report:
    (state / "ledger" / "ledger.jsonl").write_bytes(b"".join(lines))
    return verify(state)


def places(report: Report) -> set[str]:
    return {problem.where for problem in report.problems}


def flip(path: Path, place: int, bits: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


def test_an_untouched_record_has_no_problem(original: Path) -> None:
    report = verify(original)
    assert report.problems == ()
    assert (report.entries, report.exchanges, report.flows) == (19, 8, 8)
    assert len(segments(original)) > 2
    assert not report.live


@EXAMPLES
@given(st.data(), st.integers(1, 255))
def test_one_byte_of_the_ledger_changed_names_the_entry(
    original: Path, scratch: Path, data: st.DataObject, bits: int
) -> None:
    state = copy(original, scratch)
    lines = lines_of(state)
    number = data.draw(st.integers(0, len(lines) - 1))
    inside = data.draw(st.integers(0, len(lines[number]) - 1))
    flip(state / "ledger" / "ledger.jsonl", sum(map(len, lines[:number])) + inside, bits)
    named = {f"entry {number}", f"entry {number + 1}"} if inside == len(lines[number]) - 1 else {f"entry {number}"}
    assert places(verify(state)) & named


@EXAMPLES
@given(st.data(), st.integers(1, 255))
def test_one_byte_of_a_segment_changed_names_the_flow_and_its_exchange(
    original: Path, scratch: Path, data: st.DataObject, bits: int
) -> None:
    state = copy(original, scratch)
    path = data.draw(st.sampled_from(segments(state)))
    place = data.draw(st.integers(0, path.stat().st_size - 1))
    flip(path, place, bits)
    [problem] = verify(state).problems
    [hit] = [
        entry
        for entry in entries(original)
        if (flow := entry["data"].get("flow"))
        and (flow["session"], flow["segment"]) == (path.parent.name, path.name)
        and flow["offset"] <= place < flow["offset"] + flow["length"]
    ]
    assert (problem.kind, problem.exchange) == ("changed", hit["exchange"])
    flow = hit["data"]["flow"]
    assert problem.where == f"sessions/{path.parent.name}/{path.name} @{flow['offset']}+{flow['length']}"


@EXAMPLES
@given(st.data(), st.integers(1, 255))
def test_one_byte_of_the_head_changed_is_found(original: Path, scratch: Path, data: st.DataObject, bits: int) -> None:
    state = copy(original, scratch)
    flip(state / "ledger" / "head", data.draw(st.integers(0, 85)), bits)
    assert verify(state).problems


@EXAMPLES
@given(st.data())
def test_dropped_entries_are_named(original: Path, scratch: Path, data: st.DataObject) -> None:
    state = copy(original, scratch)
    lines = lines_of(state)
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, len(lines) - 1))
    report = put_lines(state, lines[:first] + lines[last + 1 :])
    named = f"entry {first}" if first == last else f"entries {first} to {last}"
    assert named in places(report)


@EXAMPLES
@given(st.data())
def test_swapped_entries_are_both_named(original: Path, scratch: Path, data: st.DataObject) -> None:
    state = copy(original, scratch)
    lines = lines_of(state)
    one, other = sorted(data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True)))
    lines[one], lines[other] = lines[other], lines[one]
    assert {f"entry {one}", f"entry {other}"} <= places(put_lines(state, lines))


@EXAMPLES
@given(st.data())
def test_an_entry_that_is_there_again_is_named(original: Path, scratch: Path, data: st.DataObject) -> None:
    state = copy(original, scratch)
    lines = lines_of(state)
    which = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines)))
    report = put_lines(state, [*lines[:where], lines[which], *lines[where:]])
    assert any(f"entry {number}" in places(report) for number in (which, where))
    assert any(problem.kind in ("repeated", "changed", "head") for problem in report.problems)


@EXAMPLES
@given(st.data(), st.binary(max_size=60).filter(lambda text: b"\n" not in text))
def test_an_inserted_line_is_found(original: Path, scratch: Path, data: st.DataObject, text: bytes) -> None:
    state = copy(original, scratch)
    lines = lines_of(state)
    where = data.draw(st.integers(0, len(lines)))
    assert f"entry {where}" in places(put_lines(state, [*lines[:where], text + b"\n", *lines[where:]]))


@EXAMPLES
@given(st.data())
def test_a_segment_cut_short_names_the_flows_that_are_gone(original: Path, scratch: Path, data: st.DataObject) -> None:
    state = copy(original, scratch)
    path = data.draw(st.sampled_from(segments(state)))
    length = data.draw(st.integers(0, path.stat().st_size - 1))
    path.write_bytes(path.read_bytes()[:length])
    gone = {
        entry["exchange"]
        for entry in entries(original)
        if (flow := entry["data"].get("flow"))
        and (flow["session"], flow["segment"]) == (path.parent.name, path.name)
        and flow["offset"] + flow["length"] > length
    }
    report = verify(state)
    assert {problem.exchange for problem in report.problems} == gone
    assert {problem.kind for problem in report.problems} == {"cut"}


@EXAMPLES
@given(st.data(), st.binary(min_size=1, max_size=50))
def test_bytes_that_no_entry_names_are_found(original: Path, scratch: Path, data: st.DataObject, added: bytes) -> None:
    state = copy(original, scratch)
    path = data.draw(st.sampled_from(segments(state)))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + added)
    [problem] = verify(state).problems
    assert problem.kind == "unnamed"
    assert problem.where == f"sessions/{path.parent.name}/{path.name} @{size}+{len(added)}"


def test_a_removed_segment_is_named_with_its_exchanges(original: Path, tmp_path: Path) -> None:
    for path in segments(original):
        state = copy(original, tmp_path / "state")
        gone = state / path.relative_to(original)
        gone.unlink()
        [problem] = verify(state).problems
        assert (problem.kind, problem.where) == ("missing", f"sessions/{gone.parent.name}/{gone.name}")
        assert problem.exchange in problem.message


def test_a_removed_session_is_named(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    folder = segments(state)[0].parent
    shutil.rmtree(folder)
    assert places(verify(state)) == {
        f"sessions/{path.parent.name}/{path.name}" for path in segments(original) if path.parent.name == folder.name
    }


def test_exchanged_segments_are_both_named(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    one, other = segments(state)[0], segments(state)[-1]
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    named = {where.split(" ")[0] for where in places(verify(state))}
    assert named == {f"sessions/{path.parent.name}/{path.name}" for path in (one, other)}


@pytest.mark.parametrize("name", ["sessions/notes.txt", "sessions/{folder}/0077.mitm", "sessions/{folder}/x"])
def test_a_file_that_the_ledger_does_not_know_is_named(original: Path, tmp_path: Path, name: str) -> None:
    state = copy(original, tmp_path / "state")
    name = name.format(folder=segments(state)[0].parent.name)
    (state / name).write_bytes(b"")
    [problem] = verify(state).problems
    assert (problem.kind, problem.where) == ("extra", name)


def test_a_segment_that_became_a_link_is_not_followed(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    path = segments(state)[0]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert {problem.kind for problem in verify(state).problems} == {"extra", "missing"}


def test_a_missing_head_is_a_problem(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    (state / "ledger" / "head").unlink()
    assert places(verify(state)) == {"ledger/head"}


def test_an_exchange_without_an_outcome_is_under_way_while_a_gateway_runs_and_a_problem_when_none_does(
    tmp_path: Path,
) -> None:
    state, taken = tmp_path / "state", tmp_path / "copy"

    async def run() -> tuple[Report, Report]:
        recorder = open_recorder(state)
        await exchange(recorder, "hg-1")
        await recorder.intent("hg-2", {})
        live = await asyncio.to_thread(verify, state)
        shutil.copytree(state, taken)
        await recorder.close()
        return live, verify(taken)

    live, still = asyncio.run(run())
    assert (live.problems, live.open_exchanges, live.live) == ((), ("hg-2",), True)
    [problem] = still.problems
    assert (problem.kind, problem.where, problem.exchange) == ("open", "entry 3", "hg-2")


def test_a_record_that_is_being_written_verifies_at_any_moment(tmp_path: Path) -> None:
    done = threading.Event()

    async def write(recorder: Recorder) -> None:
        number = 0
        while not done.is_set():
            number += 1
            await exchange(recorder, f"hg-{number}", SessionKey(f"p{number % 5}", "c", "s"))
        await recorder.close()

    def check() -> list[Report]:
        try:
            return [verify(tmp_path) for _ in range(15)]
        finally:
            done.set()

    async def run() -> list[Report]:
        writing = asyncio.create_task(write(open_recorder(tmp_path, "fsync")))
        reports = await asyncio.to_thread(check)
        await writing
        return reports

    assert [report.problems for report in asyncio.run(run())] == [()] * 15
    assert verify(tmp_path).problems == ()


async def test_a_flow_whose_entry_is_about_to_be_written_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    await recorder.intent("hg-1", {})
    write_at, half_way, go_on = disk.write_at, threading.Event(), threading.Event()

    def slow(descriptor: int, content: bytes, offset: int) -> None:
        if content.startswith(b'{"data"'):
            half_way.set()
            assert go_on.wait(60)
        write_at(descriptor, content, offset)

    def look_again(_: float) -> None:
        go_on.set()
        writing.get_loop().call_soon_threadsafe(lambda: None)

    monkeypatch.setattr(disk, "write_at", slow)
    monkeypatch.setattr("hoopguard.recorder.verify.time.sleep", look_again)
    writing = asyncio.ensure_future(recorder.outcome("hg-1", {}, SessionKey("p", "c", "s"), b"flow"))
    await asyncio.to_thread(half_way.wait, 60)
    report = await asyncio.to_thread(verify, tmp_path)
    assert go_on.is_set()
    assert report.problems == ()
    await writing
    await recorder.close()


def test_a_last_line_that_is_not_whole_is_named(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    lines = lines_of(state)
    report = put_lines(state, [*lines[:-1], lines[-1][:30]])
    assert [(problem.kind, problem.where) for problem in report.problems] == [
        ("missing", "entry 18"),
        ("torn", "entry 18"),
    ]


def test_a_head_behind_the_ledger_is_good_if_it_names_an_entry_as_it_is(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    behind = Head(5, leaf_hash(lines_of(state)[4][:-1]))
    (state / "ledger" / "head").write_bytes(behind.encode())
    assert verify(state).problems == ()
    (state / "ledger" / "head").write_bytes(Head(6, behind.leaf).encode())
    assert places(verify(state)) == {"ledger/head"}


def test_a_first_entry_that_names_another_before_it_is_named(tmp_path: Path) -> None:
    asyncio.run(open_recorder(tmp_path).close())
    line = encode(Entry(0, 0, "start", "", "ab" * 32, {}))
    (tmp_path / "ledger" / "head").write_bytes(Head(1, leaf_hash(line)).encode())
    assert places(put_lines(tmp_path, [line + b"\n"])) == {"entry 0"}


def forge(state: Path, data: dict[str, object], type_: str = "outcome", name: str = "hg-1") -> Report:
    """Rewrite a ledger whole, chain and head included, with one more entry."""
    lines = lines_of(state)
    line = encode(Entry(len(lines), 0, type_, name, leaf_hash(lines[-1][:-1]), data))
    (state / "ledger" / "head").write_bytes(Head(len(lines) + 1, leaf_hash(line)).encode())
    return put_lines(state, [*lines, line + b"\n"])


@pytest.mark.parametrize(
    "flow",
    [
        {"session": "../..", "segment": "0001.mitm", "offset": 0, "length": 1, "sha256": "00"},
        {"session": "", "segment": "/etc/passwd", "offset": -1, "length": 1, "sha256": "00"},
        {"session": [], "segment": {}, "offset": "0", "length": True, "sha256": 7},
        {},
    ],
)
def test_an_entry_that_names_an_impossible_place_is_a_problem_and_nothing_is_opened(
    original: Path, tmp_path: Path, flow: dict[str, object]
) -> None:
    report = forge(copy(original, tmp_path / "state"), {"flow": flow})
    assert {"flow", "law"} == {problem.kind for problem in report.problems}


def test_two_intents_two_outcomes_and_a_lone_outcome_are_problems(original: Path, tmp_path: Path) -> None:
    for type_, name in (("intent", "hg-1"), ("outcome", "hg-1"), ("outcome", "hg-new")):
        [problem] = forge(copy(original, tmp_path / "state"), {}, type_, name).problems
        assert (problem.kind, problem.where, problem.exchange) == ("law", "entry 19", name)


def test_bytes_that_two_entries_name_are_a_problem(original: Path, tmp_path: Path) -> None:
    flow = entries(original)[2]["data"]["flow"]
    report = forge(copy(original, tmp_path / "state"), {"flow": flow}, name="hg-new")
    assert {"flow", "law"} == {problem.kind for problem in report.problems}


def test_only_one_session_is_read_if_only_one_is_asked_for(original: Path, tmp_path: Path) -> None:
    state = copy(original, tmp_path / "state")
    damaged, whole = segments(state)[0], segments(state)[-1]
    flip(damaged, 5, 1)
    assert verify(state, session=whole.parent.name).problems == ()
    assert len(verify(state, session=damaged.parent.name).problems) == 1


def test_progress_reaches_all_bytes(original: Path) -> None:
    told: list[tuple[int, int]] = []
    report = verify(original, lambda done, total: told.append((done, total)))
    total = report.segment_bytes + (original / "ledger" / "ledger.jsonl").stat().st_size
    assert told[-1] == (total, total)


@pytest.mark.parametrize("missing", ["VERSION", "ledger/ledger.jsonl"])
def test_a_folder_without_a_record_is_no_state_folder(original: Path, tmp_path: Path, missing: str) -> None:
    state = copy(original, tmp_path / "state")
    (state / missing).unlink()
    with pytest.raises(StateError, match=str(state)):
        verify(state)
