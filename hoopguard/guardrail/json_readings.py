"""The views of a JSON text that arrives in pieces: out of its escapes, and each of its strings."""

import re
from typing import Final

from hoopguard.guardrail.escapes import ESCAPE, UNFINISHED_ESCAPE, meaning
from hoopguard.guardrail.places import Places
from hoopguard.guardrail.readings import Disguised
from hoopguard.guardrail.searching import Hits, judge
from hoopguard.guardrail.sought import Sought
from hoopguard.guardrail.views import Looking, views_of_literal

_INSIDE: Final = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)


class Escaped:
    """A text out of JSON, with its escapes undone wherever they stand."""

    def __init__(self, sought: Sought, hits: Hits, looking: Looking | None = None, base: int = 0) -> None:
        self._view = Disguised(sought, hits, looking, "unescaped")
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
        at = 0
        while at < len(text):
            if self._literal is None:
                at = (text.find('"', at) + 1) or len(text)
                inside = _INSIDE.match(text, at)
                if inside and inside.end() < len(text) and text[inside.end()] == '"':
                    self._judge(inside[0])
                    at = inside.end() + 1
                elif text[at - 1] == '"':
                    self._literal = Escaped(self._sought, self._hits, base=self._end + at)
            else:
                at = self._go_on(text, at, self._literal)
        self._end += len(text) - len(self._rest)

    def finish(self) -> None:
        """Say that the text is over."""
        if self._literal is not None:
            self._literal.feed(self._rest)
            self._literal.finish()
            self._literal = None

    def _go_on(self, text: str, at: int, literal: Escaped) -> int:
        """Take what comes next in a string; return where that ends, with its quote if that is there."""
        inside = _INSIDE.match(text, at)
        end = inside.end() if inside else at
        literal.feed(text[at:end])
        if end < len(text) and text[end] == '"':
            literal.finish()
            self._literal = None
        else:
            self._rest = text[end:]
        return max(end + 1, at)

    def _judge(self, literal: str) -> None:
        """Judge a string of which no part is missing."""
        if "\\" in literal or not self._sought.passes(literal):
            for view in views_of_literal(literal):
                judge(self._sought, self._hits, view)
