"""Every string of a body is inspected, unless it is known to be structural and looks like it."""

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hoopguard.payload import openai_chat, openai_completions
from hoopguard.payload.fields import Text, read, replace
from hoopguard.payload.formats import PLAIN, Format, find_format, format_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Fields, Kind, Parts

CANARY = "bob@example.com"
HIDDEN = "<HIDDEN>"
FIELDS = (PLAIN, openai_chat.REQUEST, openai_chat.ANSWER, openai_completions.REQUEST, openai_completions.ANSWER)
KEYS = st.sampled_from(
    (
        *("messages", "role", "content", "type", "text", "tool_calls", "function", "name", "arguments", "id", "model"),
        *("choices", "message", "finish_reason", "tools", "tool_choice", "prompt", "object", "", "*", "unheard_of"),
    )
)
STRINGS = st.just(CANARY) | st.sampled_from(["user", "stop", "call_1", "", "two words", "ünï", "a\n", "-x", "x" * 300])
BODIES = st.recursive(
    STRINGS | st.none() | st.integers(-(2**63), 2**64 - 1),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=25,
)
CHAT: dict[str, Any] = {
    "model": "llama-3",
    "messages": [
        {"role": "system", "content": CANARY, "name": CANARY},
        {"role": "user", "content": [{"type": "text", "text": CANARY}]},
        {
            "role": "assistant",
            "content": None,
            "refusal": CANARY,
            "reasoning_content": CANARY,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": CANARY}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": CANARY},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": CANARY, "parameters": {"properties": {"x": {"enum": [CANARY]}}}},
        }
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"description": CANARY}}},
    "stop": [CANARY],
    "user": CANARY,
    "metadata": {"who": CANARY},
    "prediction": {"type": "content", "content": CANARY},
    "guided_regex": CANARY,
}


def texts(body: Any, fields: Fields) -> list[Text]:
    return [text for _, _, text in read(body, fields).texts]


def rewrite(body: Any, fields: Fields, transform: Callable[[Text], str]) -> Any:
    """Transform every text of a body in its place, as masking does; a body that is a text itself is its own place."""
    reading = read(body, fields)
    values = [transform(text) for _, _, text in reading.texts]
    replace(reading, values)
    return values[0] if isinstance(body, str) and values else body


def drop_repeats(body: Any, fields: Fields) -> None:
    for node, key in read(body, fields).repeats:
        node[key] = None


def strings(node: Any) -> Iterator[str]:
    """Yield every string value of a body, by another road than the code under test."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        yield from itertools.chain.from_iterable(map(strings, node.values() if isinstance(node, dict) else node))


def hide(text: Text) -> str:
    return text.value.replace(CANARY, HIDDEN)


@given(BODIES, st.sampled_from(FIELDS))
def test_no_canary_survives_wherever_it_stands(body: Any, fields: Fields) -> None:
    """A string that is not an identifier is transformed at every position, known or not."""
    count = [*strings(body)].count(CANARY)
    hidden = rewrite(copy.deepcopy(body), fields, hide)
    assert CANARY not in [*strings(hidden)]
    assert [*strings(hidden)].count(HIDDEN) == count


@given(BODIES, st.sampled_from(FIELDS))
def test_what_is_read_is_what_is_rewritten(body: Any, fields: Fields) -> None:
    """The guardrail sees exactly the texts that masking may change, in the same order."""
    seen: list[Text] = []

    def note(text: Text) -> str:
        seen.append(text)
        return text.value

    assert rewrite(copy.deepcopy(body), fields, note) == body
    assert seen == [*texts(body, fields)]


@given(BODIES, st.sampled_from(FIELDS))
def test_what_is_passed_over_is_structural_and_looks_like_an_identifier(body: Any, fields: Fields) -> None:
    """A string that nobody inspects has no room for prose: ASCII, no space, no @, at most 256 characters."""
    assume(not read(body, fields).opaque)
    left = [*strings(body)]
    for text in texts(body, fields):
        if text.kind is not Kind.NUMBER:
            left.remove(text.value)
    assert all(value.isascii() and value.isprintable() and not set(value) & set(" @") for value in left)
    assert all(0 < len(value) <= 256 for value in left)


def test_every_text_of_a_chat_is_hidden_and_its_structure_is_not() -> None:
    """Roles, ids, names and types stay; all that a person or a model wrote goes."""
    count = [*strings(CHAT)].count(CANARY)
    hidden = rewrite(copy.deepcopy(CHAT), openai_chat.REQUEST, lambda _: HIDDEN)
    assert [*strings(hidden)].count(HIDDEN) == count + 1  # prediction.type is not known to be structural
    assert [message["role"] for message in hidden["messages"]] == ["system", "user", "assistant", "tool"]
    assert hidden["model"] == "llama-3"
    assert hidden["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize("trick", [CANARY, "user ", "us er", "\u200buser", "user\n", "x" * 257, "", ".x"])
def test_a_structural_place_does_not_hide_prose(trick: str) -> None:
    """What stands at a role's place but is no identifier is a text."""
    body = {"messages": [{"role": trick, "content": "x"}]}
    assert trick in [text.value for text in texts(body, openai_chat.REQUEST)]


@pytest.mark.parametrize("body", [{"": {"model": "abc"}}, {"model": {"": "abc"}}, {"model": ["abc"]}, ["abc"], "abc"])
def test_a_look_alike_of_a_structural_place_is_text(body: Any) -> None:
    """Only the exact path counts: empty keys and lists do not shift it."""
    assert [text.value for text in texts(body, openai_chat.REQUEST)] == ["abc"]


