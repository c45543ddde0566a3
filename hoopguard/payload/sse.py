"""Server-sent events, read and written as the WHATWG HTML standard says (§9.2)."""

import re
from typing import Final

from hoopguard.payload.framing import Event, StreamParser

_RETRY: Final = re.compile(r"[0-9]{1,9}")


class EventParser(StreamParser):
    """Bytes in, as the network cuts them; whole events out. Comments are dropped: nobody inspects them.

    Unlike the standard, an event without its blank line at the end counts: it was sent.
    """

    _end = "\n\n"

    def __init__(self) -> None:
        super().__init__()
        self._after_cr = False
        self._data: list[str] = []
        self._fields: dict[str, str] = {}
        self._size = 0

    @property
    def waiting(self) -> int:
        """Return how many characters of an event there are that is not complete."""
        return self._size + self._waiting

    def _take(self, text: str) -> list[Event]:
        events = []
        for line in self._complete_lines(text):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        self._bound(self.waiting, "an event")
        return events

    def _complete_lines(self, text: str) -> list[str]:
        """Split at CR, LF and CRLF."""
        if not text:
            return []
        if self._after_cr:
            text, self._after_cr = text.removeprefix("\n"), False
        self._after_cr = text.endswith("\r")
        return self._lines(text.replace("\r\n", "\n").replace("\r", "\n"))

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
        elif name == "event" or (name == "id" and "\0" not in value) or (name == "retry" and _RETRY.fullmatch(value)):
            self._fields[name] = value

    def _dispatch(self) -> Event | None:
        data, fields = self._data, self._fields
        self._data, self._fields, self._size = [], {}, 0
        if not data:
            return None
        return Event(
            data="\n".join(data),
            event=fields.get("event", ""),
            id=fields.get("id"),
            retry=int(fields["retry"]) if "retry" in fields else None,
        )
