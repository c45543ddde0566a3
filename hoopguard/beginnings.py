r"""What could a text that is still being written become? A pattern of the beginnings of what a pattern matches.

For ``ab+c`` it is ``(?:a(?:b*)?)?`` in effect. Looked for right before the end of a text, it tells from where on more
text could change what is found: left of the leftmost place where it matches, no way through the pattern reaches the
end of the text. An assertion that looks forward (``\b``, ``$``, a look-ahead) reaches the end if what it looks at does.
"""

from collections.abc import Iterable
from typing import Final

import regex

TOKEN: Final = regex.compile(
    r"""(?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
      | (?P<boundary>\\[bBZzmM]|\$)
      | (?P<start>\^|\\A|\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?\)|\(\?\#[^)]*\))
      | (?P<atom>\\[pP](?:\{[^}]*\}|.)|\\[xN]\{[^}]*\}|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.)
      | (?P<ahead>\(\?[=!])
      | (?P<behind>\(\?<[=!])
      | (?P<scoped>\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?:)
      | (?P<open>\((?:\?P?<\w+>|\?>|(?!\?)))
      | (?P<close>\))
      | (?P<or>\|)
      | (?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})[?+]?)
      | (?P<char>.)""",
    regex.VERBOSE | regex.DOTALL,
)
BACK_REFERENCE: Final = regex.compile(r"\\[1-9]")
_FLAGS_FIRST: Final = regex.compile(r"\(\?([ims]+)\)")
_ANYTHING: Final = "(?s:.*)"
_MOST_COUNTED: Final = 4
"""Times that a loose pattern still counts; more are any number, which keeps it small."""

_Part = tuple[str, str | None]
"""A part of a pattern, and a pattern of its proper beginnings (None: it has none, and takes no character)."""


def beginnings(pattern: str) -> str:
    """Return a pattern for everything that could be continued to something that ``pattern`` matches.

    Raises:
        ValueError: the pattern's syntax is not understood.
    """
    return _read(_Parser(pattern))


def loose_beginnings(pattern: str) -> tuple[str, str | None]:
    """Return two patterns in what RE2 knows: one for at least those beginnings, and small, and one for no others.

    The second is None if RE2 does not know all of the pattern; it may be more than RE2 has room for.

    Raises:
        ValueError: the pattern's syntax is not understood, or it sets flags in its middle.
    """
    flags = _FLAGS_FIRST.match(pattern)
    parsers = [_Loose(pattern if flags is None else pattern[flags.end() :], most) for most in (_MOST_COUNTED, None)]
    loose, exact = (f"(?{flags[1]}:{begun})" if flags else begun for begun in map(_read, parsers))
    return loose, exact if parsers[1].exact else None


def _read(parser: "_Parser") -> str:
    _, begun = parser.alternatives()
    if parser.kind or begun is None:
        raise ValueError(f"the pattern {parser.pattern!r} is not understood")
    return begun


class _Parser:
    """Reads a pattern from left to right; ``kind`` and ``source`` are the token that comes next."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._tokens = iter([(match.lastgroup or "", str(match.group())) for match in TOKEN.finditer(pattern)])
        self._keep_groups = BACK_REFERENCE.search(pattern) is not None
        self.kind, self.source = next(self._tokens, ("", ""))

    def _next(self) -> str:
        source = self.source
        self.kind, self.source = next(self._tokens, ("", ""))
        return source

    def alternatives(self) -> _Part:
        """Read alternatives up to a closing bracket or the end."""
        parts = [self._sequence()]
        while self.kind == "or":
            self._next()
            parts.append(self._sequence())
        return "|".join(part for part, _ in parts), _any_of(begun for _, begun in parts)

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.kind not in ("", "or", "close"):
            part = self._item()
            while self.kind == "repeat":
                part = _repeated(part, self._quantifier(self._next()))
            parts.append(part)
        begun: str | None = None
        for whole, beginning in reversed(parts):
            begun = _any_of((beginning, None if begun is None else whole + begun))
        return "".join(whole for whole, _ in parts), begun

    def _item(self) -> _Part:
        kind, opening = self.kind, self._next()
        if kind in ("ahead", "behind", "scoped", "open"):
            return self._group(kind, opening)
        return self._single(kind, opening)

    def _group(self, kind: str, opening: str) -> _Part:
        body, begun = self.alternatives()
        if self.kind != "close":
            raise ValueError("a bracket is not closed")
        self._next()
        if kind == "behind":
            return self._looked_at(opening, body), None
        if kind == "scoped":
            return f"{opening}{body})", None if begun is None else f"{opening}{begun})"
        if kind == "ahead":
            return self._looked_at(opening, body), begun
        return f"{opening if self._keep_groups else '(?:'}{body})", begun

    def _quantifier(self, source: str) -> str:
        return source

    def _single(self, kind: str, source: str) -> _Part:
        return source, None if kind == "start" else ""

    def _looked_at(self, opening: str, body: str) -> str:
        return f"{opening}{body})"


class _Loose(_Parser):
    """Reads a pattern and leaves out or widens what RE2 does not know, or would need much room for."""

    def __init__(self, pattern: str, most_counted: int | None) -> None:
        super().__init__(pattern)
        self.exact = True
        self._most_counted = most_counted

    def _quantifier(self, source: str) -> str:
        if source[0] != "{" and not source.endswith("+", 1):
            return source
        least, most = _least(source), _most(source)
        lazy = "?" if source.endswith("?") else ""
        possessive = source.endswith("+")
        self.exact &= not possessive
        if self._most_counted is None or (most is not None and most <= self._most_counted):
            return f"{{{least},{'' if most is None else most}}}{lazy}"
        return ("+" if least else "*") + lazy

    def _single(self, kind: str, source: str) -> _Part:
        if kind == "start" and source.startswith("(?") and not source.startswith("(?#"):
            raise ValueError("flags are set in the middle")
        if BACK_REFERENCE.match(source):
            self.exact = False
            return _ANYTHING, _ANYTHING
        if kind in ("start", "boundary") and source not in (r"\b", r"\B"):
            self.exact = False
            source = ""
        return source, None if kind == "start" else ""

    def _looked_at(self, opening: str, body: str) -> str:
        self.exact = False
        return ""


def _any_of(choices: Iterable[str | None]) -> str | None:
    distinct = list(dict.fromkeys(choice for choice in choices if choice is not None))
    if len(distinct) > 1:
        return f"(?:{'|'.join(sorted(distinct, key=len, reverse=True))})"
    return distinct[0] if distinct else None


def _repeated(part: _Part, quantifier: str) -> _Part:
    whole, begun = part
    if not whole:  # it was left out
        return part
    most = _most(quantifier)
    if begun is None or most == 0:
        return whole + quantifier, None
    times = "*" if most is None else "" if most == 1 else f"{{0,{most - 1}}}"
    return whole + quantifier, (whole + times if most != 1 else "") + begun


def _least(quantifier: str) -> int:
    if quantifier[0] in "*?":
        return 0
    if quantifier[0] == "+":
        return 1
    return int(quantifier.rstrip("?+")[1:-1].partition(",")[0] or 0)


def _most(quantifier: str) -> int | None:
    if quantifier[0] in "*+":
        return None
    if quantifier[0] == "?":
        return 1
    most = quantifier.rstrip("?+")[1:-1].rpartition(",")[2]
    return int(most) if most else None
