"""Streams with something odd in any one place: they go on, or end as what cannot be inspected, and nothing else."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from canaries import Forbids
from oddities import EMAIL, ODD, PLACEHOLDER, TALKS, Talk, changed, places_in

from hoopguard.masking.restoring import Restorer
from hoopguard.masking.stages import UnmaskStage
from hoopguard.payload.channels import Channel, Stage
from hoopguard.payload.formats import format_of
from hoopguard.payload.framing import FramingError
from hoopguard.payload.streaming import AnswerStream


class Holding:
    """Hold back all of a text but what is longer than ``most`` characters."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Channel, str] = {}

    def feed(self, channel: Channel, text: str) -> str:
        text = self._held.get(channel, "") + text
        cut = max(0, len(text) - self._most)
        self._held[channel] = text[cut:]
        return text[:cut]

    def finish(self, channel: Channel) -> str:
        return self._held.pop(channel, "")


def begun(route: str, *stages: Stage, unmasking: Stage | None = None) -> AnswerStream:
    shape = format_of(route).stream
    assert shape is not None
    return AnswerStream(shape, stages, drop_repeats=True, unmasking=unmasking)


def odd(talk: Talk) -> Iterator[list[Any]]:
    """Yield the answer's events with every odd value in every place."""
    for at, event in enumerate(talk.told):
        for place, value in itertools.product(places_in(event), ODD):
            yield [*talk.told[:at], changed(event, place, value), *talk.told[at + 1 :]]


def raw(talk: Talk, event: Any) -> bytes:
    said = json.dumps(event).encode()
    return said + b"\n" if talk.api == "ollama" else b"data: " + said + b"\n\n"


@pytest.mark.parametrize("route", TALKS)
@pytest.mark.parametrize("most", [8, 4_000])
def test_whatever_stands_in_an_event_nothing_but_a_framing_error_ends_the_stream(route: str, most: int) -> None:
    """While much is held back, and while little is."""
    for events in odd(TALKS[route]):
        stream = begun(route, Holding(most), unmasking=Holding(8))
        with contextlib.suppress(FramingError):
            for event in events:
                stream.feed(raw(TALKS[route], event))
            stream.finish()


@pytest.mark.parametrize("route", TALKS)
def test_whatever_stands_in_an_event_a_rule_can_stop_the_stream(route: str) -> None:
    """Properly, whatever came before."""
    stop = "stop here"
    for events in odd(TALKS[route]):
        for at, event in enumerate(events):
            stream = begun(route, Forbids(stop))
            with contextlib.suppress(FramingError):
                for said in events[:at]:
                    stream.feed(raw(TALKS[route], said))
                stream.feed(raw(TALKS[route], event | {"unheard": stop} if isinstance(event, dict) else event))
                assert stream.ended


@pytest.mark.parametrize("route", TALKS)
@pytest.mark.parametrize("most", [8, 4_000])
def test_whatever_stands_in_an_event_what_is_put_back_is_not_recorded(route: str, most: int) -> None:
    """The caller gets it, in the texts that a placeholder stood in; no later event tells the record of it."""
    shown = b""
    for events in odd(TALKS[route]):
        stream = begun(route, Holding(most), unmasking=UnmaskStage(Restorer({PLACEHOLDER: EMAIL})))
        recorded = b""
        with contextlib.suppress(FramingError):
            for event in events:
                out = stream.feed(raw(TALKS[route], event))
                shown, recorded = shown + out, recorded + stream.take_recorded(out)
            out = stream.finish()
            shown, recorded = shown + out, recorded + stream.take_recorded(out)
        assert EMAIL.encode() not in recorded, events
    assert EMAIL.encode() in shown


def test_the_choices_text_may_stand_in_lists_of_lists() -> None:
    """What is held of it has nowhere to stand, so that the stream ends as one that cannot be inspected."""
    stream = begun("chat/completions", Holding(4_000))
    stream.feed(raw(TALKS["chat/completions"], {"choices": [{"index": 0, "delta": [[["held"]]]}]}))
    with pytest.raises(FramingError, match="none can be added to"):
        stream.finish()
