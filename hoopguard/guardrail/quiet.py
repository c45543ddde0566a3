"""Text in which nothing that is looked for can begin, told by its characters: most of what a model says."""

import re
from collections.abc import Iterable
from typing import Any, Final

_PLAIN: Final = "\t\n\r" + "".join(map(chr, range(0x20, 0x7F)))
BEFORE: Final = ("", "\n", "a", "_", " ", "\u00e9", "\u2014")
"""One character of each sort that an assertion, or a word's own edge, tells apart; or none."""


def quiet(begins: Any, word_forms: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for plain text in which no match begins, whatever is before or after it.

    ``begins`` finds, at a text's end, each beginning of a match and each match. The pattern looks at the character
    before the text: a letter or digit after another begins no word.
    """
    firsts = {form[0] for form in word_forms}
    edged = {char for char in _PLAIN if char.casefold()[0] in firsts and char.isalnum()}
    unedged = {char for char in _PLAIN if char.casefold()[0] in firsts} - edged
    loud = {before: {char for char in _PLAIN if _loud(begins, before, char)} for before in BEFORE}
    everywhere = set(_PLAIN).difference(edged, unedged, *loud.values())
    inside = set(_PLAIN).difference(unedged, loud["a"])
    return re.compile(rf"(?:{_one_of(everywhere)}|(?<=[A-Za-z0-9]){_one_of(inside)})*+")


def _loud(begins: Any, before: str, char: str) -> bool:
    found = begins.search(before + char, len(before))
    return found is not None and found.start() == len(before)


def _one_of(chars: set[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(chars)))}]" if chars else "(?!)"
