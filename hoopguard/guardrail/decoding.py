r"""What a text says in base64, in hex, or behind escapes (``%73``, ``&#115;``, ``\u0073``).

RE2 looks for what could be such a thing in one pass, which is all that is done for a text that has none. Base64 and hex
are found by what they say: six letters of ASCII, or four of Cyrillic, Greek or Chinese, look like nothing else; a
longer run is tried whatever it looks like. Each run is decoded from every place in it that could be its beginning, so
nothing that is written before it hides it. Work grows with the text and not with its square.

For a text that arrives in pieces, :func:`open_from` says from where on more of it could change what it says.
"""

import binascii
import html
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

import re2

from hoopguard.guardrail.escapes import ESCAPE, meaning

_ANY: Final = "[A-Za-z0-9+/_-]"
_ASCII: Final = f"[CI-Za-f][C-HS-Xi-ny-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589]{_ANY}"
"""The digits of three bytes from 0x20 to 0x7e, or line breaks (RFC 4648 §4)."""

_THREE: Final = f"[4-7][I-Zabo-r4-7][CGKOSWaeimquy26+-]{_ANY}"
_TWO_ONE: Final = "[w-z0-3][I-Zabo-r4-7][DHLPTXbfjnrvz37/_][C-Za-f]"
_ONE_TWO: Final = f"[g-v][MNcdst89][CGKOSWaeimquy26+-]{_ANY}"
"""The same for characters of UTF-8 that take three bytes, or two, one of which is in the next digits."""

BASE64: Final = (
    f"(?:{_ASCII}){{2}}|{_ASCII}[CI-Za-f]{_ANY}{{1,2}}=|(?:{_THREE}){{2}}|{_TWO_ONE}{_ONE_TWO}|{_ONE_TWO}{_TWO_ONE}"
    f"|{_ANY}{{24}}"
)
_LINE: Final = rf"{_ANY}{{20,}}\r?\n[ \t]*"
"""A line that goes on in the next. Shorter ones are mostly words."""

_BASE64_RUN: Final = re.compile(rf"(?:{_ANY}{{20,}}+\r?\n[ \t]*+)*+(?:{_ANY}++)?")
_HEX: Final = "[0-9a-fA-F]"
_SOLID: Final = f"(?:[2-7]{_HEX}){{4}}|{_HEX}{{24}}"
_SOLID_RUN: Final = re.compile(f"{_HEX}++")
_BETWEEN: Final = r"[\t\n\r :,;-]{1,2}"
_PAIR: Final = f"(?:0x)?{_HEX}{{2}}"
_FIRST_PAIR: Final = rf"\b(?:0x)?[2-7]{_HEX}"
_SPACED: Final = rf"{_FIRST_PAIR}(?:{_BETWEEN}(?:0x)?[2-7]{_HEX}){{3}}\b"
_SPACED_RUN: Final = re.compile(rf"{_PAIR}(?:{_BETWEEN}{_PAIR}\b)*+", re.ASCII)
_NO_DIGITS: Final = str.maketrans("", "", "\t\n\r :,;-")
_STANDARD: Final = str.maketrans("-_", "+/", " \t\r\n")

_ESCAPED: Final = re.compile(
    r"(?P<percent>(?:%[0-9a-fA-F]{2})++)"
    r"|(?P<entity>&(?:\#0{0,32}[0-9]{1,7}|\#[xX]0{0,32}[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?)"
    r"|(?P<unicode>(?:\\u[0-9a-fA-F]{4})++)|(?P<bytes>(?:\\x[0-9a-fA-F]{2})++)"
)
_READABLE: Final = re.compile(
    rb"(?:\x00?[\t\n\r\x20-\x7e]\x00?|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}){2,}+"
)
"""UTF-8, or UTF-16 of ASCII: two characters at least, so that bytes that say nothing are passed over quickly."""

_LEAST_BYTES: Final = 6


def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.never_capture = True
    return re2.compile(pattern, options)


_CODED: Final = r"[A-Za-z0-9+/_%&#;\\-]"
_BASE64_BEGINS: Final = _compile(f"{_ANY}*(?:{BASE64})")
_SOLID_BEGINS: Final = _compile(f"{_HEX}*(?:{_SOLID})")
_SPACED_BEGINS: Final = _compile(_SPACED)
_ANYTHING: Final = _compile(rf"{BASE64}|{_SOLID}|{_SPACED}|%[0-9a-fA-F]{{2}}|&[#A-Za-z]|\\[ux][0-9a-fA-F]{{2}}")
_GOES_ON: Final = f"{_CODED}*{_LINE}"
_OPEN: Final = _compile(
    rf"(?:(?:{_GOES_ON}|{_CODED}*{_FIRST_PAIR}{_BETWEEN})(?:{_GOES_ON}|{_CODED}*\b{_PAIR}{_BETWEEN})*)?"
    rf"(?:{_CODED}*{_ANY}{{20,}}\r|{_CODED}+)?\z"
)


def encodes(text: str) -> bool:
    """Tell whether a text may say something in another encoding, at the cost of one pattern."""
    return _ANYTHING.search(text) is not None


def open_from(text: str) -> int:
    """Return from where on more text could change what is decoded: mostly where the last word begins."""
    found = _OPEN.search(text)
    return len(text) if found is None else int(found.start())


def without_escapes(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text in parts: what each says without escapes, and how it stands there."""
    at = 0
    for escape in _ESCAPED.finditer(text):
        yield text[at : escape.start()], text[at : escape.start()]
        yield _meant(escape), escape[0]
        at = escape.end()
    yield text[at:], text[at:]


def runs(text: str) -> Iterator[str]:
    """Yield what each run of base64 or hex in a text says, where that can be read."""
    for run in _runs(text, _BASE64_BEGINS, _BASE64_RUN):
        digits = run.translate(_STANDARD)
        yield from _readable(_bytes_of(digits[first:]) for first in range(4))
    for run in _runs(text, _SOLID_BEGINS, _SOLID_RUN):
        yield from _readable(_pairs(run, first) for first in range(2))
    for run in _runs(text, _SPACED_BEGINS, _SPACED_RUN):
        yield from _readable([_pairs(run.replace("0x", "").translate(_NO_DIGITS), 0)])


def _meant(escape: re.Match[str]) -> str:
    match escape.lastgroup:
        case "percent":
            return unquote(escape[0], errors="replace")
        case "entity":
            return html.unescape(escape[0])
        case "unicode":
            return ESCAPE.sub(meaning, escape[0])
        case _:
            return bytes.fromhex(escape[0].replace("\\x", "")).decode(errors="replace")


def _bytes_of(digits: str) -> bytes:
    """Return what base64 says; a digit that is left over says nothing."""
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))


def _pairs(digits: str, first: int) -> bytes:
    return bytes.fromhex(digits[first : len(digits) - (len(digits) - first) % 2])


def _runs(text: str, begins: Any, whole: re.Pattern[str]) -> Iterator[str]:
    end = 0
    for begun in begins.finditer(text):
        if begun.start() >= end and (run := whole.match(text, begun.start())):
            yield run[0]
            end = run.end()


def _readable(readings: Iterable[bytes]) -> Iterator[str]:
    """Yield as one what can be read in a run: all of it, or what is too long to be there by chance."""
    parts = [
        found[0].decode(errors="replace")
        for said in readings
        for found in _READABLE.finditer(said)
        if len(found[0]) == len(said) or len(found[0]) >= _LEAST_BYTES
    ]
    if parts:
        yield "\n".join(parts)
