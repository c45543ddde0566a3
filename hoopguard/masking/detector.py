"""Finding entities in a text: Presidio's recognisers, its scores and its context words, within a time budget."""

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from hoopguard.masking.calm import is_calm, may_match_calm
from hoopguard.masking.findings import Finding, Surroundings, with_context, without_contained
from hoopguard.masking.memory import Memory
from hoopguard.masking.pending import Pending
from hoopguard.masking.phone import NEEDED
from hoopguard.masking.prefilter import Prefilter
from hoopguard.masking.scan import Budget, DetectionGaveUp, GuardedPattern, Scan, scanning
from hoopguard.policy.masking import Recogniser
from hoopguard.policy.nlp import ENGLISH, Languages

__all__ = ["Budget", "DetectionGaveUp", "Detector", "DetectorSpec", "Finding", "detector_for"]

DetectorSpec = tuple[frozenset[str], tuple[Recogniser, ...], Languages]
"""What a detector is built from; another process can build the same."""


class _Source:
    """One recogniser: what its findings are called, their context words, and what a text needs for any."""

    __slots__ = ("context", "entity", "finds_in_calm", "need", "patterns", "recogniser")

    def __init__(self, recogniser: Any) -> None:
        self.recogniser = recogniser
        self.entity: str = recogniser.supported_entities[0]
        self.context = frozenset(word.lower() for word in recogniser.context or ())
        self.patterns = _patterns(recogniser)
        takes_digits = hasattr(recogniser, "supported_regions")  # phone numbers
        in_calm = not self.patterns or any(may_match_calm(*said) for said in self.patterns.values())
        self.finds_in_calm = in_calm and not takes_digits
        need = getattr(recogniser, "need", None)
        self.need = re.compile(need) if need else None

    def may_find(self, text: str, scan: Scan) -> bool:
        """Tell whether the recogniser could find anything in a text from where the pass begins."""
        if self.patterns and self.patterns.keys() <= scan.impossible:
            return False
        return self.need is None or self.need.search(text, scan.earliest) is not None


def _patterns(recogniser: Any) -> dict[Hashable, tuple[str, int]]:
    """Return patterns without one of which in a text a recogniser finds nothing; none if that cannot be said."""
    if hasattr(recogniser, "supported_regions"):
        return {"phone": (NEEDED, 0)}
    flags = getattr(recogniser, "global_regex_flags", 0)
    patterns: list[Any] = vars(recogniser).get("patterns", [])
    if any(type(pattern.compiled_regex) is not GuardedPattern for pattern in patterns):
        return {}
    return {pattern.compiled_regex: (pattern.regex, flags) for pattern in patterns}


class Detector:
    """Finds some entities in texts; safe to use from several threads."""

    def __init__(
        self, entities: frozenset[str], custom: tuple[Recogniser, ...], languages: Languages = ENGLISH
    ) -> None:
        """Build the recognisers; ``languages`` says whose own ones there are, and whose words of context count.

        Raises:
            ValueError: an entity that nobody recognises, or a pattern that cannot be used.
        """
        from hoopguard.masking.recognisers import build_recognisers, pending_patterns

        self.spec: DetectorSpec = (entities, custom, languages)
        self.recognisers = build_recognisers(entities, custom, languages)
        self._sources = [_Source(recogniser) for recogniser in self.recognisers]
        self._sources_in_calm = [source for source in self._sources if source.finds_in_calm]
        self._prefilter = Prefilter({key: said for source in self._sources for key, said in source.patterns.items()})
        self._pending = Pending(pending_patterns(self.recognisers))
        self._own_pending: list[Any] = [each for each in self.recognisers if hasattr(each, "pending_from")]
        self._models: list[Any] = [each for each in self.recognisers if hasattr(each, "check_hold")]
        self.memory = Memory()

    @property
    def has_model(self) -> bool:
        """Tell whether a language model looks at texts, too, which takes more time than patterns do."""
        return bool(self._models)

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
        scan.left_s()
        sources = self._sources_in_calm if is_calm(text, scan.earliest) else self._sources
        if not sources:
            return ()
        scan.impossible = self._prefilter.impossible(text, scan.earliest)
        with scanning(scan):
            found = [
                finding
                for source in sources
                if source.may_find(text, scan)
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

    def check_hold(self) -> None:
        """Try whether streams can be looked at on the event loop.

        Raises:
            ValueError: a language model would hold everybody up for longer than the policy allows.
        """
        if self._models:
            self._models[0].check_hold()  # all of them are the one model

    def warm_up(self) -> None:
        """Do what the first text would otherwise wait for: compile, load number metadata, read suffix lists."""
        text = "mail ann@example.com, call (415) 867-5309, +49 30 123456 or pay 4111 1111 1111 1111, ip 10.0.0.1"
        self.scan(text, Scan(Budget(60)))
        self.pending_from(text, 0, budget=Budget(60))


def _findings(source: _Source, text: str, scan: Scan) -> list[Finding]:
    scan.left_s()
    findings = []
    surroundings = Surroundings(text)
    for result in source.recogniser.analyze(text, [source.entity], None):
        scan.left_s()
        score = float(result.score)
        if source.context and not source.context.isdisjoint(surroundings.words(result.start)):
            score = with_context(score)
        findings.append(Finding(source.entity, result.start, result.end, score))
    return findings


@lru_cache(maxsize=64)
def detector_for(entities: frozenset[str], custom: tuple[Recogniser, ...], languages: Languages = ENGLISH) -> Detector:
    """Return the one detector for these entities; rules, directions and reloads share it and its memory.

    Raises:
        ValueError: an entity that nobody recognises, or a pattern that cannot be used.
    """
    return Detector(entities, custom, languages)
