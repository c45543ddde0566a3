r"""Masking a JSON text while it is being written, such as the arguments of a tool call.

String literals are decoded (``\u0040`` is an "@"), masked as texts of their own, and encoded again. Structure
passes. A number is masked as text, and becomes a string if it is no number any more. As soon as the text turns out
not to be JSON, whatever stands outside of string literals is masked as plain text, to the end.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from hoopguard.masking.operators import Masked
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.pace import Pace

_FOLLOWERS: Final = {
    "": '{["0',
    "{": '"}',
    "[": '{["0]',
    ",": '{["0',
    ":": '{["0',
    '"': ":,]}",
    "0": ",]}",
    "}": ",]}",
    "]": ",]}",
}
"""What may come after what (RFC 8259 §2), brackets not counted; ``"`` is a string, ``0`` a number or name."""

_SCALAR: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_NAMES: Final = frozenset({"true", "false", "null"})
_OUTSIDE: Final = re.compile(r'(?P<space>[ \t\n\r]+)|(?P<mark>[{}\[\],:"])|(?P<run>[^{}\[\],:"]+)')
_HIGH: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_UNFINISHED: Final = rf"(?P<unfinished>{_HIGH}\Z|(?:{_HIGH})?\\(?:u[0-9a-fA-F]{{0,3}})?\Z)|"
_INSIDE: Final = (
    r'(?P<plain>[^"\\]+)|(?P<quote>")|'
    rf"(?P<pair>{_HIGH}\\u[dD][c-fC-F][0-9a-fA-F]{{2}})|"
    r"(?P<unicode>\\u[0-9a-fA-F]{4})|"
    r'(?P<short>\\["\\/bfnrt])|(?P<stray>\\)'
)
_INSIDE_SO_FAR: Final = re.compile(_UNFINISHED + _INSIDE)
_INSIDE_AT_END: Final = re.compile(_INSIDE)
_TO_ESCAPE: Final = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')


class PlainStream(Protocol):
    """A text that arrives in pieces."""

    counts: Counter[str]

    def feed(self, delta: str) -> str:
        """Take the next piece of the text; return what can be shown now."""

    def finish(self) -> str:
        """Say that the text is over; return what was held back."""


