"""An embedding in one string passes; a text that only looks like one does not."""

import base64
import struct

import pytest
from canaries import masked
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import openai_embeddings
from hoopguard.payload.vectors import readable_in


def vector(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40))
def test_floats_are_a_vector(values: list[float]) -> None:
    """Whatever their number; what could be read in them is in their bytes."""
    readable = readable_in(vector(*values))
    assert readable is not None
    assert all(run.encode() in base64.b64decode(vector(*values)) for run in readable)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bob@example.com",
        "AAA",
        "AAAA",
        "AAAAAA==\n",
        "AAAAAB==",
        vector(0.5, float("nan")),
        vector(float("inf")),
        vector(10_000.0),
        base64.b64encode(b"write to bob@example.com").decode(),
        "é" * 8,
    ],
)
def test_what_is_no_vector_is_a_text(value: str) -> None:
    """Not base64, not in its one form, no whole number of floats, not finite, or beyond what embeddings are."""
    assert readable_in(value) is None


def test_a_vector_that_spells_personal_data_is_refused() -> None:
    """Digits are small floats: bytes that can be read are looked at as names are."""
    card = base64.b64encode(b"4111111111111111").decode()
    assert readable_in(card) == ["4111111111111111"]
    assert masked({"data": [{"embedding": card}]}, openai_embeddings.ANSWER) is None


def test_a_vector_that_spells_nothing_passes() -> None:
    """It is what the model sent, byte for byte."""
    body = {"data": [{"object": "embedding", "index": 0, "embedding": vector(0.25, -0.125, 1.5)}]}
    assert masked(body, openai_embeddings.ANSWER) == body
