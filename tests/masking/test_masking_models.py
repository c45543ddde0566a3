"""A language model that the operator has is plugged in, and finds in streams what it finds in whole texts."""

import random
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maskable import cut, sizes, streamed, timeless
from spacy.training import Example
from thinc.util import fix_random_seed

from hoopguard.masking.masker import Masker
from hoopguard.policy import LoadedPolicy, PolicyError, load_policy

NAMES = ("Ann", "Bob", "Zoe", "Max")
PHRASES = ("{} likes tea.", "Ask {} today!", "The book of {}", "Is {} here?")
PLAIN = ("Write to them.", "Tea costs 3.50 here.", "Write a book!", "It is late.")
POLICY = """
version = 1
[[issuer]]
name = "staff"
url = "https://id.example.com"
audience = "hoopguard"
[[connection]]
name = "llm"
upstream = "http://127.0.0.1:8000"
allow = [{ groups = ["ml"] }]
[masking.nlp]
engine = "ENGINE"
model = "MODEL"
labels = { SOMEBODY = "PERSON" }
[[mask]]
name = "names"
entities = ["PERSON", "EMAIL_ADDRESS"]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model that knows four names, and calls them what no other model does."""
    nlp: Any = spacy.blank("en")
    nlp.add_pipe("ner").add_label("SOMEBODY")
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": []}) for text in PLAIN]
    for phrase in PHRASES:
        for name in NAMES:
            start = phrase.index("{")
            said = {"entities": [(start, start + len(name), "SOMEBODY")]}
            examples.append(Example.from_dict(nlp.make_doc(phrase.format(name)), said))
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    shuffler = random.Random(0)
    for _ in range(20):
        shuffler.shuffle(examples)
        nlp.update(examples, sgd=optimizer)
    folder = tmp_path_factory.mktemp("model") / "names"
    nlp.to_disk(folder)
    return folder


def loaded(model: Path, engine: str = "spacy", name: str = "names") -> LoadedPolicy:
    file = model.parent / "policy.toml"
    file.write_text(POLICY.replace("ENGINE", engine).replace("MODEL", name))
    return load_policy(file)


@pytest.fixture(scope="module")
def rules(model: Path) -> Masker:
    built = Masker.build(loaded(model).policy, "llm", "response")
    assert built is not None
    return built


def test_names_are_hidden_by_a_model_from_a_folder_and_the_rest_by_patterns(rules: Masker) -> None:
    masked = rules.mask("Ask Bob today! Zoe likes tea. Write to zoe@example.com.")
    assert masked.text == "Ask <PERSON> today! <PERSON> likes tea. Write to <EMAIL_ADDRESS>."
    assert masked.counts == {"PERSON": 2, "EMAIL_ADDRESS": 1}


sentences = st.lists(
    st.one_of(
        st.builds(str.format, st.sampled_from(PHRASES), st.sampled_from(NAMES)),
        st.sampled_from(["Tea costs 3.50 here.", "e.g. this", "bob@example.com", "…", "no end", "x" * 500, "a. b! c?"]),
        st.text(alphabet="aZ .!?\n1", max_size=6),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=sentences, between=st.sampled_from([" ", "\n", "", "  "]), pieces=sizes)
def test_a_model_finds_in_a_stream_what_it_finds_in_the_whole(
    rules: Masker, parts: list[str], between: str, pieces: list[int]
) -> None:
    text = between.join(parts)
    assert streamed(rules.stream(timeless()), cut(text, pieces)) == rules.mask(text).text


def test_a_stream_is_held_to_the_end_of_its_sentence_and_no_longer(rules: Masker) -> None:
    stream = rules.stream(timeless())
    assert stream.feed("Ask Bob today! Is Zoe") == "Ask <PERSON> today! "
    assert stream.feed(" here") == ""
    assert stream.feed("? So") == "Is <PERSON> here? "


def test_what_only_a_model_finds_is_refused_without_one(model: Path) -> None:
    file = model.parent / "plain.toml"
    file.write_text(POLICY[: POLICY.index("[masking.nlp]")] + POLICY[POLICY.index("[[mask]]") :])
    with pytest.raises(ValueError, match="PERSON needs a language model"):
        Masker.build(load_policy(file).policy, "llm", "response")


def test_a_model_that_is_not_on_disk_is_a_mistake_and_nothing_is_fetched(model: Path) -> None:
    with pytest.raises(PolicyError, match="nothing is downloaded"):
        loaded(model, name="en_core_web_sm")


@pytest.mark.parametrize("engine", ["gliner", "spacy", "stanza", "transformers"])
def test_a_folder_that_holds_no_model_of_its_engine_is_refused(model: Path, engine: str) -> None:
    (model.parent / "empty").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=f"the {engine} model in .* cannot be loaded"):
        Masker.build(loaded(model, engine, "empty").policy, "llm", "response")
