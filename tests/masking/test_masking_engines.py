"""Libraries that are not installed here are asked as they want to be asked, and what they do not look at is refused.

Stanza, transformers and GLiNER bring gigabytes, so they are not among the tests' dependencies. Stand-ins take their
places behind Presidio's own classes, with the parameters that the libraries have, and refuse all others.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import regex
from presidio_analyzer.nlp_engine import stanza_nlp_engine
from presidio_analyzer.predefined_recognizers.ner import gliner_recognizer, huggingface_ner_recognizer

from hoopguard.masking import engines
from hoopguard.masking.engines import Find, load_model
from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.policy.nlp import Nlp

Load = Callable[[str], Find]
MOST_TOKENS = 20


class Tokenizer:
    """What the libraries have for one: it counts words here, and cuts off what the model does not read."""

    is_fast = True
    model_max_length = MOST_TOKENS

    def __call__(self, text: str | list[str], *, is_split_into_words: bool = False) -> dict[str, list[int]]:
        assert isinstance(text, list) == is_split_into_words
        return {"input_ids": [0] * len(text if isinstance(text, list) else text.split())}


def spans(text: str) -> list[tuple[int, int]]:
    """Return where the one name stands that every stand-in knows."""
    if "fail" in text:
        raise RuntimeError("out of memory")
    return [match.span() for match in regex.finditer("Zoe", text)]


class TransformersPipeline:
    """``transformers.pipeline("token-classification", …)``."""

    def __init__(self, task: str, *, model: str, tokenizer: str, aggregation_strategy: str, device: int) -> None:
        assert (task, model, aggregation_strategy, device) == ("token-classification", tokenizer, "simple", -1)
        if not Path(model, "config.json").is_file():
            raise OSError("no file named config.json")
        self.tokenizer = Tokenizer()

    def __call__(self, text: str) -> list[dict[str, Any]]:
        return [{"entity_group": "PER", "score": 0.9, "word": "", "start": a, "end": b} for a, b in spans(text)]


class Gliner:
    """``gliner.GLiNER``."""

    config = SimpleNamespace(max_len=MOST_TOKENS)
    data_processor = SimpleNamespace(transformer_tokenizer=SimpleNamespace(model_max_length=200))

    @classmethod
    def from_pretrained(
        cls, model_id: str, *, map_location: str, load_onnx_model: bool, onnx_model_file: str
    ) -> "Gliner":
        assert (map_location, load_onnx_model) == ("cpu", False)
        if not Path(model_id, "config.json").is_file():
            raise FileNotFoundError("no config file")
        built = cls()
        built.data_processor = SimpleNamespace(transformer_tokenizer=Tokenizer())
        built.data_processor.transformer_tokenizer.model_max_length = 50
        return built

    def predict_entities(
        self, text: str, labels: list[str], flat_ner: bool, threshold: float, multi_label: bool
    ) -> list[dict[str, Any]]:
        assert {"PERSON", "PATIENT"} <= set(labels)
        assert (flat_ner, threshold, multi_label) == (True, 0.5, False)
        return [{"start": a, "end": b, "text": "", "label": "PATIENT", "score": 0.9} for a, b in spans(text)]


class StanzaPipeline:
    """``stanza.Pipeline``."""

    def __init__(
        self,
        lang: str,
        dir: str,
        package: str,
        processors: str,
        logging_level: None,
        verbose: bool,
        device: str,
        download_method: None,
    ) -> None:
        assert (lang, package, processors) == ("en", "default", "tokenize,ner")
        self.processors: dict[str, Any] = {}
        if not Path(dir, "config.json").is_file():
            raise FileNotFoundError("Resources file not found")

    def __call__(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(entities=[SimpleNamespace(type="PER", start_char=a, end_char=b) for a, b in spans(text)])


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return what loads a model of an engine as if all the libraries were installed."""
    monkeypatch.setattr(engines, "_is_installed", lambda package: True)
    monkeypatch.setattr(huggingface_ner_recognizer, "hf_pipeline", TransformersPipeline)
    monkeypatch.setattr(huggingface_ner_recognizer, "torch", SimpleNamespace(cuda=None))
    monkeypatch.setattr(gliner_recognizer, "GLiNER", Gliner)
    monkeypatch.setattr(stanza_nlp_engine, "Pipeline", StanzaPipeline, raising=False)
    (tmp_path / "config.json").touch()
    return lambda engine: load_model(said(engine, tmp_path))


def said(engine: str, folder: Path) -> Nlp:
    table = {"engine": engine, "model": str(folder), "score": 0.5, "labels": {"PATIENT": "PERSON"}}
    return Nlp.model_validate(table)


every_engine = pytest.mark.parametrize("engine", ["gliner", "stanza", "transformers"])
PACKAGES = {"gliner": "gliner", "stanza": "stanza", "transformers": "transformers torch"}


@every_engine
def test_what_a_library_finds_is_called_as_the_policy_calls_it(engine: str, load: Load) -> None:
    find = load(engine)
    assert [found[:3] for found in find("Ask Zoe.")] == [("PERSON", 4, 7)]
    assert find("Ask them.") == []


@every_engine
def test_a_model_that_fails_is_a_refusal_and_not_a_clean_sentence(engine: str, load: Load) -> None:
    find = load(engine)
    with pytest.raises((DetectionGaveUp, RuntimeError)):
        find("Zoe, fail")
    assert [found[:3] for found in find("Ask Zoe.")] == [("PERSON", 4, 7)]


@pytest.mark.parametrize("engine", ["gliner", "transformers"])
def test_a_sentence_of_which_the_model_would_read_a_part_is_refused(engine: str, load: Load) -> None:
    with pytest.raises(DetectionGaveUp):
        load(engine)("one two three " * MOST_TOKENS + "Zoe")


def test_labels_that_leave_a_sentence_no_room_count_too(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    find = load("gliner")
    assert find("one two three four Zoe")
    monkeypatch.setattr(Gliner.config, "max_len", 10_000)
    with pytest.raises(DetectionGaveUp, match="more than the language model reads"):
        load("gliner")("one two three " * 10 + "Zoe")


def test_a_tokenizer_that_does_not_tell_where_words_stand_is_refused(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "is_fast", False)
    with pytest.raises(ValueError, match="fast"):
        load("transformers")


@every_engine
def test_a_folder_without_a_model_is_refused_by_name(engine: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=f"the {engine} model in .* cannot be loaded"):
        load(engine)


@every_engine
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_is_installed", lambda package: False)
    with pytest.raises(ValueError, match=f'engine = "{engine}" needs .* pip install {PACKAGES[engine]} into'):
        load_model(said(engine, tmp_path))


@every_engine
def test_a_sentences_work_is_not_shared_out_to_threads(
    engine: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=threads.append))
    load(engine)
    assert threads == [1]


def test_the_libraries_are_told_to_stay_offline(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(switch, raising=False)
    load("transformers")
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
