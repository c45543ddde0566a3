"""A stream reads the same whether or not events that are spelt alike are taken for alike."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopguard.payload import openai_chat, openai_completions
from hoopguard.payload.channels import Channel
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.templates import Template, learn

HEAD: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
WORDS = (
    "Hello",
    " world",
    "content",
    "stop",
    "0",
    "m",
    'a"b',
    "\\",
    "\n",
    "\u2028",
    "\x7f",
    "\u00e9",
    "\U0001f600",
    "",
    "c1",
    ", ",
    ": ",
)


@dataclass
class Shouting:
    """Upper case, one character late; what was seen of each channel is kept."""

    seen: list[tuple[Channel, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    held: dict[Channel, str] = field(default_factory=dict)

    def feed(self, channel: Channel, text: str) -> str:
        self.seen.append((channel, text))
        text = self.held.get(channel, "") + text
        self.held[channel] = text[-1:]
        return text[:-1].upper()

    def finish(self, channel: Channel) -> str:
        return self.held.pop(channel, "").upper()

    def check_names(self, names: Any) -> None:
        self.names.extend(names)


class Whispering(Shouting):
    """What only the caller sees is in lower case again."""

    def feed(self, channel: Channel, text: str) -> str:
        return super().feed(channel, text).lower()

    def finish(self, channel: Channel) -> str:
        return super().finish(channel).lower()


def played(raw: list[bytes], shape: StreamShape, *, lessons: int, unmasked: bool) -> Any:
    stage, unmasking = Shouting(), Whispering() if unmasked else None
    stream = AnswerStream(shape, [stage], True, unmasking, _lessons=lessons)
    try:
        out = b"".join(map(stream.feed, raw)) + stream.finish()
    except FramingError as error:
        return str(error), stage.seen, stage.names
    return out, bytes(stream.recorded), stage.seen, stage.names


def said(choices: list[dict[str, Any]], **more: Any) -> str:
    return json.dumps({**HEAD, "choices": choices, **more}, ensure_ascii=False)


deltas = st.builds(
    lambda index, delta, finish, more: {"index": index, "delta": delta, "finish_reason": finish, **more},
    st.sampled_from([0, 0, 0, 1]),
    st.dictionaries(
        st.sampled_from(["content", "content", "role", "reasoning_content", "odd"]), st.sampled_from(WORDS), max_size=2
    ),
    st.sampled_from([None] * 9 + ["stop"]),
    st.sampled_from([{}, {}, {"logprobs": None}, {"logprobs": {"content": [{"token": "x", "logprob": -1}]}}]),
)
texts = st.builds(
    lambda index, text: {"index": index, "text": text, "logprobs": None, "finish_reason": None},
    st.sampled_from([0, 0, 1]),
    st.sampled_from(WORDS),
)
spelt = st.sampled_from(
    [
        '{"id":"c1","choices":[{"index":0,"delta":{"content":"twice","content":"over"}}]}',
        '{"choices":[{"index":0,"delta":{"content":"\\u0048i"}}],"id":"Hi"}',
        '{"choices":[{"index":0,"delta":{"content":"Hi"}}],"id":"Hi"}',
        '{"choices":[{"index":0,"delta":{"content": "a" }}]}',
        '{"choices":[{"index":0,"delta":{"content": "a", "content": "b" }}]}',
        '{"choices":[{"index":0,"delta":{"content":"no end}}]}',
        '{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"total_tokens":5}}',
    ]
)
streams = st.lists(
    st.one_of(
        st.lists(deltas, min_size=1, max_size=2).map(said),
        st.lists(texts, min_size=1, max_size=1).map(said),
        spelt,
        st.just("[DONE]"),
    ),
    max_size=12,
)
names = st.sampled_from(["", "", "", "event: message\n", "event: odd\n", "id: 7\n"])


@settings(max_examples=600)
@given(
    streams.flatmap(lambda datas: st.tuples(*[st.tuples(names, st.just(data), st.integers(1, 3)) for data in datas])),
    st.sampled_from([openai_chat.STREAM, openai_completions.STREAM]),
    st.booleans(),
)
def test_what_was_learnt_changes_nothing(events: Any, shape: StreamShape, unmasked: bool) -> None:
    """Neither what the caller gets, nor what is recorded, nor what the stages see, nor how it fails."""
    raw = [f"{name}data: {data}\n\n".encode() for name, data, times in events for _ in range(times)]
    careful = played(raw, shape, lessons=0, unmasked=unmasked)
    assert played(raw, shape, lessons=6, unmasked=unmasked) == careful


def event(text: str, **more: Any) -> Event:
    return Event(said([{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more))


def lesson(of: Event, text: str) -> Template | None:
    return learn(openai_chat.STREAM, of, text, (0, "delta", "content"), drop_repeats=True)


def test_a_template_reads_what_is_spelt_alike_and_nothing_else() -> None:
    template = lesson(event("Hello"), "Hello")
    assert template is not None
    assert template.text_in(event("you, \u00e9\u2028")) == "you, \u00e9\u2028"
    for other in (
        event(""),
        event('"'),
        event("\\"),
        event("\n"),
        event("Hello", usage=None),
        Event(event("x").data, "error"),
    ):
        assert template.text_in(other) is None
    raw = event("x").data
    for cut in range(len(raw)):
        assert template.text_in(Event(raw[:cut] + raw[cut + 1 :])) in (None, "x") or raw[cut] == "x"
    assert template.text_in(Event(raw.replace('"x"', '"x","content":"y"'))) is None


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (event("content"), "content"),
        (event("c1"), "c1"),
        (event('a"b'), 'a"b'),
        (event(", "), ", "),
        (event(": "), ": "),
        (event("x", error={"message": "y"}), "x"),
        (Event(said([{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}])), "x"),
    ],
)
def test_what_may_mean_something_else_teaches_nothing(of: Event, text: str) -> None:
    """A word or a mark that stands elsewhere too, one that is not plain, an event with more to say, or the last one."""
    assert lesson(of, text) is None


def test_few_lessons_are_taken() -> None:
    """A model whose every event is spelt in its own way costs no more than a few of them."""
    stream = AnswerStream(openai_chat.STREAM, [], True)
    for number in range(50):
        stream.feed(f"data: {event('word', created=number).data}\n\n".encode())
    assert len(stream._templates) <= 6
