"""What is kept of a conversation is what mitmproxy reads back, and no more than a segment holds."""

import json
from typing import Any

import pytest
from mitmproxy.io import tnetstring
from mitmproxy.websocket import WebSocketMessage

from hoopguard.conversation_record import ConversationRecord
from hoopguard.exchange import Refused
from hoopguard.payload import openai_realtime, strict_json
from hoopguard.recorder.tnetstring import dumps


def record(facts: dict[str, Any], max_bytes: int = 100_000, *, keeps: bool = True) -> ConversationRecord:
    return ConversationRecord(openai_realtime.FORMAT, facts, max_bytes=max_bytes, keeps=keeps)


def read(kept: ConversationRecord) -> list[WebSocketMessage]:
    """Return the messages as mitmproxy's own reader finds them in a flow's file."""
    states: Any = tnetstring.loads(dumps([kept.messages]))
    (states,) = states
    return [WebSocketMessage.from_state(state) for state in states]


def test_messages_are_read_back_as_they_were_said() -> None:
    """In their order, with who said them and when; each one counted."""
    facts: dict[str, Any] = {}
    kept = record(facts)
    assert read(kept) == []
    said = [(True, '{"type":"a","t":"ä😀\\n"}'.encode()), (False, b""), (True, b"x" * 5_000)]
    for from_caller, message in said:
        kept.add(message, from_caller=from_caller)
    kept.add_last(b"bye")
    found = read(kept)
    assert [(each.from_client, each.content) for each in found] == [*said, (False, b"bye")]
    assert all(each.is_text and each.timestamp > 0 and not each.dropped for each in found)
    assert facts["messages"] == {"request": 2, "response": 1}


def test_speech_is_counted_and_not_kept() -> None:
    """Nobody has looked into it."""
    facts: dict[str, Any] = {}
    kept = record(facts)
    kept.add(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"}).encode(), from_caller=True)
    assert read(kept) == []
    assert (facts["messages"]["request"], facts["unrecorded_audio"]["request"]) == (1, 1)


INSTRUCTED: dict[str, Any] = {
    "type": "session.update",
    "session": {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["audio"]},
}


@pytest.mark.parametrize("word", ["audio", "audio.delta"])
def test_nobody_keeps_a_message_out_of_the_record_by_a_word(word: str) -> None:
    """What only looks like speech is kept as it is."""
    said = {"type": "conversation.item.create", "event_id": word, "item": {"type": "message", "role": "user"}}
    for message in (INSTRUCTED, said):
        facts: dict[str, Any] = {}
        kept = record(facts)
        kept.add(strict_json.dump(message), from_caller=True)
        assert [json.loads(each.content) for each in read(kept)] == [message]
        assert facts["unrecorded_audio"]["request"] == 0


@pytest.mark.parametrize("from_caller", [True, False])
def test_what_is_said_beside_speech_is_kept(from_caller: bool) -> None:
    """The speech alone is blanked, wherever it stands."""
    facts: dict[str, Any] = {}
    kept = record(facts)
    parts = [{"type": "input_audio", "audio": "AAAA", "transcript": "hello"}, {"type": "input_text", "text": "hi"}]
    message = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": parts}}
    if not from_caller:
        message = {"type": "conversation.item.added", "item": message["item"]}
    kept.add(strict_json.dump(message), from_caller=from_caller)
    (found,) = read(kept)
    assert b"hello" in found.content
    assert b"hi" in found.content
    assert b"AAAA" not in found.content
    assert facts["unrecorded_audio"]["request" if from_caller else "response"] == 1


@pytest.mark.parametrize("size", [0, 1, 28, 900])
def test_the_bound_is_that_of_the_file(size: int) -> None:
    """However small the messages are: what stands around each of them is counted, too; the last word always fits."""
    kept = record({}, 1_000)

    def fill() -> None:
        for _ in range(1_000):
            kept.add(b"m" * size, from_caller=True)

    with pytest.raises(Refused, match="hoopguard_body_too_large"):
        fill()
    assert 0 < len(kept.messages) <= 1_000 + 10
    kept.add_last(b"bye")
    assert read(kept)[-1].content == b"bye"


def test_nothing_is_kept_where_the_policy_wants_no_contents() -> None:
    """Then there is no bound either; messages are counted all the same."""
    facts: dict[str, Any] = {}
    kept = record(facts, 10, keeps=False)
    for _ in range(100):
        kept.add(b"secret", from_caller=True)
    kept.add_last(b"bye")
    assert read(kept) == []
    assert facts["messages"]["request"] == 100
