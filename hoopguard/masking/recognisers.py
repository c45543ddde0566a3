"""The Presidio recognisers that hoopguard uses, built in code, offline and failing closed.

Importing this module imports Presidio (some 4 s), so nothing imports it before masking is needed.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, Final

import regex
import tldextract
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.predefined_recognizers import EmailRecognizer, IbanRecognizer, PhoneRecognizer

from hoopguard.masking.checksums import CHECKSUMS
from hoopguard.masking.extensions import EXTENSIONS, SecurityCodeRecognizer
from hoopguard.masking.findings import Skyline
from hoopguard.masking.languages import recognisers_by_entity, with_context_of
from hoopguard.masking.pending import may_match_nothing
from hoopguard.masking.phone import PENDING as PENDING_PHONE
from hoopguard.masking.phone import find_phone_numbers
from hoopguard.masking.scan import GuardedPattern
from hoopguard.masking.secrets import SECRETS, SecretRecognizer
from hoopguard.masking.wordlist import WordListRecognizer
from hoopguard.policy.masking import Recogniser
from hoopguard.policy.nlp import ENGLISH, Languages, ModelRecogniser

PATTERN_FLAGS: Final = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE
"""Presidio's own default; the operator's patterns match whatever the case."""

NEED_A_MODEL: Final = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "AGE", "ID", "EMAIL", "GPE", "ORG"})


def _silence() -> None:
    """Keep Presidio's loggers from writing raw values (the IBAN recogniser does, at ERROR)."""
    for name in ("presidio-analyzer", "presidio-anonymizer", "decision_process"):
        logging.getLogger(name).addFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


_silence()


def _without_duplicates(results: list[RecognizerResult]) -> list[RecognizerResult]:
    """Do what Presidio's own does, whose time grows with the square of what was found, out of a budget's reach."""
    kept: list[RecognizerResult] = []
    skylines: dict[str, Skyline] = {}
    for result in sorted(set(results), key=lambda r: (-r.score, r.start, r.start - r.end)):
        if result.score != 0 and skylines.setdefault(result.entity_type, Skyline()).add(result.start, result.end):
            kept.append(result)
    return kept


_presidio: Final[Any] = EntityRecognizer
_presidio.remove_duplicates = staticmethod(_without_duplicates)


class OfflineEmailRecognizer(EmailRecognizer):
    """Presidio's e-mail recogniser with the public-suffix list that ships with tldextract."""

    _suffixes = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)

    def validate_result(self, pattern_text: str) -> bool:
        """Tell whether the host part ends in a public suffix."""
        return bool(self._suffixes(pattern_text).fqdn)


