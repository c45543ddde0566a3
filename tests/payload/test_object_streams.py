"""Streams of Ollama, llama.cpp, TGI and KServe: masked as the whole text is, and ended as each API ends."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from canaries import Forbids, MaskStage, masked_text, streamed
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import kserve, llamacpp, ollama, tgi
from hoopguard.payload.framing import FramingError
from hoopguard.payload.ndjson import LineParser
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.sse import EventParser
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.tables import Kind

Json = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """How one API streams: an event with a piece of text, the last event, where the text is, and what is last."""

    shape: StreamShape
    piece: Callable[[str], Json]
    last: Callable[[str], Json]
    text: Callable[[Json], str]
    is_last: Callable[[Json], bool]
    kept: tuple[str, ...]

    def raw(self, pieces: list[str]) -> bytes:
        """Return the model's stream."""
        events = [*map(self.piece, pieces), self.last("".join(pieces))]
        if isinstance(self.shape.parser(), LineParser):
            return b"".join(json.dumps(event).encode() + b"\n" for event in events)
        return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

    def events(self, raw: bytes) -> list[Json]:
        """Return a stream's events."""
        parser = LineParser() if isinstance(self.shape.parser(), LineParser) else EventParser()
        return [json.loads(event.data) for event in (*parser.feed(raw), *parser.finish())]

    def said(self, raw: bytes) -> str:
        """Return the text as a client puts it together."""
        return "".join(map(self.text, self.events(raw)))


COUNTS: Final = {
    "total_duration": 4155550132,
    "load_duration": 6338250,
    "prompt_eval_count": 26,
    "eval_count": 64,
    "eval_duration": 130079000,
}
_HEAD: Final = {"model": "llama3:8b", "created_at": "2025-11-22T18:30:00.123456789Z"}
_TIMINGS: Final = {"prompt_ms": 30.25, "predicted_per_second": 52.5}
APIS: Final = {
    "ollama chat": Api(
        ollama.CHAT.stream or StreamShape(ollama.CHAT_ANSWER),
        lambda text: {**_HEAD, "message": {"role": "assistant", "content": text}, "done": False},
        lambda _: {
            **_HEAD,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            **COUNTS,
        },
        lambda event: str(event.get("message", {}).get("content", "")),
        lambda event: event["done"] is True,
        ("model", "created_at", "done_reason", *COUNTS),
    ),
    "ollama generate": Api(
        ollama.GENERATE.stream or StreamShape(ollama.GENERATE_ANSWER),
        lambda text: {**_HEAD, "response": text, "done": False},
        lambda _: {**_HEAD, "response": "", "done": True, "done_reason": "length", **COUNTS, "context": [1, 2]},
        lambda event: str(event["response"]),
        lambda event: event["done"] is True,
        ("model", "created_at", "done_reason", *COUNTS),
    ),
    "llama.cpp": Api(
        llamacpp.STREAM,
        lambda text: {"index": 0, "content": text, "tokens": [7], "stop": False, "id_slot": 0},
        lambda text: {
            "index": 0,
            "content": "",
            "stop": True,
            "stop_type": "eos",
            "tokens_predicted": 12,
            "generation_settings": {"seed": 4294967295, "temperature": 0.5, "samplers": ["top_k"]},
            "timings": _TIMINGS,
            "model": "llama-3",
        },
        lambda event: str(event["content"]),
        lambda event: event["stop"] is True,
        ("index", "stop_type", "tokens_predicted", "generation_settings", "timings", "model"),
    ),
    "tgi": Api(
        tgi.STREAM,
        lambda text: {
            "index": 1,
            "token": {"id": 7, "text": text, "logprob": -0.5, "special": False},
            "generated_text": None,
            "details": None,
        },
        lambda text: {
            "index": 9,
            "token": {"id": 2, "text": "", "logprob": 0.0, "special": True},
            "generated_text": text,
            "details": {"finish_reason": "eos_token", "generated_tokens": 9, "seed": None},
        },
        lambda event: str(event["token"]["text"]),
        lambda event: event["details"] is not None,
        ("index", "details"),
    ),
    "kserve": Api(
        kserve.STREAM,
        lambda text: {"model_name": "m", "model_version": "1", "sequence_id": 0, "text_output": text},
        lambda _: {"model_name": "m", "model_version": "1", "sequence_end": True},
        lambda event: str(event.get("text_output", "")),
        lambda event: event.get("sequence_end", False),
        ("model_name", "model_version"),
    ),
}
ENDING: Final = [name for name in APIS if name != "kserve"]
every_api = pytest.mark.parametrize("name", APIS)
TEXTS: Final = st.lists(
    st.sampled_from(
        [
            "Write to ",
            "bob@example.com",
            " or ",
            "call (415) 867-5309",
            ", pay ",
            "4111 1111 1111 1111",
            ". é\U0001f600",
        ]
    ),
    max_size=6,
).map("".join)
PII: Final = "Write to bob@example.com, or call (415) 867-5309"


