"""Tokenize and detokenize, as vLLM, llama.cpp, TGI and TEI speak them: texts as token ids, and back."""

from typing import Final

from hoopguard.payload import openai_chat
from hoopguard.payload.tables import COUNT, MADE, REPEAT, TEXT, Fields, Opaque, Strings
from hoopguard.payload.wire import Format

_WORDS: Final = """
    add_generation_prompt add_special add_special_tokens inputs parse_special prompt return_token_strs tokens
    with_pieces
"""
_VOCABULARY: Final = openai_chat.VOCABULARY | frozenset(_WORDS.split())

TOKENIZE: Final = Format(
    name="tokenize",
    method="POST",
    path="/tokenize",
    request=Fields(
        {
            "model": MADE,
            "prompt": Strings("tokens"),
            "content": TEXT,
            "inputs": Strings("tokens", many=True),
            "messages": Opaque("part"),
        },
        _VOCABULARY,
    ),
    answer=Fields(
        {
            "count": COUNT,
            "max_model_len": COUNT,
            "tokens": REPEAT,
            "token_strs": REPEAT,
            "*": REPEAT,
        },
        _VOCABULARY,
    ),
)

DETOKENIZE: Final = Format(
    name="detokenize",
    method="POST",
    path="/detokenize",
    request=Fields({"model": MADE, "tokens": Opaque("tokens"), "ids": Opaque("tokens")}, _VOCABULARY),
    answer=Fields({"prompt": TEXT, "content": TEXT, "*": TEXT}, _VOCABULARY),
)
