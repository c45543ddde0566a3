"""The coverage contract against the APIs' own types: a canary at every place of their bodies comes out nowhere."""

from typing import Any, Final

import anthropic.types as messages
import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase
from canaries import CARD, EMAIL, leaks, masked
from openai.types import completion, completion_create_params, responses
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.model import Model
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from schemas import Leaf, samples, tag_of

from hoopguard.payload import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_models,
    openai_responses,
)
from hoopguard.payload.fields import read
from hoopguard.payload.tables import Fields

SCHEMAS: Final[dict[str, tuple[Any, Fields]]] = {
    "messages request": (MessageCreateParamsBase, anthropic_messages.REQUEST),
    "messages answer": (messages.Message, anthropic_messages.ANSWER),
    "messages event": (messages.RawMessageStreamEvent, anthropic_messages.STREAM.fields),
    "messages/count_tokens request": (messages.MessageCountTokensParams, anthropic_messages.COUNT_FORMAT.request),
    "messages/count_tokens answer": (messages.MessageTokensCount, anthropic_messages.COUNT_FORMAT.answer),
    "responses request": (ResponseCreateParamsBase, openai_responses.REQUEST),
    "responses answer": (responses.Response, openai_responses.ANSWER),
    "responses event": (responses.ResponseStreamEvent, openai_responses.STREAM.fields),
    "chat request": (chat_create_params.CompletionCreateParamsBase, openai_chat.REQUEST),
    "chat answer": (ChatCompletion, openai_chat.ANSWER),
    "chat event": (ChatCompletionChunk, openai_chat.STREAM.fields),
    "completions request": (completion_create_params.CompletionCreateParamsBase, openai_completions.REQUEST),
    "completions answer": (completion.Completion, openai_completions.ANSWER),
    "model": (Model, openai_models.ANSWER),
}


_BLOCKS: Final = {
    "container_upload file",
    "redacted_thinking encrypted",
    "text encrypted",
    "web_fetch_tool_result file",
    "web_search_tool_result encrypted",
}
_ASKED_BLOCKS: Final = _BLOCKS | {
    "document file",
    "document image",
    "image image",
    "search_result encrypted",
    "tool_result encrypted",
    "tool_result file",
    "tool_result image",
    "tool_result part",
}
_ITEMS: Final = {
    "additional_tools part",
    "code_interpreter_call image",
    "compaction encrypted",
    "compaction_trigger part",
    "computer_call_output image",
    "configuration_update part",
    "custom_tool_call_output file",
    "custom_tool_call_output image",
    "function_call_output file",
    "function_call_output image",
    "image_generation image",
    "image_generation_call image",
    "input_file file",
    "input_image image",
    "reasoning encrypted",
    "tool_search_output part",
}
REFUSED: Final = {
    "messages request": _ASKED_BLOCKS,
    "messages answer": _BLOCKS,
    "messages event": {*_BLOCKS, "citations_delta encrypted"},
    "messages/count_tokens request": _ASKED_BLOCKS,
    "responses request": _ITEMS,
    "responses answer": _ITEMS,
    "responses event": {*_ITEMS, "part", "exit part"},
    "chat request": {"audio", "file file", "image_url image", "input_audio audio"},
    "chat answer": {"audio"},
    "chat event": {"audio"},
    "completions request": {"tokens"},
}
"""What is refused of a schema: the type of what holds it, and what it is.

The texts of a Messages API are refused where a search's encrypted place is cited in them; the events of the Responses
API that have no type of theirs here are those of audio, pictures, shells and compaction."""


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_canary_comes_out_of_a_body_of_a_public_schema(name: str) -> None:
    """Wherever the schema has a text or a number: hidden, or the body is refused."""
    hint, fields = SCHEMAS[name]
    bodies = [*samples(hint, Leaf(f"I am {EMAIL}, write", CARD))]
    assert bodies
    assert all(map(leaks, bodies))
    assert [body for body in bodies if leaks(masked(body, fields))] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_body_of_a_public_schema_that_holds_nothing_to_hide_is_left_alone(name: str) -> None:
    """What is refused is what nobody can look into; everything else comes out as it went in."""
    hint, fields = SCHEMAS[name]
    changed: list[Any] = []
    refused: set[str] = set()
    for body in samples(hint, Leaf("hello", 7)):
        reading = read(body, fields)
        if reading.opaque:
            refused |= {f"{tag_of(body)} {kind}".strip() for kind in reading.opaque}
        elif not reading.repeats and masked(body, fields) != body:
            changed.append(body)
    assert changed == []
    assert refused == REFUSED.get(name, set())
