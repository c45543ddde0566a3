"""The libraries that run language models, by Presidio's own classes for them, offline and failing closed.

Presidio's classes were made to go on whatever happens: a model that fails, or that looks at less than it was given,
counts as one that found nothing. Here it raises, and what would be looked at only in part is refused.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import regex
from presidio_analyzer import predefined_recognizers
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine, StanzaNlpEngine
from presidio_analyzer.nlp_engine.stanza_nlp_engine import load_pipeline

from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.policy.nlp import Nlp

_GLINER_WORD: Final = regex.compile(r"\w+(?:[-_]\w+)*|\S")

Found = tuple[str, int, int, float]
"""Entity, start, end, score."""
Find = Callable[[str], list[Found]]


def load_model(nlp: Nlp) -> Find:
    """Return what finds entities in a sentence by the model that a policy names.

    Raises:
        ValueError: the model, or the library that reads it, is not there.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    packages, build = _ENGINES[nlp.engine]
    if not all(map(_is_installed, packages)):
        raise ValueError(
            f'engine = "{nlp.engine}" needs what is not installed here: pip install {" ".join(packages)} '
            "into the gateway's environment"
        )
    try:
        find = build(nlp)
        _use_one_thread()
        return find
    except (ImportError, OSError, AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"the {nlp.engine} model in {nlp.model} cannot be loaded: {error}") from error


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _use_one_thread() -> None:
    """Keep PyTorch from sharing a sentence's work out: its threads wait for each other far longer than they work."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _configuration(nlp: Nlp) -> NerModelConfiguration:
    return NerModelConfiguration(
        model_to_presidio_entity_mapping=nlp.mapping, default_score=nlp.score, labels_to_ignore=[]
    )


def _models(nlp: Nlp, name: str) -> list[dict[str, str]]:
    return [{"lang_code": nlp.language, "model_name": name}]


def _spacy(nlp: Nlp) -> Find:
    engine = SpacyNlpEngine(models=_models(nlp, nlp.model), ner_model_configuration=_configuration(nlp))
    engine.load()

    def find(sentence: str) -> list[Found]:
        artifacts: Any = engine.process_text(sentence, nlp.language)
        spans = zip(artifacts.entities, artifacts.scores, strict=True)
        return [(span.label_, span.start_char, span.end_char, float(score)) for span, score in spans]

    return find


class _LocalStanzaEngine(StanzaNlpEngine):
    """Presidio's engine, with the folder that its own leaves to an environment variable; only what NER needs."""

    def __init__(self, nlp: Nlp) -> None:
        super().__init__(_models(nlp, nlp.language), _configuration(nlp), download_if_missing=False)
        self._folder = nlp.model

    def load(self) -> None:
        self.nlp: Any = {
            model["lang_code"]: load_pipeline(
                model["model_name"],
                dir=self._folder,
                processors="tokenize,ner",
                download_method=None,
                device=self.device,
                verbose=False,
            )
            for model in self.models
        }


def _stanza(nlp: Nlp) -> Find:
    engine = _LocalStanzaEngine(nlp)
    engine.load()
    # Asked for a spaCy document, Presidio drops all entities of a sentence in which one does not fit spaCy's words.
    pipeline: Any = engine.get_nlp(nlp.language).tokenizer
    mapping = nlp.mapping

    def find(sentence: str) -> list[Found]:
        entities = pipeline.snlp(sentence).entities
        return [(mapping.get(each.type, each.type), each.start_char, each.end_char, nlp.score) for each in entities]

    return find


def _gliner(nlp: Nlp) -> Find:
    recogniser: Any = predefined_recognizers.GLiNERRecognizer(
        entity_mapping=nlp.mapping, model_name=nlp.model, threshold=nlp.score, supported_language=nlp.language
    )
    recogniser.load()
    model = recogniser.gliner
    most_words, tokenizer = model.config.max_len, model.data_processor.transformer_tokenizer

    def find(sentence: str) -> list[Found]:
        words = _GLINER_WORD.findall(sentence)
        asked = [part for label in recogniser.gliner_labels for part in ("<<ENT>>", label)]
        if len(words) > most_words or _is_too_long(tokenizer, [*asked, "<<SEP>>", *words], is_split_into_words=True):
            raise DetectionGaveUp("a sentence is more than the language model reads")
        return _results(recogniser, sentence, nlp)

    return find


def _transformers(nlp: Nlp) -> Find:
    recogniser: Any = predefined_recognizers.HuggingFaceNerRecognizer(
        label_mapping=nlp.mapping, model_name=nlp.model, threshold=nlp.score, supported_language=nlp.language
    )
    recogniser.load()
    recogniser.ner_pipeline = watched = _WatchedPipeline(recogniser.ner_pipeline)

    def find(sentence: str) -> list[Found]:
        results = _results(recogniser, sentence, nlp)
        watched.check()
        return results

    return find


class _WatchedPipeline:
    """A pipeline whose failures are remembered, for Presidio's recogniser only logs them and finds nothing."""

    def __init__(self, pipeline: Any) -> None:
        if not pipeline.tokenizer.is_fast:
            raise TypeError("its tokenizer does not tell where words stand; expected a fast one (tokenizer.json)")
        self._pipeline = pipeline
        self._error: Exception | None = None

    def __call__(self, text: str) -> Any:
        tokenizer = self._pipeline.tokenizer
        try:
            if _is_too_long(tokenizer, text):
                raise ValueError("more tokens than the model reads")
            return self._pipeline(text)
        except Exception as error:
            self._error = error
            raise

    def check(self) -> None:
        """Say what went wrong since the last time.

        Raises:
            DetectionGaveUp: something did.
        """
        error, self._error = self._error, None
        if error is not None:
            raise DetectionGaveUp("the language model failed") from error


def _is_too_long(tokenizer: Any, text: str | list[str], **how: bool) -> bool:
    """Tell whether a model would be given only a part of a text: tokenizers cut off the rest without a word."""
    tokens = len(tokenizer(text, **how)["input_ids"])
    return tokens > int(tokenizer.model_max_length)


def _results(recogniser: Any, sentence: str, nlp: Nlp) -> list[Found]:
    results = recogniser.analyze(sentence, sorted(nlp.entities), None)
    return [(result.entity_type, result.start, result.end, float(result.score)) for result in results]


_ENGINES: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Nlp], Find]]]] = MappingProxyType(
    {
        "gliner": (("gliner",), _gliner),
        "spacy": ((), _spacy),
        "stanza": (("stanza",), _stanza),
        "transformers": (("transformers", "torch"), _transformers),
    }
)
"""The packages that each engine needs beside Presidio, and what loads its models."""
