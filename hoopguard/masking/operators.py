"""Hiding what was found: overlapping findings become one span, and an operator puts something in its place."""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from hoopguard.masking.encryption import Cipher
from hoopguard.policy.masking import Operator

PLACEHOLDER: Final = "HOOPGUARD_PLACEHOLDER"
ENCRYPTED: Final = "HOOPGUARD_ENCRYPTED"
"""The names under which the operators' own marks are found in a text; no entity of a policy is called so."""

PLACEHOLDER_TEXT: Final = re.compile(r"<([A-Z][A-Z0-9_]*)_[1-9][0-9]{0,5}>")

Operate = Callable[[str, str], str]
"""From an entity's name and its text to what is shown instead."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked text, and how many spans of each entity were hidden in it."""

    text: str
    counts: dict[str, int]


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
    if operator.encrypt is not None:
        return Cipher(operator.encrypt.key.reveal()).encrypt
    if operator.pseudonym:
        return without_vault
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


def without_vault(entity: str, text: str) -> str:
    """Hide a value where no vault is there to remember it; a placeholder stays what it is."""
    if entity != PLACEHOLDER:
        return f"<{entity}>"
    return text if PLACEHOLDER_TEXT.fullmatch(text) else f"<{entity_within(text)}>"


def entity_within(text: str) -> str:
    """Return the entity of the first placeholder in a text."""
    match = PLACEHOLDER_TEXT.search(text)
    return match[1] if match else "VALUE"


def placeholder_pattern(entities: frozenset[str]) -> str:
    """Return the pattern of the placeholders of some entities; too few digits for anybody's number."""
    return rf"(?-i:<(?:{'|'.join(sorted(entities, reverse=True))})_[1-9][0-9]{{0,5}}>)"


def _redact(entity: str, text: str) -> str:
    return ""
