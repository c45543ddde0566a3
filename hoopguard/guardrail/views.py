"""The ways in which a text can be read: as it is, without disguise, out of its JSON strings, and decoded."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import regex

from hoopguard.guardrail.decoding import encodes, runs, without_escapes
from hoopguard.guardrail.escapes import unescaped
from hoopguard.guardrail.look_alikes import LOOK_ALIKES
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind

PLAIN: Final = re.compile(r"[\t\n\r\x20-\x7e]*+")
"""Text that has no disguise."""

INVISIBLE: Final = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}\x00-\x08\x0e-\x1f\x7f-\x9f]+")
_MARKS: Final = regex.compile(r"(\p{M}{30})\p{M}+")
_MARKED: Final = regex.compile(r"(?<=[A-Za-z])\p{M}+")
_FOLDED: Final = {ord(char): like for like, chars in LOOK_ALIKES.items() for char in chars}
_LOOKS_ALIKE: Final = frozenset("".join(LOOK_ALIKES.values()))
NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*+\\?+)"?', re.DOTALL)

MAX_LAYERS: Final = 4
"""Encodings of encodings that are looked into; what goes on after that cannot be inspected."""

_MAX_GROWTH: Final = 8
_FREE_CHARS: Final = 256

ViewName = Literal["text", "normalised", "folded", "unescaped", "decoded"]


class View(NamedTuple):
    """One way to read a text; the record says which it was that matched, and never what it said."""

    name: ViewName
    said: str


@dataclass(slots=True)
class Looking:
    """Whether one has ``given_up`` looking into a text, and how much more may be decoded in it (None: any amount)."""

    given_up: bool = False
    chars_left: int | None = None

    def may_decode(self, chars: int, layers: int) -> bool:
        """Tell whether so much may be decoded, so many layers above the last; it is given up otherwise."""
        if self.chars_left is not None:
            self.chars_left -= chars
        self.given_up |= not layers or (self.chars_left is not None and self.chars_left < 0)
        return not self.given_up


def shallow_views(text: Text) -> tuple[list[View], str]:
    """Return each way in which a text can be read as it stands, and what of it may say more once it is decoded."""
    normalised = _normalised(text.value)
    found = [*_undisguises("text", text.value, normalised)]
    if text.kind is Kind.JSON_TEXT:
        for match in _LITERAL.finditer(text.value):
            literal = unescaped(match[1])
            found += _undisguises("unescaped", literal, _normalised(literal))
        if "\\" in text.value:
            meant = unescaped(text.value)
            normalised = _normalised(meant)
            found += _undisguises("unescaped", meant, normalised)
    return found, normalised


def decoded_views(normalised: str, looking: Looking, layers: int = MAX_LAYERS) -> Iterator[View]:
    """Yield each way in which can be read what a normalised text says once it is decoded."""
    if not encodes(normalised):
        return
    said = "".join(meant for meant, _ in without_escapes(normalised))
    if said != normalised and looking.may_decode(len(said), layers):
        yield from _deeply(said, looking, layers - 1)
    for said in runs(normalised):
        if looking.chars_left is None:
            yield from views_of_run(said, looking, layers)
        elif looking.may_decode(len(said), layers):
            yield from _deeply(said, looking, layers - 1)


def views_of_run(said: str, looking: Looking, layers: int) -> list[View]:
    """Return each way in which what a run of base64 or hex says can be read, if ``layers`` are left for it.

    What is decoded in turn may in all be some times as long, which nothing honest needs.
    """
    inner = Looking(looking.given_up, _FREE_CHARS + _MAX_GROWTH * len(said))
    found = [*_deeply(said, inner, layers - 1)] if inner.may_decode(len(said), layers) else []
    looking.given_up = inner.given_up
    return found


def _deeply(said: str, looking: Looking, layers: int) -> Iterator[View]:
    normalised = _normalised(said)
    yield from _undisguises("decoded", said, normalised)
    yield from decoded_views(normalised, looking, layers)


def _undisguises(name: ViewName, text: str, normalised: str) -> Iterator[View]:
    yield View(name, text)
    if normalised != text:
        yield View("normalised" if name == "text" else name, normalised)
    if not normalised.isascii():
        likeness = folded(normalised)
        if likeness != normalised:
            yield View("folded" if name == "text" else name, likeness)


def _normalised(text: str) -> str:
    return text if PLAIN.fullmatch(text) else undisguised(text)


def undisguised(text: str) -> str:
    """Return the text in NFKC, without invisible and control characters, and no more than 30 marks on a letter.

    Normalising sorts marks in quadratic time, which UAX #15's Stream-Safe Text Format bounds in the same way.
    """
    bounded = _MARKS.sub(r"\1", INVISIBLE.sub("", text))
    visible: str = INVISIBLE.sub("", unicodedata.normalize("NFKC", bounded))
    return visible


def folded(text: str) -> str:
    """Return an undisguised text in ASCII's letters and digits where it only looks so (UTS #39), without odd marks.

    A mark that makes another letter (``é``) is none; one that only lies on an ASCII letter (a stroke) is.
    """
    if not _LOOKS_ALIKE.isdisjoint("".join(NOT_ASCII.findall(text))):
        text = unicodedata.normalize("NFKC", text.translate(_FOLDED))
    plain: str = _MARKED.sub("", text)
    return plain


def folds(char: str) -> bool:
    """Tell whether a character, in some text, looks like ASCII or is a mark, so that folding may change it."""
    normalised = unicodedata.normalize("NFKC", char)
    marks = any(unicodedata.category(each)[0] == "M" for each in normalised)
    return marks or not _LOOKS_ALIKE.isdisjoint(normalised)
