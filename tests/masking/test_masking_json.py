"""A JSON text that streams is masked inside its literals, stays JSON, and leaks nothing if it is none."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import CONTEXT, ENTITIES, LAZY_RULES, NEAR_MISSES, cut, masker, sizes, streamed, texts

from hoopguard.masking.detector import Budget, DetectionGaveUp
from hoopguard.masking.streaming import TextStream

RULES = masker(*LAZY_RULES)
PII = masker({"name": "pii", "entities": ("pack:pii",)}, recognisers=())

strings = st.one_of(st.sampled_from(ENTITIES + NEAR_MISSES + CONTEXT), texts, st.text(max_size=8))
numbers = st.one_of(
    st.integers(),
    st.sampled_from([4111111111111111, 4158675309, 14158675309, 0]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
values = st.recursive(
    st.one_of(strings, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(strings, inner, max_size=4)),
    max_leaves=8,
)
documents = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent),
    values,
    st.booleans(),
    st.sampled_from([None, 1]),
)
garbage = st.lists(
    st.one_of(documents, texts, st.sampled_from(['"', "\\", "\\u00", "\\ud83d", "{", ":", "tru", "-"])), max_size=4
).map("".join)


def masked_value(value: Any) -> Any:
    """Return what masking a parsed JSON value gives: strings and keys as texts, numbers if something is found."""
    if isinstance(value, str):
        return RULES.mask(value).text
    if isinstance(value, list):
        return [masked_value(item) for item in value]
    if isinstance(value, dict):
        return [(RULES.mask(key).text, masked_value(item)) for key, item in value.items()]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        source = json.dumps(value)
        masked = RULES.mask(source).text
        return value if masked == source else masked
    return value


@settings(max_examples=120, deadline=None)
@given(text=documents, pieces=sizes)
def test_a_json_text_streams_to_what_it_is_masked_to(text: str, pieces: list[int]) -> None:
    stream = RULES.json_stream()
    whole = RULES.mask_json(text)
    assert streamed(stream, cut(text, pieces)) == whole.text
    assert dict(stream.counts) == whole.counts


@settings(max_examples=120, deadline=None)
@given(text=garbage, pieces=sizes)
def test_what_is_no_json_streams_to_what_it_is_masked_to(text: str, pieces: list[int]) -> None:
    assert streamed(RULES.json_stream(), cut(text, pieces)) == RULES.mask_json(text).text


@settings(max_examples=120, deadline=None)
@given(text=documents)
def test_masked_json_is_json_with_its_strings_and_numbers_masked(text: str) -> None:
    parsed = json.loads(RULES.mask_json(text).text, object_pairs_hook=lambda pairs: pairs)
    assert parsed == masked_value(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"to": "bob\\u0040example.com"}',
        '{"to": "\\u0062ob@example\\u002ecom"}',
        "call (415) 867-5309",
        "Sure! 415 867 5309 it is",
        'Sure: {"to": "bob\\u0040example.com", "n": 4158675309} ring +1 415 867 5309.',
        '{"n": 415 867 5309}',
        '{"a": (415) 867-5309}',
        '{"to": "bob@example.com',
        '{"a": "\\q bob@example.com \\u12"}',
        "bob@example.com",
        '{"ip" 10.0.0.1}',
        "4111111111111111",
        '"4111111111111111',
        '{"a": 1} 4111 1111 1111 1111',
        '{"a":4111111111111111:',
        "'bob@example.com'",
    ],
)
def test_neither_escapes_nor_broken_json_let_anything_out(text: str) -> None:
    for pieces in ([1], [3], [1000]):
        out = streamed(PII.json_stream(), cut(text, pieces))
        plain = out.encode().decode("unicode-escape", "replace")
        assert not [secret for secret in ("bob", "867", "4111", "10.0") if secret in plain], out


def test_structure_passes_and_only_what_is_found_changes() -> None:
    text = '{ "a" : [1, 2.5e3, true,null, "x\\n\\"y\\""],\n "b":{}}'
    assert PII.mask_json(text).text == text


def test_a_number_that_is_masked_becomes_a_string() -> None:
    masked = PII.mask_json('{"card": 4111111111111111 , "n": 7}')
    assert masked.text == '{"card": "<CREDIT_CARD>" , "n": 7}'
    assert masked.counts == {"CREDIT_CARD": 1}


def test_a_replacement_with_quotes_cannot_break_out_of_its_string() -> None:
    rules = masker({"name": "m", "entities": ("EMAIL_ADDRESS",), "operator": {"replace": {"with": '"\\\n'}}})
    assert json.loads(rules.mask_json('["bob@example.com"]').text) == ['"\\\n']


def test_surrogate_pairs_stay_whole_and_lone_ones_stay_escaped() -> None:
    text = '["\\ud83d\\ude00 \\ud83d x \\ude00"]'
    out = streamed(PII.json_stream(), list(text))
    assert out.encode()
    assert json.loads(out) == json.loads(text)


def test_arguments_stream_word_by_word() -> None:
    stream = PII.json_stream()
    assert stream.feed('{"city": "New York is gr') == '{"city": "New York is '
    assert stream.feed('eat"') == 'great"'


def test_a_number_without_end_is_refused() -> None:
    stream = masker({"name": "p", "entities": ("pack:pii",)}, max_held_chars=256).json_stream()
    stream.feed("1" * 256)
    with pytest.raises(DetectionGaveUp):
        stream.feed("1")


def test_a_string_full_of_escapes_is_not_looked_at_escape_by_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "x = a\n" * 500
    text = json.dumps({"code": code})
    fed: list[int] = []
    feed = TextStream.feed

    def note(self: TextStream, part: str) -> str:
        fed.append(len(part))
        return feed(self, part)

    monkeypatch.setattr(TextStream, "feed", note)
    stream = PII.json_stream()
    assert stream.feed(text) + stream.finish() == text
    assert fed == [len("code"), len(code)]


def test_one_budget_goes_for_all_that_is_in_a_json_text() -> None:
    text = json.dumps([{"n": number, "s": "a"} for number in range(50)])
    assert PII.mask_json(text, Budget(60)).text == text
    times = iter(range(1_000_000))
    with pytest.raises(DetectionGaveUp):
        PII.mask_json(text, Budget(100, clock=lambda: next(times)))
