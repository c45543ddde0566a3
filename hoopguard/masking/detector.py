"""Finding entities in a text: Presidio's recognisers, its scores and its context words, within a time budget."""

import re
from functools import lru_cache
from typing import Any, Final

import regex

from hoopguard.masking.findings import Finding, with_context, without_contained, words_up_to
from hoopguard.masking.memory import Memory
from hoopguard.masking.pending import Pending
from hoopguard.masking.scan import Budget, DetectionGaveUp, Scan, scanning
from hoopguard.policy.model import Recogniser

__all__ = ["Budget", "DetectionGaveUp", "Detector", "DetectorSpec", "Finding", "detector_for"]

DetectorSpec = tuple[frozenset[str], tuple[Recogniser, ...]]
"""What a detector is built from; another process can build the same."""

_DIGIT: Final = "digit"
_NEEDS: Final[dict[str, str]] = {
    "EmailRecognizer": "@",
    "OfflineEmailRecognizer": "@",
    "UrlRecognizer": r"\.",
    "IpRecognizer": r"\d\.\d|:[0-9A-Fa-f]*[:%]",
    "MacAddressRecognizer": r"[-.:]",
    **dict.fromkeys(
        (
            "AbaRoutingRecognizer",
            "CreditCardRecognizer",
            "CryptoRecognizer",
            "DateRecognizer",
            "GuardedIbanRecognizer",
            "GuardedPhoneRecognizer",
            "MedicalLicenseRecognizer",
            "NhsRecognizer",
            "UsBankRecognizer",
            "UsItinRecognizer",
            "UsLicenseRecognizer",
            "UsMbiRecognizer",
            "UsNpiRecognizer",
            "UsPassportRecognizer",
            "UsSsnRecognizer",
        ),
        _DIGIT,
    ),
}
"""What a text must contain for a recogniser to find anything in it. A test holds it true against Presidio."""

_DIGITS: Final = (re.compile(r"\d"), regex.compile(r"\d"))  # two Unicode versions, two ideas of what a digit is

Need = tuple[Any, ...]
"""Patterns of which a text has to have one; none at all if it needs nothing."""


class _Source:
    """One recogniser: what its findings are called, their context words, and what a text needs for any."""

    __slots__ = ("context", "entity", "need", "recogniser")

    def __init__(self, recogniser: Any) -> None:
        self.recogniser = recogniser
        self.entity: str = recogniser.supported_entities[0]
        self.context = frozenset(word.lower() for word in recogniser.context or ())
        need = getattr(recogniser, "need", None) or _NEEDS.get(type(recogniser).__name__)
        self.need: Need = _DIGITS if need == _DIGIT else (re.compile(need),) if need else ()


class Detector:
    """Finds some entities in texts; safe to use from several threads."""

    def __init__(self, entities: frozenset[str], custom: tuple[Recogniser, ...]) -> None:
        """Build the recognisers.

        Raises:
            ValueError: an entity that nobody recognises, or a pattern that cannot be used.
        """
        from hoopguard.masking.recognisers import build_recognisers, pending_patterns

        self.spec: DetectorSpec = (entities, custom)
        self.recognisers = build_recognisers(entities, custom)
        self._sources = [_Source(recogniser) for recogniser in self.recognisers]
        self._needs = frozenset(source.need for source in self._sources)
        self._pending = Pending(pending_patterns(self.recognisers))
        self._own_pending: list[Any] = [each for each in self.recognisers if hasattr(each, "pending_from")]
        self.memory = Memory()

    def detect(self, text: str, *, budget: Budget) -> tuple[Finding, ...]:
        """Return what Presidio finds in a text, ordered by place.

        Raises:
            DetectionGaveUp: something did not finish, so the text counts as not looked at.
        """
        findings = self.memory.recall(text)
        if findings is None:
            findings = self.scan(text, Scan(budget))
            self.memory.remember(text, findings)
        return findings

    def scan(self, text: str, scan: Scan) -> tuple[Finding, ...]:
        """Return what the seekers find from where they begin; the text before it is context. Nothing is remembered.

        Raises:
            DetectionGaveUp: something did not finish.
        """
        possible = {need: _has(text, scan.earliest, need) for need in self._needs}
        with scanning(scan):
            found = [
                finding
                for source in self._sources
                if possible[source.need]
                for finding in _findings(source, text, scan)
            ]
        scan.left_s()
        return without_contained(found)

    def pending_from(self, text: str, start: int, *, budget: Budget) -> int:
        """Return the first offset from ``start`` on at which more text could still make a difference.

        Raises:
            DetectionGaveUp: that could not be told in time.
        """
        try:
            at = self._pending.earliest(text, start, budget.left_s)
            return min([at, *(int(recogniser.pending_from(text, start)) for recogniser in self._own_pending)])
        except TimeoutError as error:
            raise DetectionGaveUp("a pattern did not finish in time") from error

    def warm_up(self) -> None:
        """Do what the first text would otherwise wait for: compile, load number metadata, read suffix lists."""
        text = "mail ann@example.com, call (415) 867-5309, +49 30 123456 or pay 4111 1111 1111 1111, ip 10.0.0.1"
        self.scan(text, Scan(Budget(60)))
        self.pending_from(text, 0, budget=Budget(60))


def _has(text: str, start: int, need: Need) -> bool:
    """Tell whether a text has, from an offset on, what a recogniser needs to find anything."""
    return not need or any(pattern.search(text, start) for pattern in need)


def _findings(source: _Source, text: str, scan: Scan) -> list[Finding]:
    scan.left_s()
    findings = []
    for result in source.recogniser.analyze(text, [source.entity], None):
        scan.left_s()
        score = float(result.score)
        if source.context and not source.context.isdisjoint(words_up_to(text, result.start)):
            score = with_context(score)
        findings.append(Finding(source.entity, result.start, result.end, score))
    return findings


@lru_cache(maxsize=64)
def detector_for(entities: frozenset[str], custom: tuple[Recogniser, ...]) -> Detector:
    """Return the one detector for these entities; rules, directions and reloads share it and its memory.

    Raises:
        ValueError: an entity that nobody recognises, or a pattern that cannot be used.
    """
    return Detector(entities, custom)
