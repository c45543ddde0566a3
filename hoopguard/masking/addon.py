"""Hide in requests and answers what the ``[[mask]]`` tables of policy.toml name."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from mitmproxy import http
from mitmproxy.connection import ConnectionState

from hoopguard.exchange import Direction, Exchange, Refused
from hoopguard.masking.jsontext import JsonTextStream
from hoopguard.masking.lanes import Lane
from hoopguard.masking.masker import MOST_S, Masker
from hoopguard.masking.pace import Load, Pace
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.masking.streaming import TextStream
from hoopguard.payload.fields import Kind, Reading, Text, replace
from hoopguard.payload.streaming import Channel
from hoopguard.policy import LoadedPolicy, PolicyError

_INLINE_CHARS: Final = 4_096
_INLINE_NODES: Final = 256
_INLINE_BUDGET_S: Final = 0.012
_QUICK_BUDGET_S: Final = 0.5
_LEAST_S: Final = 1.0
_S_PER_CHAR: Final = 0.0001
_REDACTING_S: Final = 2.0


class NameTellsError(Exception):
    """A key or an identifier of a body holds what must not be seen."""


class Masking:
    """Put masked texts in place of the originals: before the model sees them, and before the caller does."""

    name = "masking"

    def __init__(self) -> None:
        self._masker = lru_cache(maxsize=64)(_build)
        self._load = Load()
        self._quick = Lane("quick")
        self._dear = Lane("dear")

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
            await self._mask(masker, flow, exchange.reading, "request")
        except NameTellsError as error:
            raise Refused(
                400, "hoopguard_uninspectable", f"{error} Say it in a value, where it can be hidden."
            ) from error
        except DetectionGaveUp as error:
            message = "The request could not be inspected for personal data in the time allowed; shorten or split it."
            raise Refused(400, "hoopguard_uninspectable", message) from error

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stand in the way of a streamed answer."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "response")
        if masker is not None and exchange.facts["streamed"]:
            exchange.drop_repeats = True
            exchange.stages.append(_MaskStage(exchange, masker, Pace(self._load)))

    async def response(self, flow: http.HTTPFlow) -> None:
        """Mask every text of a whole answer."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange.policy, exchange.connection.name, "response")
        if masker is None:
            return
        reading: Reading = exchange.reading
        for node, key in reading.repeats:
            node[key] = None
        try:
            await self._mask(masker, flow, reading, "response")
        except NameTellsError as error:
            raise Refused(502, "hoopguard_uninspectable", str(error), "failed") from error
        except DetectionGaveUp as error:
            message = "The model's answer could not be inspected for personal data in the time allowed."
            raise Refused(502, "hoopguard_uninspectable", message, "failed") from error

    async def _mask(self, masker: Masker, flow: http.HTTPFlow, reading: Reading, direction: Direction) -> None:
        """Mask a body: a small one at once, others in a thread; those that take their time wait for each other only."""
        exchange = Exchange.of(flow)
        work = _Work(masker, Budget(_INLINE_BUDGET_S))
        try:
            masked = work.masked(reading) if _is_small(reading) else None
        except DetectionGaveUp:
            masked = None
        if masked is None:
            work, masked = await self._mask_in_thread(masker, flow, reading)
        replace(reading, masked)
        for entity, count in work.counts.items():
            exchange.count_masked(direction, entity, count)

    async def _mask_in_thread(self, masker: Masker, flow: http.HTTPFlow, reading: Reading) -> "tuple[_Work, list[str]]":
        """Mask a body among the quick ones if it is one of them, else among the dear ones."""
        principal = getattr(Exchange.of(flow).principal, "id", "")

        def hung_up() -> bool:
            return not flow.client_conn.state & ConnectionState.CAN_READ

        def quick() -> "tuple[_Work, list[str]]":
            work = _Work(masker, Budget(_QUICK_BUDGET_S, unwanted=hung_up))
            return work, work.masked(reading)

        def dear() -> "tuple[_Work, list[str]]":
            work = _Work(masker, Budget(_LEAST_S, unwanted=hung_up), _S_PER_CHAR)
            return work, work.masked(reading)

        try:
            try:
                return await self._quick.run(principal, hung_up, quick)
            except DetectionGaveUp:
                return await self._dear.run(principal, hung_up, dear)
        except DetectionGaveUp as error:
            if hung_up():
                raise Refused(403, "hoopguard_cancelled", "The caller hung up.", "cancelled") from error
            raise


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

    def __init__(self, exchange: Exchange, masker: Masker, pace: Pace) -> None:
        self._exchange = exchange
        self._masker = masker
        self._pace = pace
        self._streams: dict[Channel, TextStream | JsonTextStream] = {}

    def feed(self, channel: Channel, text: str) -> str:
        """Return what of the channel may go on now."""
        stream = self._streams.get(channel)
        if stream is None:
            is_json = channel.kind is Kind.JSON_TEXT
            begin = self._masker.json_stream if is_json else self._masker.stream
            stream = self._streams[channel] = begin(self._pace)
        return stream.feed(text)

    def check_names(self, names: Sequence[str]) -> None:
        """Look at what the stream says beside its texts.

        Raises:
            NameTellsError: it says what must not be seen; the stream must end.
        """
        with self._pace.turn(sum(map(len, names))) as budget:
            check_names(self._masker, names, budget)

    def finish(self, channel: Channel) -> str:
        """Return what was held of the channel, and count what was hidden in it."""
        stream = self._streams.pop(channel, None)
        if stream is None:
            return ""
        rest = stream.finish()
        for entity, count in stream.counts.items():
            self._exchange.count_masked("response", entity, count)
        return rest


