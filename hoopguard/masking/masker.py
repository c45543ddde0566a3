"""The mask rules that apply to one connection in one direction, as one function from text to masked text."""

from collections import Counter
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Final, Literal, Self

from hoopguard.masking.detector import Detector, detector_for
from hoopguard.masking.encryption import TOKEN_TEXT
from hoopguard.masking.field_masker import FieldMasker
from hoopguard.masking.field_rules import FieldRule, Place, Walk
from hoopguard.masking.findings import Finding
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.operators import ENCRYPTED, PLACEHOLDER, PLACEHOLDER_TEXT, Claim, merge
from hoopguard.masking.operators import Masked as Masked
from hoopguard.masking.pseudonyms import Vault
from hoopguard.masking.rules import KEPT, MaskRule, build_field_rules, build_rules
from hoopguard.masking.scan import Budget
from hoopguard.masking.streaming import TextStream
from hoopguard.pace import Pace, Unhurried
from hoopguard.policy.masking import Mask
from hoopguard.policy.model import Policy

Way = Literal["request", "response"]

MOST_S: Final = 10.0
"""The longest that anything may take to look at."""


class Masker:
    """Hides what the policy's rules name; the same for whole texts and for streams."""

    def __init__(
        self, rules: tuple[MaskRule, ...], detector: Detector, *, max_held_chars: int, direction: Way = "response"
    ) -> None:
        self.rules = rules
        self.detector = detector
        self.max_held_chars = max_held_chars
        self.direction = direction
        self.root: Place | None = None
        self.place: Place | None = None

    @classmethod
    def build(cls, policy: Policy, connection: str, direction: Way) -> Self | None:
        """Return the masker for a connection and direction, or None if no rule applies.

        Raises:
            ValueError: an entity that nobody recognises, or a pattern that cannot be used.
        """
        masks = [mask for mask in policy.masks if _applies(mask, connection, direction)]
        if not masks:
            return None
        rules, kept = build_rules(masks)
        entities = frozenset().union(*(rule.entities for rule in rules))
        custom = (*policy.recognisers, *kept, *policy.masking.models(entities))
        needed = tuple(recogniser for recogniser in custom if recogniser.entity in entities)
        detector = detector_for(entities, needed, policy.masking.languages)
        built = cls(rules, detector, max_held_chars=policy.gateway.max_held_chars, direction=direction)
        field_rules = build_field_rules(masks)
        built.root = built.place = Place.root(field_rules) if field_rules else None
        return built

    @property
    def needs_vault(self) -> bool:
        """Tell whether some rule hides values behind placeholders that a session's vault remembers."""
        return any(rule.pseudonym for rule in self.rules)

    def bound(self, vault: Vault) -> Self:
        """Return the same masker with placeholders out of a session's vault; without one they have no number."""
        hide = vault.hide_sent if self.direction == "request" else vault.hide_shown
        twin = copy(self)
        twin.rules = tuple(replace(rule, operate=hide) if rule.pseudonym else rule for rule in self.rules)
        return twin

    def at(self, path: Iterable[str | int]) -> "Self | FieldMasker":
        """Return the masker for a value of a body: one that hides all of it if a rule names the field."""
        if self.root is None:
            return self
        place = self.root.at(path)
        if place.hidden_by is not None:
            return FieldMasker(partial(self.hide_field, place.hidden_by), self.max_held_chars)
        twin = copy(self)
        twin.place = self.root.also(place)
        return twin

    def hide_field(self, rule: FieldRule, text: str) -> Masked:
        """Return a value hidden, whatever is in it, as its field's rule says; what is hidden already stays so."""
        if not text:
            return Masked("", {})
        for kept, mark in ((PLACEHOLDER, PLACEHOLDER_TEXT), (ENCRYPTED, TOKEN_TEXT)):
            match = mark.fullmatch(text)
            keeper = next((each for each in self.rules if kept in each.entities), None)
            if match is not None and match[1] == rule.entity and keeper is not None:
                return Masked(keeper.operate(kept, text), {})
        return Masked(self.rules[rule.rule].operate(rule.entity, text), {rule.entity: 1})

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return the text with all findings hidden.

        Raises:
            DetectionGaveUp: the text could not be looked at in time; it must not pass.
        """
        return self.hide(text, self.detector.detect(text, budget=Budget(MOST_S) if budget is None else budget))

    def hide(self, text: str, findings: Iterable[Finding]) -> Masked:
        """Return the text with what was found in it hidden, as far as a rule claims it."""
        spans = merge(self.claims(findings))
        counts: Counter[str] = Counter()
        return Masked(self.render(text, 0, len(text), spans, counts), dict(counts))

    def mask_json(self, text: str, budget: Budget | None = None) -> Masked:
        """Return a JSON text with all findings in its strings and numbers hidden.

        Raises:
            DetectionGaveUp: the text could not be looked at in time; it must not pass.
        """
        pace = Unhurried(Budget(MOST_S) if budget is None else budget)
        stream = JsonTextStream(self, pace, fields=self._fields(most_chars=len(text)))
        masked = stream.feed(text) + stream.finish()
        return Masked(masked, dict(stream.counts))

    def stream(self, pace: Pace | None = None) -> TextStream:
        """Return a stream that gives what :meth:`mask` gives, piece by piece."""
        return TextStream(self, pace)

    def json_stream(self, pace: Pace | None = None) -> JsonTextStream:
        """Return a stream that gives what :meth:`mask_json` gives, piece by piece."""
        return JsonTextStream(self, pace, fields=self._fields(most_chars=self.max_held_chars))

    def _fields(self, *, most_chars: int) -> Walk | None:
        return None if self.place is None else Walk(self.place, self.hide_field, most_chars)

    def warm_up(self) -> None:
        """Do what the first text would otherwise wait for.

        Raises:
            ValueError: a language model is too slow for streamed answers.
        """
        self.detector.warm_up()
        if self.direction == "response":
            self.detector.check_hold()

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
            if span.entity not in KEPT:
                counts[span.entity] += 1
            start = span.end
        out.append(text[start:end])
        return "".join(out)


def _applies(mask: Mask, connection: str, direction: Way) -> bool:
    return mask.on in (direction, "both") and (not mask.connections or connection in mask.connections)
