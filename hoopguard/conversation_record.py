"""What is kept of a live conversation: its messages, as mitmproxy's files hold them, written one by one as they come.

A message kept as an object costs many times its text, and turning very many of them into a file at the end would hold
up everybody else; so each is written once, and what is counted is what the recording will hold.
"""

import time
from typing import Any

from wsproto.frame_protocol import Opcode

from hoopguard.exchange import Refused
from hoopguard.payload.openai_realtime import is_audio
from hoopguard.recorder.tnetstring import Encoded, dumps


class ConversationRecord:
    """The messages of both sides as they went on, masked; speech, which nobody has looked into, is only counted.

    The counts are ``messages`` and ``unrecorded_audio`` of the exchange's ``facts``. At most ``max_bytes`` are kept,
    and nothing if the policy wants no contents (``keeps``).
    """

    def __init__(self, facts: dict[str, Any], *, max_bytes: int, keeps: bool) -> None:
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
        direction = "request" if from_caller else "response"
        self._messages[direction] += 1
        if is_audio(message):
            self._audio[direction] += 1
            return
        written = _written(message, from_caller=from_caller)
        if self._keeps and len(self._written) + len(written) > self._max_bytes:
            text = "The conversation has become too long to be recorded; begin a new one."
            raise Refused(413, "hoopguard_body_too_large", text)
        self._keep(written)

    def add_last(self, message: bytes) -> None:
        """Keep our own last word to the caller, for which there is always room."""
        self._keep(_written(message, from_caller=False))

    def _keep(self, written: bytes) -> None:
        if self._keeps:
            self._written += written


def _written(message: bytes, *, from_caller: bool) -> bytes:
    """Return a message's state (``WebSocketMessageState``), written."""
    return dumps((int(Opcode.TEXT), from_caller, message, time.time(), False, False))
