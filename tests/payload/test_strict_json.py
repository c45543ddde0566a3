"""JSON with one meaning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload.strict_json import MAX_DEPTH, BodyError, canonical, dump, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_parsed_is_sent_on_as_an_equal_value(value: Any, ascii_only: bool, indent: int | None) -> None:
    """However a document is spelled, parsing and dumping it keeps its value."""
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(raw) == value
    assert json.loads(dump(parse(raw))) == value
    assert parse(dump(parse(raw))) == parse(raw)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789eE+-. \\utrfalsn', max_size=60).map(str.encode))
def test_any_bytes_are_parsed_or_refused_and_never_crash(raw: bytes) -> None:
    """Whatever comes is either a value that can be sent on, or a BodyError."""
    try:
        value = parse(raw)
    except BodyError:
        return
    assert json.loads(dump(value)) == value


@given(VALUES)
def test_equal_objects_have_equal_canonical_bytes(value: Any) -> None:
    """The order of keys does not change the canonical form."""
    assert canonical(_reversed(value)) == canonical(value)


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(entry) for entry in value] if isinstance(value, list) else value


@given(VALUES, st.integers(0, 20), TEXTS, st.booleans(), st.booleans())
def test_a_key_twice_is_refused_at_any_depth(value: Any, depth: int, key: str, escaped: bool, compact: bool) -> None:
    """One object with a key twice spoils the document, however deep it is, and however it is spelled."""
    first = dump(key).decode()
    again = '"' + "".join(f"\\u{unit:04x}" for unit in _utf16(key)) + '"' if escaped else first
    space = "" if compact else " "
    inner = f"{{{first}:{space}{dump(value).decode()},{space}{again}:{space}1}}"
    with pytest.raises(BodyError, match="same key twice"):
        parse(('[{"x":' * depth + inner + "}]" * depth).encode())


@given(st.one_of(VALUES.map(dump), st.text(alphabet='{}[]",:019eE+-.\\u', max_size=30).map(str.encode)))
def test_what_is_written_compactly_is_read_as_carefully_as_anything(raw: bytes) -> None:
    """A space at the end has it read the long way."""

    def read(text: bytes) -> Any:
        try:
            return parse(text)
        except BodyError:
            return BodyError

    assert repr(read(raw)) == repr(read(raw + b" "))


@pytest.mark.parametrize("space", [b"", b" "])
@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"x":', b"}")])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 250, 260, 900, 2_000, 100_000])
def test_what_is_nested_too_deep_is_refused_however_it_is_spelled(
    space: bytes, opened: bytes, closed: bytes, depth: int
) -> None:
    """Both parsers have limits of their own, for reading and for writing."""
    with pytest.raises(BodyError, match="nested deeper"):
        parse(opened * depth + b"1" + closed * depth + space)


def _utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"nul", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{}\x00", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'"\n"', "not JSON"),
        (b"// x\n{}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1" * 100_000, "64 bits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b'["a\\ud83d\\ud83d"]', "surrogate"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "nested deeper"),
        (b'{"a":' * (MAX_DEPTH + 2) + b"1" + b"}" * (MAX_DEPTH + 2), "nested deeper"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a":' * 200_000, "nested deeper"),
        (b"[" * 5_000_000, "values"),
        (b'{"a":' * 1_000_000, "values"),
        (b"[" + b'"",' * 300_000 + b'""]', "values"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_two_parsers_could_read_two_ways_is_refused(raw: bytes, reason: str) -> None:
    """Each thing that is not plain JSON is a BodyError that says what it was."""
    with pytest.raises(BodyError, match=reason):
        parse(raw)


@pytest.mark.parametrize("number", [-(2**63), 2**64 - 1, 0])
def test_whole_numbers_up_to_64_bits_pass_unchanged(number: int) -> None:
    """Both ends of the range are sent on digit by digit."""
    assert dump(parse(str(number).encode())) == str(number).encode()


def test_nesting_up_to_the_limit_passes() -> None:
    """The deepest document allowed is parsed and dumped."""
    raw = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    assert dump(parse(raw)) == raw


def test_a_pair_of_surrogates_is_one_character() -> None:
    """Escaped astral characters are text like any other."""
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"
