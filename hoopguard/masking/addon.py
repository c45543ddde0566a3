"""Hide in requests and answers what the ``[[mask]]`` tables of policy.toml name."""

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from mitmproxy import http
from mitmproxy.connection import ConnectionState

from hoopguard.exchange import Direction, Exchange, Refused
from hoopguard.masking.inspection import Inspection
from hoopguard.masking.masker import MOST_S, Masker
from hoopguard.masking.pseudonyms import Vault, Vaults
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.masking.stages import MaskStage, NameTellsError, UnmaskStage, masked_texts
from hoopguard.pace import Load, Pace, Unhurried
from hoopguard.payload.fields import Reading, replace
from hoopguard.payload.tables import Kind
from hoopguard.policy import LoadedPolicy, PolicyError, PolicyHolder

_FEW_VALUES: Final = 256
_FEW_JSON_CHARS: Final = 8_192
"""JSON inside strings is read token by token, whether its texts are known or not."""

_REDACTING_S: Final = 2.0


class Masking:
    """Put masked texts in place of the originals: before the model sees them, and before the caller does."""

    name = "masking"

    def __init__(self, policy: PolicyHolder) -> None:
        self._policy = policy
        self._build = lru_cache(maxsize=64)(_build)
        self._load = Load()
        self._inspection = Inspection()
        self._vaults = Vaults()

    def running(self) -> None:
        """Start the worker processes, so that the first long body need not wait for them."""
        loaded = self._policy.current
        ways: tuple[Direction, ...] = ("request", "response")
        built = [self._build(loaded, each.name, way) for each in loaded.policy.connections for way in ways]
        self._inspection.start([masker for masker in built if masker is not None])

    def done(self) -> None:
        """End the worker processes."""
        self._inspection.stop()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Offer the other stations a way to show a text without what must not be seen."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange, "request")
        exchange.redact = _redactor(masker) if masker is not None else None

    async def request(self, flow: http.HTTPFlow) -> None:
        """Mask every text of the request."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange, "request")
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
        """Stand in the way of a streamed answer, and offer to put back for its caller what was hidden for them."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange, "response")
        if masker is not None:
            exchange.drop_repeats = True
            if exchange.facts["streamed"]:
                exchange.stages.append(MaskStage(exchange, masker, Pace(self._load)))
        exchange.unmasking = self._unmasking(exchange)

    async def response(self, flow: http.HTTPFlow) -> None:
        """Mask every text of a whole answer."""
        exchange = Exchange.of(flow)
        masker = self._masker(exchange, "response")
        if masker is None:
            return
        reading: Reading = exchange.reading
        try:
            await self._mask(masker, flow, reading, "response")
        except NameTellsError as error:
            raise Refused(502, "hoopguard_uninspectable", str(error), "failed") from error
        except DetectionGaveUp as error:
            message = "The model's answer could not be inspected for personal data in the time allowed."
            raise Refused(502, "hoopguard_uninspectable", message, "failed") from error

    def message(self, flow: http.HTTPFlow) -> None:
        """Offer to put back what has been hidden since a conversation began, too."""
        exchange = Exchange.of(flow)
        exchange.unmasking = self._unmasking(exchange)

    async def _mask(self, masker: Masker, flow: http.HTTPFlow, reading: Reading, direction: Direction) -> None:
        """Mask a body, wherever there is time for it."""
        exchange = Exchange.of(flow)

        def hung_up() -> bool:
            return not flow.client_conn.state & ConnectionState.CAN_READ

        try:
            masked, counts = await self._inspection.run(
                masker,
                partial(masked_texts, reading),
                principal=getattr(exchange.principal, "id", ""),
                unwanted=hung_up,
                small=reading.values + len(reading.names) <= _FEW_VALUES and _json_chars(reading) <= _FEW_JSON_CHARS,
            )
        except DetectionGaveUp as error:
            if hung_up():
                raise Refused(403, "hoopguard_cancelled", "The caller hung up.", "cancelled") from error
            raise
        replace(reading, masked)
        for entity, count in counts.items():
            exchange.count_masked(direction, entity, count)

    def _masker(self, exchange: Exchange, direction: Direction) -> Masker | None:
        """Return the masker for an exchange, bound to its session's placeholders if it needs any."""
        masker = self._build(exchange.policy, exchange.connection.name, direction)
        return masker.bound(self._vault(exchange)) if masker is not None and masker.needs_vault else masker

    def _vault(self, exchange: Exchange) -> Vault:
        principal = exchange.principal
        return self._vaults.open((principal.id, principal.session, exchange.connection.name), time.time())

    def _unmasking(self, exchange: Exchange) -> UnmaskStage | None:
        """Return what puts a caller's own values back; None if nothing of theirs was hidden behind a placeholder."""
        masker = self._build(exchange.policy, exchange.connection.name, "request")
        if masker is None or not masker.needs_vault:
            return None
        restorer = self._vault(exchange).restorer()
        # A whole answer is gone through in a thread if it is long, and has been looked at in time before.
        unhurried = None if exchange.facts["streamed"] else lambda: Unhurried(Budget(MOST_S))
        return UnmaskStage(restorer, unhurried) if restorer else None


def check_masks(loaded: LoadedPolicy) -> None:
    """Build and warm up every masker of a policy before it comes into force.

    Raises:
        PolicyError: a rule names an entity that nobody recognises, or a language model is too slow for streams.
    """
    for connection in loaded.policy.connections:
        for direction in ("request", "response"):
            try:
                masker = Masker.build(loaded.policy, connection.name, direction)
                if masker is not None:
                    masker.warm_up()
            except ValueError as error:
                raise PolicyError(loaded.file, "mask · entities", None, str(error)) from error


def _json_chars(reading: Reading) -> int:
    return sum(len(text.value) for _, _, text in reading.texts if text.kind is Kind.JSON_TEXT)


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
