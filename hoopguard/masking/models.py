"""Language models that the operator has on disk, by Presidio's own classes, and sentence by sentence.

A model sees one sentence at a time, in whole texts as in streams; so both find the same, and a stream is held to its
sentence's end and no longer. Nothing is ever downloaded: the policy names a folder, and the libraries are told to
stay offline.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from threading import Lock
from typing import Any, Final

import regex
from presidio_analyzer import EntityRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine, StanzaNlpEngine

from hoopguard.masking.scan import current_scan
from hoopguard.policy.nlp import ModelRecogniser, Nlp

_MOST_CHARS: Final = 400
SENTENCE: Final = rf"[^\s.!?。！？](?:[^.!?\n。！？]|[.!?](?!\s)){{0,{_MOST_CHARS}}}(?:[.!?。！？]{{1,8}}|\n)?"
"""A sentence, or as much of one as a model is given at once."""
SENTENCE_FLAGS: Final = regex.DOTALL

_SENTENCE: Final = regex.compile(SENTENCE, SENTENCE_FLAGS)
_REMEMBERED: Final = 512

Found = tuple[str, int, int, float]
"""Entity, start, end, score."""
Find = Callable[[str], list[Found]]


class SentenceModel:
    """A model, and what it found in the sentences that it saw last; for one thread at a time."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._seen: OrderedDict[str, list[Found]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, sentence: str) -> list[Found]:
        """Return what the model finds in a sentence."""
        with self._lock:
            found = self._seen.pop(sentence, None)
            if found is None:
                found = self._find(sentence)
            self._seen[sentence] = found
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return found


class ModelEntityRecognizer(EntityRecognizer):
    """Presidio's interface around a model, for one of the entities that it finds."""

    pending = (SENTENCE, SENTENCE_FLAGS)

    def __init__(self, said: ModelRecogniser) -> None:
        """Load the model, unless another entity's recogniser has.

        Raises:
            ValueError: the model, or the library that reads it, is not there.
        """
        self._model = model_for(said.nlp)
        super().__init__([said.entity], name=said.name, supported_language=said.nlp.language)

    def load(self) -> None:
        """Load nothing more."""

    def analyze(self, text: str, entities: Sequence[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return what the model finds in the sentences from the current pass's start on.

        Raises:
            DetectionGaveUp: the time ran out.
        """
        scan = current_scan()
        passed = scan.passed(self)
        results: list[RecognizerResult] = []
        for match in _SENTENCE.finditer(text, scan.start_of(self)):
            scan.left_s()
            passed.append(match.span())
            at = match.start()
            results += [
                RecognizerResult(entity, at + start, at + end, score)
                for entity, start, end, score in self._model(match.group())
                if entity == self.supported_entities[0] and start < end
            ]
        return results


@lru_cache(maxsize=8)
def model_for(nlp: Nlp) -> SentenceModel:
    """Return the model that a policy names, loaded.

    Raises:
        ValueError: the model, or the library that reads it, is not there.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        return SentenceModel(_BUILDERS[nlp.engine](nlp))
    except (ImportError, OSError, AttributeError) as error:
        raise ValueError(f"the {nlp.engine} model in {nlp.model} cannot be loaded: {error}") from error


def _engine(build: Any, nlp: Nlp) -> Find:
    """Return what finds entities by one of Presidio's NLP engines."""
    configuration = NerModelConfiguration(
        model_to_presidio_entity_mapping=nlp.mapping, default_score=nlp.score, labels_to_ignore=[]
    )
    engine = build(models=[{"lang_code": nlp.language, "model_name": nlp.model}], ner_model_configuration=configuration)
    engine.load()

    def find(sentence: str) -> list[Found]:
        artifacts = engine.process_text(sentence, nlp.language)
        spans = zip(artifacts.entities, artifacts.scores, strict=True)
        return [(span.label_, span.start_char, span.end_char, float(score)) for span, score in spans]

    return find


def _recogniser(name: str, mapping: str, nlp: Nlp) -> Find:
    """Return what finds entities by one of Presidio's recognisers that have a model of their own."""
    from presidio_analyzer import predefined_recognizers

    settings = {mapping: nlp.mapping, "model_name": nlp.model, "threshold": nlp.score}
    recogniser = getattr(predefined_recognizers, name)(supported_language=nlp.language, **settings)
    recogniser.load()
    entities = sorted(nlp.entities)

    def find(sentence: str) -> list[Found]:
        results = recogniser.analyze(sentence, entities, None)
        return [(result.entity_type, result.start, result.end, float(result.score)) for result in results]

    return find


_BUILDERS: Final[dict[str, Callable[[Nlp], Find]]] = {
    "gliner": partial(_recogniser, "GLiNERRecognizer", "entity_mapping"),
    "spacy": partial(_engine, SpacyNlpEngine),
    "stanza": partial(_engine, partial(StanzaNlpEngine, download_if_missing=False)),
    "transformers": partial(_recogniser, "HuggingFaceNerRecognizer", "label_mapping"),
}
