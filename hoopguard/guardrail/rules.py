"""Words and RE2 patterns, and the verdict on a text that has one. Linear time, whatever the text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

import re2

from hoopguard.guardrail.normalising import casefolded, encoded, undisguised
from hoopguard.guardrail.views import Looking, View, ViewName, decoded_views, shallow_views
from hoopguard.payload.fields import Text
from hoopguard.policy.model import Guardrail, Policy
from hoopguard.policy.values import compile_pattern

_SEVERITY: Final = {"block": 0, "approve": 1, "flag": 2}
_WORDS_A_PATTERN: Final = 200
ALNUM: Final = r"\pL\pN"
"""Letters and digits, as RE2 says it in a set."""


class CannotBeInspected(Exception):
    """A text cannot be looked into to its end, so nobody can say that it holds nothing forbidden."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's judgement: what it found and what follows. An observed rule is noted and nothing follows.

    ``view`` is how the text was read when it matched. ``text`` is that text as it stands, for a reviewer; it is never
    recorded.
    """

    rule: Guardrail
    observed: bool
    view: ViewName = "text"
    text: str = field(default="", repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """Return what the record says of it."""
        facts = {"rule": self.rule.name, "action": self.rule.action, "observed": self.observed}
        return facts if self.view == "text" else {**facts, "view": self.view}


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

    @property
    def stops(self) -> bool:
        """Tell whether what matches must not pass; otherwise it is noted, or a human asked."""
        return self.rule.action == "block" and not self.observed

    @property
    def reads(self) -> bool:
        """Tell whether the rule looks into texts at all."""
        return bool(self.patterns or self.words)

    @property
    def demands(self) -> bool:
        """Tell whether something follows from what matches; otherwise it is only noted."""
        return self.rule.action != "flag" and not self.observed

    def match(self, seen: Iterable[tuple[View, str]]) -> tuple[ViewName, str] | None:
        """Return by which view, and in which text, the rule matches first."""
        return next(((view.name, text) for view, text in seen if self.matches(view.said)), None)

    def matches(self, view: str) -> bool:
        """Tell whether a text has one of the rule's patterns or words."""
        said = encoded(view) if self.patterns else b""
        if any(pattern.search(said) for pattern in self.patterns):
            return True
        folded = encoded(casefolded(view)) if self.words else b""
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
    """Return the verdict of each rule that matches any of the texts, blocking ones first.

    What is blocked as it stands is not decoded besides.

    Raises:
        CannotBeInspected: no rule blocks the texts, one is so encoded that it cannot be looked into, and some rule
            blocks or asks.
    """
    reading = [compiled for compiled in rules if compiled.reads]
    if not reading:
        return ()
    found = [(*shallow_views(text), text.value) for text in texts]
    verdicts = _verdicts(reading, [(view, text) for views, _, text in found for view in views])
    if _blocked(verdicts.values()):
        return tuple(verdicts.values())
    looking = Looking()
    seen = [(view, text) for _, normalised, text in found for view in decoded_views(normalised, looking)]
    if seen:
        verdicts = _verdicts(reading, seen) | verdicts
    if looking.given_up and not _blocked(verdicts.values()) and any(compiled.demands for compiled in reading):
        raise CannotBeInspected("a text in it is encoded too often, or too much of it; send it as plain text")
    return tuple(verdicts[each.rule.name] for each in reading if each.rule.name in verdicts)


def _verdicts(rules: Iterable[CompiledRule], seen: Sequence[tuple[View, str]]) -> dict[str, Verdict]:
    matched = ((compiled, compiled.match(seen)) for compiled in rules)
    return {each.rule.name: Verdict(each.rule, each.observed, *match) for each, match in matched if match}


def _blocked(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict.rule.action == "block" and not verdict.observed for verdict in verdicts)


def word_forms(words: Iterable[str]) -> list[str]:
    """Return the ways in which words can stand in a text without its case: as they are, and without disguise."""
    return sorted({form for word in words for form in (word.casefold(), undisguised(word).casefold())} - {""})


def _word_patterns(words: Iterable[str]) -> tuple[Any, ...]:
    """Compile patterns for words that stand alone: at neither end does a letter or digit meet another.

    Group 1 is the word without the character before it.
    """
    found = []
    for alone in (True, False):
        forms = [form for form in word_forms(words) if form[0].isalnum() is alone]
        before = rf"(?:^|[^{ALNUM}])" if alone else ""
        for some in batched(forms, _WORDS_A_PATTERN):
            found.append(compile_pattern(f"{before}({'|'.join(map(_with_its_end, some))})"))
    return tuple(found)


def _with_its_end(word: str) -> str:
    after = rf"(?:$|[^{ALNUM}])" if word[-1].isalnum() else ""
    return f"{re2.escape(word)}{after}"
