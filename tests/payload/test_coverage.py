"""The coverage contract: what docs/formats.md says of every field of every format is what happens to it."""

from pathlib import Path
from typing import Any, Final, get_args

import pytest
from canaries import CANARIES, EMAIL, ESCAPED, MaskStage, bodies, leaks, masked, placed, stream_of, streamed

from hoopguard.payload.coverage import describe, document
from hoopguard.payload.formats import FORMATS
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.tables import Fields, Kind, Said, Strings
from hoopguard.policy.model import Guardrail

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
TABLES: Final = {
    f"{format_.name} {kind}": fields
    for format_ in FORMATS
    for kind, fields in (("request", format_.request), ("answer", format_.answer))
}
STREAMS: Final = {format_.name: format_.stream for format_ in FORMATS if format_.stream is not None}


def test_the_document_says_what_the_tables_say() -> None:
    """It is written by ``python -m hoopguard.payload.coverage > docs/formats.md``."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("name", TABLES)
def test_no_canary_comes_out_of_a_body_wherever_it_stands(name: str) -> None:
    """At every place of a table and beside it, as text, number, key or inside of something: hidden or refused."""
    found = [
        (where, canary)
        for canary in CANARIES
        for where, body in bodies(TABLES[name], canary)
        if leaks(masked(body, TABLES[name]))
    ]
    assert found == []


@pytest.mark.parametrize("name", STREAMS)
def test_no_canary_comes_out_of_a_stream_wherever_it_stands(name: str) -> None:
    """The same in an event, whether its text is one of a channel or stands alone: hidden, or the stream ends."""
    shape = STREAMS[name]
    found = [
        (where, canary)
        for canary in CANARIES
        for where, body in bodies(shape.fields, canary)
        if isinstance(body, dict) and leaks(_streamed(shape, body))
    ]
    assert found == []


def _streamed(shape: StreamShape, body: dict[str, Any]) -> str:
    raw = shape.write(Event(stream_of(body).decode().removeprefix("data: ").strip()))
    try:
        return streamed(shape, raw, MaskStage()).decode()
    except (FramingError, PermissionError):
        return ""


@pytest.mark.parametrize("name", TABLES)
def test_a_field_that_is_text_is_masked_not_refused(name: str) -> None:
    """The contract is not kept by refusing everything: what is said to be text passes, without what is hidden."""
    for path, treatment in TABLES[name].table.items():
        if isinstance(treatment, Said | Strings):
            out = masked(placed(path, f"I am {EMAIL}, write"), TABLES[name])
            assert out == placed(path, "I am <EMAIL_ADDRESS>, write"), path


@pytest.mark.parametrize("name", TABLES)
def test_escapes_do_not_hide_anything_in_json_inside_a_string(name: str) -> None:
    r"""``\u0040`` is an @ to whoever parses the string."""
    for path, treatment in TABLES[name].table.items():
        if treatment == Said(Kind.JSON_TEXT):
            out = masked(placed(path, ESCAPED), TABLES[name])
            assert out == placed(path, '{"to": "<EMAIL_ADDRESS>"}'), path


def test_every_row_of_a_table_is_described_once() -> None:
    """Parts are described with their kinds."""
    for fields in TABLES.values():
        rows = [row.field for row in describe(fields)]
        assert len(set(rows)) == len(rows)
        assert {*fields.table} <= {*rows}


def test_a_table_is_described_by_treatment() -> None:
    """What cannot be inspected is said to be refused, also in a part."""
    rows = dict(describe(Fields(TABLES["chat/completions request"].table)))
    assert rows["messages.*.content.*[image_url]"] == "refused: image"
    assert rows["messages.*.content.*[text].text"] == "text"
    assert rows["messages.*.tool_calls.*.function.arguments"] == "JSON inside a string"
    assert rows["model"] == "identifier"


def test_a_rule_can_name_the_kinds_that_are_refused() -> None:
    """A policy can let pass what nobody can look into, but for what is no content, or says two things."""
    treatments = [row.treatment for fields in TABLES.values() for row in describe(fields)]
    kinds = {treatment.rpartition("refused: ")[2] for treatment in treatments if "refused: " in treatment}
    named = get_args(get_args(Guardrail.model_fields["unreadable"].annotation)[0])
    assert kinds == {*named, "part", "binary data", "shared memory"}
