r"""From where on could a text that is still being written become a match of a pattern?

For each pattern a second one is built that matches every beginning of what the first could match, and is searched
right before the end of the text: for ``ab+c`` that is ``(?:a(?:b*)?)?\Z`` in effect. Left of the leftmost place where
it matches, no way through the pattern reaches the end of the text, so more text changes nothing there. An assertion
that looks forward (``\b``, ``$``, a look-ahead) reaches the end of the text if what it looks at does.

``regex`` itself offers partial matches, but misses some where quantifiers are nested (seen with 2026.11.15).
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import regex

_TOKEN: Final = regex.compile(
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
_BACK_REFERENCE: Final = regex.compile(r"\\[1-9]")

_Part = tuple[str, str | None]
"""A part of a pattern, and a pattern of its proper beginnings (None: it has none, and takes no character)."""


def beginnings(pattern: str) -> str:
    """Return a pattern for everything that could be continued to something that ``pattern`` matches."""
    parser = _Parser(pattern)
    _, begun = parser.alternatives()
    if parser.kind or begun is None:
        raise ValueError(f"the pattern {pattern!r} is not understood")
    return begun


class _Parser:
    """Reads a pattern from left to right; ``kind`` and ``source`` are the token that comes next."""

    def __init__(self, pattern: str) -> None:
        self._tokens = iter([(match.lastgroup or "", str(match.group())) for match in _TOKEN.finditer(pattern)])
        self._keep_groups = _BACK_REFERENCE.search(pattern) is not None
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
                part = _repeated(part, self._next())
            parts.append(part)
        begun: str | None = None
        for whole, beginning in reversed(parts):
            begun = _any_of((beginning, None if begun is None else whole + begun))
        return "".join(whole for whole, _ in parts), begun

    def _item(self) -> _Part:
        kind, opening = self.kind, self._next()
        if kind in ("ahead", "behind", "scoped", "open"):
            return self._group(kind, opening)
        return opening, None if kind == "start" else ""

    def _group(self, kind: str, opening: str) -> _Part:
        body, begun = self.alternatives()
        if self.kind != "close":
            raise ValueError("a bracket is not closed")
        self._next()
        if kind == "behind":
            return f"{opening}{body})", None
        if kind == "scoped":
            return f"{opening}{body})", None if begun is None else f"{opening}{begun})"
        if kind == "open" and not self._keep_groups:
            opening = "(?:"
        return f"{opening}{body})", begun


def _any_of(choices: Iterable[str | None]) -> str | None:
    distinct = list(dict.fromkeys(choice for choice in choices if choice is not None))
    if len(distinct) > 1:
        return f"(?:{'|'.join(sorted(distinct, key=len, reverse=True))})"
    return distinct[0] if distinct else None


def _repeated(part: _Part, quantifier: str) -> _Part:
    whole, begun = part
    most = _most(quantifier)
    if begun is None or most == 0:
        return whole + quantifier, None
    times = "*" if most is None else "" if most == 1 else f"{{0,{most - 1}}}"
    return whole + quantifier, (whole + times if most != 1 else "") + begun


def _most(quantifier: str) -> int | None:
    if quantifier[0] in "*+":
        return None
    if quantifier[0] == "?":
        return 1
    most = quantifier.rstrip("?+")[1:-1].rpartition(",")[2]
    return int(most) if most else None


def may_match_nothing(pattern: str, flags: int) -> bool:
    """Tell whether a pattern could match without taking a character, wherever its assertions hold."""
    out: list[str] = []
    depth = skipped_from = 0
    for match in _TOKEN.finditer(pattern):
        kind, source = match.lastgroup, match.group()
        depth += kind in ("ahead", "behind", "scoped", "open")
        if kind in ("ahead", "behind") and not skipped_from:
            skipped_from = depth
        if not skipped_from:
            out.append("(?:)" if kind == "boundary" or source in ("^", r"\A") else source)
        if kind == "close":
            if skipped_from == depth:
                skipped_from = 0
                out.append("(?:)")
            depth -= 1
    return regex.compile("".join(out), flags).match("") is not None


class Pending:
    """The beginnings of all patterns of a detector, looked for at once."""

    def __init__(self, patterns: list[tuple[str, int]]) -> None:
        together: dict[int, list[str]] = {}
        alone: list[tuple[str, int]] = []
        for pattern, flags in patterns:
            if _BACK_REFERENCE.search(pattern):
                alone.append((beginnings(pattern), flags))
            else:
                together.setdefault(flags, []).append(beginnings(pattern))
        merged = [("|".join(dict.fromkeys(sources)), flags) for flags, sources in together.items()]
        self._compiled: list[Any] = [regex.compile(rf"(?:{source})\Z", flags) for source, flags in merged + alone]

    def earliest(self, text: str, start: int, left_s: Callable[[], float]) -> int:
        """Return the first offset from ``start`` on at which more text could make a difference.

        ``left_s`` tells how much time there still is, for all patterns together.

        Raises:
            TimeoutError: one of the patterns takes too long.
        """
        if any(compiled.match(text, start, timeout=left_s()) for compiled in self._compiled):
            return start
        earliest = len(text)
        for compiled in self._compiled:
            found = compiled.search(text, start, timeout=left_s())
            earliest = min(earliest, found.start()) if found else earliest
        return earliest
