"""The ways in which a text can be read: as it is, without disguise, and out of its JSON strings."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind

PLAIN: Final = re.compile(r"[\t\n\r\x20-\x7e]*+")
"""Text that has no disguise."""

INVISIBLE: Final = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}\x00-\x08\x0e-\x1f\x7f-\x9f]+")
_MARKS: Final = regex.compile(r"(\p{M}{30})\p{M}+")
_HEX: Final = "[0-9a-fA-F]"
_HIGH: Final = rf"\\u[dD][89abAB]{_HEX}{{2}}"
ESCAPE: Final = re.compile(
    rf"(?P<pair>{_HIGH}\\u[dD][c-fC-F]{_HEX}{{2}})|\\u(?P<unicode>{_HEX}{{4}})|\\(?P<short>[\"\\/bfnrt])"
)
UNFINISHED_ESCAPE: Final = re.compile(rf"{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?\Z|\\(?:u{_HEX}{{0,3}})?\Z")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*+\\?+)"?', re.DOTALL)


def views(text: Text) -> Iterator[str]:
    """Yield each way in which a text can be read."""
    readings = [text.value]
    if text.kind is Kind.JSON_TEXT:
        readings += [unescaped(match[1]) for match in _LITERAL.finditer(text.value)]
        if "\\" in text.value:
            readings.append(unescaped(text.value))
    for reading in readings:
        yield reading
        if not PLAIN.fullmatch(reading):
            yield undisguised(reading)


def undisguised(text: str) -> str:
    """Return the text in NFKC, without invisible and control characters, and no more than 30 marks on a letter.

    Normalising sorts marks in quadratic time, which UAX #15's Stream-Safe Text Format bounds in the same way.
    """
    bounded = _MARKS.sub(r"\1", INVISIBLE.sub("", text))
    visible: str = INVISIBLE.sub("", unicodedata.normalize("NFKC", bounded))
    return visible


def unescaped(text: str) -> str:
    """Return a JSON text with its escapes undone wherever they stand; it may be cut, or no JSON at all."""
    return ESCAPE.sub(meaning, text)


def meaning(escape: re.Match[str]) -> str:
    """Return what a JSON escape stands for; half a character, which nobody can be asked about, is ``U+FFFD``."""
    if pair := escape["pair"]:
        return chr(0x10000 + ((int(pair[2:6], 16) - 0xD800) << 10) + int(pair[8:12], 16) - 0xDC00)
    if escape["unicode"]:
        code = int(escape["unicode"], 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
    return _SHORT.get(escape["short"], escape["short"])
