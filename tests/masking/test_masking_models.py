"""A language model that the operator has is plugged in, and finds in streams what it finds in whole texts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import regex
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maskable import cut, sizes, streamed, timeless
from spacy.training import Example
from thinc.util import fix_random_seed

from hoopguard.masking import streaming
from hoopguard.masking.addon import check_masks
from hoopguard.masking.engines import Found
from hoopguard.masking.inspection import Inspection
from hoopguard.masking.masker import Masker
from hoopguard.masking.models import SENTENCE_FLAGS, SentenceModel, sentence
from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.pace import Load, Pace
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


def loaded(model: Path, name: str = "names", more: str = "", on: str = "both") -> LoadedPolicy:
    file = model.parent / "policy.toml"
    table = POLICY.replace("[[mask]]", f'{more}\n[[mask]]\non = "{on}"')
    file.write_text(table.replace("ENGINE", "spacy").replace("MODEL", name))
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


def test_a_folder_that_holds_no_model_is_refused(model: Path) -> None:
    (model.parent / "empty").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=r"the spacy model in .* cannot be loaded"):
        Masker.build(loaded(model, name="empty").policy, "llm", "response")


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    words = "likes tea, Ann and Bob " * 100
    parts = [part.strip() for part in regex.findall(sentence(400), words, SENTENCE_FLAGS)]
    assert " ".join(parts) == words.strip()
    assert max(map(len, parts)) <= 401


def test_what_has_no_words_is_cut_anywhere() -> None:
    assert [len(part) for part in regex.findall(sentence(400), "x" * 1_000, SENTENCE_FLAGS)] == [401, 401, 198]


class Slow:
    """A clock that a model moves on by the time that it takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes_s: float) -> None:
        self.now = 0.0
        look = SentenceModel.look

        def slowly(model: SentenceModel, sentence: str) -> list[Found]:
            self.now += takes_s
            return look(model, sentence)

        monkeypatch.setattr(SentenceModel, "look", slowly)
        monkeypatch.setattr(SentenceModel, "recall", lambda model, sentence: None)
        monkeypatch.setattr(streaming, "_REST_S_PER_S", 0)  # streams rest by another clock

    def pace(self) -> Pace:
        return Pace(Load(self), cpu=self)

    def __call__(self) -> float:
        return self.now


def told(count: int) -> str:
    """Return sentences no two of which are the same, so that none is remembered."""
    return "".join(f"Ask Bob today, {number} times! Zoe likes {number} cups. " for number in range(count))


def test_a_burst_of_sentences_waits_until_time_has_redeemed_what_the_model_took(
    rules: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rules.mask(told(10) + "  " * 20).text
    clock = Slow(monkeypatch, 0.010)
    stream = rules.stream(clock.pace())
    out = stream.feed(told(10))
    assert 0 < clock.now <= 0.05
    assert 0 < len(out) < len(expected) / 2
    for _ in range(20):
        clock.now += 0.2
        before = clock.now
        out += stream.feed("  ")
        assert clock.now - before <= 0.05
    assert out + stream.finish() == expected


def test_an_answer_that_ends_before_its_sentences_were_looked_at_does_not_pass(
    rules: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Slow(monkeypatch, 0.010)
    stream = rules.stream(clock.pace())
    stream.feed(told(10))
    with pytest.raises(DetectionGaveUp, match="everybody's time"):
        stream.finish()
    assert clock.now <= 0.05


def test_pieces_of_one_network_read_share_what_the_model_may_take(
    rules: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Slow(monkeypatch, 0.010)
    stream = rules.stream(clock.pace())
    for word in told(10).split(" "):
        stream.feed(word + " ")
    assert 0 < clock.now <= 0.05


def test_strings_of_a_json_text_share_what_the_model_may_take(rules: Masker, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Slow(monkeypatch, 0.010)
    stream = rules.json_stream(clock.pace())
    with pytest.raises(DetectionGaveUp, match="everybody's time"):
        stream.feed(json.dumps([told(1) + str(number) for number in range(30)]))
    assert clock.now <= 0.05


def test_a_model_that_is_too_slow_for_streams_is_refused_when_the_policy_is_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_masks(loaded(model, more='stream_hold = "5s"'))
    monkeypatch.setattr(SentenceModel, "seconds", lambda model, chars: chars / 1000)
    with pytest.raises(PolicyError, match=r"takes 400 ms for a sentence of 400 characters.*sentence_chars"):
        check_masks(loaded(model))
    check_masks(loaded(model, more='stream_hold = "900ms"'))
    check_masks(loaded(model, more="sentence_chars = 40\nstream_hold = '100ms'"))
    check_masks(loaded(model, on="request"))


def test_what_a_sentence_takes_is_measured_on_sentences_of_its_length() -> None:
    lengths: set[int] = set()

    def find(sentence: str) -> list[Found]:
        lengths.add(len(sentence))
        return []

    assert SentenceModel(find).seconds(123) >= 0
    assert lengths == {123}


async def test_whole_bodies_are_never_looked_at_by_a_model_on_the_event_loop(
    rules: Masker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(model: SentenceModel, sentence: str) -> list[Found]:
        raise AssertionError("a model ran in the gateway's own process")

    monkeypatch.setattr(SentenceModel, "look", here)
    inspection = Inspection(1)
    try:
        masked = await inspection.run(
            rules, lambda masker: masker.mask("Ask Zoe today, please!"), principal="ann", unwanted=bool, small=True
        )
    finally:
        inspection.stop()
    assert masked.text == "Ask <PERSON> today, please!"
