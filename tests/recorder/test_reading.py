"""Reading sessions back: the list, the flows, the conversation."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.http import HTTPFlow
from records import ALICE, ANSWER, TALK, exchange, intent_of, make, open_recorder, outcome_of, segments, talk_bytes

from hoopguard.cli.terminal import ascii_json, visible
from hoopguard.recorder.errors import StateError
from hoopguard.recorder.sessions import SessionSummary, find_session, list_sessions, read_session, segment_paths
from hoopguard.recorder.transcript import Turn, read_answer, read_request, transcribe


def test_sessions_are_listed_with_who_where_which_models_and_how_it_ended(tmp_path: Path) -> None:
    make(tmp_path)
    alice, bob = sorted(list_sessions(tmp_path), key=lambda session: session.subject)
    assert (alice.principal, alice.connection, alice.models) == ("staff:alice", "llama", ["m1"])
    assert (alice.exchanges, dict(alice.outcomes)) == (4, {"blocked": 2, "allowed": 2})
    assert bob.session == segments(tmp_path)[-1].parent.name
    assert bob.flow_bytes == sum(path.stat().st_size for path in segments(tmp_path) if path.parent.name == bob.session)


def test_a_session_is_found_by_any_part_of_its_name_that_fits_only_it(tmp_path: Path) -> None:
    make(tmp_path)
    assert find_session(tmp_path, "alice").subject == "alice@example.com"
    for part, complaint in (("example.com", "fits 2"), ("carol", "contains")):
        with pytest.raises(StateError, match=complaint):
            find_session(tmp_path, part)


def test_mitmproxy_reads_back_the_flows_that_were_recorded(tmp_path: Path) -> None:
    make(tmp_path)
    flows = list(read_session(tmp_path, find_session(tmp_path, "alice")))
    assert [flow.comment for flow in flows] == [f"exchange hg-{number}" for number in (0, 2, 4, 6)]
    assert all(isinstance(flow, HTTPFlow) for flow in flows)


def test_an_unreadable_segment_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    segments(tmp_path)[0].write_bytes(b"not a flow")
    session = find_session(tmp_path, segments(tmp_path)[0].parent.name)
    with pytest.raises(StateError, match=r"0001\.mitm"):
        list(read_session(tmp_path, session))


@pytest.mark.parametrize(("folder", "segment"), [("../x", "0001.mitm"), ("", "0001.mitm"), (None, "../../etc/passwd")])
def test_a_path_that_leads_out_of_the_sessions_is_refused(tmp_path: Path, folder: str | None, segment: str) -> None:
    name = "20261122T153000Z_alice_llama_1a2b3c4d" if folder is None else folder
    with pytest.raises(StateError, match="cannot be"):
        segment_paths(tmp_path, SessionSummary(name, segments=[segment]))


def test_a_torn_ledger_can_still_be_listed_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    ledger = tmp_path / "ledger" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-10])
    assert len(list_sessions(tmp_path)) == 2
    ledger.write_bytes(b"{}\n" + ledger.read_bytes())
    with pytest.raises(StateError, match="entry 0"):
        list_sessions(tmp_path)


async def test_a_session_recorded_without_contents_is_listed_too(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    await recorder.intent("hg-1", intent_of(ALICE))
    await recorder.outcome("hg-1", outcome_of(), ALICE)
    await recorder.close()
    [session] = list_sessions(tmp_path)
    assert (session.exchanges, session.segments) == (1, [])
    assert list(read_session(tmp_path, session)) == []


def test_a_flow_is_transcribed_with_what_was_known_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = open_recorder(tmp_path)
        await exchange(recorder, "hg-1")
        await recorder.close()

    asyncio.run(run())
    [flow] = read_session(tmp_path, list_sessions(tmp_path)[0])
    assert isinstance(flow, HTTPFlow)
    transcript = transcribe(flow)
    assert transcript.asked == (Turn("user", "who is <PERSON>?"),)
    assert transcript.answered == (Turn("assistant", "nobody knows"),)
    assert (transcript.status, transcript.facts["id"]) == (200, "hg-1")


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields}]}


def test_a_streamed_answer_is_put_together_by_choice_and_channel() -> None:
    call = {"index": 0, "function": {"name": "look", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ":1}"}}
    body = sse(
        delta(role="assistant", content="Hel"),
        delta(1, content="Bon"),
        delta(content="lo"),
        delta(1, content="jour"),
        delta(reasoning_content="hm"),
        delta(tool_calls=[call]),
        delta(tool_calls=[more]),
        {"error": {"message": "stopped"}},
    )
    assert set(read_answer(body)) == {
        Turn("assistant 0", "Hello"),
        Turn("assistant 1", "Bonjour"),
        Turn("reasoning 0", "hm"),
        Turn("tool call 0 0", 'look: {"a":1}'),
        Turn("error 0", "stopped"),
    }
    assert list(read_answer(sse(delta(content="a"), delta(content="b")))) == [Turn("assistant", "ab")]


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        (json.dumps(ANSWER).encode(), [Turn("assistant", "nobody knows")]),
        (b'{"choices":[{"text":"done"}]}', [Turn("assistant", "done")]),
        (b'{"error":{"message":"no"}}', [Turn("error", "no")]),
        (b'{"error":{"code":1}}', [Turn("error", '{"code":1}')]),
        (b'{"models":[]}', [Turn("answer", '{"models":[]}')]),
        (b"\xff plain", [Turn("answer", "\\xff plain")]),
        (b'data: {"choices":[{"text":"a"}]}\n\ndata: {"choices":[{"text":"b"}]}', [Turn("assistant", "ab")]),
        (b"", []),
    ],
)
def test_answers_of_every_shape_are_read(body: bytes, turns: list[Turn]) -> None:
    assert list(read_answer(body)) == turns


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        (json.dumps(TALK).encode(), [Turn("user", "who is <PERSON>?")]),
        (b'{"prompt":"once"}', [Turn("prompt", "once")]),
        (b'{"prompt":["once","twice",7]}', [Turn("prompt", "once"), Turn("prompt", "twice")]),
        (
            b'{"messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url"}]}]}',
            [Turn("user", "see[image_url]")],
        ),
        (b"[]", [Turn("request", "[]")]),
        (b"", []),
    ],
)
def test_requests_of_every_shape_are_read(body: bytes, turns: list[Turn]) -> None:
    assert list(read_request(body)) == turns


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "messages", "delta", "message", "content", "tool_calls", "function", "index", "error"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_no_shape_of_json_stops_the_transcript(value: object) -> None:
    body = json.dumps(value).encode()
    for turn in (*read_request(body), *read_answer(body), *read_answer(b"data: " + body)):
        assert isinstance(turn.text, str)


@given(st.text(st.characters(codec=None)))
def test_nothing_that_steers_a_terminal_is_shown_raw(text: str) -> None:
    shown = visible(text)
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert not set(shown) & set("\x1b\x9b\r\n\x07\u202e\u2028")
    assert json.loads(ascii_json(text)) == text
    assert all(" " <= character <= "~" for character in ascii_json(text))


def test_newlines_stay_where_they_are_wanted() -> None:
    assert visible("a\n\x1b[2Jb\u202e", keep="\n") == "a\n\\x1b[2Jb\\u202e"
    assert visible("schön 東京 \U000e0041") == "schön 東京 \\U000e0041"


def test_the_bytes_are_those_of_mitmproxy_s_own_writer(tmp_path: Path) -> None:
    from mitmproxy.io import FlowReader

    path = tmp_path / "one.mitm"
    path.write_bytes(talk_bytes("hg-1") + talk_bytes("hg-2"))
    with path.open("rb") as file:
        assert [flow.comment for flow in FlowReader(file).stream()] == ["exchange hg-1", "exchange hg-2"]
