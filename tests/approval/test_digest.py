"""The digest names one request and no other."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.approval.digest import request_digest

# A small alphabet, so that parts often run into each other in the same way.
PART = st.text(alphabet="ab:/\0\ud800", max_size=4)
REQUEST = st.tuples(PART, PART, PART, PART, st.binary(max_size=4))


@given(REQUEST, REQUEST)
def test_different_requests_have_different_digests(
    one: tuple[str, str, str, str, bytes], other: tuple[str, str, str, str, bytes]
) -> None:
    """Two requests have the same digest exactly if all their parts are the same."""
    assert (request_digest(*one) == request_digest(*other)) == (one == other)


@given(st.text(alphabet="ab:", min_size=1, max_size=12), st.data())
def test_where_one_part_ends_matters(text: str, data: st.DataObject) -> None:
    """The same characters cut into parts at other places are another request."""
    cuts = st.lists(st.integers(0, len(text)), min_size=4, max_size=4).map(sorted)
    first, second = data.draw(cuts), data.draw(cuts)

    def digest(at: list[int]) -> str:
        a, b, c, d = at
        return request_digest(text[:a], text[a:b], text[b:c], text[c:d], text[d:].encode())

    assert (digest(first) == digest(second)) == (first == second)


@pytest.mark.parametrize("part", range(5))
def test_every_part_counts(part: int) -> None:
    """A change of principal, connection, model, route or body changes the digest."""
    request: list[str | bytes] = ["p", "c", "m", "r", b"{}"]
    before = request_digest(*request)  # type: ignore[arg-type]
    value = request[part]
    request[part] = value + b" " if isinstance(value, bytes) else value + " "
    assert request_digest(*request) != before  # type: ignore[arg-type]


def test_the_digest_is_what_it_was() -> None:
    """The encoding cannot change unnoticed: digests are stored, and outlive the version that made them."""
    known = "586337697021133a1b4acf696c13a2a6cd937ad5fb51891ab70bf7f4462002d6"
    assert request_digest("corp:alice", "llama", "m", "chat/completions", b"{}") == known
    parts = (b"hoopguard approval v1", b"corp:alice", b"llama", b"m", b"chat/completions", b"{}")
    assert hashlib.sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts)).hexdigest() == known
