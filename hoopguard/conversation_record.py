"""What is kept of a live conversation: its messages, as mitmproxy's files hold them, written one by one as they come.

A message kept as an object costs many times its text, and turning very many of them into a file at the end would hold
up everybody else; so each is written once, and what is counted is what the recording will hold.
"""

import time
from typing import Any

from wsproto.frame_protocol import Opcode

from hoopguard.exchange import Direction, Refused
from hoopguard.payload import strict_json
from hoopguard.payload.fields import read
from hoopguard.payload.openai_realtime import may_hold_audio
from hoopguard.payload.wire import Format
from hoopguard.recorder.tnetstring import Encoded, dumps


class ConversationRecord:
    """The messages of both sides as they went on, masked; of speech, which nobody has looked into, what stands beside.

    The counts are ``messages`` and ``unrecorded_audio`` of the exchange's ``facts``. At most ``max_bytes`` are kept,
    and nothing if the policy wants no contents (``keeps``).
    """

    def __init__(self, format_: Format, facts: dict[str, Any], *, max_bytes: int, keeps: bool) -> None:
        self._format = format_
        self._messages = facts["messages"] = {"request": 0, "response": 0}
        self._audio = facts["unrecorded_audio"] = {"request": 0, "response": 0}
        self._max_bytes = max_bytes
        self._keeps = keeps
        self._written = bytearray()

    @property
    def messages(self) -> Encoded:
        """Return the list of messages, as ``WebSocketData.get_state`` has it, written."""
        return Encoded(b"".join((b"%d:" % len(self._written), self._written, b"]")))

    def add(self, message: bytes, *, from_caller: bool) -> None:
        """Keep a message that goes on.

        Raises:
            Refused: the conversation does not fit into one segment of the recording any more.
        """
        direction: Direction = "request" if from_caller else "response"
        self._messages[direction] += 1
        said = self._without_speech(message, direction) if may_hold_audio(message) else message
        if said is None:
            return
        written = _written(said, from_caller=from_caller)
        if self._keeps and len(self._written) + len(written) > self._max_bytes:
            text = "The conversation has become too long to be recorded; begin a new one."
            raise Refused(413, "hoopguard_body_too_large", text)
        self._keep(written)

    def _without_speech(self, message: bytes, direction: Direction) -> bytes | None:
        """Return a message without its speech, which is counted; None if it says nothing else."""
        stream = self._format.stream
        event = strict_json.parse(message)
        reading = read(event, self._format.request if direction == "request" or stream is None else stream.fields)
        for node, key in reading.unreadable:
            node[key] = None
        if not reading.unreadable:
            return message
        self._audio[direction] += 1
        return strict_json.dump(event) if reading.texts or reading.names else None

    def add_last(self, message: bytes) -> None:
        """Keep our own last word to the caller, for which there is always room."""
        self._keep(_written(message, from_caller=False))

    def _keep(self, written: bytes) -> None:
        if self._keeps:
            self._written += written


def _written(message: bytes, *, from_caller: bool) -> bytes:
    """Return a message's state (``WebSocketMessageState``), written."""
    return dumps((int(Opcode.TEXT), from_caller, message, time.time(), False, False))
