"""Rerank and score: which document answers a query best, as vLLM, Jina, Cohere, llama.cpp and TEI ask it."""

from typing import Final

from hoopguard.payload import openai_chat
from hoopguard.payload.tables import COUNT, LABEL, MADE, SMALL, TEXT, TIME, Fields, Opaque, Strings, Table, under, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    add_special_tokens document documents image normalize query raw_scores return_documents return_text text text_1
    text_2 texts truncate use_activation warnings
"""
_VOCABULARY: Final = openai_chat.VOCABULARY | frozenset(_WORDS.split())
_BILLED: Final[Table] = {
    "classifications": COUNT,
    "images": COUNT,
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "search_units": COUNT,
    "total_tokens": COUNT,
}
_PARTS: Final = Strings("part", many=True)
_SIZES: Final[Table] = {
    "model": MADE,
    "max_chunks_per_doc": COUNT,
    "max_tokens_per_doc": COUNT,
    "priority": SMALL,
    "top_n": COUNT,
    "truncate_prompt_tokens": COUNT,
    "user": TEXT,
}

RERANK_REQUEST: Final = Fields(
    {
        **_SIZES,
        "query": Strings("part"),
        "documents.*": TEXT,
        "documents.*.content": Opaque("part"),
        "documents.*.image": Opaque("image"),
        "documents.*.text": TEXT,
        "documents.content": Opaque("part"),
        "rank_fields.*": LABEL,
        "texts": _PARTS,
        "truncation_direction": word("Left", "Right", "left", "right"),
    },
    _VOCABULARY,
)
_RESULT: Final[Table] = {
    "index": COUNT,
    "relevance_score": SMALL,
    "score": SMALL,
    "text": TEXT,
    "document": TEXT,
    "document.text": TEXT,
    "document.image": Opaque("image"),
    "document.multi_modal": Opaque("part"),
}
RERANK_ANSWER: Final = Fields(
    {
        "id": MADE,
        "model": MADE,
        "object": word("list"),
        **under("results.*", _RESULT),
        **under("*", _RESULT),
        **under("usage", openai_chat.USAGE),
        "meta.api_version.version": LABEL,
        **under("meta.billed_units", _BILLED),
        **under("meta.tokens", _BILLED),
    },
    _VOCABULARY,
)

SCORE_REQUEST: Final = Fields(
    {
        **_SIZES,
        "text_1": _PARTS,
        "text_2": _PARTS,
        "queries": _PARTS,
        "documents": _PARTS,
        "items": _PARTS,
        "data_1": _PARTS,
        "data_2": _PARTS,
    },
    _VOCABULARY,
)
SCORE_ANSWER: Final = Fields(
    {
        "id": MADE,
        "object": word("list"),
        "created": TIME,
        "model": MADE,
        "data.*.index": COUNT,
        "data.*.object": word("score"),
        "data.*.score": SMALL,
        **under("usage", openai_chat.USAGE),
    },
    _VOCABULARY,
)


def _rerank(name: str, path: str) -> Format:
    return Format(name=name, method="POST", path=path, request=RERANK_REQUEST, answer=RERANK_ANSWER)


def _score(name: str, path: str) -> Format:
    return Format(name=name, method="POST", path=path, request=SCORE_REQUEST, answer=SCORE_ANSWER)


RERANK: Final = _rerank("rerank", "/rerank")
RERANK_V1: Final = _rerank("v1/rerank", "/v1/rerank")
RERANK_V2: Final = _rerank("v2/rerank", "/v2/rerank")
SCORE: Final = _score("score", "/score")
SCORE_V1: Final = _score("v1/score", "/v1/score")
