"""The openai package against the Responses API: every event, and every event that says a text again."""

import asyncio
import json
from typing import Any

import gathering
import openai
import pytest
from clientsite import ClientSite, Endpoint, told
from fake_openai import ARGUMENTS, STRUCTURED
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from questions import RESPONSE, RESPONSES
from speech import masked

pytest_plugins = ["clientfixtures"]

every_way = pytest.mark.parametrize("body", RESPONSES.values(), ids=RESPONSES)


def sdk(end: Endpoint) -> OpenAI:
    return OpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=openai.DefaultHttpxClient(trust_env=False))


@every_way
def test_a_whole_response(site: ClientSite, body: dict[str, Any]) -> None:
    """Every item's text is masked, also what the response says again of the request."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            return told(client.responses.create(**body))

    site.compare("responses", ask)


@every_way
def test_a_stream_of_events(site: ClientSite, body: dict[str, Any]) -> None:
    """The deltas are masked, and so is every later event that says their text again; the numbers rise."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client:
            events: Any = client.responses.create(stream=True, **body)
            return gathering.responses([told(event) for event in events])

    site.compare("responses", ask)


@every_way
def test_the_async_client(site: ClientSite, body: dict[str, Any]) -> None:
    """The async client gets the same, whole and streamed."""

    async def ask(end: Endpoint) -> Any:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with AsyncOpenAI(base_url=f"{end.url}/v1", api_key=end.key, http_client=http) as client:
            whole = told(await client.responses.create(**body))
            stream: Any = await client.responses.create(stream=True, **body)
            return [whole, gathering.responses([told(event) async for event in stream])]

    site.compare("responses", lambda end: asyncio.run(ask(end)))


@every_way
def test_the_stream_helper(site: ClientSite, body: dict[str, Any]) -> None:
    """``responses.stream`` puts the final response together; it is what the last event says."""

    def ask(end: Endpoint) -> Any:
        with sdk(end) as client, client.responses.stream(**body) as stream:
            kinds = gathering.order(event.type for event in stream)
            return {"order": kinds, "final": stream.get_final_response().to_dict()}

    site.compare("responses", ask)


class Customer(BaseModel):
    summary: str
    email: str
    tags: list[str]


def test_structured_output(site: ClientSite) -> None:
    """``parse`` makes the caller's own class of a masked answer."""
    with sdk(site.through("responses")) as client:
        parsed = client.responses.parse(text_format=Customer, **RESPONSE).output_parsed
    assert parsed == Customer(**masked(STRUCTURED))


def test_a_calls_arguments_are_json_of_the_masked_values(site: ClientSite) -> None:
    """A function call's arguments are still JSON, streamed too."""
    with sdk(site.through("responses")) as client:
        asked = RESPONSES["tools"]
        (call,) = [item for item in client.responses.create(**asked).output if item.type == "function_call"]
        events: Any = client.responses.create(**asked, stream=True)
        pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert [json.loads(call.arguments), json.loads("".join(pieces))] == [masked(ARGUMENTS)] * 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_the_sdks_own_exception(site: ClientSite, streamed: bool) -> None:
    """A bad token is ``AuthenticationError``, a blocked prompt ``PermissionDeniedError``; both have our code."""
    end = site.through("responses")
    asked: dict[str, Any] = {"model": "llama-3-8b", "input": "a banana", "stream": streamed}
    with sdk(end) as client, pytest.raises(openai.PermissionDeniedError) as blocked:
        client.responses.create(**asked)
    assert blocked.value.code == "hoopguard_blocked"
    with sdk(Endpoint(end.url, "nonsense")) as client, pytest.raises(openai.AuthenticationError) as stranger:
        client.responses.create(**asked)
    assert stranger.value.code == "hoopguard_bad_token"
    assert site.models["responses"].seen == []
