"""The recognisers and words of context of all the policy's languages count, as Presidio's own engine has them."""

import random
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
import tldextract
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import ENTITIES, PatientMasker, cut, policy, sizes, streamed
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from presidio_analyzer.predefined_recognizers import PhoneRecognizer
from presidio_analyzer.recognizer_registry.recognizers_loader_utils import (
    RecognizerConfigurationLoader,
    RecognizerListLoader,
)
from pydantic import ValidationError

from hoopguard.masking.detector import Budget, Detector, detector_for
from hoopguard.masking.extensions import EXTENSIONS
from hoopguard.masking.languages import recognisers_by_entity
from hoopguard.masking.masker import Masker
from hoopguard.masking.nlp import WordNlpEngine
from hoopguard.masking.recognisers import catalogue
from hoopguard.masking.scan import Scan, scanning
from hoopguard.policy.masking import Recogniser
from hoopguard.policy.nlp import Masking

Found = set[tuple[str, int, int, float]]

LANGUAGES: Final = ("de", "en", "es", "fi", "it", "ko", "pl", "th")
OWN: Final = Recogniser(name="staff", entity="STAFF_NUMBER", patterns=(r"P\d{5}",), score=0.3, context=("Mitarbeiter",))
DETECTOR = Detector(frozenset(catalogue(LANGUAGES)) | {OWN.entity}, (OWN,), LANGUAGES)
OF_PRESIDIO: Final = {entity: cls for entity, (_, cls) in recognisers_by_entity().items()}


def configured() -> list[Any]:
    """Return Presidio's recognisers as its own configuration builds them for these languages, all of them enabled."""
    said = RecognizerConfigurationLoader.get(registry_configuration={"supported_languages": list(LANGUAGES)})
    patterns = [each for each in said["recognizers"] if each["name"] in {cls.__name__ for cls in OF_PRESIDIO.values()}]
    for each in patterns:
        each["enabled"] = True
        if "supported_languages" in each and "kr" in each["supported_languages"]:
            each["supported_languages"] = ["ko"]
    loaded: list[Any] = list(RecognizerListLoader.get({"recognizers": patterns}, LANGUAGES, 0))
    for recogniser in loaded:
        recogniser.global_regex_flags = type(recogniser)().global_regex_flags
    return loaded


def stock() -> list[Any]:
    """Return what Presidio configures, what it has but does not configure, and what is hoopguard's alone."""
    loaded: list[Any] = configured()
    there = {type(each) for each in loaded}
    loaded += [cls() for cls in OF_PRESIDIO.values() if cls not in there]
    loaded += [PhoneRecognizer(supported_language=language) for language in LANGUAGES]
    ours = {build for builds in EXTENSIONS.values() for build in builds}
    for each in DETECTOR.recognisers:
        cls: Any = type(each)
        if cls in ours or each.supported_entities[0] not in {*OF_PRESIDIO, "PHONE_NUMBER"}:
            loaded.append(each)
    for each in loaded:
        each.supported_language = {"kr": "ko"}.get(each.supported_language, each.supported_language)
    return loaded


STOCK = AnalyzerEngine(
    registry=RecognizerRegistry(recognizers=stock(), supported_languages=list(LANGUAGES)),
    nlp_engine=WordNlpEngine(LANGUAGES),
    supported_languages=list(LANGUAGES),
    context_aware_enhancer=LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
)


def presidios(text: str) -> Found:
    """Return what Presidio finds in any of the languages, less what is found there by another one more surely."""
    with scanning(Scan(Budget(600))):
        results = [each for language in LANGUAGES for each in STOCK.analyze(text, language)]
    kept = PhoneRecognizer.remove_duplicates(results)
    return {(each.entity_type, each.start, each.end, each.score) for each in kept}


def ours(text: str) -> Found:
    return {(each.entity, each.start, each.end, each.score) for each in DETECTOR.scan(text, Scan(Budget(600)))}


