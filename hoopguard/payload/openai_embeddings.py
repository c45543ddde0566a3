"""OpenAI embeddings, as vLLM, llama.cpp, TEI and others speak them: texts in, vectors out."""

from typing import Final

from hoopguard.payload import openai_chat
from hoopguard.payload.tables import COUNT, MADE, SMALL, TEXT, TIME, Fields, Opaque, Vector, under, word
from hoopguard.payload.wire import Format

_VOCABULARY: Final = openai_chat.VOCABULARY | {
    *("add_special_tokens", "base64", "embed_dtype", "endianness", "float", "little", "normalize", "use_activation")
}

REQUEST: Final = Fields(
    {
        "model": MADE,
        "input": openai_chat.PROMPTS,
        "messages": Opaque("part"),
        "encoding_format": word("float", "base64"),
        "dimensions": COUNT,
        "priority": SMALL,
        "truncate_prompt_tokens": COUNT,
        "user": TEXT,
    },
    _VOCABULARY,
)

ANSWER: Final = Fields(
    {
        "id": MADE,
        "object": word("list"),
        "created": TIME,
        "model": MADE,
        "data.*.index": COUNT,
        "data.*.object": word("embedding"),
        "data.*.embedding": Vector(),
        "data.*.embedding.*": SMALL,
        "data.*.embedding.*.*": SMALL,
        **under("usage", openai_chat.USAGE),
    },
    _VOCABULARY,
)

FORMAT: Final = Format(
    name="embeddings", method="POST", path="/v1/embeddings", request=REQUEST, answer=ANSWER, needs_model=True
)
