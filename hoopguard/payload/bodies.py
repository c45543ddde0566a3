"""How a body's bytes are read and written: as JSON, as forms, or as JSON that may be missing."""

import asyncio
import re
from typing import Any, Final, NamedTuple, Protocol

from hoopguard.payload import strict_json

_ASIDE_BYTES: Final = 131_072
_JSON: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json(?:\s*;\s*charset=\"?utf-?8\"?)?\s*", re.IGNORECASE)


class Written(NamedTuple):
    """A body as it is sent, and the content type that says how to read it."""

    content: bytes
    content_type: str


NOTHING: Final = Written(b"", "")


class BodyKind(Protocol):
    """A way to read and write bodies; what is written is made of what was read, and of nothing else (law 3)."""

    media: str
    may_be_missing: bool

    def takes(self, content_type: str) -> bool:
        """Tell whether a body of this ``Content-Type`` can be read."""
        ...

    def parse(self, raw: bytes, content_type: str) -> Any:
        """Return what a body says, as plain JSON values.

        Raises:
            BodyError: it is not what its content type says.
        """
        ...

    def write(self, body: Any) -> Written:
        """Return the body that says what ``body`` says."""
        ...


class JsonBody:
    """A JSON value; one that ``may_be_missing`` is an empty object if there are no bytes at all."""

    media = "application/json"

    def __init__(self, *, may_be_missing: bool = False) -> None:
        self.may_be_missing = may_be_missing

    def takes(self, content_type: str) -> bool:
        """Tell whether the content type is JSON's, in UTF-8."""
        return _JSON.fullmatch(content_type) is not None or (self.may_be_missing and not content_type)

    def parse(self, raw: bytes, content_type: str) -> Any:
        """Return the JSON value."""
        return {} if self.may_be_missing and not raw else strict_json.parse(raw)

    def write(self, body: Any) -> Written:
        """Return the value as compact JSON."""
        return Written(b"" if self.may_be_missing and body == {} else strict_json.dump(body), self.media)


JSON: Final = JsonBody()


async def parse_aside(kind: BodyKind, raw: bytes, content_type: str) -> Any:
    """Return what a body says; a large one is read in a thread, so that others do not wait.

    Raises:
        BodyError: it is not what its content type says.
    """
    if len(raw) <= _ASIDE_BYTES:
        return kind.parse(raw, content_type)
    return await asyncio.to_thread(kind.parse, raw, content_type)
