"""A field that a rule names is hidden as a whole, in a body and in a JSON text, also while it is being written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import cut, masker, sizes, streamed

from hoopguard.masking.field_rules import FieldRule, Place
from hoopguard.masking.masker import Masker
from hoopguard.masking.pseudonyms import Vault
from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.masking.stages import masked_texts
from hoopguard.payload.fields import read
from hoopguard.payload.tables import Fields
from hoopguard.policy.paths import FieldPath, parse_path

PATHS = ("$.customer.ssn", "$..password", "$.items[*].id", "$.rows[1]", "$['a key'].*", "$..deep..leaf")
FIELDS = {"name": "f", "fields": PATHS, "operator": {"replace": {"with": "#"}}}
PII = {"name": "p", "entities": ("EMAIL_ADDRESS",)}
RULES = masker(FIELDS, PII, recognisers=())


def hidden(path: str, *keys: str | int) -> bool:
    return Place.root([FieldRule(parse_path(path), 0)]).at(keys).hidden_by is not None


@pytest.mark.parametrize(
    ("path", "keys", "expected"),
    [
        ("$.a", ("a",), True),
        ("$.a", ("b", "a"), False),
        ("$.a", ("a", "b", 0), True),
        ("$.a.b", ("a",), False),
        ("$..b", ("a", 0, "b"), True),
        ("$..b", ("b",), True),
        ("$..a..b", ("x", "a", "x", "b"), True),
        ("$..a.b", ("a", "a", "b"), True),
        ("$..a.b", ("a", "x", "b"), False),
        ("$.*", ("x",), True),
        ("$.*.b", ("x", "b"), True),
        ("$[0]", (0,), True),
        ("$[0]", (1,), False),
        ("$[0]", ("*",), True),
        ("$[0]", ("0",), False),
        ("$.l[*].id", ("l", 7, "id"), True),
        ("$['a.b'][\"c d\"]", ("a.b", "c d"), True),
        ("$.naïve-key", ("naïve-key",), True),
        ("$..[2]", ("a", 2), True),
        ("$..*", ("a",), True),
    ],
)
def test_a_path_leads_where_it_says(path: str, keys: tuple[str | int, ...], expected: bool) -> None:
    assert hidden(path, *keys) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("customer.ssn", "such as"),
        ("$", "everything"),
        ("$.", "expected .name"),
        ("$name", "expected .name"),
        ("$...a", "expected .name"),
        ("$.a b", "expected .name"),
        ("$['']", "expected .name"),
        ("$.a[?(@.x)]", "filters"),
        ("$.a[0:2]", "slices"),
        ("$.a[0,1]", "unions"),
        ("$.a[-1]", "from the end"),
        ("$['it\\'s']", "escapes"),
        (5, "such as"),
    ],
)
def test_what_is_not_understood_of_a_path_is_said(path: object, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "entity"),
    [
        ("$.customer.ssn", "SSN"),
        ("$..['Card No.']", "CARD_NO"),
        ("$.rows[0]", "ROWS"),
        ("$[*]", "FIELD"),
        ("$.é", "FIELD"),
    ],
)
def test_a_hidden_field_is_called_by_its_last_name(path: str, entity: str) -> None:
    assert parse_path(path).entity == entity


keys = st.sampled_from(["customer", "ssn", "password", "items", "id", "rows", "a key", "deep", "leaf", "x"])
scalars = st.one_of(
    st.sampled_from(["secret", "bob@example.com", "", "#", 'a"\\\n', "é😀"]),
    st.integers(-9, 9999),
    st.booleans(),
    st.none(),
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=10
)


def expected_of(value: Any, place: Place) -> Any:
    """Return what becomes of a parsed JSON value, by the plainest walk there is."""
    if isinstance(value, dict):
        return {key: expected_of(inner, place.step(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [expected_of(inner, place.step(at)) for at, inner in enumerate(value)]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if place.hidden_by is not None:
        return "#"
    return RULES.mask(value).text if isinstance(value, str) else value


@settings(max_examples=200, deadline=None)
@given(document=documents, pieces=sizes, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_fields_of_a_json_text_are_hidden_and_stream_as_they_are(
    document: Any, pieces: list[int], indent: int | None, ascii_only: bool
) -> None:
    assert RULES.root is not None
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    whole = RULES.mask_json(text)
    assert json.loads(whole.text) == expected_of(document, RULES.root)
    assert streamed(RULES.json_stream(), cut(text, pieces)) == whole.text


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2',
        '{"password": hunter2}',
        '{"password": 12 34, "x": 1}',
        '{"password": ["hunter2", {"a": 1234',
    ],
)
def test_a_field_of_a_json_text_that_breaks_off_is_hidden_still(text: str) -> None:
    for pieces in ([1], [100]):
        out = streamed(RULES.json_stream(), cut(text, pieces))
        assert not [secret for secret in ("hunter2", "12 34", "1234") if secret in out]


def test_a_fields_value_is_counted_under_its_name() -> None:
    assert RULES.mask_json('{"customer": {"ssn": "x", "n": "y"}}').counts == {"SSN": 1}


def test_a_value_of_a_body_is_hidden_where_a_path_leads_to_it() -> None:
    assert RULES.at(("customer", "ssn")).mask("536-90-4399 or so").text == "#"
    assert RULES.at(("customer", "name")).mask("bob@example.com or so").text == "<EMAIL_ADDRESS> or so"
    stream = RULES.at(("items", 3, "id")).stream()
    assert (stream.feed("a"), stream.feed("b"), stream.finish()) == ("", "", "#")


def test_a_path_may_lead_from_a_body_into_a_json_text_or_begin_there() -> None:
    rules = masker({"name": "f", "fields": ("$.calls[*].arguments.pin",)}, recognisers=())
    text = '{"pin": 7, "n": {"pin": 8}}'
    assert rules.at(("calls", "*", "arguments")).mask_json(text).text == '{"pin": "<PIN>", "n": {"pin": 8}}'
    assert rules.at(("other",)).mask_json(text).text == text
    assert RULES.at(("anything",)).mask_json('{"customer": {"ssn": "x"}}').text == '{"customer": {"ssn": "#"}}'


def test_a_field_without_end_is_refused_in_a_stream_and_hidden_in_a_whole() -> None:
    rules = masker({"name": "f", "fields": ("$.a",), "operator": "redact"}, recognisers=(), max_held_chars=256)
    text = json.dumps({"a": "x" * 500})
    assert rules.mask_json(text).text == '{"a": ""}'
    for stream in (rules.json_stream(), rules.at(("a",)).stream()):
        with pytest.raises(DetectionGaveUp):
            streamed(stream, cut(text, [50]))


def test_a_rule_without_field_rules_is_the_same_everywhere() -> None:
    rules = masker(PII, recognisers=())
    assert rules.at(("a", "b")) is rules


def test_pseudonyms_of_fields_come_back_and_are_not_hidden_twice() -> None:
    rules = masker({"name": "f", "fields": ("$..pin",), "operator": "pseudonym"}, recognisers=())
    rules.direction = "request"
    vault = Vault()
    bound: Masker = rules.bound(vault)
    once = bound.mask_json('{"pin": "12\\"34"}').text
    assert once == '{"pin": "<PIN_1>"}'
    assert vault.restorer().restore_json(once) == '{"pin": "12\\"34"}'
    answer: Masker = rules.bound(vault)
    answer.direction = "response"
    assert answer.bound(vault).mask_json(once).text == once


def test_encrypted_fields_are_not_encrypted_twice() -> None:
    rules = masker({"name": "f", "fields": ("$..pin",), "operator": {"encrypt": {"key": "k" * 32}}}, recognisers=())
    once = rules.mask_json('{"pin": "1234"}').text
    assert rules.mask_json(once).text == once


@pytest.mark.parametrize("said", [{}, {"fields": ("$.a",), "entities": ("CRYPTO",)}, {"fields": ()}])
def test_a_rule_names_either_entities_or_fields(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected either|at least 1 item"):
        masker({"name": "f", **said}, recognisers=())


def test_a_parsed_path_stays_what_it_is() -> None:
    path = parse_path("$.a")
    assert parse_path(path) is path
    assert isinstance(path, FieldPath)


def test_the_texts_of_a_body_are_masked_where_they_stand_and_its_list_positions_are_any() -> None:
    body = {"customer": {"ssn": "x y", "name": "bob@example.com"}, "rows": ["z", {"password": 4711}]}
    texts, counts = masked_texts(read(body, Fields()), RULES)
    assert texts == ["#", "<EMAIL_ADDRESS>", "#", "#"]
    assert counts == {"SSN": 1, "EMAIL_ADDRESS": 1, "ROWS": 2}
