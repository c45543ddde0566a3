"""A calm text is searched for less than any other, and nothing is missed by that."""

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from test_masking_prefilter import sequences

from hoopguard.masking import detector as detecting
from hoopguard.masking.calm import is_calm, may_match_calm
from hoopguard.masking.detector import Budget, Detector
from hoopguard.masking.scan import Scan
from hoopguard.policy.packs import PACKS

EVERYTHING = Detector(frozenset(name for names in PACKS.values() for name in names), ())
WORDS = st.sampled_from(
    (
        *("Call", "my passport number is", "IBAN", "password", "AKIAABCDEFGHIJKLMNOP", "bearer", "DE", "GB", "AB"),
        *("key", "BEGIN PRIVATE KEY", "bc", "eyJhbGciOiJIUzI", "Überweisung", "a.b.c", "(two)", "naïve", "x" * 40),
    )
)


@settings(max_examples=1_500)
@given(
    sequences,
    st.sampled_from((regex.DOTALL | regex.MULTILINE, regex.IGNORECASE, 0)),
    st.text(alphabet="aAkK\u017f-. xXéÉü\n,'", max_size=24),
)
def test_a_pattern_that_matches_in_a_calm_text_is_known_to(source: str, flags: int, text: str) -> None:
    assert is_calm(text)
    try:
        compiled = regex.compile(source, flags)
    except regex.error:
        return
    if compiled.search(text, timeout=10):
        assert may_match_calm(source, flags)


@pytest.mark.parametrize(
    ("source", "may"),
    [
        (r"\d", False),
        (r"\w", True),
        (r"[\w.]+@[\w.]+", False),
        (r"(?:\d|[a-f])x", True),
        (r"(?:\d|@)x", False),
        (r"a\d?b", True),
        (r"a\d*b", True),
        (r"a\d{0,3}b", True),
        (r"a\d{1,3}b", False),
        (r"(?=\d)", True),
        (r"(?<!\d)ab(?!\d)", True),
        (r"(?:a|\d(?:b|c))+", True),
        (r"(?:(?:a\d)?|\d)", True),
        (r"\d|", True),
        ("", True),
        (r"(?x) \d", True),
        (r"(\d)\1", False),
        (r"(a)\1", True),
        (r"[٣-٥]", True),
    ],
)
def test_what_a_calm_text_may_match(source: str, may: bool) -> None:
    assert may_match_calm(source, 0) is may


@pytest.mark.parametrize(
    "char", ["0", "\u0663", "\u212a", "@", "_", ":", "/", "=", "+", "\u2014", "\x00", "\ud800", "\U0001f600"]
)
def test_what_is_not_calm(char: str) -> None:
    assert not is_calm(f"prose {char} prose")
    assert is_calm(f"{char} prose, it's \u00fcber-na\u00efve (isn\u0027t it?)", 1)


@given(st.lists(WORDS, max_size=8).map(" ".join))
def test_nothing_that_any_pack_finds_is_missed_in_a_calm_text(text: str) -> None:
    found = EVERYTHING.scan(text, Scan(Budget(30)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detecting, "is_calm", lambda *_: False)
        assert found == EVERYTHING.scan(text, Scan(Budget(30)))


@pytest.mark.parametrize("pack", ["pack:pii", "pack:pci", "pack:health"])
def test_nobody_searches_prose_for_personal_data(pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entity of these packs needs a character that is not calm; this is what makes prose cheap."""
    quick = Detector(frozenset(PACKS[pack]), ())
    monkeypatch.setattr(detecting, "scanning", None)
    assert quick.scan("The team met on Monday, and will (we hope) meet again.", Scan(Budget(30))) == ()
