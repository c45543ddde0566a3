"""The coverage contract against the types of Ollama's and MCP's packages, and of OpenAI's vectors, audio and images."""

import typing
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import ollama._types as ollama_types
import pytest
from canaries import CARD, EMAIL, leaks, masked
from mcp import types as mcp_types
from openai.types import CreateEmbeddingResponse, ImagesResponse, embedding_create_params, image_generate_params
from openai.types.audio import (
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    Translation,
)
from schemas import Leaf, samples

from hoopguard.payload import mcp, ollama, ollama_models, openai_audio, openai_embeddings, openai_images
from hoopguard.payload.fields import read
from hoopguard.payload.tables import Fields


class Schema(NamedTuple):
    """A type, the table that reads it, where its body stands in a message, and the kinds that are refused in it."""

    hint: Any
    fields: Fields
    refused: frozenset[str] = frozenset()
    wrap: Callable[[Any], Any] = lambda body: body


def _sent(body: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, **body}


def _answered(body: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": body}


_SAMPLED: Final = frozenset({"image", "audio"})
_SHOWN: Final = _SAMPLED | {"file"}
SCHEMAS: Final = {
    "embeddings request": Schema(
        embedding_create_params.EmbeddingCreateParams, openai_embeddings.REQUEST, frozenset({"tokens"})
    ),
    "embeddings answer": Schema(CreateEmbeddingResponse, openai_embeddings.ANSWER),
    "transcription answer": Schema(TranscriptionVerbose, openai_audio.ANSWER),
    "translation answer": Schema(Translation, openai_audio.ANSWER),
    "transcription delta": Schema(TranscriptionTextDeltaEvent, openai_audio.STREAM.fields),
    "transcription done": Schema(TranscriptionTextDoneEvent, openai_audio.STREAM.fields),
    "images request": Schema(image_generate_params.ImageGenerateParamsBase, openai_images.GENERATIONS_REQUEST),
    "images answer": Schema(ImagesResponse, openai_images.ANSWER, frozenset({"image"})),
    "chat request": Schema(ollama_types.ChatRequest, ollama.CHAT_REQUEST, frozenset({"image"})),
    "chat answer": Schema(ollama_types.ChatResponse, ollama.CHAT_ANSWER, frozenset({"image"})),
    "generate request": Schema(ollama_types.GenerateRequest, ollama.GENERATE_REQUEST, frozenset({"image", "tokens"})),
    "generate answer": Schema(ollama_types.GenerateResponse, ollama.GENERATE_ANSWER, frozenset({"image"})),
    "embed request": Schema(ollama_types.EmbedRequest, ollama.EMBED_REQUEST),
    "embed answer": Schema(ollama_types.EmbedResponse, ollama.EMBED_ANSWER),
    "embeddings request of old": Schema(ollama_types.EmbeddingsRequest, ollama.EMBED_REQUEST),
    "embeddings answer of old": Schema(ollama_types.EmbeddingsResponse, ollama.EMBED_ANSWER),
    "tags answer": Schema(ollama_types.ListResponse, ollama_models.TAGS.answer),
    "ps answer": Schema(ollama_types.ProcessResponse, ollama_models.PS.answer),
    "show request": Schema(ollama_types.ShowRequest, ollama_models.SHOW.request),
    "show answer": Schema(ollama_types.ShowResponse, ollama_models.SHOW.answer),
    "mcp client's requests": Schema(mcp_types.ClientRequestType, mcp.MESSAGES, wrap=_sent),
    "mcp client's notifications": Schema(mcp_types.ClientNotificationType, mcp.MESSAGES, wrap=_sent),
    "mcp client's results": Schema(mcp_types.ClientResultType, mcp.MESSAGES, _SAMPLED, _answered),
    "mcp server's requests": Schema(
        typing.get_args(mcp_types.ServerRequest.model_fields["root"].annotation), mcp.MESSAGES, _SAMPLED, _sent
    ),
    "mcp server's results": Schema(
        typing.get_args(mcp_types.ServerResult.model_fields["root"].annotation), mcp.MESSAGES, _SHOWN, _answered
    ),
    "mcp error": Schema(mcp_types.JSONRPCError, mcp.MESSAGES, wrap=_sent),
}


def bodies(schema: Schema, leaf: Leaf) -> list[Any]:
    hints = schema.hint if isinstance(schema.hint, tuple) else (schema.hint,)
    return [schema.wrap(body) for hint in hints for body in samples(hint, leaf)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_canary_comes_out_of_a_body_of_a_public_schema(name: str) -> None:
    """Wherever the schema has a text or a number: hidden, or the body is refused."""
    found = bodies(SCHEMAS[name], Leaf(f"I am {EMAIL}, write", CARD))
    assert found
    assert all(map(leaks, found))
    assert [body for body in found if leaks(masked(body, SCHEMAS[name].fields))] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_body_of_a_public_schema_that_holds_nothing_to_hide_is_left_alone(name: str) -> None:
    """What is refused is what nobody can look into; everything else comes out as it went in."""
    changed: list[Any] = []
    refused: set[str] = set()
    for body in bodies(SCHEMAS[name], Leaf("hello", 7)):
        reading = read(body, SCHEMAS[name].fields)
        refused |= {*reading.opaque}
        if not reading.opaque and not reading.repeats and masked(body, SCHEMAS[name].fields) != body:
            changed.append(body)
    assert changed == []
    assert refused == SCHEMAS[name].refused
