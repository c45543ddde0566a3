"""A streamed answer, rewritten while the model is still talking."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from canaries import Forbids
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import openai_chat, openai_completions
from hoopguard.payload.channels import Channel, Stage
from hoopguard.payload.framing import FramingError
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.sse import EventParser
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.tables import Kind

HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


@dataclass
class Doubling:
    """Double each character, holding back the last two; marks the end of every channel."""

    held: dict[Channel, str] = field(default_factory=dict)

    def feed(self, channel: Channel, text: str) -> str:
        if channel.kind is Kind.NUMBER:
            return text
        text = self.held.get(channel, "") + text
        self.held[channel] = text[-2:]
        return "".join(character * 2 for character in text[:-2])

    def finish(self, channel: Channel) -> str:
        end = "" if channel.kind is Kind.NUMBER else "."
        return "".join(character * 2 for character in self.held.pop(channel, "")) + end


def sse(*events: Any, done: bool = True) -> bytes:
    datas = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {data}\n\n" for data in [*datas, *(["[DONE]"] if done else [])]).encode()


def delta(index: int = 0, finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def call(number: int, arguments: str) -> dict[str, Any]:
    return {"index": number, "function": {"arguments": arguments}}


def play(raw: bytes, *stages: Stage, cuts: tuple[int, ...] = (), shape: StreamShape = openai_chat.STREAM) -> bytes:
    stream = AnswerStream(shape, stages, drop_repeats=True)
    out, at = b"", 0
    for cut in (*sorted(cuts), len(raw)):
        out += stream.feed(raw[at:cut])
        at = max(at, cut)
    return out + stream.finish()


def bodies(out: bytes) -> list[Any]:
    parser = EventParser()
    datas = [event.data for event in (*parser.feed(out), *parser.finish())]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


def said(out: bytes) -> dict[str, str]:
    """Put together what each channel said, by ``choice/path``, the way an SDK does."""
    found: dict[str, str] = {}
    for body in bodies(out):
        for choice in body["choices"] if body != "[DONE]" else []:
            _collect(choice.get("delta", {}), str(choice["index"]), found)
            _collect({"text": choice.get("text")}, str(choice["index"]), found)
    return found


def _collect(node: Any, where: str, found: dict[str, str]) -> None:
    if isinstance(node, str):
        found[where] = found.get(where, "") + node
    elif isinstance(node, dict):
        for key, child in node.items():
            _collect(child, f"{where}/{key}", found)
    elif isinstance(node, list):
        for position, child in enumerate(node):
            _collect(child, f"{where}/{child.get('index', position) if isinstance(child, dict) else position}", found)


def doubled(text: str) -> str:
    return "".join(character * 2 for character in text) + "."


TALK = sse(
    delta(0, role="assistant", content=""),
    delta(1, role="assistant", content=""),
    delta(0, reasoning_content="Let me "),
    delta(0, reasoning_content="think…"),
    delta(0, content="Héllo "),
    delta(1, content="Other"),
    delta(0, content="wor\U0001f600ld"),
    delta(1, refusal="I can't"),
    delta(0, tool_calls=[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]),
    delta(0, tool_calls=[call(0, '{"a":'), call(1, "[")]),
    delta(0, tool_calls=[call(1, "1]")]),
    delta(0, tool_calls=[call(0, ' "b"}')]),
    delta(0, finish="tool_calls"),
    delta(1, content=" one", finish="stop"),
    {**HEAD, "choices": [], "usage": {"total_tokens": 7}},
)
SAID = {
    "0/role": "assistant",
    "1/role": "assistant",
    "0/reasoning_content": doubled("Let me think…"),
    "0/content": doubled("Héllo wor\U0001f600ld"),
    "1/content": doubled("Other one"),
    "1/refusal": doubled("I can't"),
    "0/tool_calls/0/id": "call_1",
    "0/tool_calls/0/type": "function",
    "0/tool_calls/0/function/name": "f",
    "0/tool_calls/0/function/arguments": doubled('{"a": "b"}'),
    "0/tool_calls/1/function/arguments": doubled("[1]"),
}


@given(st.lists(st.integers(0, len(TALK)), max_size=12))
def test_every_way_to_cut_the_bytes_gives_the_same_stream(cuts: list[int]) -> None:
    """All choices, reasoning, refusals and tool calls are whole, each of them transformed as one text."""
    out = play(TALK, Doubling(), cuts=tuple(cuts))
    assert out == play(TALK, Doubling())
    assert said(out) == SAID


def test_every_way_to_cut_the_bytes_once_gives_the_same_stream() -> None:
    """Exhaustively: no byte of the stream is a bad place."""
    whole = play(TALK, Doubling())
    assert all(play(TALK, Doubling(), cuts=(cut,)) == whole for cut in range(len(TALK)))


PIECES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["content", "refusal", "x"]), st.text("abé", max_size=3))
)


@given(PIECES, st.booleans(), st.booleans())
def test_interleaved_texts_come_out_whole(pieces: list[tuple[int, str, str]], done: bool, finishes: bool) -> None:
    """With or without finish reasons, with or without [DONE], no text is lost, mixed up or out of order."""
    events = [delta(index, **{name: text}) for index, name, text in pieces]
    events += [delta(index, finish="stop") for index in range(3)] if finishes else []
    expected: dict[str, str] = {}
    for index, name, text in pieces:
        if text:
            expected[f"{index}/{name}"] = expected.get(f"{index}/{name}", "") + text
    out = play(sse(*events, done=done), Doubling())
    assert {key: text for key, text in said(out).items() if text} == {key: doubled(t) for key, t in expected.items()}
    assert [body for body in bodies(out) if body == "[DONE]"] == ["[DONE]"] * done


@given(PIECES)
def test_a_finish_reason_comes_after_all_text_of_its_choice(pieces: list[tuple[int, str, str]]) -> None:
    """What was held back is out before the caller's SDK closes the choice."""
    events = [delta(index, **{name: text}) for index, name, text in pieces]
    out = play(sse(*events, *(delta(index, finish="stop") for index in (2, 0, 1))), Doubling())
    finished: set[int] = set()
    for choice in (choice for body in bodies(out)[:-1] for choice in body["choices"]):
        assert choice["index"] not in finished
        finished |= {choice["index"]} if choice["finish_reason"] else set()
    assert finished == {0, 1, 2}