@pytest.fixture(autouse=True)
def offline_suffixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tldextract, "extract", tldextract.TLDExtract(cache_dir=None, suffix_list_urls=()))

    def refuse(*args: object) -> None:
        raise AssertionError("a recogniser reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


WORDS: Final = tuple(sorted({word for each in STOCK.registry.recognizers for word in each.context or ()}))
"""Every word of context, of every language."""

PIECES: Final = (
    "55555555K",
    "X9613851N",
    "RSSMRA85T10A562S",
    "AA0123456",
    "01333550323",
    "AA1234567B",
    "U1A2B3C4D5",
    "131052-308T",
    "44051401359",
    "960121-1234567",
    "M12345678",
    "11-12-123456-12",
    "1-2345-67890-12-1",
    "P12345",
    "2221 0000 0000 0009",
    *ENTITIES,
)
"""What the recognisers of all these languages look for."""

BETWEEN: Final = (" ", ": ", " es ", " ist die ", " uno dos tres cuatro ", " eins zwei drei vier fünf ", ", ", "\n")


def sentences(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for word in WORDS:
        for piece in chance.sample(PIECES, k=6):
            yield f"{word}{chance.choice(BETWEEN)}{piece} {chance.choice(('', 'y ', '…'))}{chance.choice(WORDS)}"


def test_a_corpus_in_many_languages_gets_presidios_types_spans_and_scores() -> None:
    seen: Found = set()
    for text in sentences(1):
        expected = presidios(text)
        assert ours(text) == expected
        seen |= expected
    entities = {entity for entity, *_ in seen}
    assert {"ES_NIF", "ES_NIE", "IT_FISCAL_CODE", "IT_VAT_CODE", "PL_PESEL", "CREDIT_CARD", "US_SSN"} <= entities
    assert {"FI_PERSONAL_IDENTITY_CODE", "KR_PASSPORT", "KR_DRIVER_LICENSE", "STAFF_NUMBER"} <= entities


parts = st.one_of(st.sampled_from(WORDS), st.sampled_from(PIECES), st.text(alphabet="aZñ한1 .,-\n", max_size=6))
texts = st.lists(st.tuples(parts, st.sampled_from(BETWEEN)).map("".join), max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_any_text_gets_presidios_types_spans_and_scores_in_all_languages(text: str) -> None:
    assert ours(text) == presidios(text)


def speaking(languages: tuple[str, ...], entities: tuple[str, ...], threshold: float) -> Masker:
    said = policy({"name": "m", "entities": entities, "threshold": threshold}, recognisers=())
    said = said.model_copy(update={"masking": Masking(languages=languages)})
    built = PatientMasker.build(said, "llm", "response")
    assert built is not None
    return built


EVERY_LANGUAGE = speaking(LANGUAGES, tuple(catalogue(LANGUAGES)), 0.35)


@settings(max_examples=100, deadline=None)
@given(text=texts, pieces=sizes)
def test_words_of_every_language_count_in_a_stream_as_in_the_whole(text: str, pieces: list[int]) -> None:
    whole = EVERY_LANGUAGE.mask(text)
    assert streamed(EVERY_LANGUAGE.stream(), cut(text, pieces)) == whole.text


def test_a_word_of_another_language_that_has_long_been_shown_still_lifts_the_score() -> None:
    stream = speaking(("it",), ("IT_IDENTITY_CARD",), 0.3).stream()
    assert stream.feed("hace tiempo " * 40 + "carta numero, ") != ""
    assert stream.held_chars == 0
    assert stream.feed("AA1234567 ") + stream.finish() == "<IT_IDENTITY_CARD> "


@pytest.mark.parametrize(("languages", "count"), [(("de",), False), (("de", "es"), True)])
def test_words_that_presidio_configures_for_a_language_count_where_the_policy_has_it(
    languages: tuple[str, ...], count: bool
) -> None:
    """Spanish is the one language for which its configuration has a card's words of context."""
    recogniser: Any
    for recogniser in detector_for(frozenset({"CREDIT_CARD"}), (), Masking(languages=languages).languages).recognisers:
        assert ("tarjeta" in recogniser.context) == count
        assert "card" in recogniser.context


def test_english_always_counts() -> None:
    assert Masking(languages=("it", "de", "it")).languages == ("de", "en", "it")
    assert speaking(("it",), ("US_SSN", "IT_VAT_CODE"), 0.4).mask("ssn 536-90-4399").text == "ssn <US_SSN>"


def test_an_entity_of_a_language_that_the_policy_does_not_have_names_it() -> None:
    with pytest.raises(ValueError, match=r'ES_NIF is recognised in the language "es"; add it to languages'):
        speaking(("de",), ("ES_NIF",), 0.4)


@pytest.mark.parametrize("language", ["EN", "deutsch", "", "e"])
def test_what_is_no_languages_code_is_refused(language: str) -> None:
    with pytest.raises(ValidationError, match="languages"):
        Masking(languages=(language,))


def test_a_polish_number_is_found_by_the_checksum_that_it_has() -> None:
    """44051401359 is the example of the register's own description; Presidio's recogniser takes it for wrong."""
    rules = speaking(("pl",), ("PL_PESEL",), 1.0)
    assert rules.mask("44051401359, 44051401358").text == "<PL_PESEL>, 44051401358"
