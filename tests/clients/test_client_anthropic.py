"""The anthropic package against the Messages API: whole, streamed, async, tools, thinking, the count of tokens."""

import asyncio
from typing import Any, Final

import anthropic
import gathering
import pytest
from anthropic import Anthropic, AsyncAnthropic
from clientsite import ClientSite, Endpoint, told
from fake_openai import ARGUMENTS
from questions import MESSAGE, MESSAGES
from speech import masked, said

pytest_plugins = ["clientfixtures"]

every_way = pytest.mark.parametrize("body", MESSAGES.values(), ids=MESSAGES)
THOUGHT: Final = {"type": "thinking", "thinking": said("thought"), "signature": "c2lnbmF0dXJl"}


def sdk(end: Endpoint) -> Anthropic:
    return Anthropic(base_url=end.url, api_key=end.key, http_client=anthropic.DefaultHttpxClient(trust_env=False))


@every_way
def test_a_whole_message(site: ClientSite, body: dict[str, Any]) -> None:
    """Every block's text is masked both ways, a tool's input and result too; a signature is left alone."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return told(client.messages.create(**body))

    site.compare("anthropic", ask)


@every_way
def test_a_stream_of_events(site: ClientSite, body: dict[str, Any]) -> None:
    """The deltas are masked, and each block has begun before them and ends after them."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return gathering.messages([told(event) for event in client.messages.create(stream=True, **body)])

    site.compare("anthropic", ask)


@every_way
def test_the_stream_helper(site: ClientSite, body: dict[str, Any]) -> None:
    """``messages.stream`` puts the final message together, a tool's input parsed."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client, client.messages.stream(**body) as stream:
            kinds = gathering.order(event.type for event in stream)
            return {"order": kinds, "final": stream.get_final_message().to_dict()}

    site.compare("anthropic", ask)


@every_way
def test_the_async_client(site: ClientSite, body: dict[str, Any]) -> None:
    """The async client gets the same, whole, streamed and by its helper."""

    async def ask(end: Endpoint) -> Any:
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
        async with AsyncAnthropic(base_url=end.url, api_key=end.key, http_client=http) as client:
            whole = told(await client.messages.create(**body))
            events = [told(event) async for event in await client.messages.create(stream=True, **body)]
            async with client.messages.stream(**body) as stream:
                text = "".join([piece async for piece in stream.text_stream])
        return [whole, gathering.messages(events), text]

    site.compare("anthropic", lambda end: asyncio.run(ask(end)))


def test_a_thought_goes_back_and_forth(site: ClientSite) -> None:
    """Thinking that the caller sends again is masked; its signature is what it was."""

    def ask(end: Endpoint) -> Any:
        messages = [
            *MESSAGE["messages"],
            {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": said("answer")}]},
        ]
        with sdk(end) as client:
            return told(client.messages.create(**{**MESSAGE, "messages": messages}))

    site.compare("anthropic", ask)
    assert site.models["anthropic"].bodies()[0]["messages"][-1]["content"][0]["signature"] == THOUGHT["signature"]


def test_a_tools_input_is_the_masked_value(site: ClientSite) -> None:
    """The input of a tool that the model wants to use is masked inside, streamed too."""
    asked = MESSAGES["tools"]
    with sdk(site.through("anthropic")) as client:
        whole = client.messages.create(**asked).content[-1]
        with client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message().content[-1]
    assert whole.type == streamed.type == "tool_use"
    assert whole.input == streamed.input == masked(ARGUMENTS)


def test_tokens_are_counted(site: ClientSite) -> None:
    """The count is of the masked messages: the model is not shown others."""
    asked = {key: value for key, value in MESSAGES["plain"].items() if key != "max_tokens"}
    with sdk(site.through("anthropic")) as client:
        counted = client.messages.count_tokens(**asked)
    assert told(counted) == {"input_tokens": 31}
    (body,) = site.models["anthropic"].bodies()
    assert body == masked(asked)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_the_sdks_own_exception(site: ClientSite, streamed: bool) -> None:
    """A bad token is ``AuthenticationError``, a blocked prompt ``PermissionDeniedError``; both have our code."""
    end = site.through("anthropic")
    asked: dict[str, Any] = {**MESSAGE, "messages": [{"role": "user", "content": "a banana"}], "stream": streamed}
    with sdk(end) as client, pytest.raises(anthropic.PermissionDeniedError) as blocked:
        client.messages.create(**asked)
    body: Any = blocked.value.body
    assert (body["error"]["type"], body["error"]["code"]) == ("permission_error", "hoopguard_blocked")
    with sdk(Endpoint(end.url, "nonsense")) as client, pytest.raises(anthropic.AuthenticationError) as stranger:
        client.messages.create(**asked)
    body = stranger.value.body
    assert (body["error"]["type"], body["error"]["code"]) == ("authentication_error", "hoopguard_bad_token")
    assert site.models["anthropic"].seen == []
