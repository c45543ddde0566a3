"""Server-sent events, against the WHATWG HTML standard §9.2."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload import framing
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.sse import EventParser

LINES = st.sampled_from(
    (
        *("data", "data:", "data: x", "data:  two", "data:é\U0001f600", "data: a:b", "event: ping", "id: 7", "id"),
        *("retry: 10", ": note", "", "", "datax: y", " data: z", "Data: no", "data : no", "unknown"),
    )
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)


def read(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=12))
    return (draw(st.sampled_from(["", "\ufeff"])) + "".join(line + end for line, end in lines)).encode()


@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_however_the_network_cuts_the_bytes_the_events_are_the_same(raw: bytes, cuts: list[int]) -> None:
    """Cuts inside a character, a BOM or a CRLF change nothing."""
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    chunks = [raw[start:end] for start, end in pairwise(places)]
    assert read(*chunks) == read(raw) == read(*[raw[at : at + 1] for at in range(len(raw))])


def slowly(raw: bytes) -> list[Event]:
    """Read a whole stream sentence by sentence as §9.2.6 says; what the stream ends in counts as ended."""
    text = raw.decode().removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)
    events: list[Event] = []
    data: list[str] = []
    event, event_id, retry = "", None, None
    for line in [*lines, ""]:
        if line == "":
            if data:
                events.append(Event("\n".join(data), event, event_id, retry))
            data, event, event_id, retry = [], "", None, None
            continue
        if line[0] == ":":
            continue
        field, value = line.split(":", 1) if ":" in line else (line, "")
        value = value[1:] if value[:1] == " " else value
        if field == "data":
            data.append(value)
        elif field == "event":
            event = value
        elif field == "id" and "\0" not in value:
            event_id = value
        elif field == "retry" and re.fullmatch("[0-9]{1,9}", value):
            retry = int(value)
    return events


PIECES = st.sampled_from(
    (
        "data",
        "event",
        "id",
        "retry",
        ":",
        " ",
        "\n",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "x",
        "7",
        "\ufeff",
        "\u00e9\U0001f600",
        "\0",
    )
)


@given(streams() | st.lists(PIECES, max_size=30).map(lambda parts: "".join(parts).encode()), st.integers(1, 9))
def test_every_stream_is_read_as_the_standard_says_sentence_by_sentence(raw: bytes, size: int) -> None:
    """Lines that end in CR, LF or both, several data lines, comments, unknown fields, no blank line at the end."""
    assert read(*[raw[at : at + size] for at in range(0, len(raw), size)]) == slowly(raw)


@given(
    st.lists(
        st.builds(
            Event,
            data=TEXTS | st.just("a\nb"),
            event=TEXTS,
            id=st.none() | TEXTS,
            retry=st.none() | st.integers(0, 10**8),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_back(events: list[Event]) -> None:
    """Encoding and parsing are each other's inverse."""
    assert read(b"".join(event.encode() for event in events)) == events


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [Event("YHOO\n+2\n10")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [Event("first event", id="1"), Event("second event", id=""), Event(" third event")],
        ),
        ("data\n\ndata\ndata\n\ndata:\n\n", [Event(""), Event("\n"), Event("")]),
        ("data:test\n\ndata: test\n\n", [Event("test"), Event("test")]),
        ("\ufeffdata: x\n\n\ufeffdata: y\n\n", [Event("x")]),
        ("id: a\0b\ndata: x\n\n", [Event("x")]),
        (
            "retry: 3\ndata: x\n\nretry: ٣\ndata: y\n\nretry: 3s\ndata: z\n\n",
            [Event("x", retry=3), Event("y"), Event("z")],
        ),
        ("event: a\nevent: b\ndata: x\n\ndata: y\n\n", [Event("x", "b"), Event("y")]),
        ("event: lonely\n\nid: 3\n\n", []),
        ("data: x\r\rdata: y\r\n\r\n", [Event("x"), Event("y")]),
        ("data: x\u2028y\x0b\x0c\x85z\n\n", [Event("x\u2028y\x0b\x0c\x85z")]),
    ],
)
def test_streams_are_read_as_the_standard_says(raw: str, expected: list[Event]) -> None:
    """The examples of the standard and its corner cases, field by field."""
    assert read(raw.encode()) == expected


def test_an_event_that_the_model_did_not_end_is_not_lost() -> None:
    """Unlike the standard: an event without its blank line is inspected and sent on."""
    assert read(b"data: a\n\ndata: tail") == [Event("a"), Event("tail")]


@pytest.mark.parametrize("end", ["\n\n", "\r\r", "\r\n\r\n"])
def test_an_event_is_handed_on_with_its_blank_line_whatever_ends_lines(end: str) -> None:
    """Nothing waits for a byte that may never come."""
    assert EventParser().feed(f"data: x{end}".encode()) == [Event("x")]


@pytest.mark.parametrize("raw", [b"data: \xff\n\n", b"data: \xed\xa0\x80\n\n", b"data: x\n\n\xc3"])
def test_what_is_not_utf_8_is_a_framing_error(raw: bytes) -> None:
    """Nothing is replaced by question marks and let through."""
    with pytest.raises(FramingError, match="UTF-8"):
        read(raw)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"])
def test_an_event_beyond_all_measure_is_a_framing_error(piece: bytes) -> None:
    """Neither an endless line nor an endless list of lines fills the memory."""
    with pytest.raises(FramingError, match="longer than"):
        read(*[piece] * 5000)


def test_comments_are_no_event_and_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that keeps the line open with comments is not cut off for it."""
    monkeypatch.setattr(framing, "_MAX_CHARS", 1000)
    parser = EventParser()
    assert [parser.feed(b": still here\n") for _ in range(200)] == [[]] * 200
    assert parser.feed(b"data: x\n\n") == [Event("x")]
