"""The ledger's lines."""

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.recorder.entry import Entry, EntryError, decode, encode, leaf_hash, plain

TEXT = st.text(st.characters(codec=None), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4), TEXT)
def test_an_entry_is_read_back_as_it_was_written(data: dict[str, Any], exchange: str) -> None:
    entry = Entry(3, 17, "intent", plain(exchange), "ab" * 32, plain(data))
    line = encode(entry)
    assert decode(line) == entry
    assert b"\n" not in line
    assert leaf_hash(line) == hashlib.sha256(b"\x00" + line).hexdigest()


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_line_with_another_byte_is_another_leaf(place: int, bits: int) -> None:
    line = bytearray(encode(Entry(3, 17, "outcome", "hg-1", "ab" * 32, {"outcome": "allowed", "status": 200})))
    before = leaf_hash(bytes(line))
    line[place % len(line)] ^= bits
    assert leaf_hash(bytes(line)) != before


@pytest.mark.parametrize("value", [1.5, {1: 2}, b"x", {"a": [object()]}])
def test_a_value_with_more_than_one_spelling_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        plain(value)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"a": 1}',
        b"[" * 100_000,
        orjson.dumps({"data": {}, "exchange": "", "prev": "", "seq": 0, "time_us": 0, "type": "gossip"}),
        orjson.dumps({"data": {}, "exchange": "", "prev": "", "seq": 0, "time_us": 0, "type": []}),
        orjson.dumps({"data": {}, "exchange": "", "prev": "", "seq": True, "time_us": 0, "type": "stop"}),
        orjson.dumps({"data": {}, "exchange": "", "prev": "", "seq": 0, "time_us": 0.5, "type": "stop"}),
        orjson.dumps({"type": "stop", "data": {}, "exchange": "", "prev": "", "seq": 0, "time_us": 0}),
    ],
)
def test_what_is_not_an_entry_is_refused(line: bytes) -> None:
    with pytest.raises(EntryError):
        decode(line)
