"""OpenAI's Responses API: items whole and streamed, what is said again, and how a stream ends that may not go on."""

import json
from collections.abc import Iterable
from typing import Any, Final

import httpx2
import openai
import pytest
from canaries import (
    CARD,
    CUTS,
    EMAIL,
    SIZES,
    TOLD,
    Forbids,
    events_of,
    masked,
    masked_text,
    pieces_of,
    stream_of,
    streamed,
)
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload.fields import read
from hoopguard.payload.framing import FramingError
from hoopguard.payload.openai_responses import ANSWER, FORMAT, REQUEST, STREAM
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Kind

HIDDEN: Final = "<EMAIL_ADDRESS>"
ARGUMENTS: Final = json.dumps({"query": EMAIL, "card": CARD})
MASKED_ARGUMENTS: Final = '{"query": "<EMAIL_ADDRESS>", "card": "<CREDIT_CARD>"}'
USAGE: Final = {
    "input_tokens": 31,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 64,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 95,
}
TOOL: Final = {
    "type": "function",
    "name": "find",
    "strict": True,
    "description": EMAIL,
    "parameters": {"enum": [EMAIL]},
}
ASKED: Final[dict[str, Any]] = {
    "model": "llama-3",
    "instructions": EMAIL,
    "store": False,
    "previous_response_id": "resp_1",
    "metadata": {"who": EMAIL},
    "include": ["reasoning.encrypted_content"],
    "tools": [TOOL],
    "tool_choice": {"type": "function", "name": "find"},
    "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"description": EMAIL}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "input": [
        {"role": "user", "content": EMAIL},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": EMAIL}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": EMAIL}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "call_1", "output": EMAIL},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "run", "input": EMAIL},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": EMAIL}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": EMAIL}},
        {"type": "item_reference", "id": "msg_1"},
    ],
}


def replaced(node: Any) -> Any:
    """Return a body with the canaries in it hidden, by another road than the code under test."""
    if isinstance(node, dict):
        return {key: replaced(child) for key, child in node.items()}
    if isinstance(node, list):
        return [replaced(child) for child in node]
    return MASKED_ARGUMENTS if node == ARGUMENTS else node.replace(EMAIL, HIDDEN) if isinstance(node, str) else node


def response(status: str, output: list[Any], **more: Any) -> dict[str, Any]:
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}, "instructions": None}
    head = {"id": "resp_68f1c4", "object": "response", "created_at": 1_760_000_000, "model": "llama-3"}
    return {**head, **settings, "status": status, "error": None, "output": output, **more}


def test_every_text_of_a_request_is_masked_and_its_structure_is_not() -> None:
    """Roles, ids, names and settings stay; what anybody said goes, in the history too."""
    assert masked(ASKED, REQUEST) == replaced(ASKED)
    assert FORMAT.model(ASKED) == "llama-3"


def test_an_answers_usage_ids_and_status_stay() -> None:
    """Whatever is masked beside them; log probabilities, which say the text again, go."""
    part = {"type": "output_text", "text": EMAIL, "annotations": [], "logprobs": [{"token": EMAIL, "bytes": [98]}]}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    answer = response("completed", [message, *ASKED["input"][2:5]], usage=USAGE, instructions=EMAIL, tools=[TOOL])
    expected = replaced(answer)
    expected["output"][0]["content"][0]["logprobs"] = None
    assert masked(answer, ANSWER) == expected


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}]}, "image"),
        ({"role": "user", "content": [{"type": "input_file", "file_data": "AAAA"}]}, "file"),
        ({"role": "user", "content": [{"type": "input_text", "text": "x", "image_url": "data:,"}]}, "part"),
        ({"role": "user", "content": "x", "encrypted_content": "AAAA"}, "part"),
        ({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"}, "encrypted"),
        ({"type": "computer_call_output", "output": {"image_url": "data:,"}}, "image"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}, "image"),
        ({"type": "unheard_of", "text": "x"}, "part"),
    ],
)
def test_what_nobody_can_look_into_is_refused(item: Any, kind: str) -> None:
    """Pictures, files, what is encrypted, and items that say two things."""
    assert read({"input": [item]}, REQUEST).opaque == {kind: None}


def test_reasoning_that_is_not_encrypted_passes() -> None:
    """SDKs send the field back as null."""
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None, "status": None}
    assert not read({"input": [item]}, REQUEST).opaque


@pytest.mark.parametrize(
    "more", [{"model": None}, {"input": 5}, {"input": ["x"]}, {"input": [{"role": "bob", "content": "x"}]}]
)
def test_what_is_no_conversation_is_refused(more: dict[str, Any]) -> None:
    """A model has to be named, and messages have roles."""
    with pytest.raises(BodyError):
        FORMAT.model({**ASKED, **more})


# ── streams ──

TEXTS: Final = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


