"""The escapes of a JSON text, and what they stand for."""

import re
from typing import Final

_HEX: Final = "[0-9a-fA-F]"
_HIGH: Final = rf"\\u[dD][89abAB]{_HEX}{{2}}"
ESCAPE: Final = re.compile(
    rf"(?P<pair>{_HIGH}\\u[dD][c-fC-F]{_HEX}{{2}})|\\u(?P<unicode>{_HEX}{{4}})|\\(?P<short>[\"\\/bfnrt])"
)
UNFINISHED_ESCAPE: Final = re.compile(rf"{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?\Z|\\(?:u{_HEX}{{0,3}})?\Z")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


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
