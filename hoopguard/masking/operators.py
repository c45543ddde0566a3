"""Hiding what was found: overlapping findings become one span, and an operator puts something in its place."""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hoopguard.policy.masking import Operator

Operate = Callable[[str, str], str]
"""From an entity's name and its text to what is shown instead."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A span that a mask rule hides; ``rule`` is the rule's place in the masker."""

    start: int
    end: int
    entity: str
    score: float
    rule: int


def operator_for(operator: Operator) -> Operate:
    """Return what a policy's operator does."""
    if operator.replace is not None:
        return _replace(operator.replace.new_value)
    if operator.mask is not None:
        return _mask(operator.mask.char, operator.mask.keep_last)
    if operator.hash is not None:
        return _hash(operator.hash.key.reveal().encode())
    return _redact


def merge(claims: Iterable[Claim]) -> list[Claim]:
    """Join claims that overlap into one, named by the surest, then the longest, then the earliest of them."""
    merged: list[Claim] = []
    best = None
    for claim in sorted(claims, key=lambda claim: (claim.start, -claim.end)):
        if merged and best and claim.start < merged[-1].end:
            best = max(best, claim, key=_rank)
            merged[-1] = Claim(merged[-1].start, max(merged[-1].end, claim.end), best.entity, best.score, best.rule)
        else:
            best = claim
            merged.append(claim)
    return merged


def _rank(claim: Claim) -> tuple[float, int, int, int, str]:
    return (claim.score, claim.end - claim.start, -claim.start, -claim.rule, claim.entity)


def _replace(new_value: str | None) -> Operate:
    from presidio_anonymizer.operators import Replace

    operator = Replace()
    if new_value == "":  # Presidio would put the entity's name
        return _redact
    return lambda entity, text: str(operator.operate(text, {"new_value": new_value, "entity_type": entity}))


def _mask(char: str, keep_last: int) -> Operate:
    from presidio_anonymizer.operators import Mask

    operator = Mask()

    def mask(entity: str, text: str) -> str:
        # A value as short as what may be kept would be shown whole.
        hidden = len(text) - keep_last if len(text) > keep_last else len(text)
        return str(operator.operate(text, {"masking_char": char, "chars_to_mask": hidden, "from_end": False}))

    return mask


def _hash(key: bytes) -> Operate:
    # Presidio's operator hashes text + salt; HMAC (RFC 2104) is the keyed construction, and takes lone surrogates.
    return lambda entity, text: hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _redact(entity: str, text: str) -> str:
    return ""
