"""Hide in requests and answers what the ``[[mask]]`` tables of policy.toml name."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from mitmproxy import http

from hoopguard.exchange import Direction, Exchange, Refused
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.masker import Masker
from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.masking.streaming import TextStream
from hoopguard.payload.fields import Fields, Kind, Text, drop_repeats, rewrite, texts
from hoopguard.payload.streaming import Channel
from hoopguard.policy import LoadedPolicy, PolicyError

_INLINE_CHARS: Final = 4_096
_INLINE_BUDGET_S: Final = 0.01


class Masking:
    """Put masked texts in place of the originals: before the model sees them, and before the caller does."""

    name = "masking"

    def __init__(self) -> None:
        self._masker = lru_cache(maxsize=64)(_build)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Offer the other stations a way to show a text without what must not be seen."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "request")
        exchange.redact = _redactor(masker) if masker is not None else None

    async def request(self, flow: http.HTTPFlow) -> None:
        """Mask every text of the request."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "request")
        if masker is None or exchange.body is None:
            return
        try:
            exchange.body = await _mask_body(masker, exchange, exchange.body, exchange.format.request, "request")
        except DetectionGaveUp as error:
            message = "The request could not be inspected for personal data in the time allowed; shorten or split it."
            raise Refused(400, "hoopguard_uninspectable", message) from error

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stand in the way of a streamed answer."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "response")
        if masker is not None and exchange.facts["streamed"]:
            exchange.drop_repeats = True
            exchange.stages.append(_MaskStage(exchange, masker))

    async def response(self, flow: http.HTTPFlow) -> None:
        """Mask every text of a whole answer."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "response")
        if masker is None:
            return
        drop_repeats(exchange.answer, exchange.format.answer)
        try:
            exchange.answer = await _mask_body(masker, exchange, exchange.answer, exchange.format.answer, "response")
        except DetectionGaveUp as error:
            message = "The model's answer could not be inspected for personal data in the time allowed."
            raise Refused(502, "hoopguard_uninspectable", message, "failed") from error


def check_masks(loaded: LoadedPolicy) -> None:
    """Build and warm up every masker of a policy before it comes into force.

    Raises:
        PolicyError: a rule names an entity that nobody recognises.
    """
    for connection in loaded.policy.connections:
        for direction in ("request", "response"):
            try:
                masker = Masker.build(loaded.policy, connection.name, direction)
            except ValueError as error:
                raise PolicyError(loaded.file, "mask · entities", None, str(error)) from error
            if masker is not None:
                masker.warm_up()


class _MaskStage:
    """Masking's place in a stream: each channel has a text stream of its own."""

    def __init__(self, exchange: Exchange, masker: Masker) -> None:
        self._exchange = exchange
        self._masker = masker
        self._streams: dict[Channel, TextStream | JsonTextStream] = {}

    def feed(self, channel: Channel, text: str) -> str:
        """Return what of the channel may go on now."""
        stream = self._streams.get(channel)
        if stream is None:
            is_json = channel.kind is Kind.JSON_TEXT
            stream = self._streams[channel] = self._masker.json_stream() if is_json else self._masker.stream()
        return stream.feed(text)

    def finish(self, channel: Channel) -> str:
        """Return what was held of the channel, and count what was hidden in it."""
        stream = self._streams.pop(channel, None)
        if stream is None:
            return ""
        rest = stream.finish()
        _count(self._exchange, "response", stream.counts)
        return rest


async def _mask_body(masker: Masker, exchange: Exchange, body: Any, fields: Fields, direction: Direction) -> Any:
    """Mask a body; a small one at once, one that takes its time in a thread, so that others do not wait."""
    counts: Counter[str] = Counter()
    if sum(len(text.value) for text in texts(body, fields)) <= _INLINE_CHARS:
        try:
            masked = rewrite(body, fields, _masking(masker, counts, _INLINE_BUDGET_S))
        except DetectionGaveUp:
            counts.clear()
        else:
            _count(exchange, direction, counts)
            return masked
    masked = await asyncio.to_thread(rewrite, body, fields, _masking(masker, counts, None))
    _count(exchange, direction, counts)
    return masked


def _masking(masker: Masker, counts: Counter[str], budget_s: float | None) -> Callable[[Text], str]:
    def transform(text: Text) -> str:
        masked = masker.mask_json(text.value) if text.kind is Kind.JSON_TEXT else masker.mask(text.value, budget_s)
        counts.update(masked.counts)
        return masked.text

    return transform


def _redactor(masker: Masker) -> Callable[[str], str]:
    def redact(text: str) -> str:
        try:
            return masker.mask(text).text
        except DetectionGaveUp:
            return "(not shown: it could not be inspected for personal data)"

    return redact


def _count(exchange: Exchange, direction: Direction, counts: Counter[str]) -> None:
    for entity, count in counts.items():
        exchange.count_masked(direction, entity, count)


def _build(loaded: LoadedPolicy, connection: str, direction: Direction) -> Masker | None:
    return Masker.build(loaded.policy, connection, direction)
