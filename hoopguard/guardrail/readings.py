"""The views of :mod:`hoopguard.guardrail.views`, of a text that arrives in pieces, with their places in that text.

A reading takes pieces and notes in its hits which rules match for certain. From ``pending`` on, an offset in its own
text, more text could change that.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from hoopguard.guardrail.decoding import encodes, open_from, runs, without_escapes
from hoopguard.guardrail.normalising import NOT_ASCII, PLAIN, begins, folded, folds, undisguised
from hoopguard.guardrail.places import Places
from hoopguard.guardrail.searching import AsItIs, Hits, Reading
from hoopguard.guardrail.sought import Sought
from hoopguard.guardrail.views import MAX_LAYERS, Looking, ViewName, views_of_run

_LOOK_ALWAYS_CHARS: Final = 1_024
_LOOK_EVERY: Final = 16
_COMPOSES: Final = re.compile(r"[A-Za-z<=>]\Z")
"""The plain characters that a mark after them makes another character of (UAX #15)."""

_MOST_EXACT_CHARS: Final = 256
_BLOCKS: Final = re.compile(r"[\s\S]{1,64}[^\t\n\r\x20-\x7e]*")
_RUNS: Final = re.compile(r"(?:[\t\n\r\x20-\x7e](?![^\t\n\r\x20-\x7e]))+|[\t\n\r\x20-\x7e]?[^\t\n\r\x20-\x7e]+")


class Disguised:
    """A text as it stands, and without disguise; decoded too where it is said how far one has looked into it."""

    def __init__(
        self, sought: Sought, hits: Hits, looking: Looking | None = None, name: ViewName = "text", before: str = ""
    ) -> None:
        """Begin a text; ``before`` is the end of what stands before it, if that says the same in every view."""
        self._plain = _Undisguised(AsItIs(sought, hits, name, before), looking, MAX_LAYERS)
        self._as_is: AsItIs | None = None
        self._normalised: _Normalised | None = None
        self._last = ""

    @classmethod
    def after(cls, plain: "_Undisguised") -> "Disguised":
        """Return one that goes on with a text that has had no disguise left so far."""
        disguised = cls.__new__(cls)
        disguised._plain = plain
        disguised._last = ""
        disguised._begin_disguise()
        return disguised

    @property
    def pending(self) -> int:
        """Return from where on more text could make a difference."""
        if self._as_is is None or self._normalised is None:
            return self._plain.pending
        return min(self._as_is.pending, self._normalised.pending)

    def feed(self, text: str) -> None:
        """Take the next piece; a last letter waits until it is certain that no mark follows."""
        if self._normalised is None:
            text = self._last + text
            if PLAIN.fullmatch(text):
                self._last = text[-1:] if _COMPOSES.search(text) else ""
                self._plain.feed(text[: len(text) - len(self._last)])
                return
            self._last = ""
            self._begin_disguise()
        if self._as_is is not None and self._normalised is not None:
            self._as_is.feed(text)
            self._normalised.feed(text)

    def finish(self) -> None:
        """Say that the text is over."""
        if self._as_is is None or self._normalised is None:
            self._plain.feed(self._last)
            self._plain.finish()
        else:
            self._as_is.finish()
            self._normalised.finish()

    def _begin_disguise(self) -> None:
        self._as_is = self._plain.stands()
        self._normalised = _Normalised(self._plain)


class _Rewritten:
    """A view of a text whose parts say something else than what stands there."""

    def __init__(self, view: Reading, places: Places) -> None:
        self._view = view
        self._places = places

    @classmethod
    def after(cls, view: Reading, pending: int, end: int) -> "_Rewritten":
        """Return one that begins with a text of which all parts have said what stands there so far."""
        places = Places(pending, pending)
        places.same(end - pending)
        return cls(view, places)

    def fork(self, view: Reading) -> "_Rewritten":
        """Return one that goes on with another view that has seen the same."""
        return _Rewritten(view, self._places.copy())

    @property
    def pending(self) -> int:
        return self._places.source(self._view.pending)

    def feed(self, parts: Iterable[tuple[str, str]]) -> None:
        """Take the next parts: what each says, and how it stands there."""
        out = []
        for says, stands in parts:
            out.append(says)
            if says == stands:
                self._places.same(len(stands))
            else:
                self._places.other(len(says), len(stands))
        self._view.feed("".join(out))
        self._places.forget(self._view.pending)

    def finish(self) -> None:
        self._view.finish()


class _Undisguised:
    """A text that has no disguise left: as it stands, as what it looks like, and one layer deeper.

    What could be part of an encoding waits until that is over; what runs of base64 and hex say is judged whole then.
    """

    def __init__(self, view: AsItIs, looking: Looking | None, layers: int) -> None:
        self._view = view
        self._looking = looking
        self._layers = layers
        self._folded: tuple[AsItIs, _Rewritten] | None = None
        self._deeper: _Rewritten | None = None
        self._open = ""
        self._unseen = 0

    @property
    def end(self) -> int:
        """Return how long the text is so far."""
        return self._view.end + len(self._open)

    @property
    def pending(self) -> int:
        return min(reading.pending for reading in self._readings())

    def stands(self) -> AsItIs:
        """Return the search in the text as it stands, which goes its own way; what comes here has no disguise."""
        view = self._view.fork(self._view.name)
        view.feed(self._open)
        self._view.name = _of(self._view.name, "normalised")
        return view

    def feed(self, text: str) -> None:
        self._open += text
        self._unseen += len(text)
        if len(self._open) < _LOOK_ALWAYS_CHARS or self._unseen * _LOOK_EVERY >= len(self._open):
            self._unseen = 0
            closed = len(self._open) if self._looking is None else open_from(self._open)
            self._close(closed)

    def finish(self) -> None:
        self._close(len(self._open))
        for reading in self._readings():
            reading.finish()

    def _close(self, closed: int) -> None:
        text, self._open = self._open[:closed], self._open[closed:]
        if not text:
            return
        if self._folded is None and _folds(text):
            view = self._view.fork(_of(self._view.name, "folded"))
            self._folded = view, _Rewritten.after(view, view.pending, view.end)
        if self._looking is not None and encodes(text):
            self._decode(text, self._looking)
        elif self._deeper is not None:
            self._deeper.feed([(text, text)])
        self._view.feed(text)
        if self._folded is not None:
            self._folded[1].feed(_rewritten(text, folded))

    def _decode(self, text: str, looking: Looking) -> None:
        """Judge what a text says one layer deeper: to the end of it here, or with what comes after it."""
        for said in runs(text):
            for view in views_of_run(said, looking, self._layers):
                self._view.judge(view)
        parts = [*without_escapes(text)]
        escaped = any(says != stands for says, stands in parts)
        if self._deeper is None and escaped and looking.may_decode(0, self._layers):
            self._deeper = _Rewritten.after(Disguised.after(self._fork()), self.pending, self._view.end)
        if self._deeper is not None:
            self._deeper.feed(parts)

    def _fork(self) -> "_Undisguised":
        """Return one that has seen the same and goes one layer deeper."""
        other = _Undisguised(self._view.fork("decoded"), self._looking, self._layers - 1)
        if self._folded is not None:
            view = self._folded[0].fork("decoded")
            other._folded = view, self._folded[1].fork(view)
        return other

    def _readings(self) -> Iterator[AsItIs | _Rewritten]:
        yield self._view
        if self._folded is not None:
            yield self._folded[1]
        if self._deeper is not None:
            yield self._deeper


class _Normalised:
    """A text as it is normalised: up to a place from which on nothing changes what is before."""

    def __init__(self, view: _Undisguised) -> None:
        self._view = _Rewritten.after(view, view.pending, view.end)
        self._open = ""

    @property
    def pending(self) -> int:
        return self._view.pending

    def feed(self, text: str) -> None:
        if not text:
            return
        known = len(self._open)
        self._open += text
        closed = len(self._open)
        if _COMPOSES.search(text) or not PLAIN.fullmatch(text[-1:]):
            closed = next((at for at in range(closed - 1, known - 1, -1) if begins(self._open[at])), 0)
        self._close(closed)

    def finish(self) -> None:
        self._close(len(self._open))
        self._view.finish()

    def _close(self, closed: int) -> None:
        text, self._open = self._open[:closed], self._open[closed:]
        self._view.feed(_rewritten(text, undisguised))


def _rewritten(text: str, rewrite: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield a text in parts: what each becomes, and how it stands there; in a long text, each has some 64 characters.

    What is joined to a plain character does not stand before it, so before each a part may begin.
    """
    says = rewrite(text)
    if says == text:
        yield text, text
        return
    for part in (_RUNS if len(text) <= _MOST_EXACT_CHARS else _BLOCKS).finditer(text):
        yield part[0] if PLAIN.fullmatch(part[0]) else rewrite(part[0]), part[0]


def _of(name: ViewName, disguise: ViewName) -> ViewName:
    """Return how a view is named that is another one without its disguise."""
    return disguise if name in ("text", "normalised") else name


def _folds(text: str) -> bool:
    return any(map(_run_folds, NOT_ASCII.findall(text)))


@lru_cache(maxsize=4096)
def _run_folds(chars: str) -> bool:
    return any(map(folds, chars))