def test_arguments_of_tool_calls_are_read_as_json() -> None:
    """In requests and answers alike, new style and old."""
    calls = {"tool_calls": [{"function": {"arguments": "{}"}}], "function_call": {"arguments": "{}"}}
    request = [*texts({"messages": [calls]}, openai_chat.REQUEST)]
    answer = [*texts({"choices": [{"message": calls}]}, openai_chat.ANSWER)]
    assert {text.kind for text in (*request, *answer)} == {Kind.JSON_TEXT}
    assert len(request) == len(answer) == 2


def test_a_transform_that_fails_leaves_the_body_whole() -> None:
    """Nothing is half masked."""
    body = copy.deepcopy(CHAT)
    calls = itertools.count()

    def failing(_text: Text) -> str:
        if next(calls) > 5:
            raise ZeroDivisionError
        return HIDDEN

    with pytest.raises(ZeroDivisionError):
        rewrite(body, openai_chat.REQUEST, failing)
    assert body == CHAT


def test_what_repeats_a_text_in_another_form_is_taken_out() -> None:
    """Log probabilities and token ids spell the answer once more."""
    body = {
        "choices": [{"text": "x", "logprobs": {"tokens": [CANARY]}, "token_ids": [1]}, {"logprobs": None}],
        "prompt_logprobs": [{"1": {"decoded_token": CANARY}}],
    }
    drop_repeats(body, openai_completions.ANSWER)
    assert body == {
        "choices": [{"text": "x", "logprobs": None, "token_ids": None}, {"logprobs": None}],
        "prompt_logprobs": None,
    }


@given(BODIES, st.sampled_from(FIELDS))
def test_taking_repeats_out_never_crashes(body: Any, fields: Fields) -> None:
    """Bodies of any shape are walked."""
    drop_repeats(body, fields)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    "content",
    [
        [IMAGE],
        [{"type": "text", "text": "look"}, IMAGE],
        [{"type": "text", "text": "look", "image_url": {"url": "data:,"}}],
        [{"text": "no type"}],
        [{"type": ["text"], "text": "x"}],
        [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
        [{"type": "file", "file": {"file_id": "f"}}],
        ["bare"],
        [["text"]],
    ],
)
def test_what_is_not_text_in_a_message_is_uninspectable(content: Any) -> None:
    """Images, audio, files, parts of unknown type and parts that say two things are refused."""
    body = {"messages": [{"role": "user", "content": content}]}
    assert read(body, openai_chat.REQUEST).opaque


def test_a_null_in_a_part_says_nothing() -> None:
    """Servers that write out every field of a part, most of them null, are understood."""
    part = {"type": "text", "text": "x", "image_url": None}
    assert not read({"messages": [{"content": [part]}]}, openai_chat.REQUEST).opaque


@pytest.mark.parametrize(("closed", "opaque"), [(True, {"part": None}), (False, {})])
def test_in_a_part_that_is_not_closed_what_is_unknown_is_text(closed: bool, opaque: dict[str, None]) -> None:
    """But a kind that is unknown is not."""
    fields = Fields({"": Parts("type", {"a": {}}, closed=closed)})
    reading = read({"type": "a", "more": CANARY}, fields)
    assert ([text.value for _, _, text in reading.texts], reading.opaque) == ([CANARY], opaque)
    assert read({"type": "b", "more": CANARY}, fields).opaque == {"part": None}


@pytest.mark.parametrize(
    "content", [None, "x", [], [{"type": "text", "text": "x"}], [{"type": "refusal", "refusal": "x"}]]
)
def test_text_in_a_message_is_inspectable(content: Any) -> None:
    """Plain strings, text parts and refusals pass."""
    assert not read({"messages": [{"content": content}]}, openai_chat.REQUEST).opaque
    assert (
        format_of("chat/completions").model({"model": "m", "messages": [{"role": "user", "content": content}]}) == "m"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": [1, 2]},
        {"prompt": [[1], [2]]},
        {"prompt": ["x", [1]]},
        {"prompt": 5},
        {"prompt": {"prompt_token_ids": [1]}},
        {"prompt": "x", "suffix": [1]},
        {"prompt_embeds": "AAAA"},
        {"prompt_embeds": ["AAAA"]},
        {"prompt_token_ids": [1]},
    ],
)
def test_prompts_that_nobody_can_read_are_uninspectable(more: dict[str, Any]) -> None:
    """Token ids and embeddings are refused on the completions route."""
    assert read({"model": "m", **more}, openai_completions.REQUEST).opaque == {"tokens": None}


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"model": ""}, {"model": 5}, {"model": ["m"]}, {"model": None}])
@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_a_body_that_names_no_model_is_refused(route: str, body: Any) -> None:
    """Without a model there is nothing to permit."""
    with pytest.raises(BodyError):
        format_of(route).model(body)


@given(BODIES, st.sampled_from(["chat/completions", "completions", "POST /v1/embeddings"]))
def test_a_body_of_any_shape_names_a_model_or_is_refused(body: Any, route: str) -> None:
    """Whatever JSON comes, there is a model, none, or a BodyError."""
    try:
        model = format_of(route).model(body)
    except BodyError:
        return
    assert model is None or (isinstance(model, str) and model)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/chat/completions", "chat/completions"),
        ("GET", "/v1/chat/completions", None),
        ("post", "/v1/chat/completions", None),
        ("POST", "/v1/chat/completions/", None),
        ("POST", "/V1/chat/completions", None),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/llama", None),
        ("POST", "/v1/embeddings", "POST /v1/embeddings"),
        ("GET", "/v1/embeddings", None),
        ("POST", "/v1/completions", None),
        ("POST", "", None),
    ],
)
def test_a_route_is_found_by_method_and_exact_path(method: str, path: str, route: str | None) -> None:
    """Nothing but a listed route has a format."""
    found: Format | None = find_format(("chat/completions", "models", "POST /v1/embeddings"), method, path)
    assert (found.name if found else None) == route
