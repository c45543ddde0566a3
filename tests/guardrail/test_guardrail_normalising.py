"""Normalising in steps: what one call is given is bounded, and the result is that of the whole."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.guardrail import normalising
from hoopguard.guardrail.normalising import casefolded, encoded, folded, steps, undisguised

PARTS = (
    *("a", "e", "\u0301", "\u0316", "\u0344", "\u1100", "\u1161", "\u11a8", "\uac00", "\uffa1", "\uffc2", "\u200b"),
    *("\ufdfa", "\u0430", "\u0338", "\u00e9", "\u00df", "\u0130", "\u0fb3", "\u0f71", "\u09c7", "\u09be", "\U0001d15e"),
)
texts = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)


@given(text=texts, size=st.integers(1, 6))
def test_a_text_in_steps_is_what_it_is_in_whole(text: str, size: int) -> None:
    """Wherever the steps end."""
    said = undisguised(text)
    whole = said, folded(said), casefolded(text), encoded(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalising, "_STEP_CHARS", size)
        said = undisguised(text)
        assert (said, folded(said), casefolded(text), encoded(text)) == whole


@pytest.mark.parametrize(
    "unit",
    [
        "\ufdfa",
        "e\u0301",
        "a" + "\u0344" * 40,
        "\u1100\u1161\u11a8",
        "\u1161",
        "\u1161\u11a8",
        "\u0301" * 29 + "\u1161",
    ],
)
def test_no_call_is_given_more_than_a_step(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    """A call keeps the interpreter's lock, and everybody waits; also where hardly a character begins anything."""
    given_to_it: list[int] = []
    normalise = unicodedata.normalize

    def note(form: Any, text: str) -> str:
        given_to_it.append(len(text))
        return normalise(form, text)

    text = unit * (50_000 // len(unit))
    monkeypatch.setattr(unicodedata, "normalize", note)
    folded(undisguised(text))
    assert len(given_to_it) > 1
    assert max(given_to_it) < normalising._STEP_CHARS + 64


@given(texts)
def test_steps_leave_nothing_out(text: str) -> None:
    """And a short text is one step."""
    assert "".join(steps(text)) == text
    assert len([*steps(text)]) == 1
