"""Whether a realtime model is in the middle of an answer."""

from typing import Any

import pytest

from hoopguard.payload.openai_realtime_answers import OpenAnswers

CREATED = {"type": "response.created", "response": {"id": "r1"}}
DONE = {"type": "response.done", "response": {"id": "r1"}}
DELTA = {"type": "response.output_text.delta", "response_id": "r1", "item_id": "i1", "delta": "x"}
HEARD = {"type": "conversation.item.input_audio_transcription.delta", "item_id": "i0", "delta": "x"}


@pytest.mark.parametrize(
    ("events", "is_open"),
    [
        ([], False),
        ([CREATED], True),
        ([CREATED, DONE], False),
        ([CREATED, DELTA, DONE], False),
        ([CREATED, DELTA, {**DELTA, "type": "response.output_text.done"}], True),
        ([CREATED, {**DONE, "response": {"id": "r2"}}], True),
        ([DELTA], True),
        ([DELTA, {**DELTA, "type": "response.output_text.done"}], False),
        ([DELTA, {**DELTA, "type": "response.text.done"}], True),
        ([HEARD], True),
        ([HEARD, {**HEARD, "type": "conversation.item.input_audio_transcription.completed"}], False),
        ([HEARD, {**HEARD, "type": "conversation.item.input_audio_transcription.failed"}], False),
        ([{"type": "transcription.delta"}], True),
        ([{"type": "transcription.delta"}, {"type": "transcription.done"}], False),
        ([{"type": "session.created"}, {"type": ["response.created"]}, [], "text", {}], False),
    ],
)
def test_an_answer_is_open_until_it_is_done(events: list[Any], is_open: bool) -> None:
    """A response by its own events, with all its texts; a text outside of one by those of its kind and item."""
    answers = OpenAnswers()
    for event in events:
        answers.follow(event)
    assert bool(answers) is is_open


def test_a_model_that_only_begins_is_not_remembered_for_ever() -> None:
    """Of very many open answers the first ones are forgotten, and the last one is known."""
    answers = OpenAnswers()
    for number in range(5_000):
        answers.follow({"type": "response.created", "response": {"id": f"r{number}"}})
    assert len(answers._open) == 1_024
    assert ("response", "r4999") in answers._open