def test_text_and_finish_reason_in_one_event_stay_together() -> None:
    """The last piece of a text may come with its end."""
    out = play(sse(delta(content="ab"), delta(content="c", finish="length")), Doubling())
    assert said(out)["0/content"] == doubled("abc")
    assert [body["choices"][0]["finish_reason"] for body in bodies(out)[:-1]] == [None, "length"]


def test_usage_and_done_come_last_and_once() -> None:
    """The order that SDKs rely on survives held text."""
    out = bodies(play(TALK + sse(delta(content="after the end")), Doubling()))
    assert out[-1] == "[DONE]"
    assert out.count("[DONE]") == 1
    assert out[-2]["usage"] == {"total_tokens": 7}


def test_nothing_is_read_after_done() -> None:
    """A second stream behind the first does not reach the caller."""
    stream = AnswerStream(openai_chat.STREAM, [], drop_repeats=False)
    stream.feed(sse())
    assert stream.ended
    assert stream.feed(sse(delta(content="more"))) == b""
    assert stream.finish() == b""


def test_events_of_our_own_look_like_the_models() -> None:
    """Text let out at the end carries the stream's id, time and model."""
    own = bodies(play(sse(delta(content="ab"), done=False), Doubling()))[-1]
    assert own == {**HEAD, "choices": [{"index": 0, "delta": {"content": "aabb."}, "finish_reason": None}]}


def test_completions_are_rewritten_too() -> None:
    """The older API's text is a channel like the others; its log probabilities go."""
    events = [
        {"id": "x", "choices": [{"index": 0, "text": text, "logprobs": {"tokens": [text]}, "finish_reason": None}]}
        for text in ("sec", "ret")
    ]
    out = play(sse(*events), Doubling(), shape=openai_completions.STREAM)
    assert said(out) == {"0/text": doubled("secret")}
    assert b"tokens" not in out


def test_an_error_in_the_stream_is_rewritten_at_once() -> None:
    """Strings outside the choices are whole texts, transformed by themselves."""
    out = bodies(play(sse({"error": {"message": "no: bob", "code": 500}}, done=False), Doubling()))
    assert out == [{"error": {"message": doubled("no: bob"), "code": 500}}]


def test_an_unknown_text_of_a_choice_is_a_channel() -> None:
    """What the format does not know is text, wherever it stands."""
    out = play(
        sse(delta(annotations=[{"index": 4, "note": "a b"}]), delta(annotations=[{"index": 4, "note": " c"}])),
        Doubling(),
    )
    assert said(out)["0/annotations/4/note"] == doubled("a b c")


def test_a_channels_kind_follows_its_format() -> None:
    """Tool-call arguments are JSON texts, content is plain."""
    seen: set[tuple[Any, Kind]] = set()

    class Noting(Doubling):
        def feed(self, channel: Channel, text: str) -> str:
            seen.add((channel.place[-1], channel.kind))
            return super().feed(channel, text)

    play(TALK, Noting())
    assert seen == {
        ("content", Kind.TEXT),
        ("reasoning_content", Kind.TEXT),
        ("refusal", Kind.TEXT),
        ("arguments", Kind.JSON_TEXT),
    }


