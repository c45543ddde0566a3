"""The mcp package's client over streamable HTTP: lists, calls, resources, prompts, and what is told meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from clientsite import ClientSite, Endpoint, equal
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl
from speech import address, masked, said

pytest_plugins = ["clientfixtures"]

ARGUMENTS = {"query": said("query"), "contact": {"email": address("contact")}}
KINDS = ["mcp", "mcp_stateless", "mcp_whole"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@asynccontextmanager
async def session(end: Endpoint, logs: list[Any] | None = None) -> AsyncIterator[ClientSession]:
    """Open a session as the package does it; what the server logs goes to ``logs``."""

    async def log(params: types.LoggingMessageNotificationParams) -> None:
        if logs is not None:
            logs.append(params.model_dump(mode="json"))

    headers = {"authorization": f"Bearer {end.key}"}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
        streamable_http_client(f"{end.url}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write, logging_callback=log) as opened,
    ):
        yield opened


def dumped(result: Any) -> Any:
    return result.model_dump(mode="json")


@every_kind
def test_what_a_server_offers(site: ClientSite, kind: str) -> None:
    """Instructions and descriptions are masked; names, schemas and addresses of resources are the server's."""

    async def ask(end: Endpoint) -> Any:
        async with session(end) as opened:
            hello = await opened.initialize()
            lists = [await opened.list_tools(), await opened.list_resources(), await opened.list_prompts()]
            return [dumped(answer) for answer in (hello, *lists)]

    directly, through = (asyncio.run(ask(end)) for end in (site.direct(kind), site.through(kind)))
    equal(through, masked(directly))
    assert [tool["name"] for tool in through[1]["tools"]] == ["find_customer", "fail"]


@every_kind
def test_a_tool_is_called(site: ClientSite, kind: str) -> None:
    """Arguments, result, structured result, logs and progress are masked."""

    async def ask(end: Endpoint) -> Any:
        logs: list[Any] = []

        async def told(progress: float, total: float | None, message: str | None) -> None:
            logs.append([progress, total, message])

        async with session(end, logs) as opened:
            await opened.initialize()
            found = await opened.call_tool("find_customer", ARGUMENTS, progress_callback=told)
            failed = await opened.call_tool("fail")
        return [dumped(found), dumped(failed), logs]

    site.compare(kind, lambda end: asyncio.run(ask(end)))


@every_kind
def test_resources_and_prompts(site: ClientSite, kind: str) -> None:
    """A resource's contents are masked, a prompt's arguments and its text."""

    async def ask(end: Endpoint) -> Any:
        async with session(end) as opened:
            await opened.initialize()
            contents = await opened.read_resource(AnyUrl("customer://list"))
            prompt = await opened.get_prompt("greet", {"name": said("name")})
        return [dumped(contents), dumped(prompt)]

    directly, through = site.twice(kind, lambda end: asyncio.run(ask(end)))
    equal(through, masked(directly))


def test_a_forbidden_call_is_an_error_of_that_call(site: ClientSite) -> None:
    """The package raises it where the tool was called, and the session goes on; the tool is not called."""

    async def ask(end: Endpoint) -> Any:
        async with session(end) as opened:
            await opened.initialize()
            with pytest.raises(McpError, match="Bananas must not be discussed") as caught:
                await opened.call_tool("find_customer", {"query": "a banana", "contact": {}})
            return caught.value.error.data, dumped(await opened.list_tools())

    data, tools = asyncio.run(ask(site.through("mcp")))
    assert (data["code"], data["status"]) == ("hoopguard_blocked", 403)
    assert tools["tools"]
    assert not [body for body in site.models["mcp"].bodies() if body["method"] == "tools/call"]


def test_a_stranger_gets_https_own_refusal(site: ClientSite) -> None:
    """Without a token there is no session that could go on."""

    async def ask(end: Endpoint) -> Any:
        async with session(end) as opened:
            await opened.initialize()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(ask(Endpoint(site.through("mcp").url, "nonsense")))
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, httpx.HTTPStatusError)
    assert error.response.status_code == 401
    assert not site.models["mcp"].bodies()
