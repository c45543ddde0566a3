"""Words and RE2 patterns, and the verdict on a text that has one. Linear time, whatever the text."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hoopguard.payload.fields import Kind, Text
from hoopguard.policy.model import Guardrail, Policy
from hoopguard.policy.values import compile_pattern

_SEVERITY: Final = {"block": 0, "approve": 1, "flag": 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's judgement: what it found and what follows. An observed rule is noted and nothing follows."""

    rule: Guardrail
    observed: bool

    def facts(self) -> dict[str, Any]:
        """Return what the record says of it."""
        return {"rule": self.rule.name, "action": self.rule.action, "observed": self.observed}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of the policy with its patterns compiled."""

    rule: Guardrail
    observed: bool
    patterns: tuple[Any, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, rule: Guardrail, *, observe_all: bool) -> "CompiledRule":
        """Compile a rule; ``observe_all`` is the whole policy's mode."""
        patterns = tuple(compile_pattern(pattern) for pattern in rule.patterns)
        words = tuple(_folded(word) for word in rule.words)
        return cls(rule, observe_all or rule.mode == "observe", patterns, words)

    def matches(self, view: str) -> bool:
        """Tell whether a text has one of the rule's patterns or words."""
        if any(pattern.search(view) for pattern in self.patterns):
            return True
        return bool(self.words) and _has_word(_folded(view), self.words)


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
    seen = [view for text in texts for view in views(text)]
    return tuple(
        Verdict(compiled.rule, compiled.observed) for compiled in rules if any(compiled.matches(view) for view in seen)
    )


def views(text: Text) -> Iterator[str]:
    """Yield the ways in which a text can be read: as it is, without disguise, and out of its JSON string."""
    yield text.value
    if not text.value.isascii():
        yield undisguised(text.value)
    if text.kind is Kind.JSON_TEXT:
        for value in _strings(text.value):
            yield value
            if not value.isascii():
                yield undisguised(value)


def undisguised(text: str) -> str:
    """Return the text in NFKC, without invisible characters (Unicode category ``Cf``)."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


def _strings(text: str) -> list[str]:
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        for key, value in pairs:
            parts = value if isinstance(value, list) else [value]
            found.extend((key, *(part for part in parts if isinstance(part, str))))

    try:
        value = json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return found
    return [*found, *([value] if isinstance(value, str) else [])]


def _folded(text: str) -> str:
    return text.casefold()


def _has_word(text: str, words: Iterable[str]) -> bool:
    return any(_stands_alone(text, word) for word in words)


def _stands_alone(text: str, word: str) -> bool:
    start = text.find(word)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(word) : start + len(word) + 1]
        if not (before.isalnum() and word[0].isalnum()) and not (after.isalnum() and word[-1].isalnum()):
            return True
        start = text.find(word, start + 1)
    return False
