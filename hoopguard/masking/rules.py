"""The ``[[mask]]`` tables that hold somewhere, as rules in the policy's order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hoopguard.masking.encryption import Cipher, keep_tokens, token_pattern
from hoopguard.masking.field_rules import FieldRule
from hoopguard.masking.findings import Finding
from hoopguard.masking.operators import (
    ENCRYPTED,
    PLACEHOLDER,
    Operate,
    operator_for,
    placeholder_pattern,
    without_vault,
)
from hoopguard.policy.masking import Mask, Recogniser

KEPT: Final = frozenset({PLACEHOLDER, ENCRYPTED})
"""What is found only in order to be left; it does not count as hidden."""


@dataclass(frozen=True, slots=True)
class MaskRule:
    """One ``[[mask]]`` table, ready to work."""

    entities: frozenset[str]
    threshold: float
    operate: Operate
    pseudonym: bool = False

    def claims(self, finding: Finding) -> bool:
        """Tell whether this rule hides a finding."""
        return finding.entity in self.entities and finding.score >= self.threshold


def build_rules(masks: Sequence[Mask]) -> tuple[tuple[MaskRule, ...], tuple[Recogniser, ...]]:
    """Return the rules of some mask tables, and recognisers for what the operators' own marks look like."""
    kept = [*_kept_placeholders(masks), *_kept_tokens(masks)]
    rules = (*(_rule(mask) for mask in masks), *(rule for rule, _ in kept))
    return rules, tuple(recogniser for _, recogniser in kept)


def build_field_rules(masks: Sequence[Mask]) -> tuple[FieldRule, ...]:
    """Return the paths of some mask tables, each with its table's place among the rules."""
    return tuple(FieldRule(path, number) for number, mask in enumerate(masks) for path in mask.fields or ())


def _rule(mask: Mask) -> MaskRule:
    return MaskRule(
        mask.resolved_entities, mask.threshold, operator_for(mask.operator), pseudonym=mask.operator.pseudonym is True
    )


def _kept_placeholders(masks: Sequence[Mask]) -> Iterator[tuple[MaskRule, Recogniser]]:
    """Yield the rule by which placeholders that are in a text already stay whole, and are not taken twice."""
    entities = _entities_of(mask for mask in masks if mask.operator.pseudonym)
    if entities:
        rule = MaskRule(frozenset({PLACEHOLDER}), 0, without_vault, pseudonym=True)
        yield rule, _kept(PLACEHOLDER, placeholder_pattern(entities))


def _kept_tokens(masks: Sequence[Mask]) -> Iterator[tuple[MaskRule, Recogniser]]:
    """Yield the rule by which tokens that are in a text already are not encrypted once more."""
    keys = {mask.operator.encrypt.key: mask for mask in masks if mask.operator.encrypt is not None}
    if keys:
        rule = MaskRule(frozenset({ENCRYPTED}), 0, keep_tokens([Cipher(key.reveal()) for key in keys]))
        yield rule, _kept(ENCRYPTED, token_pattern(_entities_of(mask for mask in masks if mask.operator.encrypt)))


def _entities_of(masks: Iterable[Mask]) -> frozenset[str]:
    names = [mask.resolved_entities | {path.entity for path in mask.fields or ()} for mask in masks]
    return frozenset().union(*names)


def _kept(entity: str, pattern: str) -> Recogniser:
    return Recogniser(name=entity.lower(), entity=entity, patterns=(pattern,), score=1.0)
