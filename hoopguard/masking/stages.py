"""Masking's places: in a body that is whole, in a stream, and in what the caller alone gets back."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hoopguard.exchange import Exchange
from hoopguard.masking.field_masker import FieldStream
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.masker import MOST_S, Masked, Masker
from hoopguard.masking.restoring import Restorer, RestoringStream
from hoopguard.masking.scan import Budget
from hoopguard.masking.streaming import TextStream
from hoopguard.pace import Pace
from hoopguard.payload.channels import Channel
from hoopguard.payload.fields import Reading
from hoopguard.payload.tables import Kind


class NameTellsError(Exception):
    """A key or an identifier of a body holds what must not be seen."""


def masked_texts(reading: Reading, masker: Masker) -> tuple[list[str], Counter[str]]:
    """Return every text of a body masked, and how many entities were hidden.

    Raises:
        NameTellsError: a key or an identifier holds what must not be seen; nothing can take its place.
        DetectionGaveUp: the body's time has run out.
    """
    budget, counts = Budget(MOST_S), Counter[str]()
    check_names(masker, reading.names, budget)
    out = []
    for _, _, text in reading.texts:
        there = masker.at(text.path)
        mask = there.mask_json if text.kind is Kind.JSON_TEXT else there.mask
        masked = mask(text.value, budget) if text.value else Masked("", {})
        counts.update(masked.counts)
        out.append(masked.text)
    return out, counts


def check_names(masker: Masker, names: Iterable[str], budget: Budget) -> None:
    """Look at keys and identifiers, in whose places nothing else can be put.

    Raises:
        NameTellsError: one of them holds what must not be seen.
        DetectionGaveUp: there is no time left to look.
    """
    for name in names:
        if masker.mask(name, budget).counts:
            raise NameTellsError("An object's key, or a name, holds personal data.")


class MaskStage:
    """Masking's place in a stream: each channel has a text stream of its own."""

    def __init__(self, exchange: Exchange, masker: Masker, pace: Pace) -> None:
        self._exchange = exchange
        self._masker = masker
        self._pace = pace
        self._streams: dict[Channel, TextStream | JsonTextStream | FieldStream] = {}

    def feed(self, channel: Channel, text: str) -> str:
        """Return what of the channel may go on now."""
        stream = self._streams.get(channel)
        if stream is None:
            is_json = channel.kind is Kind.JSON_TEXT
            masker = self._masker.at(channel.path)
            begin = masker.json_stream if is_json else masker.stream
            stream = self._streams[channel] = begin(self._pace)
        return stream.feed(text)

    def finish(self, channel: Channel) -> str:
        """Return what was held of the channel, and count what was hidden in it."""
        stream = self._streams.pop(channel, None)
        if stream is None:
            return ""
        rest = stream.finish()
        for entity, count in stream.counts.items():
            self._exchange.count_masked("response", entity, count)
        return rest

    def check_names(self, names: Sequence[str]) -> None:
        """Look at what the stream says beside its texts.

        Raises:
            NameTellsError: it says what must not be seen; the stream must end.
        """
        with self._pace.turn(sum(map(len, names))) as budget:
            check_names(self._masker, names, budget)


class UnmaskStage:
    """What the caller alone sees: behind it their own values stand again where their placeholders stood."""

    def __init__(self, restorer: Restorer, begin_pace: Callable[[], Pace] | None = None) -> None:
        self._restorer = restorer
        self._begin_pace = begin_pace
        self._pace: Pace | None = None
        self._streams: dict[Channel, RestoringStream | JsonTextStream] = {}

    def feed(self, channel: Channel, text: str) -> str:
        """Return what of the channel may go on now."""
        stream = self._streams.get(channel)
        if stream is None:
            is_json = channel.kind is Kind.JSON_TEXT
            begin = self._restorer.json_stream if is_json else self._restorer.stream
            if self._pace is None and self._begin_pace is not None:
                self._pace = self._begin_pace()
            stream = self._streams[channel] = begin(self._pace)
        return stream.feed(text)

    def finish(self, channel: Channel) -> str:
        """Return what was held of the channel."""
        stream = self._streams.pop(channel, None)
        return stream.finish() if stream is not None else ""