class _Work:
    """The masking of one body's texts within one budget, which may grow with the characters up to a limit."""

    def __init__(self, masker: Masker, budget: Budget, s_per_char: float = 0.0) -> None:
        self._masker = masker
        self._budget = budget
        self._s_per_char = s_per_char
        self._may_grow_s = MOST_S - _LEAST_S
        self.counts: Counter[str] = Counter()

    def masked(self, reading: Reading) -> list[str]:
        """Return every text of a body masked.

        Raises:
            NameTellsError: a key or an identifier holds what must not be seen; nothing can take its place.
            DetectionGaveUp: the body's time has run out.
        """
        check_names(self._masker, reading.names, self._budget)
        return [self.mask(text) for _, _, text in reading.texts]

    def mask(self, text: Text) -> str:
        """Return a text masked.

        Raises:
            DetectionGaveUp: the body's time has run out.
        """
        self._budget.left_s()
        if not text.value:
            return ""
        more_s = min(len(text.value) * self._s_per_char, self._may_grow_s)
        self._may_grow_s -= more_s
        self._budget.add(more_s)
        mask = self._masker.mask_json if text.kind is Kind.JSON_TEXT else self._masker.mask
        masked = mask(text.value, self._budget)
        self.counts.update(masked.counts)
        return masked.text


def check_names(masker: Masker, names: Iterable[str], budget: Budget) -> None:
    """Look at keys and identifiers, in whose places nothing else can be put.

    Raises:
        NameTellsError: one of them holds what must not be seen.
        DetectionGaveUp: there is no time left to look.
    """
    for name in names:
        for line in name.split("\n"):
            if masker.mask(line, budget).counts:
                raise NameTellsError("An object's key, or a name, holds personal data.")


def _is_small(reading: Reading) -> bool:
    """Tell whether a body has few characters and few values."""
    return reading.chars <= _INLINE_CHARS and reading.values + len(reading.names) <= _INLINE_NODES


def _redactor(masker: Masker) -> Callable[[str], str]:
    left_s = _REDACTING_S

    def redact(text: str) -> str:
        nonlocal left_s
        began = time.monotonic()
        try:
            return masker.mask(text, Budget(left_s)).text
        except DetectionGaveUp:
            return "(not shown: it could not be inspected for personal data)"
        finally:
            left_s -= time.monotonic() - began

    return redact


def _build(loaded: LoadedPolicy, connection: str, direction: Direction) -> Masker | None:
    return Masker.build(loaded.policy, connection, direction)
