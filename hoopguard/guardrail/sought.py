"""What is looked for in a text that is still being written: rules, and the beginnings of what they match."""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

import re2

from hoopguard.beginnings import beginnings, loose_beginnings
from hoopguard.guardrail.quiet import BEFORE, quiet
from hoopguard.guardrail.rules import ALNUM, CompiledRule, word_forms

CONTEXT_CHARS: Final = 2
"""What has to stay before a text for its patterns: what ``\\b`` looks at, and a sign that the text has begun before."""

_NEVER: Final = re.compile("(?!)")
_WORDS_A_PATTERN: Final = 100
_FLAGS_FIRST: Final = re.compile(r"\(\?([imsU]+)\)")
_ODD: Final = re.compile(r"\\([QCE0-7])|\\.|(\{,\d+\})", re.DOTALL)
"""What RE2 reads in another way than :mod:`hoopguard.beginnings` does."""


class _NotUnderstood(Exception):
    """Nobody can say how a match of a pattern begins, so any text may be a beginning."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Some rules, and patterns for every beginning of what they match, to be searched at a text's end."""

    rules: tuple[CompiledRule, ...]
    begun: tuple[Any, ...]
    words_begun: tuple[Any, ...]
    quiet: re.Pattern[str]
    anything: bool
    ends: bool

    @classmethod
    def of(cls, rules: Sequence[CompiledRule]) -> "Sought":
        """Build the beginnings; ``anything`` is set if some are not understood, or too many.

        ``ends`` is set if nothing but a text's end may match.
        """
        patterns = [pattern for compiled in rules for pattern in compiled.rule.patterns]
        words = [word for compiled in rules for word in compiled.rule.words]
        try:
            begun = [_begun(pattern) for pattern in patterns]
            together, words_begun = _together(begun), _words_begun(words)
        except (_NotUnderstood, re2.error):
            return cls(tuple(rules), (), (), _NEVER, anything=True, ends=True)
        ends = any(_matches_an_end(pattern) for compiled in rules for pattern in compiled.patterns)
        return cls(tuple(rules), together, words_begun, _quiet([*begun, *patterns], words), anything=False, ends=ends)

    def earliest(self, text: str, start: int) -> int:
        """Return the first offset from ``start`` on at which more text could make a difference."""
        if self.anything:
            return start
        at = len(text)
        for begun in self.begun:
            found = begun.search(text, start)
            at = min(at, found.start()) if found else at
        if self.words_begun:
            folded = Folded(text)
            for begun in self.words_begun:
                found = begun.search(folded.text, folded.offset(max(start - 1, 0)))
                at = min(at, max(start, folded.source(found.start(1)))) if found else at
        return at

    def passes(self, text: str) -> bool:
        """Tell whether it is plain that nothing matches a text which is whole."""
        return not self.ends and self.quiet.fullmatch(text) is not None

    def matched(self, text: str, start: int, before: int, known: Container[str] = ()) -> list[CompiledRule]:
        """Return the rules of which a match begins from ``start`` on and before an offset, but for ``known`` ones."""
        folded = Folded(text)
        asked = (compiled for compiled in self.rules if compiled.rule.name not in known)
        return [compiled for compiled in asked if _matches(compiled, text, folded, start, before)]


def _matches_an_end(pattern: Any) -> bool:
    return any(pattern.search(before, len(before)) is not None for before in BEFORE)


def _matches(compiled: CompiledRule, text: str, folded: "Folded", start: int, before: int) -> bool:
    for pattern in compiled.patterns:
        found = pattern.search(text, start)
        if found and found.start() < before:
            return True
    for words in compiled.words:
        found = words.search(folded.text, folded.offset(max(start - 1, 0)))
        if found and folded.source(found.start(1)) < before:
            return True
    return False


def begins_anywhere(pattern: str) -> bool:
    """Tell whether nobody can say how a match of a pattern begins, so that a stream can let nothing go on."""
    try:
        _together([_begun(pattern)])
    except (_NotUnderstood, re2.error):
        return True
    return False


class Folded:
    """A text without its case, which may make it longer."""

    def __init__(self, text: str) -> None:
        self.text = text.casefold()
        self._whole = text
        self._sources: list[int] | None = None

    def source(self, offset: int) -> int:
        """Return where in the text something of the folded text stands."""
        if len(self.text) == len(self._whole):
            return offset
        if self._sources is None:
            self._sources = [place for place, char in enumerate(self._whole) for _ in char.casefold()]
            self._sources.append(len(self._whole))
        return self._sources[offset]

    def offset(self, source: int) -> int:
        """Return where in the folded text something of the text stands."""
        return source if len(self.text) == len(self._whole) else len(self._whole[:source].casefold())


def _quiet(begun: Iterable[str], words: Iterable[str]) -> re.Pattern[str]:
    try:
        return quiet(_at_end([*(f"(?:{source})" for source in begun), r"[^\s\S]"]), word_forms(words))
    except re2.error:
        return _NEVER


def _begun(pattern: str) -> str:
    flags = _FLAGS_FIRST.match(pattern)
    rest = pattern if flags is None else pattern[flags.end() :]
    if any(match.lastindex for match in _ODD.finditer(rest)):
        raise _NotUnderstood(pattern)
    prefix = "(?:" if flags is None else f"(?{flags[1]}:"
    try:
        loose, _ = loose_beginnings(rest)
        return f"{prefix}{_exact(prefix, rest) or loose})"
    except ValueError as error:
        raise _NotUnderstood(pattern) from error


def _exact(prefix: str, pattern: str) -> str | None:
    """Return exactly the beginnings of a pattern, if RE2 has the room for them."""
    try:
        begun = beginnings(pattern)
        _at_end([f"{prefix}{begun})"])
    except re2.error:
        return None
    return begun


def _together(sources: list[str]) -> tuple[Any, ...]:
    """Compile patterns as one, or each for itself if that is too large."""
    if not sources:
        return ()
    try:
        return (_at_end(sources),)
    except re2.error as error:
        if len(sources) == 1:
            raise _NotUnderstood(sources[0]) from error
    return tuple(pattern for source in sources for pattern in _together([source]))


def _words_begun(words: Iterable[str]) -> tuple[Any, ...]:
    """Compile patterns for beginnings of words; group 1 is the word without the character before it."""
    found = []
    for alone in (True, False):
        forms = [form for form in word_forms(words) if form[0].isalnum() is alone]
        before = rf"(?:^|[^{ALNUM}])" if alone else ""
        for some in batched(forms, _WORDS_A_PATTERN):
            begun = "|".join(map(_word_begun, some))
            found.append(_compile(rf"{before}({begun})\z"))
    return tuple(found)


def _word_begun(word: str) -> str:
    """Return a pattern for a word's beginnings; the whole of it is one if it has to be seen what comes after it."""
    begun = re2.escape(word[-1]) + "?" if word[-1].isalnum() else ""
    for char in reversed(word[:-1]):
        begun = f"(?:{re2.escape(char)}{begun})?"
    return begun


def _at_end(sources: Iterable[str]) -> Any:
    return _compile(rf"(?:{'|'.join(sources)})\z", capture=False)


def _compile(pattern: str, *, capture: bool = True) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = not capture
    return re2.compile(pattern, options)