def item_of(kind: str, at: int, text: str) -> dict[str, Any]:
    """Return the item that holds a text of a kind."""
    call = {"type": kind, "id": f"it_{at}", "call_id": f"call_{at}", "name": "find"}
    if kind == "function_call":
        return {**call, "arguments": text, "status": "completed"}
    if kind == "custom_tool_call":
        return {**call, "input": text}
    part: dict[str, Any] = {"type": kind, TEXTS[kind][1]: text}
    if kind in ("reasoning_text", "summary_text"):
        lists: dict[str, Any] = {"summary": [], "content": []}
        lists["summary" if kind == "summary_text" else "content"].append(part)
        return {"type": "reasoning", "id": f"it_{at}", **lists}
    part |= {"annotations": [], "logprobs": []} if kind == "output_text" else {}
    return {"type": "message", "id": f"it_{at}", "role": "assistant", "status": "completed", "content": [part]}


def told(blocks: Iterable[tuple[str, str]], sizes: list[int]) -> list[dict[str, Any]]:
    """Return the events in which a model tells items that hold one text of a kind each."""
    items = [item_of(kind, at, text) for at, (kind, text) in enumerate(blocks)]
    begun = response("in_progress", [])
    events: list[dict[str, Any]] = [{"type": f"response.{state}", "response": begun} for state in ("created", "queued")]
    for at, (kind, text) in enumerate(blocks):
        stream, key = TEXTS[kind]
        where: dict[str, Any] = {"item_id": f"it_{at}", "output_index": at}
        index = {"summary_index" if kind == "summary_text" else "content_index": 0} if not kind.endswith("call") else {}
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        named = {"name": "find"} if kind == "function_call" else {}
        part = "response.reasoning_summary_part" if kind == "summary_text" else "response.content_part"
        empty = item_of(kind, at, "")
        added = {**empty, **({"summary": [], "content": []} if kind[-4:] == "text" else {"content": []})}
        added = empty if not index else {key: added[key] for key in empty}
        events.append({"type": "response.output_item.added", "output_index": at, "item": added})
        whole = _part(items[at])
        if index:
            events.append({"type": f"{part}.added", **where, **index, "part": _part(empty)})
        events += [
            {"type": f"{stream}.delta", **where, **index, "delta": piece, **more} for piece in pieces_of(text, sizes)
        ]
        events.append({"type": f"{stream}.done", **where, **index, key: text, **more, **named})
        if index:
            events.append({"type": f"{part}.done", **where, **index, "part": whole})
        events.append({"type": "response.output_item.done", "output_index": at, "item": items[at]})
    events.append({"type": "response.completed", "response": response("completed", items, usage=USAGE)})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _part(item: dict[str, Any]) -> Any:
    return next((parts[0] for parts in (item.get("content"), item.get("summary")) if parts), None)


KINDS: Final = {kind: Kind.JSON_TEXT if kind == "function_call" else Kind.TEXT for kind in TEXTS}
_CALL: Final = st.tuples(st.just("function_call"), TOLD.map(lambda text: json.dumps({"query": [text], "n": CARD})))
BLOCKS: Final = st.lists(
    st.tuples(st.sampled_from([kind for kind in TEXTS if kind != "function_call"]), TOLD) | _CALL, max_size=3
)


@given(BLOCKS, SIZES, CUTS)
def test_a_streams_texts_are_those_of_the_whole(blocks: list[tuple[str, str]], sizes: list[int], cuts: Any) -> None:
    """In deltas, and wherever they are said again; the events are numbered, in the API's order, usage last."""
    out = events_of(streamed(STREAM, stream_of(*told(blocks, sizes), named=True), cuts=cuts))
    assert all(name == body["type"] for name, body in out)
    assert [body["sequence_number"] for _, body in out] == [*range(len(out))]
    hidden = [masked_text(KINDS[kind], text) for kind, text in blocks]
    texts: dict[int, str] = {}
    for _, body in out:
        if body["type"].endswith(".delta"):
            texts[body["output_index"]] = texts.get(body["output_index"], "") + body["delta"]
    assert texts == dict(enumerate(hidden))
    asked = told([(kind, text) for (kind, _), text in zip(blocks, hidden, strict=True)], [9_999])
    assert [_unnumbered(body) for _, body in out if not body["type"].endswith(".delta")] == [
        _unnumbered(body) for body in asked if not body["type"].endswith(".delta")
    ]
    assert _order(body for _, body in out) == _order(asked)


def _unnumbered(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "sequence_number"}


def _order(bodies: Iterable[dict[str, Any]]) -> list[tuple[str, Any]]:
    order: list[tuple[str, Any]] = []
    for body in bodies:
        step = (body["type"], body.get("output_index"))
        order += [step] if step not in order[-1:] else []
    return order


