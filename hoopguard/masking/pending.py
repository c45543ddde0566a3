r"""From where on could a text that is still being written become a match of a pattern?

``regex`` can say: with ``partial=True`` it returns the match that ran into the end of the text. It prefers
complete matches, so the pattern is made to fail at its end; what then comes back is the leftmost offset at which
*some* way through the pattern reaches the end. At every offset before it, more text changes nothing.

Assertions that look forward are explored as well, because they too may depend on what comes: ``\b`` becomes
``(?:[\s\S](*F)|\b)``, "touch the next character, then judge", and a look-ahead likewise.
"""

from typing import Any, Final

import regex

_TOKEN: Final = regex.compile(
    r"""(?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
      | (?P<boundary>\\[bBZzmM]|\$)
      | (?P<escape>\\.)
      | (?P<comment>\(\?\#[^)]*\))
      | (?P<ahead>\(\?[=!])
      | (?P<behind>\(\?<[=!])
      | (?P<named>\(\?P?<\w+>)
      | (?P<special>\(\?)
      | (?P<open>\()
      | (?P<close>\))
      | (?P<other>.)""",
    regex.VERBOSE | regex.DOTALL,
)
_TOUCH_NEXT: Final = r"[\s\S](*F)"
_BACK_REFERENCE: Final = regex.compile(r"\\[1-9]|\(\?P=")


def pending_source(pattern: str) -> str:
    """Return the source of a pattern that matches nothing, and partially whatever may yet match ``pattern``."""
    tokens = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(pattern)]
    keep_groups = _BACK_REFERENCE.search(pattern) is not None
    return f"(?:{_explored(tokens, keep_groups=keep_groups)})(*F)"


def _explored(tokens: list[tuple[str, str]], *, keep_groups: bool) -> str:
    out: list[str] = []
    at = 0
    while at < len(tokens):
        kind, source = tokens[at]
        if kind in ("ahead", "behind"):
            close = _closing(tokens, at)
            whole = "".join(part for _, part in tokens[at : close + 1])
            body = _explored(tokens[at + 1 : close], keep_groups=False)
            out.append(whole if kind == "behind" else f"(?:(?:{body})(*F)|{whole})")
            at = close
        elif kind == "boundary":
            out.append(f"(?:{_TOUCH_NEXT}|{source})")
        elif kind in ("open", "named") and not keep_groups:
            out.append("(?:")
        else:
            out.append(source)
        at += 1
    return "".join(out)


def _closing(tokens: list[tuple[str, str]], at: int) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        kind = tokens[index][0]
        depth += kind in ("ahead", "behind", "named", "special", "open")
        depth -= kind == "close"
        if depth == 0:
            return index
    raise ValueError("a bracket is not closed")


def may_match_nothing(pattern: str, flags: int) -> bool:
    """Tell whether a pattern could match without taking a character, wherever its assertions hold."""
    tokens = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(pattern)]
    out: list[str] = []
    at = 0
    while at < len(tokens):
        kind, source = tokens[at]
        assertion = kind in ("ahead", "behind", "boundary") or source in ("^", r"\A")
        at = _closing(tokens, at) if kind in ("ahead", "behind") else at
        out.append("(?:)" if assertion else source)
        at += 1
    return regex.compile("".join(out), flags).match("") is not None


class Pending:
    """The pending variants of all patterns of a detector, asked as one."""

    def __init__(self, patterns: list[tuple[str, int]]) -> None:
        merged: dict[int, list[str]] = {}
        alone: list[tuple[str, int]] = []
        for pattern, flags in patterns:
            source = pending_source(pattern)
            if _BACK_REFERENCE.search(pattern):
                alone.append((source, flags))
            elif source not in merged.setdefault(flags, []):
                merged[flags].append(source)
        together = [("|".join(sources), flags) for flags, sources in merged.items()]
        self._compiled: list[Any] = [regex.compile(source, flags) for source, flags in together + alone]

    def earliest(self, text: str, start: int, timeout_s: float) -> int:
        """Return the first offset from ``start`` on at which more text could make a difference.

        Raises:
            TimeoutError: one of the patterns takes too long.
        """
        for compiled in self._compiled:
            if compiled.match(text, start, partial=True, timeout=timeout_s):
                return start
        earliest = len(text)
        for compiled in self._compiled:
            found = compiled.search(text, start, partial=True, timeout=timeout_s)
            earliest = min(earliest, found.start()) if found else earliest
        return earliest
