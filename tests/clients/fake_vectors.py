"""What servers offer beside chat: embeddings, rerank, score and token ids, as vLLM has them."""

import struct
from base64 import b64encode
from typing import Final

from fake import CREATED, Fake, Json, Route
from speech import pieces

from hoopguard.demo.connection import Reply, json_reply

_USAGE: Final = {"prompt_tokens": 31, "total_tokens": 31, "completion_tokens": 0, "prompt_tokens_details": None}
_VECTOR: Final = (0.0100710291, -0.0017594862, 0.4155550132, -0.4111111111)
"""Digits as embeddings have them: some are those of a card or of a telephone."""


class FakeVectors(Fake):
    """An embedder, a reranker and a tokenizer in one."""

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the routes, each as vLLM names it."""
        return {
            ("POST", "/v1/embeddings"): _embeddings,
            ("POST", "/rerank"): _rerank,
            ("POST", "/score"): _score,
            ("POST", "/tokenize"): _tokenize,
        }


def _embeddings(asked: Json) -> Reply:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vector: str | list[float] = list(_VECTOR)
    if asked.get("encoding_format") == "base64":
        vector = b64encode(struct.pack(f"<{len(_VECTOR)}f", *_VECTOR)).decode()
    data = [{"index": index, "object": "embedding", "embedding": vector} for index in range(len(texts))]
    head = {"id": "embd-5f1c", "object": "list", "created": CREATED, "model": asked["model"]}
    return json_reply({**head, "data": data, "usage": _USAGE})


def _rerank(asked: Json) -> Reply:
    """Say the documents again, as the API does, the best first."""
    results = [
        {"index": index, "document": {"text": text, "multi_modal": None}, "relevance_score": 0.9987 - index / 10}
        for index, text in enumerate(asked["documents"])
    ]
    return json_reply({"id": "rerank-77", "model": asked["model"], "usage": {"total_tokens": 56}, "results": results})


def _score(asked: Json) -> Reply:
    data = [{"index": index, "object": "score", "score": 0.75} for index in range(len(asked["text_2"]))]
    head = {"id": "score-3e", "object": "list", "created": CREATED, "model": asked["model"]}
    return json_reply({**head, "data": data, "usage": _USAGE})


def _tokenize(asked: Json) -> Reply:
    found = pieces(asked["prompt"])
    strings = found if asked.get("return_token_strs") else None
    return json_reply(
        {"count": len(found), "max_model_len": 8192, "tokens": list(range(len(found))), "token_strs": strings}
    )
