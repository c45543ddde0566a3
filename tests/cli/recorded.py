"""A recorded state folder for the commands to read."""

import asyncio
import json
from pathlib import Path

from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

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


def damage(state: Path, session: str) -> None:
    """Change one byte of the session's first segment."""
    [path] = (state / "sessions").glob(f"*{session}*/0001.mitm")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