def test_what_one_stage_holds_back_still_passes_the_next() -> None:
    """A second stage sees the held text of the first at the channel's end."""
    out = play(sse(delta(content="abc"), delta(finish="stop")), Doubling(), Doubling())
    assert said(out)["0/content"] == doubled(doubled("abc"))


@pytest.mark.parametrize("finish", ["stop", None])
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("holds", [True, False])
def test_a_stopped_stream_ends_properly(holds: bool, done: bool, finish: str | None) -> None:
    """Every open choice gets a finish reason, then [DONE]; also when the word comes out at the very end."""
    stages: list[Stage] = [Doubling(), Forbids("cc")] if holds else [Forbids("cc")]
    raw = sse(
        delta(1, content="x"), delta(content="ab"), delta(content="c" if holds else "cc", finish=finish), done=done
    )
    out = play(raw, *stages)
    *_, last, end = bodies(out)
    assert (end, out.count(b"[DONE]")) == ("[DONE]", 1)
    assert last["hoopguard"] == {"code": "hoopguard_blocked", "message": "no"}
    assert {choice["finish_reason"] for choice in last["choices"]} == {"content_filter"}
    assert "cc" not in said(out).get("0/content", "")


def test_a_choice_that_has_finished_is_not_finished_again_by_a_stop() -> None:
    """Only the choices that were still talking are cut off."""
    raw = sse(delta(0, content="fine", finish="stop"), delta(1, content="bad"))
    stopped = bodies(play(raw, Forbids("bad")))[-2]
    assert [(choice["index"], choice["finish_reason"]) for choice in stopped["choices"]] == [(1, "content_filter")]


@pytest.mark.parametrize("last", [{"content": "c"}, {}])
def test_a_choice_stopped_by_what_was_held_at_its_end_has_the_gateways_finish_reason(last: dict[str, Any]) -> None:
    """The model's own end of the choice never went out, so the choice has not finished yet."""
    out = bodies(
        play(sse(delta(content="ab" if last else "abc"), delta(finish="stop", **last)), Doubling(), Forbids("cc"))
    )
    reasons = [choice["finish_reason"] for body in out[:-1] for choice in body["choices"] if choice["finish_reason"]]
    assert reasons == ["content_filter"]


def test_a_stream_stopped_by_its_first_word_still_ends_properly() -> None:
    """Even when no event went out before."""
    out = bodies(play(sse(delta(content="bad")), Forbids("bad")))
    assert [choice["finish_reason"] for choice in out[0]["choices"]] == ["content_filter"]
    assert out[1] == "[DONE]"


@pytest.mark.parametrize(
    "raw",
    [
        sse("not json"),
        sse("[]"),
        sse('"text"'),
        sse("NaN"),
        sse('{"a": "\\ud800"}'),
        sse("[DONE] and more"),
        sse({"choices": "bob"}),
        sse({"choices": ["bob"]}),
        sse({"choices": [["bob"]]}),
        sse({"choices": {"0": {"delta": {"content": "bob"}}}}),
        sse("[" * 100_000),
        sse('{"a":' * 80 + "1" + "}" * 80),
        sse(delta(content="x", finish="stop"), delta(content="more")),
        sse(*(delta(notes=[{"index": number, "text": "x"}]) for number in range(600))),
        b"data: \xff\n\n",
        b'data: {"choices": [{"delta": {"content": "cut',
    ],
    ids=range(16),
)
def test_a_stream_that_cannot_be_read_is_a_framing_error(raw: bytes) -> None:
    """Nothing is guessed: the relay ends the stream there."""
    with pytest.raises(FramingError):
        play(raw, Doubling())


@given(
    st.recursive(
        st.text("ab@ ", max_size=4) | st.none() | st.integers(-(2**63), 2**64 - 1),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "index", "content", "finish_reason", "error", ""]), c, max_size=4
            )
        ),
        max_leaves=15,
    )
)
def test_no_text_of_any_event_passes_untransformed(body: Any) -> None:
    """Events of any shape are rewritten whole or refused; a lone text is never skipped."""

    class Hiding(Doubling):
        def feed(self, channel: Channel, text: str) -> str:
            return text.replace("@", "#")

        def finish(self, channel: Channel) -> str:
            return ""

    try:
        out = play(sse(body, body), Hiding())
    except FramingError:
        return
    assert not any("@" in text for text in _values(bodies(out)))


def _values(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return [text for child in children for text in _values(child)]


def test_names_and_ids_of_events_do_not_carry_text_past_the_stages() -> None:
    """An event's name passes if it is a word, its id and comments never do."""
    raw = b': bob@example.com\nevent: bob@example.com\nid: bob@example.com\nretry: 5\ndata: {"x":"y"}\n\n'
    assert b"bob" not in play(raw)
    assert b"event: error\n" in play(b'event: error\ndata: {"x":"y"}\n\n')
