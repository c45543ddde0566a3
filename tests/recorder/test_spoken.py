"""A recorded conversation, read back for somebody who wants to know what was said."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from hoopguard.recorder.spoken import MOST_CHARS, MOST_MESSAGES, read_messages, read_said
from hoopguard.recorder.transcript import Turn, transcribe

PLACE = {"response_id": "r1", "item_id": "i1"}


def spoken(*said: tuple[bool, Any]) -> HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.websocket = WebSocketData()
    flow.websocket.messages = [
        WebSocketMessage(Opcode.TEXT, by, what if isinstance(what, bytes) else json.dumps(what).encode(), at + 1.0)
        for at, (by, what) in enumerate(said)
    ]
    return flow


def item(text: str, role: str = "user") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": content}}


def delta(text: str, kind: str = "response.output_text") -> dict[str, Any]:
    return {"type": f"{kind}.delta", **PLACE, "delta": text}


def test_what_is_told_in_pieces_is_one_text() -> None:
    """Said once, where it is over; what repeats it is named."""
    flow = spoken(
        (False, {"type": "session.created"}),
        (True, item("hello <EMAIL_ADDRESS>")),
        (True, {"type": "response.create"}),
        *((False, delta(piece)) for piece in "good day"),
        (False, {"type": "response.output_text.done", **PLACE, "text": "good day"}),
        (False, {"type": "response.done", "response": {"output": [{"text": "good day"}]}}),
    )
    assert transcribe(flow).said == (
        Turn("model", "(session.created)"),
        Turn("caller", "hello <EMAIL_ADDRESS>"),
        Turn("caller", '{"type": "response.create"}'),
        Turn("model", "good day"),
        Turn("model", "(response.done)"),
    )


def test_what_was_cut_is_called_so() -> None:
    """A text without its end comes last, and says that there is none."""
    said, _ = read_said(spoken((False, delta("I was about")), (False, {"type": "error", "error": {"code": "c"}})))
    assert said == (("error", "c: None"), ("model, cut", "I was about"))


def test_tools_transcripts_and_other_roles_are_told_apart() -> None:
    """By what they are."""
    called = {"type": "response.function_call_arguments.done", **PLACE, "arguments": '{"a":1}'}
    output = {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "sent"}}
    heard = {"type": "response.output_audio_transcript.done", **PLACE, "transcript": "I said"}
    said, _ = read_said(spoken((True, item("be kind", "system")), (False, called), (True, output), (False, heard)))
    assert said == (
        ("caller system", "be kind"),
        ("model function_call_arguments", '{"a":1}'),
        ("caller function_call_output", "sent"),
        ("model output_audio_transcript", "I said"),
    )


def test_every_message_is_there_as_it_was_recorded() -> None:
    """Of both sides, with its time."""
    (first, second) = read_messages(spoken((False, b'{"a": 1}'), (True, b"not JSON \xff")))
    assert (first.by, first.at, first.text, first.left_out) == ("model", 1.0, '{"a": 1}', 0)
    assert (second.by, second.at, second.text) == ("caller", 2.0, "not JSON \\xff")


def test_what_is_shown_is_bounded_and_says_so() -> None:
    """By the number of messages, and by the length of each."""
    flow = spoken((True, item("x" * 30_000)), *((True, {"type": "response.cancel"}),) * 1_500)
    messages, (said, left_out) = read_messages(flow), read_said(flow)
    assert (len(messages), len(said), left_out) == (MOST_MESSAGES, MOST_MESSAGES, 501)
    assert len(messages[0].text) == MOST_CHARS
    assert messages[0].left_out > 20_000
    assert said[0].text == "x" * MOST_CHARS + "… (20000 more characters)"
    assert transcribe(flow).left_out == 501


NAMES = st.sampled_from(["type", "item", "content", "error", "text", "delta", "item_id", "output", "role"])
TYPES = ["conversation.item.create", "error", "response.output_text.delta", "response.output_text.done"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.booleans(), st.dictionaries(NAMES, JSON) | JSON), max_size=5), st.sampled_from(TYPES))
def test_no_shape_of_json_stops_the_reader(said: list[tuple[bool, Any]], kind: str) -> None:
    """Whatever a record holds, it is shown."""
    flow = spoken(*((by, {**what, "type": kind} if isinstance(what, dict) else what) for by, what in said))
    assert len(read_messages(flow)) == len(said)
    for each in read_said(flow)[0]:
        assert isinstance(each.role, str)
        assert isinstance(each.text, str)
