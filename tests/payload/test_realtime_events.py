"""Realtime events: which texts grow, when they end, which models a caller names."""

import json
from typing import Any

import pytest
from canaries import SIZES, TOLD, MaskStage, masked_text, pieces_of
from hypothesis import given

from hoopguard.payload.openai_realtime import FORMAT, EventStream, error_event, may_hold_audio, named_models
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.tables import Kind

PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


def events(*said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the caller gets of some events of the model's."""
    assert isinstance(FORMAT.stream, EventStream)
    stream = AnswerStream(FORMAT.stream, (MaskStage(),), drop_repeats=True)
    out = b""
    for event in said:
        out += stream.feed(json.dumps(event).encode() + b"\n")
        stream.forget_finished()
    return [json.loads(line) for line in (out + stream.finish()).splitlines()]


def delta(kind: str, text: str, **place: Any) -> dict[str, Any]:
    return {"type": f"{kind}.delta", "event_id": "event_1", **PLACE, **place, "delta": text}


@pytest.mark.parametrize(
    ("kind", "end", "key"),
    [
        ("response.output_text", "done", "text"),
        ("response.text", "done", "text"),
        ("response.output_audio_transcript", "done", "transcript"),
        ("response.audio_transcript", "done", "transcript"),
        ("conversation.item.input_audio_transcription", "completed", "transcript"),
        ("transcription", "done", "text"),
    ],
)
@given(text=TOLD, sizes=SIZES)
def test_deltas_say_what_the_whole_says(kind: str, end: str, key: str, text: str, sizes: list[int]) -> None:
    """However a text is told, its deltas are the masked whole, and all of them come before the event that ends it."""
    said = [delta(kind, piece) for piece in pieces_of(text, sizes)]
    *deltas, last = events(*said, {"type": f"{kind}.{end}", **PLACE, key: text})
    assert last["type"] == f"{kind}.{end}"
    assert "".join(event["delta"] for event in deltas) == last[key] == masked_text(Kind.TEXT, text)
    assert {event["item_id"] for event in deltas} == {"item_1"}


@pytest.mark.parametrize(
    "last",
    [
        {"type": "response.content_part.done", **PLACE, "part": {"type": "text", "text": ""}},
        {"type": "response.output_item.done", "item": {"id": "item_1", "type": "message"}},
        {"type": "conversation.item.done", "item": {"id": "item_1", "type": "message"}},
        {"type": "response.done", "response": {"id": "resp_1"}},
    ],
)
def test_what_holds_a_text_ends_it(last: dict[str, Any]) -> None:
    """A part, an item or a response that is over lets out what is held of its texts, and of no other."""
    mine, other = delta("response.output_text", "to bob@exam"), delta("response.output_text", "to eve@exam")
    other |= {"response_id": "resp_2", "item_id": "item_2"}
    heard = events(mine, other, last)
    at = [event["type"] for event in heard].index(last["type"])
    before = [(event["item_id"], event["delta"]) for event in heard[:at]]
    assert "".join(text for item, text in before if item == "item_1") == "to bob@exam"
    assert "".join(text for item, text in before if item == "item_2") == "to "


def test_a_text_can_begin_again_once_it_has_ended() -> None:
    """A conversation has no end of texts; a server that names none tells the next one under the same name."""
    once = [{"type": "transcription.delta", "delta": "a b"}, {"type": "transcription.done", "text": "a b"}]
    heard = events(*once * 600)
    assert "".join(event.get("delta", "") for event in heard) == "a b" * 600


def test_every_model_that_a_caller_names_is_found() -> None:
    """At any depth of a session or a response; what tools and items call a model is the caller's own affair."""
    event = {
        "model": "a",
        "session": {"model": "b", "audio": {"input": {"transcription": {"model": "c"}}}, "unheard": [{"model": "d"}]},
        "tools": [{"parameters": {"properties": {"model": "x"}}}],
        "response": {"input": [{"model": "x"}], "model": ["e"]},
        "item": {"model": "x"},
    }
    assert list(named_models(event)) == ["a", "b", "c", "d", ["e"]]
    assert list(named_models({"model": None, "session": None})) == []


def test_speech_is_told_from_text() -> None:
    """By the event as it is written; an event that only might hold some counts as one that does."""
    assert may_hold_audio(b'{"type":"input_audio_buffer.append","audio":"AAAA"}')
    assert may_hold_audio(b'{"type":"response.output_audio.delta","delta":"AAAA"}')
    assert not may_hold_audio(b'{"type":"response.output_audio_transcript.delta","delta":"hello"}')


def test_an_error_is_one_of_the_apis_events() -> None:
    """With the exchange, the code and what a program may need."""
    event = json.loads(error_event(403, "hoopguard_blocked", "No.", "hg-1", rule="r"))
    assert (event["type"], event["error"]["code"], event["error"]["type"]) == (
        "error",
        "hoopguard_blocked",
        "permission_error",
    )
    assert event["error"]["hoopguard"] == {"exchange": "hg-1", "rule": "r"}
