"""A gateway in front of a fake realtime model, and a caller's end of a conversation with it."""

import contextlib
import json
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from fake_realtime import FakeRealtime
from harness import DEADLINE_S, MODEL_KEY, Site
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

Event = dict[str, Any]
PATH: Final = "/v1/realtime?model=llama-3-8b"
FAULTY: Final = Path(__file__).with_name("faulty_addons.py")
EMAIL: Final = "ada.lovelace@example.com"
ONLY_LLAMA: Final = '{ groups = ["only-llama"], models = ["llama-3-8b"], routes = ["realtime"] },'
SPEECH: Final = """
[[guardrail]]
name = "speech"
on = "both"
unreadable = ["audio"]
action = "flag"
unless = { groups = ["silent"] }
"""


class RealtimeSite(Site):
    """A gateway whose one connection has the route ``realtime``; its stations can be broken while it runs."""

    def __init__(self, folder: Path, *, tls: ssl.SSLContext | None = None, ways: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self.realtime = FakeRealtime(MODEL_KEY, tls).start()
        self.modes = [f"reverse:{self.realtime.url}@0", *ways]
        self.write_realtime_policy()
        self.break_("")

    def write_realtime_policy(self, extra: str = "") -> None:
        text = self.write_policy(model=self.realtime.url, extra=SPEECH + extra)
        text = text.replace('"embeddings"]', '"embeddings", "realtime"]')
        self.put_policy(text.replace("allow = [", f"allow = [{ONLY_LLAMA}"))

    def start_realtime(self) -> Self:
        return self.start(script=FAULTY, env={"HG_E2E_FAULT": str(self.folder / "fault")})

    def break_(self, fault: str) -> None:
        draft = self.folder / "fault.new"
        draft.write_text(fault)
        draft.replace(self.folder / "fault")

    def close(self) -> None:
        super().close()
        self.realtime.stop()

    @contextlib.contextmanager
    def talk(self, *, token: str | None = None, path: str = PATH, **more: Any) -> Iterator["Caller"]:
        """Open a conversation; the model's greeting has come."""
        options: dict[str, Any] = {
            "additional_headers": {"authorization": f"Bearer {token or self.token()}"},
            "subprotocols": [Subprotocol("realtime")],
            "open_timeout": DEADLINE_S,
            "close_timeout": DEADLINE_S,
            "max_size": None,
        } | more
        with connect(f"ws://127.0.0.1:{self.port}{path}", **options) as ws:
            caller = Caller(ws)
            assert caller.hear()["type"] == "session.created"
            yield caller

    def recorded(self, exchange: str) -> HTTPFlow:
        """Return the one recorded flow of an exchange."""
        self.outcome(exchange)
        flows = []
        for path in self.state.glob("sessions/*/*.mitm"):
            with path.open("rb") as file:
                flows += list(FlowReader(file).stream())
        (flow,) = [flow for flow in flows if flow.metadata["hoopguard"]["id"] == exchange]
        assert isinstance(flow, HTTPFlow)
        return flow

    def assert_nothing_has(self, secret: str) -> None:
        """Assert that neither the model, nor the log, nor a recording, nor the ledger has seen something."""
        assert secret not in json.dumps(self.realtime.heard)
        kept = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "policy.toml"]
        assert [path for path in kept if secret.encode() in path.read_bytes()] == []


class Caller:
    """A caller's end of a conversation."""

    def __init__(self, ws: Connection) -> None:
        self.ws = ws
        assert ws.response is not None
        self.exchange = ws.response.headers["hoopguard-exchange"]

    def send(self, kind: str, **more: Any) -> None:
        self.ws.send(json.dumps({"type": kind, **more}))

    def say(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    def hear(self) -> Event:
        raw = self.ws.recv(DEADLINE_S)
        assert isinstance(raw, str)
        event: Event = json.loads(raw)
        return event

    def hear_until(self, kind: str) -> list[Event]:
        """Return what is said up to and with an event of some kind."""
        events = [self.hear()]
        while events[-1]["type"] != kind:
            events.append(self.hear())
        return events

    def hear_all(self) -> list[Event]:
        """Return what is said until the gateway closes the conversation."""
        events = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                events.append(self.hear())
        return events

    def assert_ended(self, code: str, close: int) -> list[Event]:
        """Assert that the conversation ends with this error and close code; return what came before the error."""
        *before, last = self.hear_all()
        assert last["type"] == "error"
        assert last["error"]["code"] == code, last
        assert last["error"]["hoopguard"]["exchange"] == self.exchange
        assert self.ws.close_code == close
        return before


def told(events: list[Event]) -> str:
    """Return what a text's deltas say."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
