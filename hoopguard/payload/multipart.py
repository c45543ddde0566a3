"""Forms with files (``multipart/form-data``, RFC 7578), read as JSON values and written anew from them.

A field is a text. One whose name ends in ``[]`` may be there several times, and is a list. A file is an object: its
``filename``, its ``type``, and its ``data`` in base64. Of a file's name only what tells its format is kept: a model
does not need the rest, in which people write all sorts of things.
"""

import base64
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hoopguard.payload.bodies import Written
from hoopguard.payload.strict_json import BodyError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_PARTS: Final = 1_000
_SAME: Final = frozenset({"", "7bit", "8bit", "binary"})
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}", re.IGNORECASE | re.ASCII)
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}\Z", re.ASCII)
_QUOTED: Final = {'"': "%22", "\r": "%0D", "\n": "%0A"}
"""What cannot stand in a quoted name (WHATWG HTML §4.10.21.8)."""


class MultipartBody:
    """A form; only the fields in ``files`` may be files."""

    media = "multipart/form-data"
    may_be_missing = False

    def __init__(self, files: Iterable[str]) -> None:
        self._files = frozenset(files)

    def takes(self, content_type: str) -> bool:
        """Tell whether the content type is a form's, with a boundary."""
        media, options = parse_options_header(content_type if content_type.isascii() else "")
        return media == b"multipart/form-data" and bool(options.get(b"boundary"))

    def parse(self, raw: bytes, content_type: str) -> dict[str, Any]:
        """Return the form's fields.

        Raises:
            BodyError: no form, one that is cut off, one that could be read two ways, or a file where none belongs.
        """
        form: dict[str, Any] = {}
        for part in _parts(raw, parse_options_header(content_type)[1].get(b"boundary", b"")):
            name, value = part.field()
            if isinstance(value, dict) and name not in self._files:
                raise BodyError(f"only these fields of the form may be files: {', '.join(sorted(self._files))}")
            if name.endswith("[]"):
                form.setdefault(name, []).append(value)
            elif name in form:
                raise BodyError("the form has the same field twice")
            else:
                form[name] = value
        return form

    def write(self, body: Any) -> Written:
        """Return the form with a boundary that nobody could know before."""
        boundary = f"hoopguard-{secrets.token_hex(16)}"
        out = bytearray()
        for name, value in _fields(body):
            out += f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'.encode()
            out += _file(value) if isinstance(value, dict) else b"\r\n\r\n" + _said(value).encode()
            out += b"\r\n"
        out += f"--{boundary}--\r\n".encode()
        return Written(bytes(out), f"{self.media}; boundary={boundary}")


class _Part:
    """One part of a form, while it is read."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.data = bytearray()

    def field(self) -> tuple[str, Any]:
        """Return the field's name, and its text or file."""
        disposition, options = parse_options_header(self.headers.get("content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise BodyError("a part of the form has no name")
        if self.headers.get("content-transfer-encoding", "").lower() not in _SAME:
            raise BodyError("a part of the form has a transfer encoding")
        name = _text(options[b"name"])
        if b"filename" not in options:
            return name, _text(bytes(self.data))
        return name, {
            "filename": _nameless(_text(options[b"filename"])),
            "type": self.headers.get("content-type", "application/octet-stream"),
            "data": base64.b64encode(self.data).decode(),
        }


class _Reader:
    """Gathers parts out of the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.complete = False
        self._name = bytearray()
        self._value = bytearray()

    def on_part_begin(self) -> None:
        if len(self.parts) >= _MAX_PARTS:
            raise BodyError(f"the form has more than {_MAX_PARTS} parts")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        name, headers = self._name.decode("latin-1").lower(), self.parts[-1].headers
        if name in headers:
            raise BodyError("a part of the form has the same header twice")
        headers[name] = self._value.decode("latin-1").strip()
        self._name.clear()
        self._value.clear()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def on_end(self) -> None:
        self.complete = True


def _parts(raw: bytes, boundary: bytes) -> list[_Part]:
    reader = _Reader()
    callbacks: MultipartCallbacks = {
        "on_part_begin": reader.on_part_begin,
        "on_header_field": reader.on_header_field,
        "on_header_value": reader.on_header_value,
        "on_header_end": reader.on_header_end,
        "on_part_data": reader.on_part_data,
        "on_end": reader.on_end,
    }
    try:
        MultipartParser(boundary, callbacks).write(raw)
    except FormParserError as error:
        raise BodyError("the body is not a form as its Content-Type says") from error
    if not reader.complete:
        raise BodyError("the form has no end")
    return reader.parts


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError("a field of the form is not UTF-8") from error


def _nameless(filename: str) -> str:
    suffix = _SUFFIX.search(filename)
    return f"file{suffix[0].lower()}" if suffix else "file"


def _fields(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in body.items():
        for each in value if isinstance(value, list) else [value]:
            yield name, each


def _file(value: dict[str, Any]) -> bytes:
    """Return what comes after a file's name as a field."""
    kind = str(value.get("type", ""))
    kind = kind if _TYPE.fullmatch(kind) else "application/octet-stream"
    head = f'; filename="{_quoted(str(value.get("filename", "")))}"\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + base64.b64decode(value.get("data") or "")


def _said(value: Any) -> str:
    return "" if value is None else str(value)


def _quoted(name: str) -> str:
    return "".join(_QUOTED.get(character, character) for character in name)