def pieces_of(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@every_api
@given(text=TEXTS, size=st.integers(1, 9), cuts=st.lists(st.integers(0, 4_000), max_size=6))
def test_however_it_is_cut_the_text_is_what_masking_the_whole_gives(
    name: str, text: str, size: int, cuts: list[int]
) -> None:
    """For every text, token split and network split."""
    api = APIS[name]
    raw = api.raw(pieces_of(text, size))
    out = streamed(api.shape, raw, cuts=tuple(min(cut, len(raw)) for cut in cuts))
    assert api.said(out) == masked_text(Kind.TEXT, text)


@every_api
@given(text=TEXTS, size=st.integers(1, 9))
def test_the_last_event_is_last_and_as_the_model_sent_it(name: str, text: str, size: int) -> None:
    """Held text comes before it; its reason, counts and durations are the model's."""
    api = APIS[name]
    raw = api.raw(pieces_of(text, size))
    events = api.events(streamed(api.shape, raw))
    sent = api.events(raw)[-1]
    last = [event for event in events if api.is_last(event)]
    assert len(last) == 1
    assert {key: last[0][key] for key in api.kept} == {key: sent[key] for key in api.kept}
    if name in ENDING:
        assert last[0] is events[-1]


@every_api
def test_every_event_is_one_of_the_apis_own(name: str) -> None:
    """What carries held text has the keys of an event with text."""
    api = APIS[name]
    sent = {frozenset(event) for event in api.events(api.raw([PII]))}
    own = api.events(streamed(api.shape, api.raw([PII])))
    assert len(own) == 3
    assert all(any(event.keys() <= keys for keys in sent) for event in own)


def test_what_says_the_whole_text_again_says_what_was_streamed() -> None:
    """TGI's last event repeats it; token ids are taken out everywhere."""
    out = APIS["tgi"].events(streamed(tgi.STREAM, APIS["tgi"].raw(pieces_of(PII, 3))))
    assert out[-1]["generated_text"] == "".join(event["token"]["text"] for event in out) == masked_text(Kind.TEXT, PII)
    assert {event["token"]["id"] for event in out} == {None}


def test_token_ids_of_a_context_are_taken_out() -> None:
    """Ollama gives the whole conversation again as token ids."""
    assert (
        APIS["ollama generate"].events(streamed(APIS["ollama generate"].shape, APIS["ollama generate"].raw(["x"])))[-1][
            "context"
        ]
        is None
    )


def test_thinking_and_content_are_two_texts() -> None:
    """An address that begins in one does not end in the other; each is held and let out by itself."""
    api = APIS["ollama chat"]
    said = [("thinking", "ask bob@"), ("thinking", "example.com"), ("content", "mail ann@"), ("content", "x.org")]
    lines = [{**_HEAD, "message": {"role": "assistant", "content": "", key: text}, "done": False} for key, text in said]
    raw = b"".join(json.dumps(line).encode() + b"\n" for line in (*lines, api.last("")))
    events = api.events(streamed(api.shape, raw))
    assert "".join(event["message"].get("thinking", "") for event in events) == "ask <EMAIL_ADDRESS>"
    assert api.said(streamed(api.shape, raw)) == "mail <EMAIL_ADDRESS>"
    assert events[-1]["done"] is True


def test_the_arguments_of_a_tool_call_are_objects() -> None:
    """Each value is a text of its own; the structure and the names stay."""
    call = {"function": {"name": "find", "arguments": {"who": "bob@example.com", "limit": 5, "deep": ["ann@x.org"]}}}
    line = {**_HEAD, "message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False}
    (out,) = APIS["ollama chat"].events(streamed(APIS["ollama chat"].shape, json.dumps(line).encode()))
    arguments = {"who": "<EMAIL_ADDRESS>", "limit": 5, "deep": ["<EMAIL_ADDRESS>"]}
    assert out["message"]["tool_calls"] == [{"function": {"name": "find", "arguments": arguments}}]


def test_an_unknown_text_that_grows_is_a_channel() -> None:
    """Nobody has to know of a field for its pieces to be masked as one text."""
    api = APIS["ollama generate"]
    lines = [{**_HEAD, "response": "", "note": {"said": [text]}, "done": False} for text in ("bob@", "example.com ")]
    events = api.events(streamed(api.shape, b"".join(json.dumps(line).encode() + b"\n" for line in lines)))
    assert "".join(event.get("note", {"said": [""]})["said"][0] for event in events) == "<EMAIL_ADDRESS> "


def test_the_answers_of_several_prompts_are_told_apart() -> None:
    """llama.cpp streams them side by side, by their index."""
    events = [{"index": at, "content": text, "stop": False} for at, text in ((0, "bob@"), (1, "ann@"), (0, "x.org"))]
    events += [{"index": at, "content": "", "stop": True, "stop_type": "eos"} for at in (1, 0)]
    raw = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    out = APIS["llama.cpp"].events(streamed(llamacpp.STREAM, raw))
    said = {at: "".join(event["content"] for event in out if event["index"] == at) for at in (0, 1)}
    assert said == {0: "<EMAIL_ADDRESS>", 1: "ann@"}
    assert [event["index"] for event in out if event["stop"]] == [1, 0]


@every_api
@pytest.mark.parametrize("said", [[], ["fine ", "so far "]])
def test_a_stream_stopped_by_a_rule_ends_as_the_api_ends(name: str, said: list[str]) -> None:
    """The caller's client sees a last event, and why; the word is not in it."""
    api = APIS[name]
    out = streamed(api.shape, api.raw([*said, "bad", " more"]), MaskStage(), Forbids("bad"))
    events = api.events(out)
    assert events[-1]["hoopguard"] == {"code": "hoopguard_blocked", "message": "no"}
    assert b"bad" not in out
    assert b"more" not in out
    if name in ENDING:
        assert [event for event in events if api.is_last(event)] == [events[-1]]
    assert api.said(out) == "".join(said)


@every_api
def test_a_stream_that_fails_says_so_in_the_apis_own_words(name: str) -> None:
    """An error object, which the API's clients raise."""
    api = APIS[name]
    stream = AnswerStream(api.shape, [], drop_repeats=True)
    out = stream.fail(502, "hoopguard_stream_failed", "it broke", "hg-1")
    (event,) = api.events(out)
    assert "it broke" in json.dumps(event["error"])
    assert "hoopguard_stream_failed" in json.dumps(event)


@every_api
@pytest.mark.parametrize("event", ["[DONE]x", "[1]", "nope", '{"a": 1', '"x"'])
def test_a_stream_that_cannot_be_read_is_a_framing_error(name: str, event: str) -> None:
    """Nothing is guessed."""
    api = APIS[name]
    raw = event.encode() + b"\n" if isinstance(api.shape.parser(), LineParser) else f"data: {event}\n\n".encode()
    with pytest.raises(FramingError):
        streamed(api.shape, raw)


@pytest.mark.parametrize("name", ENDING)
def test_a_text_that_goes_on_after_its_end_is_a_framing_error(name: str) -> None:
    """What was let out as finished cannot be looked at again."""
    api = APIS[name]
    with pytest.raises(FramingError):
        streamed(api.shape, api.raw(["bob@"]) + api.raw(["example.com"]))
