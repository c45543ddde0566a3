"""JSON values one a line, however the network cuts them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import framing
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.ndjson import LineParser, LineShape
from hoopguard.payload.tables import Fields

LINES = st.sampled_from(
    ("", " ", '{"a":1}', '  {"a": "é\U0001f600"}\t', '{"a":"x\u2028y\x85z"}', "data: no", "[1]", '"\\n"')
)
SCALARS = st.text(max_size=6) | st.integers(-(2**63), 2**64 - 1) | st.none()
BODIES = st.lists(st.dictionaries(st.text(max_size=4), SCALARS, max_size=3))


def read(*chunks: bytes) -> list[Event]:
    parser = LineParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n"])), max_size=10))
    end = draw(LINES)
    return (draw(st.sampled_from(["", "\ufeff"])) + "".join(line + feed for line, feed in lines) + end).encode()


@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_however_the_network_cuts_the_bytes_the_lines_are_the_same(raw: bytes, cuts: list[int]) -> None:
    """Cuts inside a character, a BOM or a CRLF change nothing."""
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    chunks = [raw[start:end] for start, end in pairwise(places)]
    assert read(*chunks) == read(raw) == read(*[raw[at : at + 1] for at in range(len(raw))])


@given(BODIES)
def test_what_is_written_is_read_back(bodies: list[dict[str, Any]]) -> None:
    """Each value is one line, whatever its strings hold."""
    shape = LineShape(Fields())
    try:
        raw = b"".join(shape.write(Event(json.dumps(body, ensure_ascii=False))) for body in bodies)
    except UnicodeEncodeError:
        return
    assert [json.loads(event.data) for event in read(raw)] == bodies


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}\n[]\n", ["{}", "[]"]),
        (b"{}\r\n\r\n\n []\t\n", ["{}", "[]"]),
        (b"\xef\xbb\xbf{}\n", ["{}"]),
        (b"{}\ntail", ["{}", "tail"]),
        (b"[DONE]\n", ["[DONE]"]),
        (b"", []),
    ],
)
def test_lines_are_split_at_line_feeds_alone(raw: bytes, expected: list[str]) -> None:
    """Blank lines are nothing; the last line counts without its end."""
    assert [event.data for event in read(raw)] == expected


def test_a_line_is_handed_on_with_its_line_feed() -> None:
    """Nothing waits for a byte that may never come."""
    assert LineParser().feed(b'{"a":1}\n') == [Event('{"a":1}')]


@pytest.mark.parametrize("raw", [b"\xff\n", b"\xed\xa0\x80\n", b"{}\n\xc3"])
def test_what_is_not_utf_8_is_a_framing_error(raw: bytes) -> None:
    """Nothing is replaced by question marks and let through."""
    with pytest.raises(FramingError, match="UTF-8"):
        read(raw)


@pytest.mark.parametrize("chunks", [[b"x" * 60] * 2, [b"x" * 101 + b"\n"], [b"{}\n" + b"x" * 101]])
def test_a_line_beyond_all_measure_is_a_framing_error(chunks: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless line does not fill the memory, however it comes."""
    monkeypatch.setattr(framing, "_MAX_CHARS", 100)
    with pytest.raises(FramingError, match="longer than"):
        read(*chunks)


def test_no_line_ends_a_stream_by_itself() -> None:
    """What ends server-sent events is no JSON object here, and so no line."""
    assert not LineShape(Fields()).is_done(Event("[DONE]"))
