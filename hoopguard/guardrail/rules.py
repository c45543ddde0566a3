"""Words and RE2 patterns, and the verdict on a text that has one. Linear time, whatever the text."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

import re2
import regex

from hoopguard.payload.fields import Kind, Text
from hoopguard.policy.model import Guardrail, Policy
from hoopguard.policy.values import compile_pattern

_SEVERITY: Final = {"block": 0, "approve": 1, "flag": 2}
_WORDS_A_PATTERN: Final = 200
_ALNUM: Final = r"\pL\pN"
_PLAIN: Final = regex.compile(r"[\t\n\r\x20-\x7e]*+")
_INVISIBLE: Final = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}\x00-\x08\x0e-\x1f\x7f-\x9f]+")
_MARKS: Final = regex.compile(r"(\p{M}{30})\p{M}+")
_ESCAPE: Final = regex.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_SHORT: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's judgement: what it found and what follows. An observed rule is noted and nothing follows.

    ``text`` is the text that it matched, for a reviewer; it is never recorded.
    """

    rule: Guardrail
    observed: bool
    text: str = field(default="", repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """Return what the record says of it."""
        return {"rule": self.rule.name, "action": self.rule.action, "observed": self.observed}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of the policy with its patterns compiled."""

    rule: Guardrail
    observed: bool
    patterns: tuple[Any, ...]
    words: tuple[Any, ...]

    @classmethod
    def of(cls, rule: Guardrail, *, observe_all: bool) -> "CompiledRule":
        """Compile a rule; ``observe_all`` is the whole policy's mode."""
        patterns = tuple(compile_pattern(pattern) for pattern in rule.patterns)
        return cls(rule, observe_all or rule.mode == "observe", patterns, _word_patterns(rule.words))

    def matches(self, view: str) -> bool:
        """Tell whether a text has one of the rule's patterns or words."""
        if any(pattern.search(view) for pattern in self.patterns):
            return True
        folded = view.casefold() if self.words else ""
        return any(words.search(folded) for words in self.words)


def compile_rules(policy: Policy, connection: str, direction: str) -> tuple[CompiledRule, ...]:
    """Return the rules that hold on a connection in a direction, blocking ones first."""
    rules = [
        CompiledRule.of(rule, observe_all=policy.gateway.mode == "observe")
        for rule in policy.guardrails
        if rule.on in (direction, "both") and (not rule.connections or connection in rule.connections)
    ]
    return tuple(sorted(rules, key=lambda compiled: _SEVERITY[compiled.rule.action]))


def concerning(rules: Iterable[CompiledRule], subject: str, groups: frozenset[str]) -> tuple[CompiledRule, ...]:
    """Return the rules that apply to a caller: those whose ``unless`` does not name them."""
    return tuple(
        compiled
        for compiled in rules
        if groups.isdisjoint(compiled.rule.unless.groups) and subject not in compiled.rule.unless.subjects
    )


def judge(rules: Sequence[CompiledRule], texts: Iterable[Text]) -> tuple[Verdict, ...]:
    """Return the verdict of each rule that matches any of the texts, blocking ones first."""
    if not rules:
        return ()
    seen = [(view, text.value) for text in texts for view in views(text)]
    verdicts = []
    for compiled in rules:
        matched = next((value for view, value in seen if compiled.matches(view)), None)
        if matched is not None:
            verdicts.append(Verdict(compiled.rule, compiled.observed, matched))
    return tuple(verdicts)


def views(text: Text) -> Iterator[str]:
    """Yield the ways in which a text can be read: as it is, without disguise, and out of its JSON strings."""
    readings = [text.value]
    if text.kind is Kind.JSON_TEXT:
        readings += _strings(text.value)
        if "\\" in text.value:
            readings.append(_unescaped(text.value))
    for reading in readings:
        yield reading
        if not _PLAIN.fullmatch(reading):
            yield undisguised(reading)


def undisguised(text: str) -> str:
    """Return the text in NFKC, without invisible and control characters, and no more than 30 marks on a letter.

    Normalising sorts marks in quadratic time, which UAX #15's Stream-Safe Text Format bounds in the same way.
    """
    bounded = _MARKS.sub(r"\1", _INVISIBLE.sub("", text))
    visible: str = _INVISIBLE.sub("", unicodedata.normalize("NFKC", bounded))
    return visible


def _strings(text: str) -> list[str]:
    """Return every string of a JSON text, keys included; none if it is not JSON."""
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> list[Any]:
        return [part for pair in pairs for part in pair]

    try:
        waiting = [json.loads(text, object_pairs_hook=collect)]
    except (ValueError, RecursionError):
        return found
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            found.append(_whole(value))
    return found


def _unescaped(text: str) -> str:
    """Return a JSON text with its escapes undone wherever they stand; it may be cut, or no JSON at all."""
    unescaped: str = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _SHORT[match[2]], text)
    return _whole(unescaped)


def _whole(text: str) -> str:
    """Join surrogate pairs to characters; a half of one, which no pattern can be asked about, becomes ``U+FFFD``."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _word_patterns(words: Iterable[str]) -> tuple[Any, ...]:
    """Compile patterns for words that stand alone: at neither end does a letter or digit meet another."""
    forms = sorted({form for word in words for form in (word.casefold(), undisguised(word).casefold())} - {""})
    return tuple(compile_pattern("|".join(map(_standing_alone, some))) for some in batched(forms, _WORDS_A_PATTERN))


def _standing_alone(word: str) -> str:
    before = rf"(?:^|[^{_ALNUM}])" if word[0].isalnum() else ""
    after = rf"(?:$|[^{_ALNUM}])" if word[-1].isalnum() else ""
    return f"{before}{re2.escape(word)}{after}"
