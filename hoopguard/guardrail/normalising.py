"""A text without its disguise: in NFKC, without what cannot be seen, and in ASCII's letters where it only looks so.

All of it is done in steps of bounded size, for threads as well: what is one call of C keeps the interpreter's lock
meanwhile, and with it everybody. A step ends where nothing joins what is before it.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import regex

from hoopguard.guardrail.look_alikes import LOOK_ALIKES

PLAIN: Final = re.compile(r"[\t\n\r\x20-\x7e]*+")
"""Text that has no disguise."""

INVISIBLE: Final = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}\x00-\x08\x0e-\x1f\x7f-\x9f]+")
_MARKS: Final = regex.compile(r"(\p{M}{30})\p{M}+")
_MARKED: Final = regex.compile(r"(?<=[A-Za-z])\p{M}+")
_FOLDED: Final = {ord(char): like for like, chars in LOOK_ALIKES.items() for char in chars}
_LOOKS_ALIKE: Final = frozenset("".join(LOOK_ALIKES.values()))
NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")

_STEP_CHARS: Final = 8_192
"""Some characters become eighteen in NFKC: that is 6 ms."""


def undisguised(text: str) -> str:
    """Return the text in NFKC, without invisible and control characters, and no more than 30 marks on a letter.

    Normalising sorts marks in quadratic time, which UAX #15's Stream-Safe Text Format bounds in the same way.
    """
    bounded = _MARKS.sub(r"\1", INVISIBLE.sub("", text))
    return "".join([INVISIBLE.sub("", unicodedata.normalize("NFKC", step)) for step in steps(bounded)])


def folded(text: str) -> str:
    """Return an undisguised text in ASCII's letters and digits where it only looks so (UTS #39), without odd marks.

    A mark that makes another letter (``é``) is none; one that only lies on an ASCII letter (a stroke) is.
    """
    return "".join(map(_folded, steps(text)))


def casefolded(text: str) -> str:
    """Return a text without its case, in which no character depends on another."""
    return "".join([text[at : at + _STEP_CHARS].casefold() for at in range(0, len(text), _STEP_CHARS)])


def encoded(text: str) -> bytes:
    """Return a text in UTF-8."""
    return b"".join([text[at : at + _STEP_CHARS].encode() for at in range(0, len(text), _STEP_CHARS)])


def folds(char: str) -> bool:
    """Tell whether a character, in some text, looks like ASCII or is a mark, so that folding may change it."""
    normalised = unicodedata.normalize("NFKC", char)
    marks = any(unicodedata.category(each)[0] == "M" for each in normalised)
    return marks or not _LOOKS_ALIKE.isdisjoint(normalised)


@lru_cache(maxsize=4096)
def begins(char: str) -> bool:
    """Tell whether normalising never joins a character to what is before it (UAX #15 §9.1)."""
    first = unicodedata.normalize("NFKD", char)[0]
    return not (INVISIBLE.match(char) or unicodedata.category(first).startswith("M") or _is_jamo(first))


def steps(text: str) -> Iterator[str]:
    """Yield a text in parts of bounded size that can be normalised for themselves, if it has no more than 30 marks."""
    start = 0
    while len(text) - start > _STEP_CHARS:
        end = start + _STEP_CHARS
        while end < len(text) and not _may_end(text, end):
            end += 1
        yield text[start:end]
        start = end
    yield text[start:]


def _may_end(text: str, at: int) -> bool:
    """Tell whether nothing from here on joins what is before; of jamo, no more than three join each other."""
    if begins(text[at]):
        return True
    first = unicodedata.normalize("NFKD", text[at])[0]
    return _is_jamo(first) and not begins(text[at - 1]) and not begins(text[at - 2])


def _is_jamo(char: str) -> bool:
    """Tell whether a character is a vowel or a final consonant of a Korean syllable."""
    return "\u1160" <= char <= "\u11ff"


def _folded(text: str) -> str:
    if not _LOOKS_ALIKE.isdisjoint("".join(NOT_ASCII.findall(text))):
        text = unicodedata.normalize("NFKC", text.translate(_FOLDED))
    plain: str = _MARKED.sub("", text)
    return plain
