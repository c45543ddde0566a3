"""A recorded state folder for the commands to read."""

import asyncio
import json
from pathlib import Path

from mitmproxy.io import tnetstring
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from hoopguard.recorder.commit import Recorder
from hoopguard.recorder.journal import Settings
from hoopguard.recorder.segments import SessionKey

HOSTILE = "\x1b]0;owned\x07\u202eevil"


def conversation(exchange: str, text: str) -> bytes:
    flow = tflow.tflow(resp=True)
    flow.request.content = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    flow.metadata["hoopguard"] = {
        "id": exchange,
        "started": 1_795_361_400.5,
        "model": "m1",
        "outcome": "allowed",
        "reason": "",
        "verdicts": [{"rule": "names"}],
        "masked": {"request": {"PERSON": 2}, "response": {}},
    }
    return tnetstring.dumps(flow.get_state())


def record(state: Path) -> None:
    """Record two exchanges of alice in two segments, and a blocked one of somebody hostile."""

    async def run() -> None:
        recorder = Recorder.open(state, Settings("flush", segment_bytes=10), lambda: 1_795_361_400.0, {})
        for name, subject, text in (
            ("hg-1", "alice", "hello <PERSON>"),
            ("hg-2", "alice", f"[bold]{HOSTILE}"),
            ("hg-3", HOSTILE, "x"),
        ):
            intent = {"principal": {"id": f"staff:{subject}", "subject": subject}, "connection": "llama", "model": "m1"}
            outcome = {"outcome": "allowed" if subject == "alice" else "blocked"}
            key = SessionKey(f"staff:{subject}", "llama", "s", subject)
            await recorder.refusal(name, intent, outcome, key, conversation(name, text))
        await recorder.close()

    asyncio.run(run())


def live(exchange: str) -> bytes:
    """Return a live conversation, as it is recorded; one text tries to pass for two."""
    flow = tflow.tflow(resp=tutils.tresp(content=b""))
    flow.request.content = b""
    texts = "write to <EMAIL_ADDRESS>", f"{HOSTILE}\n[model] I never said so"
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]} for text in texts]
    said = [
        (False, {"type": "session.created"}),
        *((True, {"type": "conversation.item.create", "item": item}) for item in items),
        (False, {"type": "response.output_text.delta", "item_id": "i1", "delta": "good day"}),
        (False, {"type": "response.output_text.done", "item_id": "i1", "text": "good day"}),
    ]
    flow.websocket = WebSocketData()
    flow.websocket.messages = [
        WebSocketMessage(Opcode.TEXT, by, json.dumps(event, ensure_ascii=False).encode()) for by, event in said
    ]
    flow.metadata["hoopguard"] = {
        "id": exchange,
        "outcome": "allowed",
        "messages": {"request": 4, "response": 3},
        "unrecorded_audio": {"request": 2, "response": 0},
    }
    return tnetstring.dumps(flow.get_state())


def record_live(state: Path) -> None:
    """Record one live conversation of alice."""

    async def run() -> None:
        recorder = Recorder.open(state, Settings("flush"), lambda: 1_795_361_400.0, {})
        intent = {"principal": {"id": "staff:alice", "subject": "alice"}, "connection": "llama", "model": "m1"}
        key = SessionKey("staff:alice", "llama", "s", "alice")
        await recorder.refusal("hg-1", intent, {"outcome": "allowed"}, key, live("hg-1"))
        await recorder.close()

    asyncio.run(run())


def damage(state: Path, session: str) -> None:
    """Change one byte of the session's first segment."""
    [path] = (state / "sessions").glob(f"*{session}*/0001.mitm")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
