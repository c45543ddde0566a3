"""The views of :mod:`hoopguard.guardrail.views`, of a text that arrives in pieces, with their places in that text.

A reading takes pieces and notes in ``hits`` which rules match for certain. From ``pending`` on, an offset in its own
text, more text could change that.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from hoopguard.guardrail.places import Places
from hoopguard.guardrail.rules import CompiledRule
from hoopguard.guardrail.sought import CONTEXT_CHARS, Sought
from hoopguard.guardrail.views import ESCAPE, INVISIBLE, PLAIN, UNFINISHED_ESCAPE, meaning, undisguised

_LOOK_ALWAYS_CHARS: Final = 1_024
_LOOK_EVERY: Final = 16
_COMPOSES: Final = re.compile(r"[A-Za-z<=>]\Z")
"""The plain characters that a mark after them makes another character of (UAX #15)."""

_RUNS: Final = re.compile(r"(?:[\t\n\r\x20-\x7e](?![^\t\n\r\x20-\x7e]))+|[\t\n\r\x20-\x7e]?[^\t\n\r\x20-\x7e]+")
_JSON: Final = re.compile(r'(?P<quote>")|(?P<escape>\\.)|(?P<cut>\\)|(?P<run>[^"\\]+)', re.DOTALL)

Hits = dict[str, CompiledRule]
"""The rules that match, by name."""


class AsItIs:
    """A text as it stands: searched from where on something could still be found, and kept from there on."""

    def __init__(self, sought: Sought, hits: Hits) -> None:
        self._sought = sought
        self._hits = hits
        self._window = ""
        self._base = 0
        self._unseen = 0
        self.pending = 0

    def fork(self) -> "AsItIs":
        """Return one that has seen the same and goes its own way."""
        other = AsItIs(self._sought, self._hits)
        other._window, other._base, other._unseen = self._window, self._base, self._unseen
        other.pending = self.pending
        return other

    @property
    def end(self) -> int:
        """Return how long the text is so far."""
        return self._base + len(self._window)

    def feed(self, text: str) -> None:
        """Take the next piece. Where much is pending, several are looked at together."""
        if not text:
            return
        known = len(self._window)
        self._window += text
        start = self.pending - self._base
        if start == known and self._sought.quiet.fullmatch(self._window, start):
            self._pass_to(len(self._window))
            return
        self._unseen += len(text)
        held = len(self._window) - start
        if held < _LOOK_ALWAYS_CHARS or self._unseen * _LOOK_EVERY >= held:
            self._unseen = 0
            self._look(start, self._sought.earliest(self._window, start))

    def finish(self) -> None:
        """Say that the text is over."""
        self._look(self.pending - self._base, len(self._window) + 1)

    def _look(self, start: int, before: int) -> None:
        if before <= start:
            return
        for compiled in self._sought.matched(self._window, start, before, self._hits):
            self._hits[compiled.rule.name] = compiled
        self._pass_to(min(before, len(self._window)))

    def _pass_to(self, offset: int) -> None:
        self.pending = self._base + offset
        cut = max(0, offset - CONTEXT_CHARS)
        self._window = self._window[cut:]
        self._base += cut


class Disguised:
    """A text as it stands, and without disguise from where on it has one."""

    def __init__(self, sought: Sought, hits: Hits) -> None:
        self._as_is = AsItIs(sought, hits)
        self._undisguised: _Undisguised | None = None
        self._last = ""

    @property
    def pending(self) -> int:
        """Return from where on more text could make a difference."""
        if self._undisguised is None:
            return self._as_is.pending
        return min(self._as_is.pending, self._undisguised.pending)

    def feed(self, text: str) -> None:
        """Take the next piece; a last letter waits until it is certain that no mark follows."""
        if self._undisguised is None:
            text = self._last + text
            if PLAIN.fullmatch(text):
                self._last = text[-1:] if _COMPOSES.search(text) else ""
                self._as_is.feed(text[: len(text) - len(self._last)])
                return
            self._last = ""
            self._undisguised = _Undisguised(self._as_is.fork())
        self._as_is.feed(text)
        self._undisguised.feed(text)

    def finish(self) -> None:
        """Say that the text is over."""
        if self._last:
            self._as_is.feed(self._last)
        self._as_is.finish()
        if self._undisguised is not None:
            self._undisguised.finish()


class _Undisguised:
    """A text without disguise: normalised up to a place from which on nothing changes what is before."""

    def __init__(self, view: AsItIs) -> None:
        self._view = view
        self._places = Places(view.pending, view.pending)
        self._places.same(view.end - view.pending)
        self._open = ""

    @property
    def pending(self) -> int:
        return self._places.source(self._view.pending)

    def feed(self, text: str) -> None:
        if not text:
            return
        known = len(self._open)
        self._open += text
        closed = len(self._open)
        if _COMPOSES.search(text) or not PLAIN.fullmatch(text[-1:]):
            closed = next((at for at in range(closed - 1, known - 1, -1) if _begins(self._open[at])), 0)
        self._close(closed)

    def finish(self) -> None:
        self._close(len(self._open))
        self._view.finish()

    def _close(self, closed: int) -> None:
        out = []
        for run in _RUNS.finditer(self._open[:closed]):
            if PLAIN.fullmatch(run[0]):
                out.append(run[0])
                self._places.same(len(run[0]))
            else:
                out.append(undisguised(run[0]))
                self._places.other(len(out[-1]), len(run[0]))
        self._open = self._open[closed:]
        self._view.feed("".join(out))
        self._places.forget(self._view.pending)


@lru_cache(maxsize=4096)
def _begins(char: str) -> bool:
    """Tell whether normalising never joins a character to what is before it (UAX #15 §9.1)."""
    first = unicodedata.normalize("NFKD", char)[0]
    jamo = "\u1160" <= first <= "\u11ff"
    return not (INVISIBLE.match(char) or unicodedata.category(first).startswith("M") or jamo)


class Escaped:
    """A text out of JSON, with its escapes undone wherever they stand."""

    def __init__(self, sought: Sought, hits: Hits, base: int = 0) -> None:
        self._view = Disguised(sought, hits)
        self._places = Places(0, base)
        self._rest = ""

    @property
    def pending(self) -> int:
        """Return from where on in the escaped text more text could make a difference."""
        return self._places.source(self._view.pending)

    def feed(self, text: str) -> None:
        """Take the next piece; an escape that is cut waits for its end."""
        text = self._rest + text
        at = text.find("\\")
        while at >= 0:
            if UNFINISHED_ESCAPE.match(text, at):
                break
            escape = ESCAPE.match(text, at)
            at = text.find("\\", escape.end() if escape else at + 1)
        whole = len(text) if at < 0 else at
        self._rest = text[whole:]
        self._undo(text[:whole])

    def finish(self) -> None:
        """Say that the text is over."""
        self._undo(self._rest)
        self._view.finish()

    def _undo(self, text: str) -> None:
        out = []
        at = 0
        for escape in ESCAPE.finditer(text):
            self._places.same(escape.start() - at)
            self._places.other(1, escape.end() - escape.start())
            out += [text[at : escape.start()], meaning(escape)]
            at = escape.end()
        self._places.same(len(text) - at)
        self._view.feed("".join([*out, text[at:]]))
        self._places.forget(self._view.pending)


class Literals:
    """The strings of a JSON text, each as a text of its own; the last one may be cut."""

    def __init__(self, sought: Sought, hits: Hits) -> None:
        self._sought = sought
        self._hits = hits
        self._end = 0
        self._literal: Escaped | None = None
        self._rest = ""

    @property
    def pending(self) -> int:
        """Return from where on more text could make a difference."""
        return self._end if self._literal is None else self._literal.pending

    def feed(self, text: str) -> None:
        """Take the next piece."""
        text, self._rest = self._rest + text, ""
        parts: list[str] = []
        for token in _JSON.finditer(text):
            if self._literal is None:
                if token.lastgroup in ("quote", "escape") and token[0].endswith('"'):
                    self._literal = Escaped(self._sought, self._hits, self._end + token.end())
            elif token.lastgroup == "quote":
                self._end_literal("".join(parts))
                parts.clear()
            elif token.lastgroup == "cut":
                self._rest = token[0]
            else:
                parts.append(token[0])
        self._end += len(text) - len(self._rest)
        if self._literal is not None:
            self._literal.feed("".join(parts))

    def finish(self) -> None:
        """Say that the text is over."""
        if self._literal is not None:
            self._end_literal(self._rest)

    def _end_literal(self, rest: str) -> None:
        if self._literal is not None:
            self._literal.feed(rest)
            self._literal.finish()
        self._literal = None
