"""The ways in which a text can be read: as it is, without disguise, out of its JSON strings, and decoded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from hoopguard.guardrail.decoding import encodes, runs, without_escapes
from hoopguard.guardrail.escapes import unescaped
from hoopguard.guardrail.normalising import PLAIN, folded, undisguised
from hoopguard.payload.fields import Text
from hoopguard.payload.tables import Kind

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
            found += views_of_literal(match[1])
        if "\\" in text.value:
            meant = unescaped(text.value)
            normalised = _normalised(meant)
            found += _undisguises("unescaped", meant, normalised)
    return found, normalised


def views_of_literal(literal: str) -> Iterator[View]:
    """Yield each way in which the content of a JSON string can be read as it stands."""
    said = unescaped(literal)
    yield from _undisguises("unescaped", said, _normalised(said))


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
