"""A pattern is searched for wherever it could match; that it could not is never said of one that does."""

import re

import pytest
import re2
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import ENTITIES, NEAR_MISSES, RECOGNISERS, texts
from presidio_analyzer import PatternRecognizer

from hoopguard.masking import prefilter
from hoopguard.masking.prefilter import Prefilter, Unclear, looser
from hoopguard.masking.recognisers import PATTERN_FLAGS, build_recognisers, catalogue

FLAGS = regex.DOTALL | regex.MULTILINE
PATTERNS: dict[tuple[str, int], tuple[str, int]] = {
    (recogniser.supported_entities[0], number): (pattern.regex, recogniser.global_regex_flags or 0)
    for recogniser in build_recognisers(frozenset(catalogue()), ())
    if isinstance(recogniser, PatternRecognizer)
    for number, pattern in enumerate(vars(recogniser)["patterns"])
}
OWN = {("own", number): (said, PATTERN_FLAGS) for number, said in enumerate(RECOGNISERS[0]["patterns"])}
PREFILTER = Prefilter(PATTERNS | OWN)


def matching(text: str, start: int) -> set[tuple[str, int]]:
    return {
        key
        for key, (source, flags) in (PATTERNS | OWN).items()
        if regex.compile(source, flags).search(text, start, timeout=60)
    }


def test_nearly_every_pattern_of_the_catalogue_has_a_looser_one() -> None:
    looked_for = sum(len(each.keys) - 1 for each in PREFILTER._sets)
    assert looked_for == len(PATTERNS | OWN)


@settings(max_examples=400, deadline=None)
@given(text=texts, start=st.integers(0, 20))
def test_what_matches_is_possible(text: str, start: int) -> None:
    start = min(start, len(text))
    assert not matching(text, start) & PREFILTER.impossible(text, start)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_a_pattern_of_the_catalogue_could_match_is_possible(data: st.DataObject) -> None:
    key, (source, flags) = data.draw(st.sampled_from(sorted(PATTERNS.items())))
    try:
        strategy = st.from_regex(re.compile(source, flags & (re.IGNORECASE | re.DOTALL | re.MULTILINE)))
    except re.error:  # the standard library knows fewer patterns than regex
        return
    text = data.draw(strategy)
    if regex.compile(source, flags).search(text):
        assert key not in PREFILTER.impossible(text, 0)


def test_every_entity_in_any_case_and_with_foreign_digits_is_possible() -> None:
    foreign = str.maketrans(
        "0123456789kKsS", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u212a\u212a\u017f\u017f"
    )
    for piece in ENTITIES + NEAR_MISSES:
        for text in (piece, piece.upper(), piece.lower(), piece.translate(foreign), f"\ud800{piece}\ud800"):
            assert not matching(text, 0) & PREFILTER.impossible(text, 0)


def test_prose_holds_next_to_nothing() -> None:
    prose = "The team met on Monday. Nobody had time for tea; we will talk again soon, I hope!"
    assert len(PREFILTER.impossible(prose, 0)) > len(PATTERNS) - 10


atoms = st.sampled_from(
    (
        r"\d",
        r"\w",
        r"\s",
        ".",
        "a",
        "K",
        "-",
        r"\.",
        "[a-f0-9]",
        "[^x]",
        r"[\d-]",
        r"\b",
        "^",
        "$",
        r"\x41",
        "é",
        r"[é-ü]",
        r"\p{L}",
        "@",
    )
)
repeats = st.sampled_from(("", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "{9,12}", "+?", "*+", "{,2}"))
sequences = st.recursive(
    st.tuples(atoms, repeats).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(st.sampled_from(("(", "(?:", "(?>", "(?P<n>", "(?i:", "(?=", "(?!", "(?<!", "(?<=")), inner).map(
            lambda both: f"{both[0]}{both[1]})"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=1_500, deadline=None)
@given(
    source=sequences,
    flags=st.sampled_from((FLAGS, FLAGS | regex.IGNORECASE, 0)),
    text=st.text(alphabet="aAkKſ\u212a0123\u0663-.@ xXéÉü\n", max_size=24),
)
def test_any_pattern_that_matches_is_possible(source: str, flags: int, text: str) -> None:
    try:
        compiled = regex.compile(source, flags)
    except regex.error:
        return
    one = Prefilter({"it": (source, flags)})
    if compiled.search(text, timeout=10):
        assert one.impossible(text, 0) == frozenset()


@pytest.mark.parametrize(
    "source",
    [r"(?:ab){e<=1}", r"(a)(?(1)b|c)", r"(?R)a", r"\Rx", r"\Xa", r"(?x)a b", r"\L<words>", r"(?|a|b)", r"(?#c)a"],
)
def test_what_is_not_understood_is_always_possible(source: str) -> None:
    with pytest.raises(Unclear):
        looser(source, 0)
    assert Prefilter({"it": (source, 0)}).impossible("zzz", 0) == frozenset()


def test_what_re2_cannot_do_is_always_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Prefilter({"it": ("a**", 0)}).impossible("zzz", 0) == frozenset()
    monkeypatch.setattr(prefilter, "_MOST_BYTES", 1)
    assert Prefilter({"it": ("abc", 0)}).impossible("zzz", 0) == frozenset()


def test_a_look_that_fails_leaves_everything_possible() -> None:
    one = Prefilter({"it": ("abc", 0)})
    assert one.impossible("zzz", 0) == {"it"}

    class Failing:
        def Match(self, text: str) -> None:  # noqa: N802 - re2's own name
            """Say what RE2 says both of nothing and of a failure."""

    one._sets[0]._set = Failing()
    assert one.impossible("zzz", 0) == frozenset()


def test_re2_finds_patterns_wherever_they_stand() -> None:
    assert re2.search(looser(r"\bab{2,40}c(?!d)", 0), "xxabbbbbbbbbbbbbc")
