"""What could still become a match is told for any pattern, so that law 6 holds for the operator's own ones."""

import pytest
import re2
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from maskable import cut, masker, streamed
from pydantic import ValidationError

from hoopguard.beginnings import beginnings, loose_beginnings
from hoopguard.masking.masker import Masker
from hoopguard.masking.pending import Pending, may_match_nothing

FLAGS = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE

_atoms = st.sampled_from(["a", "b", " ", "-", r"\d", r"\w", "[ab]", "[^a]", ".", r"\b", r"\B", "^", "$", r"\.", "1"])
_quantifiers = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "+?", "*?"])
patterns = st.recursive(
    st.builds("{}{}".format, _atoms.filter(lambda a: a not in (r"\b", r"\B", "^", "$")), _quantifiers) | _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.builds("({}|{}){}".format, inner, inner, _quantifiers),
        st.builds("(?:{}){}".format, inner, _quantifiers),
    ),
    max_leaves=7,
)
short_texts = st.text(alphabet="ab 1-.\n", max_size=24)


def own(pattern: str) -> Masker | None:
    """Return a masker for one pattern, or None if the policy or the recogniser refuses the pattern."""
    table = {"name": "own", "entity": "OWN", "patterns": [pattern]}
    try:
        return masker({"name": "m", "entities": ("OWN",)}, recognisers=(table,))
    except (ValidationError, ValueError):
        return None


@settings(max_examples=400, deadline=None)
@given(pattern=patterns, text=short_texts, sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_law_6_holds_for_patterns_of_the_operators_own(pattern: str, text: str, sizes: list[int]) -> None:
    rules = own(pattern)
    if rules is not None:
        assert streamed(rules.stream(), cut(text, sizes)) == rules.mask(text).text


def test_nested_quantifiers_hold_back_all_that_belongs_together() -> None:
    rules = own(r"Project (\w+ ?)+")
    assert rules is not None
    assert streamed(rules.stream(), list("the Project alpha beta gamma, and so on")) == "the <OWN>, and so on"


@pytest.mark.parametrize(
    ("pattern", "text", "earliest"),
    [
        ("abc", "xab", 1),
        ("abc", "xabc", 4),
        (r"abc\b", "xabc", 1),
        (r"abc\b", "xabcd", 5),
        (r"x\d{2,4}", "x123", 0),
        (r"x\d{2,4}", "x1234", 5),
        ("foo bar|foo", "a foo b", 2),
        ("a(?=bcd)", "zabc", 1),
        ("a(?=bcd)", "zabcd", 5),
        ("a(?!bcd)", "zabc", 1),
        ("(?<=z)ab", "za", 1),
        ("(?<=z)ab", "ya", 2),
        (r"(\w)-\1", "a-", 0),
        ("[]x]+y", "]x", 0),
        (r"(?i:AB)c", "ab", 0),
    ],
)
def test_the_earliest_offset_is_where_more_text_could_make_a_difference(pattern: str, text: str, earliest: int) -> None:
    assert Pending([(pattern, FLAGS)]).earliest(text, 0, lambda: 5.0) == earliest


def test_beginnings_are_those_of_the_pattern_and_no_more() -> None:
    compiled = regex.compile(beginnings("ab+c"))
    assert [bool(compiled.fullmatch(text)) for text in ("", "a", "abbb", "abc", "b", "aa")] == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("pattern", "empty"),
    [("a*", True), (r"\ba?", True), ("(?=a)", True), ("(?=a)a", False), ("a|^", True), ("a+", False)],
)
def test_patterns_that_may_match_nothing_are_told(pattern: str, empty: bool) -> None:
    assert may_match_nothing(pattern, FLAGS) == empty


PLAIN = st.text(alphabet="ab 1-.\n", max_size=24) | st.sampled_from(
    ["write to bob@example.com", "my card is 4111 1111 ", "a DE89 3704 0044 05", "ring (415) 867-5309 ", "ID 7777: red"]
)


@settings(max_examples=400, deadline=None)
@given(
    pattern=patterns | st.sampled_from([r"(\w)-\1", r"(?i)ab|1-", r"a(?#note)b"]),
    text=short_texts,
    start=st.integers(0, 9),
)
def test_what_is_quick_says_what_the_patterns_say(pattern: str, text: str, start: int) -> None:
    """RE2 reads plain text; a letter of no alphabet that both know the same way sends it to ``regex``."""
    assume(not may_match_nothing(pattern, FLAGS))  # no recogniser takes such a pattern
    start = min(start, len(text))
    pending = Pending([(pattern, FLAGS), (r"\bb+@a", FLAGS)])
    thorough = min(
        (place for place in range(start, len(text) + 1) if any(p.match(text, place) for p in pending._all)),
        default=len(text),
    )
    assert pending.earliest(text, start, lambda: 5.0) == thorough


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<=z)ab",
        r"a(?!b)c",
        r"(\w)-\1",
        r"\d{8,17}",
        r"(?>a+)b",
        r"[ab]++c",
        r"(?i)ab|c",
        "a(?#note)b",
        r"^a$",
        r"a\Z",
    ],
)
def test_loose_beginnings_are_at_least_those_of_the_pattern(pattern: str) -> None:
    """And RE2 understands them."""
    loose = re2.compile(rf"(?:{loose_beginnings(pattern)[0]}|)\z")
    begun = regex.compile(rf"(?:{beginnings(pattern)}|)\Z")
    for text in ("za", "zab", "a", "ac", "x-", "x-x", "12345678901", "aab", "abab", "AB", "zz", ""):
        assert loose.search(text).start() <= begun.search(text).start()


@pytest.mark.parametrize(
    ("pattern", "exact"),
    [("ab", True), (r"\d{8,17}", True), ("(?<=z)ab", False), ("[ab]++c", False), ("ab$", False)],
)
def test_beginnings_that_re2_can_say_in_full_are_said(pattern: str, exact: bool) -> None:
    """Counts are what only the loose ones leave out; without assertions and greed the others are just those."""
    said, sure = loose_beginnings(pattern)
    for text in ("", "a", "1234567", "1" * 17, "abab", "b", "zz"):
        whole = regex.fullmatch(beginnings(pattern), text) is not None
        assert re2.fullmatch(said, text) or not whole
        assert sure is None or (re2.fullmatch(sure, text) is not None) == whole
    assert (sure is not None) is exact


def test_flags_set_in_the_middle_are_left_to_regex() -> None:
    """RE2 reads them differently."""
    with pytest.raises(ValueError, match="flags"):
        loose_beginnings("a(?i)b")


def test_plain_prose_is_read_without_regex() -> None:
    """Nothing else is asked where RE2 is sure."""
    pending = Pending([(r"\b[\w.]+@\w+\b", FLAGS), (r"(?<!\d)\d{9}(?!\d)", FLAGS)])
    pending._all.clear()
    assert pending.earliest("the quick brown fo", 4, lambda: 5.0) == len("the quick brown ")
    assert pending.earliest("the quick, brown; ", 4, lambda: 5.0) == len("the quick, brown; ")
