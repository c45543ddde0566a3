"""The views of a JSON text that arrives in pieces: out of its escapes, and each of its strings."""

import re
from typing import Final

from hoopguard.guardrail.escapes import ESCAPE, UNFINISHED_ESCAPE, meaning
from hoopguard.guardrail.places import Places
from hoopguard.guardrail.readings import Disguised
from hoopguard.guardrail.searching import Hits
from hoopguard.guardrail.sought import Sought
from hoopguard.guardrail.views import Looking

_JSON: Final = re.compile(r'(?P<quote>")|(?P<escape>\\.)|(?P<cut>\\)|(?P<run>[^"\\]+)', re.DOTALL)


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
        parts: list[str] = []
        for token in _JSON.finditer(text):
            if self._literal is None:
                if token.lastgroup in ("quote", "escape") and token[0].endswith('"'):
                    self._literal = Escaped(self._sought, self._hits, base=self._end + token.end())
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
