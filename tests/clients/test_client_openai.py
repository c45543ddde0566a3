"""The openai package against chat completions and completions: whole, streamed, async, tools, structured output."""

import asyncio
import json
from typing import Any, Final

import gathering
import openai
import pytest
from clientsite import ClientSite, Endpoint, told, without
from fake_openai import ARGUMENTS, STRUCTURED
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from questions import CHAT, CHATS, CHATS_OF_ONE_CHOICE
from speech import masked, said

pytest_plugins = ["clientfixtures"]

every_way = pytest.mark.parametrize("body", CHATS.values(), ids=CHATS)


def sdk(end: Endpoint) -> OpenAI:
    return OpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=openai.DefaultHttpxClient(trust_env=False))


def async_sdk(end: Endpoint) -> AsyncOpenAI:
    client = openai.DefaultAsyncHttpxClient(trust_env=False)
    return AsyncOpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=client)


def masks_logprobs(answer: Any) -> Any:
    """Log probabilities are taken out of what is masked: their tokens would say the text again."""
    return without(answer, "logprobs")


STREAMED: Final[dict[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}


@every_way
def test_a_whole_answer(site: ClientSite, body: dict[str, Any]) -> None:
    """Every text is masked both ways; ids, counts and reasons are the model's."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return told(client.chat.completions.create(**body))

    site.compare("openai", ask, masks_logprobs)


@every_way
def test_a_stream(site: ClientSite, body: dict[str, Any]) -> None:
    """What a stream says, the order in which it says it, why it ends and what it cost are the model's, masked."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return gathering.chat([told(chunk) for chunk in client.chat.completions.create(**STREAMED, **body)])

    site.compare("openai", ask)


@every_way
def test_the_async_client(site: ClientSite, body: dict[str, Any]) -> None:
    """The async client gets the same, whole and streamed."""

    async def ask(end: Endpoint) -> Any:
        async with async_sdk(end) as client:
            whole = told(await client.chat.completions.create(**body))
            chunks = [told(chunk) async for chunk in await client.chat.completions.create(**STREAMED, **body)]
        return [whole, gathering.chat(chunks)]

    site.compare("openai", lambda end: asyncio.run(ask(end)), masks_logprobs)


@pytest.mark.parametrize("body", CHATS_OF_ONE_CHOICE.values(), ids=CHATS_OF_ONE_CHOICE)
def test_the_stream_helper(site: ClientSite, body: dict[str, Any]) -> None:
    """``chat.completions.stream`` puts the final answer together without an error."""

    def ask(end: Endpoint) -> Any:
        asked: dict[str, Any] = {**body, "stream_options": {"include_usage": True}}
        with sdk(end) as client, client.chat.completions.stream(**asked) as stream:
            kinds = gathering.order(event.type for event in stream)
            return {"order": kinds, "final": told(stream.get_final_completion())}

    site.compare("openai", ask)


class Customer(BaseModel):
    summary: str
    email: str
    tags: list[str]


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output(site: ClientSite, streamed: bool) -> None:
    """``parse`` and the stream helper make the caller's own class of a masked answer."""
    with sdk(site.through("openai")) as client:
        asked: dict[str, Any] = {**CHAT, "response_format": Customer}
        if streamed:
            with client.chat.completions.stream(**asked) as stream:
                parsed = stream.get_final_completion().choices[0].message.parsed
        else:
            parsed = client.chat.completions.parse(**asked).choices[0].message.parsed
    assert parsed is not None
    assert parsed == Customer(**masked(STRUCTURED))
    assert site.models["openai"].bodies()[0]["response_format"]["json_schema"]["name"] == "Customer"


def test_tool_arguments_are_json_of_the_masked_values(site: ClientSite) -> None:
    """An address is masked in a call's arguments, also where the JSON in the string says its @ as an escape."""
    with sdk(site.through("openai")) as client:
        calls: Any = client.chat.completions.create(**CHATS["tools"]).choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [masked(ARGUMENTS)] * 2


EXTRAS: Final = {"return_token_ids": True, "prompt_logprobs": 1, "chat_template_kwargs": {"note": said("template")}}


@pytest.mark.parametrize("streamed", [False, True])
def test_vllms_extras_say_nothing_again(site: ClientSite, streamed: bool) -> None:
    """Token ids and the prompt's probabilities are taken out, whole and streamed; what else is asked for is masked."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            answer: Any = client.chat.completions.create(**CHAT, stream=streamed, extra_body=EXTRAS)
            if not streamed:
                return told(answer)
            chunks = [told(chunk) for chunk in answer]
        extras = [chunk.get(key) for chunk in chunks for key in ("prompt_token_ids", "prompt_logprobs")]
        extras += [choice.get("token_ids") for chunk in chunks for choice in chunk["choices"]]
        return {**gathering.chat(chunks), "token_ids": [extra for extra in extras if extra]}

    def hidden(answer: Any) -> Any:
        if streamed:
            assert answer["token_ids"]
            return {**answer, "token_ids": []}
        return without(answer, "token_ids", "prompt_token_ids", "prompt_logprobs")

    site.compare("openai", ask, hidden)


COMPLETIONS: Final[dict[str, dict[str, Any]]] = {"plain": {}, "echo": {"echo": True}, "logprobs": {"logprobs": 1}}


@pytest.mark.parametrize("more", COMPLETIONS.values(), ids=COMPLETIONS)
@pytest.mark.parametrize("streamed", [False, True])
def test_completions(site: ClientSite, more: dict[str, Any], streamed: bool) -> None:
    """The older route: the text, its echo of the prompt and its end."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            if not streamed:
                return told(client.completions.create(model="llama-3-8b", prompt=said("prompt"), **more))
            chunks = list(client.completions.create(model="llama-3-8b", prompt=said("prompt"), **STREAMED, **more))
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        usage = [chunk.usage.to_dict() for chunk in chunks if chunk.usage]
        return {"text": text, "reasons": reasons, "usage": usage, "last": chunks[-1].choices == []}

    site.compare("openai", ask, masks_logprobs)


def test_the_models_are_listed(site: ClientSite) -> None:
    """The list of models comes as the server gives it."""
    lists = []
    for end in (site.direct("openai"), site.through("openai")):
        with sdk(end) as client:
            lists.append([told(model) for model in client.models.list()])
    assert lists[0] == lists[1]
    assert lists[0][0]["id"] == "llama-3-8b"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_the_sdks_own_exception(site: ClientSite, streamed: bool) -> None:
    """A bad token is ``AuthenticationError``, a blocked prompt ``PermissionDeniedError``; both have our code."""
    end = site.through("openai")
    asked: dict[str, Any] = {"model": "llama-3-8b", "messages": [{"role": "user", "content": "a banana"}]}
    with sdk(end) as client, pytest.raises(openai.PermissionDeniedError) as blocked:
        client.chat.completions.create(**asked, stream=streamed)
    assert blocked.value.code == "hoopguard_blocked"
    assert "Bananas must not be discussed." in blocked.value.message
    with sdk(Endpoint(end.url, "nonsense")) as client, pytest.raises(openai.AuthenticationError) as stranger:
        client.chat.completions.create(**asked, stream=streamed)
    assert stranger.value.code == "hoopguard_bad_token"
    assert site.models["openai"].seen == []
