"""Embeddings by the openai package, in both codings; rerank, score and tokenize by plain HTTP, as they are asked."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from clientsite import ClientSite, Endpoint, equal, told
from openai import AsyncOpenAI, OpenAI
from speech import is_clean, masked, said

pytest_plugins = ["clientfixtures"]

TEXTS = [said("one"), said("two")]


@pytest.mark.parametrize("coding", ["float", "base64", None])
def test_embeddings(site: ClientSite, coding: Any) -> None:
    """Texts are masked before they are embedded; each number of the vectors is the model's, however coded."""

    def ask(end: Endpoint) -> Any:
        http = openai.DefaultHttpxClient(trust_env=False)
        with OpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=http) as client:
            more = {"encoding_format": coding} if coding else {}
            answer = client.embeddings.create(model="embedder", input=TEXTS, **more)
        vectors = [[each.index, each.object, each.embedding] for each in answer.data]
        return {"vectors": vectors, "model": answer.model, "usage": answer.usage.to_dict()}

    directly, through = site.twice("vectors", ask)
    equal(through, directly)
    assert len(through["vectors"]) == len(TEXTS)


def test_embeddings_async(site: ClientSite) -> None:
    """The async client gets the same vectors."""

    async def ask(end: Endpoint) -> Any:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with AsyncOpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=http) as client:
            return told(await client.embeddings.create(model="embedder", input=said("one")))

    directly, through = site.twice("vectors", lambda end: asyncio.run(ask(end)))
    equal(through, directly)


def post(end: Endpoint, path: str, body: dict[str, Any]) -> Any:
    headers = {"authorization": f"Bearer {end.key}"}
    with httpx.Client(base_url=end.url, headers=headers, trust_env=False) as client:
        return client.post(path, json=body).raise_for_status().json()


def test_rerank(site: ClientSite) -> None:
    """Query and documents are masked; what the answer says of them again is what the model was shown."""
    asked = {"model": "reranker", "query": said("query"), "documents": TEXTS, "top_n": 2}
    site.compare("vectors", lambda end: post(end, "/rerank", asked))


def test_score(site: ClientSite) -> None:
    """Both sides of a score are masked; the scores are the model's."""
    asked = {"model": "reranker", "text_1": said("query"), "text_2": TEXTS}
    directly, through = site.twice("vectors", lambda end: post(end, "/score", asked))
    equal(through, directly)


def test_tokens_say_nothing_of_the_text(site: ClientSite) -> None:
    """Token ids and their strings would say a text again: what is left is their count, of the masked text."""
    asked = {"model": "llama-3-8b", "prompt": said("prompt"), "return_token_strs": True}
    answer = post(site.through("vectors"), "/tokenize", asked)
    assert answer["count"] < post(site.direct("vectors"), "/tokenize", asked)["count"]
    assert answer["max_model_len"] == 8192
    assert is_clean(json.dumps(answer))
    assert site.models["vectors"].bodies()[0] == masked(asked)


def test_token_ids_are_refused(site: ClientSite) -> None:
    """Nobody here can read token ids, so they do not reach the model, as a prompt or to be turned into text."""
    end = site.through("vectors")
    for path, body in (("/detokenize", {"tokens": [1, 2]}), ("/v1/embeddings", {"input": [[1, 2]]})):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            post(end, path, {"model": "llama-3-8b", **body})
        assert caught.value.response.status_code == 400
        assert caught.value.response.json()["error"]["code"] == "hoopguard_uninspectable"
    assert site.models["vectors"].seen == []
