"""All wire formats, by the names that the policy gives their routes."""

import re
from typing import Final

from hoopguard.payload import (
    anthropic_messages,
    kserve,
    llamacpp,
    mcp,
    ollama,
    ollama_models,
    openai_audio,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_models,
    openai_realtime,
    openai_responses,
    rerank,
    tgi,
    tokenizing,
)
from hoopguard.payload.wire import PLAIN, Format

__all__ = ["FORMATS", "PLAIN", "Format", "api_of", "find_format", "format_of"]

FORMATS: Final[tuple[Format, ...]] = (
    openai_chat.FORMAT,
    openai_completions.FORMAT,
    openai_models.FORMAT,
    openai_responses.FORMAT,
    openai_realtime.FORMAT,
    anthropic_messages.FORMAT,
    anthropic_messages.COUNT_FORMAT,
    openai_embeddings.FORMAT,
    rerank.RERANK,
    rerank.RERANK_V1,
    rerank.RERANK_V2,
    rerank.SCORE,
    rerank.SCORE_V1,
    tokenizing.TOKENIZE,
    tokenizing.DETOKENIZE,
    openai_audio.TRANSCRIPTIONS,
    openai_audio.TRANSLATIONS,
    openai_images.GENERATIONS,
    openai_images.EDITS,
    openai_images.VARIATIONS,
    ollama.CHAT,
    ollama.GENERATE,
    ollama.EMBED,
    ollama.EMBEDDINGS,
    ollama_models.TAGS,
    ollama_models.SHOW,
    ollama_models.PS,
    ollama_models.VERSION,
    llamacpp.COMPLETION,
    llamacpp.COMPLETIONS,
    llamacpp.INFILL,
    tgi.GENERATE,
    tgi.GENERATE_STREAM,
    kserve.INFER,
    kserve.GENERATE,
    kserve.GENERATE_STREAM,
    mcp.FORMAT,
    mcp.LISTEN,
    mcp.END,
)

_AFTER_A_NAME: Final = re.compile(r"/[A-Za-z0-9][A-Za-z0-9_-]*(/.+)", re.ASCII)
_NAMED: Final = {format_.name: format_ for format_ in FORMATS}


def format_of(route: str) -> Format:
    """Return the format of a route as the policy writes it: a name, or ``POST /path`` for plain JSON."""
    named = _NAMED.get(route)
    if named is not None:
        return named
    method, _, path = route.partition(" ")
    return Format(name=route, method=method, path=path)


def api_of(method: str, path: str) -> str | None:
    """Return whose API a path is, as far as it tells; a connection's name may stand before it, a query after it."""
    bare = path.partition("?")[0]
    named = _AFTER_A_NAME.fullmatch(bare)
    parts = (bare,) if named is None else (bare, named[1])
    return next((each.api for part in parts for each in FORMATS if each.matches(method, part)), None)


def find_format(routes: tuple[str, ...], method: str, path: str) -> Format | None:
    """Return the format of the listed route that a request takes; ``None`` if it takes none of them."""
    for route in routes:
        candidate = format_of(route)
        if candidate.matches(method, path):
            return candidate
    return None
