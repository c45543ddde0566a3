"""Masking's place in a stream: rules that name a field of the whole answer hold for what streams to it."""

import json
from typing import Any

import pytest
from maskable import masker, timeless
from mitmproxy.test import tflow

from hoopguard.exchange import Exchange
from hoopguard.masking.stages import MaskStage
from hoopguard.payload.formats import format_of
from hoopguard.payload.streaming import AnswerStream

CHAT = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "my "}}]},
    {"choices": [{"index": 0, "delta": {"content": "secret", "reasoning_content": "open"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
MESSAGES = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "my "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "secret"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"ssn": "my sec'},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": 'ret", "x": "open"}'},
    },
    {"type": "content_block_stop", "index": 1},
]
SAID = {"item_id": "i", "output_index": 0, "content_index": 0}
RESPONSES = [
    {"type": "response.output_text.delta", **SAID, "delta": "my "},
    {"type": "response.output_text.delta", **SAID, "delta": "secret"},
    {"type": "response.output_text.done", **SAID, "text": "my secret"},
    {
        "type": "response.content_part.done",
        **SAID,
        "part": {"type": "output_text", "text": "my secret", "annotations": []},
    },
    {"type": "response.function_call_arguments.delta", "item_id": "j", "output_index": 1, "delta": '{"x": "open"}'},
    {"type": "response.function_call_arguments.done", "item_id": "j", "output_index": 1, "arguments": '{"x": "open"}'},
]


@pytest.mark.parametrize(
    ("route", "events", "fields"),
    [
        ("chat/completions", CHAT, ["$.choices[*].message.content"]),
        ("messages", MESSAGES, ["$.content[*].text", "$.content[*].input.ssn"]),
        ("responses", RESPONSES, ["$.output[*].content[*].text"]),
    ],
)
def test_a_field_that_is_hidden_in_a_whole_answer_is_hidden_in_a_stream(
    route: str, events: list[Any], fields: list[str]
) -> None:
    rules = masker({"name": "fields", "fields": fields, "operator": {"replace": {"with": "HIDDEN"}}})
    shape = format_of(route).stream
    assert shape is not None
    stage = MaskStage(Exchange.begin(tflow.tflow()), rules, timeless())
    stream = AnswerStream(shape, [stage], drop_repeats=True)
    raw = "".join(f"event: {event.get('type', '')}\ndata: {json.dumps(event)}\n\n" for event in events)
    out = b"".join(stream.feed(bytes([byte])) for byte in raw.encode()) + stream.finish()
    assert b"my " not in out
    assert b"sec" not in out
    assert b"HIDDEN" in out
    assert b"open" in out
