"""The ollama package against Ollama's own API: chat, generate and embed, whole and line by line."""

import asyncio
from typing import Any, Final

import gathering
import ollama
import pytest
from clientsite import ClientSite, Endpoint, equal, without
from fake_openai import ARGUMENTS
from ollama import AsyncClient, Client
from speech import masked, said

pytest_plugins = ["clientfixtures"]

TOOL: Final = {
    "type": "function",
    "function": {
        "name": "find_customer",
        "description": said("description"),
        "parameters": {"type": "object", "properties": {"query": {"type": "string", "description": said("schema")}}},
    },
}
CALL: Final = {"function": {"name": "find_customer", "arguments": {"query": said("history")}}}
MESSAGES: Final[list[Any]] = [
    {"role": "system", "content": said("system")},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_name": "find_customer", "content": said("result")},
    {"role": "user", "content": said("question")},
]
CHATS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "thinking": {"think": True},
    "tools": {"tools": [TOOL]},
    "logprobs": {"logprobs": True},
    "options": {"options": {"seed": 7, "num_ctx": 4096, "stop": [said("stop")]}, "keep_alive": "5m", "format": "json"},
}
GENERATED: Final[dict[str, dict[str, Any]]] = {
    "plain": {"system": said("system")},
    "thinking": {"think": True},
    "suffix": {"suffix": said("suffix"), "template": said("template")},
}
every_chat = pytest.mark.parametrize("more", CHATS.values(), ids=CHATS)
every_prompt = pytest.mark.parametrize("more", GENERATED.values(), ids=GENERATED)


def sdk(end: Endpoint) -> Client:
    return Client(end.url, headers={"Authorization": f"Bearer {end.key}"}, trust_env=False)


def hidden(answer: Any) -> Any:
    """Log probabilities and the context's token ids are taken out: they would say the text again."""
    return without(answer, "logprobs", "context")


@every_chat
def test_a_chat(site: ClientSite, more: dict[str, Any]) -> None:
    """Every text is masked both ways, a tool's arguments too; the durations are the model's."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return client.chat("llama3:8b", MESSAGES, stream=False, **more).model_dump()

    site.compare("ollama", ask, hidden)


@every_chat
def test_a_streamed_chat(site: ClientSite, more: dict[str, Any]) -> None:
    """Line by line the same, and the line that is ``done`` comes last."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return gathering.lines(
                [line.model_dump() for line in client.chat("llama3:8b", MESSAGES, stream=True, **more)]
            )

    site.compare("ollama", ask, hidden)


@every_prompt
@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt(site: ClientSite, more: dict[str, Any], streamed: bool) -> None:
    """A prompt is completed, whole and streamed."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            if streamed:
                return gathering.lines(
                    [line.model_dump() for line in client.generate("llama3:8b", said("prompt"), stream=True, **more)]
                )
            return client.generate("llama3:8b", said("prompt"), stream=False, **more).model_dump()

    site.compare("ollama", ask, hidden)


@every_chat
def test_the_async_client(site: ClientSite, more: dict[str, Any]) -> None:
    """The async client gets the same, whole and streamed."""

    async def ask(end: Endpoint) -> Any:
        client = AsyncClient(end.url, headers={"Authorization": f"Bearer {end.key}"}, trust_env=False)
        async with client:
            whole = await client.chat("llama3:8b", MESSAGES, stream=False, **more)
            lines = [line.model_dump() async for line in await client.chat("llama3:8b", MESSAGES, stream=True, **more)]
        return [whole.model_dump(), gathering.lines(lines)]

    site.compare("ollama", lambda end: asyncio.run(ask(end)), hidden)


def test_embeddings(site: ClientSite) -> None:
    """Texts are masked before they are embedded; the numbers are the model's."""
    texts = [said("one"), said("two")]

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return client.embed("embedder", texts).model_dump()

    directly, through = site.twice("ollama", ask)
    assert directly == through
    assert len(through["embeddings"]) == len(texts)


def test_a_calls_arguments_are_the_masked_values(site: ClientSite) -> None:
    """The arguments of a call are masked inside."""
    with sdk(site.through("ollama")) as client:
        message = client.chat("llama3:8b", MESSAGES, tools=[TOOL]).message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == masked(ARGUMENTS)


def test_models_are_listed_and_shown(site: ClientSite) -> None:
    """The list of models is the server's; what is told about one is masked."""
    told = []
    for end in (site.direct("ollama"), site.through("ollama")):
        with sdk(end) as client:
            told.append([client.list().model_dump(mode="json"), client.show("llama3:8b").model_dump(mode="json")])
    directly, through = told
    equal(through, masked(directly))
    assert through[1]["license"] == masked(said("licence"))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_the_sdks_own_exception(site: ClientSite, streamed: bool) -> None:
    """A blocked prompt and a bad token are ``ResponseError`` with the status and the reason."""
    end = site.through("ollama")
    messages = [{"role": "user", "content": "a banana"}]
    for bad, status, words in ((end, 403, "Bananas"), (Endpoint(end.url, "nonsense"), 401, "token")):
        with sdk(bad) as client, pytest.raises(ollama.ResponseError) as caught:
            for _ in client.chat("llama3:8b", messages, stream=streamed):
                pass
        assert caught.value.status_code == status
        assert words in str(caught.value.error)
    assert site.models["ollama"].seen == []
