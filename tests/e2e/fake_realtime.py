"""A small realtime model behind a real WebSocket: it answers, misbehaves on demand, and keeps what it was sent."""

import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

Event = dict[str, Any]
PLACE: Final[Event] = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


class FakeRealtime:
    """Answers ``response.create`` with the text of the last item, word by word; ``act`` does something else instead."""

    def __init__(self, key: str, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.heard: list[Any] = []
        self.heads: list[Headers] = []
        self.paths: list[str] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.act: Callable[[ServerConnection, Event], bool] = lambda ws, event: False
        self.answer_head: Callable[[Response], None] = lambda response: None
        self._key = key
        self._server: Server | None = None

    def start(self) -> Self:
        self._server = serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._admit,
            process_response=self._answer,
            subprotocols=[Subprotocol("realtime")],
            select_subprotocol=lambda ws, offered: offered[0] if offered else None,
            max_size=None,
            ssl=self.tls,
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()

    def forget(self) -> None:
        self.heard, self.heads, self.paths, self.closes = [], [], [], []
        self.act = lambda ws, event: False
        self.answer_head = lambda response: None

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.heard if isinstance(event, dict) and event.get("type") == kind]

    def _admit(self, ws: ServerConnection, request: Request) -> Response | None:
        self.heads.append(request.headers)
        self.paths.append(request.path)
        if request.headers.get("authorization") == f"Bearer {self._key}":
            return None
        return Response(401, "Unauthorized", Headers({"content-type": "application/json"}), b'{"error": "wrong key"}')

    def _answer(self, ws: ServerConnection, request: Request, response: Response) -> None:
        self.answer_head(response)

    def _talk(self, ws: ServerConnection) -> None:
        self.say(ws, "session.created", session={"id": "sess_1", "object": "realtime.session", "model": "llama-3-8b"})
        with contextlib.suppress(ConnectionClosed):
            for raw in ws:
                event = json.loads(raw) if isinstance(raw, str) else raw
                self.heard.append(event)
                if isinstance(event, dict) and not self.act(ws, event):
                    self._reply(ws, event)
        self.closes.append((ws.close_code, ws.close_reason))

    def say(self, ws: ServerConnection, kind: str, **more: Any) -> None:
        ws.send(json.dumps({"type": kind, "event_id": "event_1", **more}))

    def _reply(self, ws: ServerConnection, event: Event) -> None:
        if event["type"] == "session.update":
            self.say(ws, "session.updated", session=event["session"])
        if event["type"] == "conversation.item.create":
            self.say(ws, "conversation.item.added", previous_item_id=None, item={"id": "item_0", **event["item"]})
        if event["type"] == "response.create":
            items = self.events("conversation.item.create")
            self.tell(ws, items[-1]["item"]["content"][0]["text"] if items else "nothing")

    def tell(self, ws: ServerConnection, text: str, size: int = 4) -> bool:
        """Say a text piece by piece, then whole, then once more in what holds it; return that this was the answer."""
        item = {"id": "item_1", "type": "message", "role": "assistant", "status": "completed"}
        whole = {**item, "content": [{"type": "output_text", "text": text}]}
        self.say(ws, "response.created", response={"id": "resp_1", "object": "realtime.response", "output": []})
        for at in range(0, len(text), size):
            self.say(ws, "response.output_text.delta", **PLACE, delta=text[at : at + size])
        self.say(ws, "response.output_text.done", **PLACE, text=text)
        self.say(ws, "response.output_item.done", response_id="resp_1", output_index=0, item=whole)
        self.say(ws, "response.done", response={"id": "resp_1", "status": "completed", "output": [whole]})
        return True