class PlainTexts(Protocol):
    """What is done with the texts in a JSON text: masking, or putting values back."""

    max_held_chars: int

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return what a whole text becomes."""

    def stream(self, pace: Pace | None = None) -> PlainStream:
        """Return a stream that gives the same, piece by piece."""


Hide = Callable[[str], Masked]


class HiddenFields(Protocol):
    """Says which values of a JSON text are hidden as a whole; told what is read."""

    most_chars: int

    def mark(self, mark: str) -> None:
        """Take a bracket, comma, colon or opening quote."""

    def string_part(self, part: str) -> None:
        """Take a part of a string, decoded."""

    def string_ended(self) -> None:
        """Take the end of a string."""

    def value(self) -> Hide | None:
        """Return what hides the string or number that comes next, or None if it is looked into."""


class JsonTextStream:
    """One JSON text that arrives in pieces; the same interface as :class:`TextStream`."""

    def __init__(
        self,
        masker: PlainTexts,
        pace: Pace | None = None,
        *,
        outside: PlainTexts | None = None,
        fields: "HiddenFields | None" = None,
    ) -> None:
        """Begin a JSON text; ``outside`` takes what is neither JSON nor in a string, if ``masker`` should not."""
        self._masker = masker
        self._outside = masker if outside is None else outside
        self._fields = fields
        self._pace = Pace() if pace is None else pace
        self._rest = ""  # an escape that is not complete
        self._in_string = False
        self._broken = False
        self._hide: Hide | None = None  # what becomes of the string at hand, if its field is hidden
        self._last = ""
        self._run = ""
        self._text: PlainStream | None = None
        self._gathered: list[str] = []  # what the text that is being masked has yet to be fed
        self.counts: Counter[str] = Counter()

    def feed(self, delta: str) -> str:
        """Take the next piece of the JSON text; return what can be shown now.

        Raises:
            DetectionGaveUp: too much is held, or looking takes too long; the stream must end.
        """
        with self._pace.turn(len(delta)) as budget:
            return self._consume(delta, budget, at_end=False)

    def finish(self) -> str:
        """Say that the text is over; return what was held back.

        Raises:
            DetectionGaveUp: looking takes too long; what was held must not be shown.
        """
        with self._pace.turn(0) as budget:
            out = self._consume("", budget, at_end=True)
            if self._run:
                out += self._end_run("")
            return out + self._end_text()

    def _consume(self, delta: str, budget: Budget, *, at_end: bool) -> str:
        text, self._rest = self._rest + delta, ""
        inside = _INSIDE_AT_END if at_end else _INSIDE_SO_FAR
        out: list[str] = []
        at = 0
        while at < len(text):
            budget.left_s()
            match = (inside if self._in_string else _OUTSIDE).match(text, at)
            if match is None or match.lastgroup == "unfinished":
                self._rest = text[at:]
                break
            step = self._string_token if self._in_string else self._outside_token
            out.append(step(match.lastgroup or "", match.group()))
            at = match.end()
        out.append(self._feed_gathered())
        return "".join(out)

    def _string_token(self, kind: str, part: str) -> str:
        if kind == "quote":
            if self._fields is not None:
                self._fields.string_ended()
            out = self._end_text() + part
            self._in_string = False
            return out
        decoded = json.loads(f'"{part}"') if kind in ("pair", "unicode", "short") else part
        if self._fields is not None:
            self._fields.string_part(decoded)
        return self._gather(decoded)

    def _outside_token(self, kind: str, part: str) -> str:
        if self._broken:
            return self._open_string() if part == '"' else self._gather(part)
        if kind == "run" or (kind == "space" and self._run):
            self._run += part
            if len(self._run) > self._masker.max_held_chars:
                raise DetectionGaveUp("a number or word in a JSON text has no end")
            return ""
        if kind == "space":
            return part
        return self._mark(part)

    def _mark(self, mark: str) -> str:
        out = self._end_run(mark) if self._run else ""
        if not self._broken and mark not in _FOLLOWERS[self._last]:
            self._broken = True
        self._last = mark
        if self._fields is not None and not self._broken:
            self._fields.mark(mark)
        if mark == '"':
            return out + self._open_string()
        return out + (self._gather(mark) if self._broken else mark)

    def _end_run(self, mark: str) -> str:
        """Mask what stood between two marks: a number or name, or else the beginning of what is no JSON."""
        run, self._run = self._run, ""
        word = run.rstrip(" \t\n\r")
        expected, fits = "0" in _FOLLOWERS[self._last], mark in _FOLLOWERS["0"]
        hide = self._fields.value() if self._fields is not None and expected else None
        if hide is not None and word not in _NAMES:
            self._broken = not fits
            return self._hide_run(hide, word) + run[len(word) :]
        if not expected or not fits or not _SCALAR.fullmatch(word):
            self._broken = True
            return self._gather(run)
        self._last = "0"
        with self._pace.turn(0) as budget:
            masked = self._masker.mask(word, budget)
        self.counts.update(masked.counts)
        value = masked.text if _SCALAR.fullmatch(masked.text) else f'"{encoded(masked.text)}"'
        return value + run[len(word) :]

    def _hide_run(self, hide: Hide, word: str) -> str:
        """Hide a number, or whatever stands where one should, without a look at it: its field is hidden."""
        self._last = "0"
        masked = hide(word)
        self.counts.update(masked.counts)
        return masked.text if _SCALAR.fullmatch(masked.text) else f'"{encoded(masked.text)}"'

    def _open_string(self) -> str:
        out = self._end_text()
        self._in_string = True
        self._hide = self._fields.value() if self._fields is not None and not self._broken else None
        return out + '"'

    def _gather(self, part: str) -> str:
        self._gathered.append(part)
        return ""

    def _feed_gathered(self) -> str:
        """Feed to the text that is being masked what came for it, all at once."""
        if not self._gathered:
            return ""
        if self._hide is not None:
            if self._fields is not None and sum(map(len, self._gathered)) > self._fields.most_chars:
                raise DetectionGaveUp("a field that is hidden as a whole has no end")
            return ""
        if self._text is None:
            self._text = (self._masker if self._in_string else self._outside).stream(self._pace)
        gathered = "".join(self._gathered)
        self._gathered.clear()
        shown = self._text.feed(gathered)
        return encoded(shown) if self._in_string else shown

    def _end_text(self) -> str:
        """Finish the text that is being masked, a string's or one outside of strings."""
        if self._hide is not None:
            hide, self._hide = self._hide, None
            masked = hide("".join(self._gathered))
            self._gathered.clear()
            self.counts.update(masked.counts)
            return encoded(masked.text)
        shown = self._feed_gathered()
        stream, self._text = self._text, None
        if stream is None:
            return shown
        rest = stream.finish()
        self.counts.update(stream.counts)
        return shown + (encoded(rest) if self._in_string else rest)


def encoded(text: str) -> str:
    """Return a text as the content of a JSON string literal."""
    return _TO_ESCAPE.sub(lambda match: json.dumps(match.group())[1:-1], text)