def test_a_text_that_no_event_ends_comes_before_its_items_end() -> None:
    """Servers that leave out the ``done`` of a text lose nothing of it."""
    events = [body for body in told([("output_text", f"to {EMAIL}")], [3]) if "output_text.done" not in body["type"]]
    without = [body for body in events if "content_part" not in body["type"]]
    for left in (events, without):
        out = [body for _, body in events_of(streamed(STREAM, stream_of(*left, named=True)))]
        said = "".join(body["delta"] for body in out if body["type"].endswith(".delta"))
        assert said == f"to {HIDDEN}"
        assert [body["type"] for body in out[-2:]] == ["response.output_item.done", "response.completed"]


@pytest.mark.parametrize("kind", TEXTS)
def test_what_an_item_begins_with_is_of_the_text_that_grows(kind: str) -> None:
    """An address is found also where its first half came with the item, or the part."""
    events = told([(kind, '"x"')], [9])
    added = next(body for body in events if body["type"].endswith(("part.added", "item.added")) and _holds(body))
    holder = added["part"] if "part" in added else added["item"]
    holder[TEXTS[kind][1]] = '"bob@'
    delta = next(body for body in events if body["type"].endswith(".delta"))
    delta["delta"] = 'example.com"'
    out = [body for _, body in events_of(streamed(STREAM, stream_of(*events, named=True)))]
    said = [
        body["delta"] if "delta" in body else body.get("part", body.get("item", {}))[TEXTS[kind][1]]
        for body in out
        if "delta" in body or (body["type"] == added["type"] and _holds(body))
    ]
    assert "".join(said) == f'"{HIDDEN}"'


def _holds(body: dict[str, Any]) -> bool:
    return "part" in body or "arguments" in body["item"] or "input" in body["item"]


# ── ends ──


def gathered(raw: bytes) -> list[Any]:
    """Return the events that OpenAI's own package makes of a stream."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=raw, headers={"content-type": "text/event-stream"})

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        openai.OpenAI(base_url="http://model/v1", api_key="k", max_retries=0, http_client=http_client) as client,
        client.responses.stream(model="llama-3", input="x") as stream,
    ):
        return [*stream]


def test_openais_own_package_puts_a_masked_stream_together() -> None:
    """Reasoning, text and the arguments of a call."""
    blocks = [("summary_text", f"I see {EMAIL}."), ("output_text", f"Write to {EMAIL}!"), ("function_call", ARGUMENTS)]
    last = gathered(streamed(STREAM, stream_of(*told(blocks, [3]), named=True)))[-1]
    reasoning, message, call = last.response.output
    assert reasoning.summary[0].text == f"I see {HIDDEN}."
    assert message.content[0].text == f"Write to {HIDDEN}!"
    assert call.arguments == MASKED_ARGUMENTS
    assert last.response.usage.total_tokens == 95


@pytest.mark.parametrize("kind", TEXTS)
def test_a_stopped_stream_is_incomplete_to_openais_own_package(kind: str) -> None:
    """For the content filter, under the response's own id."""
    out = streamed(STREAM, stream_of(*told([(kind, "fine secret")], [5]), named=True), Forbids("secret"))
    last = gathered(out)[-1]
    assert (last.type, last.response.id) == ("response.incomplete", "resp_68f1c4")
    assert last.response.incomplete_details.reason == "content_filter"
    assert b"secret" not in out


def test_a_stream_stopped_before_it_began_is_an_error() -> None:
    """There is no response yet that could be incomplete."""
    events = told([], [1])
    events[0]["response"]["user"] = "secret"
    assert [name for name, _ in events_of(streamed(STREAM, stream_of(*events), Forbids("secret")))] == ["error"]


def test_streams_do_not_remember_each_other() -> None:
    """What one stream was told is not in another's end."""
    streamed(STREAM, stream_of(*told([("output_text", "fine")], [5])))
    events = told([("output_text", "secret")], [9])[2:]
    assert b"resp_68f1c4" not in streamed(STREAM, stream_of(*events), Forbids("secret"))


def test_a_failed_stream_is_an_error_to_openais_own_package() -> None:
    """Typed as the API's event, and with the object that the package reads."""
    stream = AnswerStream(STREAM, (), drop_repeats=True)
    out = stream.feed(stream_of(told([], [1])[0], named=True))
    out += stream.fail(502, "hoopguard_stream_failed", "It broke.", "x1")
    name, body = events_of(out)[-1]
    assert (name, body["type"], body["code"], body["sequence_number"]) == (
        "error",
        "error",
        "hoopguard_stream_failed",
        1,
    )
    with pytest.raises(openai.APIError, match="It broke"):
        gathered(out)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": "0", "delta": "x"},
        {"type": "response.function_call_arguments.delta", "output_index": None, "delta": "x"},
        {"type": "response.unheard_of.delta", "output_index": 0, "delta": "x"},
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": "AA"},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "unheard_of", "text": "x"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "compaction"}},
        {"delta": "x"},
    ],
)
def test_an_event_that_belongs_nowhere_ends_the_stream(event: dict[str, Any]) -> None:
    """A text that cannot be told to be a channel's could be the half of something."""
    with pytest.raises(FramingError):
        streamed(STREAM, stream_of(event))
