"""Identifiers pass as they are, unless they hold what is somebody's."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload.fields import read
from hoopguard.payload.identifiers import telling_parts
from hoopguard.payload.tables import MADE, Fields


@pytest.mark.parametrize(
    ("identifier", "parts"),
    [
        ("call_4111111111111111", ["4111111111111111"]),
        ("call-4111-1111-1111-1111", ["4111-1111-1111-1111"]),
        ("user:536-90-4399", ["536-90-4399"]),
        ("call_4111111111111112", []),
        ("chatcmpl-1732310000000", []),
        ("file_4111111111111111a", []),
        ("2024-05-17", []),
    ],
)
def test_what_is_somebodys_number_is_taken_out_of_an_identifier(identifier: str, parts: list[str]) -> None:
    assert list(telling_parts(identifier)) == parts


def test_it_is_a_name_to_inspect_even_where_a_server_made_the_identifier() -> None:
    reading = read({"id": "call_4111111111111111"}, Fields({"id": MADE}))
    assert list(reading.names) == ["4111111111111111"]


@given(st.uuids())
def test_unique_ids_hold_nothing(made: uuid.UUID) -> None:
    assert list(telling_parts(f"chatcmpl-{made}")) == list(telling_parts(made.hex)) == []
