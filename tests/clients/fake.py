"""What the fake model servers have in common: routes, a key, a memory, and the two ways to stream."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar, Final

import orjson

from hoopguard.demo.connection import Reply, Request, json_reply
from hoopguard.demo.loopback import LoopbackServer

Json = dict[str, Any]
Route = Callable[[Json], Reply]

KEY: Final = "fake-model-key-51b2"
CREATED: Final = 1_763_836_200
"""A time of creation: ten digits, as real ones have, and no phone number."""


class Fake(LoopbackServer):
    """A model server that answers by ``(method, path)`` and keeps what it was sent."""

    api: ClassVar[str] = "openai"
    """What the policy calls the API that it speaks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return what answers which request."""
        raise NotImplementedError

    async def handle(self, request: Request) -> Reply:
        """Keep the request and answer it."""
        self.seen.append(request)
        if request.header("authorization") != f"Bearer {KEY}":
            return json_reply(self.error("wrong key"), 401)
        route = self.routes.get((request.method, request.path))
        if route is None:
            return json_reply(self.error(f"no route {request.method} {request.path}"), 404)
        return route(self.read(request))

    def read(self, request: Request) -> Json:
        """Return a request's body, parsed."""
        body: Json = request.json()
        return body

    def error(self, message: str) -> Json:
        """Return an error in the API's own shape."""
        return {"error": message}

    def forget(self) -> None:
        """Forget what was sent."""
        self.seen.clear()

    def bodies(self) -> list[Any]:
        """Return the bodies that arrived, parsed."""
        return [self.read(request) for request in self.seen]


def event_stream(events: Iterable[Json], *, named: bool = False, last: str = "") -> Reply:
    """Answer with server-sent events, ``named`` by their type or not; ``last`` ends them as OpenAI does."""

    async def lines() -> AsyncIterator[bytes]:
        for event in events:
            name = f"event: {event['type']}\n".encode() if named else b""
            yield name + b"data: " + orjson.dumps(event) + b"\n\n"
        if last:
            yield f"data: {last}\n\n".encode()

    return Reply(lines(), content_type="text/event-stream", headers=(("cache-control", "no-cache"),))


def json_lines(values: Iterable[Json]) -> Reply:
    """Answer with one JSON value a line."""

    async def lines() -> AsyncIterator[bytes]:
        for value in values:
            yield orjson.dumps(value) + b"\n"

    return Reply(lines(), content_type="application/x-ndjson")
