"""Recorded text on a terminal: what could steer it is shown as an escape, never sent."""

import json
import unicodedata
from typing import Any, Final

_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, keep: str = "") -> str:
    r"""Return the text with control, format and unassigned characters written as ``\x1b``, ``\u202e``.

    ``keep`` lists those that stay, such as a newline in a transcript.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _STEERING and c not in keep else c for c in text)


def ascii_json(value: Any) -> str:
    """Return indented JSON of printable ASCII only: exact for a script, harmless on a terminal."""
    return json.dumps(value, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def _escaped(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