class GuardedPhoneRecognizer(PhoneRecognizer):
    """Presidio's phone recogniser, refusing where phonenumbers gives up."""

    # Presidio's default regions, less "UK" and "FE", which phonenumbers does not know: they find only what has
    # a leading plus, which every region finds.
    REGIONS: Final = ("US", "DE", "IL", "IN", "CA", "BR")

    def analyze(self, text: str, entities: Sequence[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return the phone numbers of all regions."""
        found = find_phone_numbers(text, self.REGIONS, self.leniency or 0)
        build: Any = self._get_recognizer_result
        results = [build(_Span(*span), text, region, nlp_artifacts) for span, region in found.items()]
        return self.remove_duplicates(results)


class _Span:
    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class GuardedIbanRecognizer(IbanRecognizer):
    """Presidio's IBAN recogniser; the original compiles its pattern where no guard can reach it."""

    def analyze(
        self, text: str, entities: Sequence[str], nlp_artifacts: Any = None, regex_flags: int | None = None
    ) -> list[RecognizerResult]:
        """Return each match's longest part that has a valid checksum."""
        results = []
        for pattern in vars(self)["patterns"]:
            for match in pattern.compiled_regex.finditer(text):
                result = self._longest_valid(match, text, pattern)
                if result is not None:
                    results.append(result)
        return results

    def _longest_valid(self, match: Any, text: str, pattern: Pattern) -> RecognizerResult | None:
        start = match.start()
        for group in (3, 2, 1):
            end = match.end(group) if match.end(group) > 0 else match.end()
            valid = self.validate_result(text[start:end])
            if valid is False:
                continue
            score = pattern.score if valid is None else self.MAX_SCORE
            return _result(self, start, end, score, pattern)
        return None


def _result(recogniser: Any, start: int, end: int, score: float, pattern: Pattern) -> RecognizerResult:
    explanation = PatternRecognizer.build_regex_explanation(
        recogniser.name, pattern.name, pattern.regex, score, False, recogniser.global_regex_flags
    )
    metadata = {
        RecognizerResult.RECOGNIZER_NAME_KEY: recogniser.name,
        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: recogniser.id,
    }
    return RecognizerResult(recogniser.supported_entities[0], start, end, score, explanation, metadata)


_OURS: Final[dict[str, Any]] = {
    **{entity: partial(SecretRecognizer, entity) for entity in SECRETS},
    "CARD_SECURITY_CODE": SecurityCodeRecognizer,
    "EMAIL_ADDRESS": OfflineEmailRecognizer,
    "IBAN_CODE": GuardedIbanRecognizer,
    "PHONE_NUMBER": GuardedPhoneRecognizer,
}


@cache
def catalogue(languages: Languages = ENGLISH) -> dict[str, Any]:
    """Return every entity that is recognised in some languages without a model, and what builds its recogniser."""
    found = {entity: cls for entity, (language, cls) in recognisers_by_entity().items() if language in languages}
    return dict(sorted((found | _OURS).items()))


def build_recognisers(
    entities: frozenset[str], custom: Sequence[Recogniser], languages: Languages = ENGLISH
) -> tuple[EntityRecognizer, ...]:
    """Return the recognisers for some entities, Presidio's first, with the words of context of some languages.

    Raises:
        ValueError: an entity that nobody recognises, or a pattern that cannot be used.
    """
    own = {recogniser.entity for recogniser in custom}
    known = catalogue(languages)
    for entity in sorted(entities - own - known.keys()):
        raise ValueError(_unknown(entity, own, known))
    built_in = [
        _guard(_as_registered(with_context_of(build(), languages)))
        for entity in sorted(entities & known.keys())
        for build in (known[entity], *EXTENSIONS.get(entity, ()))
    ]
    return (
        *built_in,
        *(built for recogniser in custom if recogniser.entity in entities for built in _custom(recogniser)),
    )


def _as_registered(recogniser: Any) -> Any:
    """Return a recogniser with the flags that Presidio's registry gives each, whatever its class says."""
    if isinstance(recogniser, PatternRecognizer) and type(recogniser).__module__.startswith("presidio_analyzer."):
        recogniser.global_regex_flags = PATTERN_FLAGS
    return recogniser


def _unknown(entity: str, own: set[str], catalogued: Iterable[str]) -> str:
    known = ", ".join([*sorted(own), *catalogued])
    if entity in recognisers_by_entity():
        language, _ = recognisers_by_entity()[entity]
        return f'entity {entity} is recognised in the language "{language}"; add it to languages in [masking]'
    if entity in NEED_A_MODEL:
        return f"entity {entity} needs a language model, and none is configured; without one: {known}"
    return f"no recogniser finds the entity {entity}; known are {known}"


def _custom(recogniser: Recogniser) -> Iterator[EntityRecognizer]:
    if isinstance(recogniser, ModelRecogniser):
        from hoopguard.masking.models import ModelEntityRecognizer

        yield ModelEntityRecognizer(recogniser)
        return
    if recogniser.deny_list_file:
        listed, context = recogniser.deny_list_file, recogniser.context
        yield WordListRecognizer(recogniser.entity, recogniser.name, listed, recogniser.score, context)
    if not recogniser.patterns and not recogniser.deny_list:
        return
    try:
        yield _guard(_OwnRecognizer(recogniser))
    except (ValueError, regex.error) as error:
        raise ValueError(f"recogniser {recogniser.name}: {error}") from error


class _OwnRecognizer(PatternRecognizer):
    """Presidio's pattern recogniser with what a ``[[recogniser]]`` says."""

    def __init__(self, said: Recogniser) -> None:
        self._check = CHECKSUMS[said.checksum] if said.checksum is not None else None
        super().__init__(
            supported_entity=said.entity,
            name=said.name,
            patterns=[Pattern(said.name, pattern, said.score) for pattern in said.patterns],
            deny_list=list(said.deny_list),
            deny_list_score=said.score,
            context=list(said.context),
            global_regex_flags=PATTERN_FLAGS,
        )

    def validate_result(self, pattern_text: str) -> bool | None:
        """Say whether the checksum is right, if there is one."""
        return None if self._check is None else self._check(pattern_text)


def _guard(recogniser: Any) -> EntityRecognizer:
    """Give a recogniser its own patterns, compiled and guarded; Presidio's are shared by all instances."""
    built: EntityRecognizer = recogniser
    if isinstance(built, PatternRecognizer):
        recogniser.patterns = [_guarded(pattern, recogniser.global_regex_flags) for pattern in recogniser.patterns]
    return built


def _guarded(pattern: Any, flags: int) -> Any:
    compiled = regex.compile(pattern.regex, flags)
    if may_match_nothing(pattern.regex, flags):
        raise ValueError(f"the pattern {pattern.regex!r} may match the empty text; expected one that takes characters")
    own: Any = Pattern(pattern.name, pattern.regex, pattern.score)
    own.compiled_regex = GuardedPattern(compiled)
    own.compiled_with_flags = flags
    return own


def pending_patterns(recognisers: Sequence[EntityRecognizer]) -> list[tuple[str, int]]:
    """Return the source and flags of every pattern that tells what a text could still become."""
    found: list[tuple[str, int]] = []
    for recogniser in recognisers:
        if isinstance(recogniser, PatternRecognizer):
            flags = recogniser.global_regex_flags or 0
            found.extend((pattern.regex, flags) for pattern in vars(recogniser)["patterns"])
        elif isinstance(recogniser, PhoneRecognizer):
            found.append((PENDING_PHONE, regex.IGNORECASE))
    return found
