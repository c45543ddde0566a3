"""The mask rules that apply to one connection in one direction, as one function from text to masked text."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

from hoopguard.masking.detector import Detector, detector_for
from hoopguard.masking.findings import Finding
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.operators import Claim, Operate, merge, operator_for
from hoopguard.masking.pace import Pace, Unhurried
from hoopguard.masking.scan import Budget
from hoopguard.masking.streaming import TextStream
from hoopguard.policy.model import Mask, Policy

MOST_S: Final = 10.0
"""The longest that anything may take to look at."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked text, and how many spans of each entity were hidden in it."""

    text: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class MaskRule:
    """One ``[[mask]]`` table, ready to work."""

    entities: frozenset[str]
    threshold: float
    operate: Operate

    def claims(self, finding: Finding) -> bool:
        """Tell whether this rule hides a finding."""
        return finding.entity in self.entities and finding.score >= self.threshold


class Masker:
    """Hides what the policy's rules name; the same for whole texts and for streams."""

    def __init__(self, rules: tuple[MaskRule, ...], detector: Detector, *, max_held_chars: int) -> None:
        self.rules = rules
        self.detector = detector
        self.max_held_chars = max_held_chars

    @classmethod
    def build(cls, policy: Policy, connection: str, direction: Literal["request", "response"]) -> Self | None:
        """Return the masker for a connection and direction, or None if no rule applies.

        Raises:
            ValueError: an entity that nobody recognises, or a pattern that cannot be used.
        """
        masks = [mask for mask in policy.masks if _applies(mask, connection, direction)]
        if not masks:
            return None
        rules = tuple(MaskRule(mask.resolved_entities, mask.threshold, operator_for(mask.operator)) for mask in masks)
        entities = frozenset().union(*(rule.entities for rule in rules))
        custom = tuple(recogniser for recogniser in policy.recognisers if recogniser.entity in entities)
        return cls(rules, detector_for(entities, custom), max_held_chars=policy.gateway.max_held_chars)

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return the text with all findings hidden.

        Raises:
            DetectionGaveUp: the text could not be looked at in time; it must not pass.
        """
        findings = self.detector.detect(text, budget=Budget(MOST_S) if budget is None else budget)
        spans = merge(self.claims(findings))
        counts: Counter[str] = Counter()
        return Masked(self.render(text, 0, len(text), spans, counts), dict(counts))

    def mask_json(self, text: str, budget: Budget | None = None) -> Masked:
        """Return a JSON text with all findings in its strings and numbers hidden.

        Raises:
            DetectionGaveUp: the text could not be looked at in time; it must not pass.
        """
        stream = self.json_stream(Unhurried(Budget(MOST_S) if budget is None else budget))
        masked = stream.feed(text) + stream.finish()
        return Masked(masked, dict(stream.counts))

    def stream(self, pace: Pace | None = None) -> TextStream:
        """Return a stream that gives what :meth:`mask` gives, piece by piece."""
        return TextStream(self, pace)

    def json_stream(self, pace: Pace | None = None) -> JsonTextStream:
        """Return a stream that gives what :meth:`mask_json` gives, piece by piece."""
        return JsonTextStream(self, pace)

    def warm_up(self) -> None:
        """Do what the first text would otherwise wait for."""
        self.detector.warm_up()

    def claims(self, findings: Iterable[Finding]) -> list[Claim]:
        """Return the findings that some rule hides, each with the first rule that does."""
        claimed = []
        for finding in findings:
            rule = next((number for number, rule in enumerate(self.rules) if rule.claims(finding)), None)
            if rule is not None:
                claimed.append(Claim(finding.start, finding.end, finding.entity, finding.score, rule))
        return claimed

    def render(self, text: str, start: int, end: int, spans: Iterable[Claim], counts: Counter[str]) -> str:
        """Return ``text[start:end]`` with the spans in it hidden, and count them."""
        out = []
        for span in spans:
            out.append(text[start : span.start])
            out.append(self.rules[span.rule].operate(span.entity, text[span.start : span.end]))
            counts[span.entity] += 1
            start = span.end
        out.append(text[start:end])
        return "".join(out)


def _applies(mask: Mask, connection: str, direction: Literal["request", "response"]) -> bool:
    return mask.on in (direction, "both") and (not mask.connections or connection in mask.connections)
