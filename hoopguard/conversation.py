"""A live conversation: what caller and model say to each other on a WebSocket, message by message.

Nothing goes on by default. Each message is handed in with :meth:`Conversation.hear`, walks through the stations, and
what may go on comes back as a :class:`Turn`; whatever cannot be inspected, is refused, or fails ends the conversation
with the API's error event and a close code. The model's messages are a stream as any other (law 6): a text that grows
is held back as far as it could still become something that must not be seen.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mitmproxy import http
from wsproto.frame_protocol import CloseReason

from hoopguard.conversation_record import ConversationRecord
from hoopguard.exchange import Exchange, Refused
from hoopguard.identity.permissions import permit
from hoopguard.payload import strict_json
from hoopguard.payload.channels import Channel, Stage
from hoopguard.payload.fields import read_aside
from hoopguard.payload.identifiers import is_label
from hoopguard.payload.openai_realtime import error_event, named_models
from hoopguard.payload.openai_realtime_answers import OpenAnswers
from hoopguard.payload.streaming import LONG_PIECE, AnswerStream
from hoopguard.policy import PolicyHolder

_log = logging.getLogger(__name__)

_LOOKS: Final = (("guardrail", "request"), ("masking", "request"), ("masking", "message"))
"""The stations that see what a caller says, and their hooks; approval has none, for nobody waits inside of one."""

_CODES: Final = {
    "hoopguard_answer_too_large": CloseReason.MESSAGE_TOO_BIG,
    "hoopguard_bad_body": CloseReason.INVALID_FRAME_PAYLOAD_DATA,
    "hoopguard_body_too_large": CloseReason.MESSAGE_TOO_BIG,
    "hoopguard_policy_changed": CloseReason.SERVICE_RESTART,
    "hoopguard_stopping": CloseReason.GOING_AWAY,
}
"""Close codes (RFC 6455 §7.4.1) of some refusals; else it is 1008 for the caller's fault, 1011 for anybody else's."""

_FAILED: Final = "The gateway could not finish its checks; the conversation ends here."


@dataclass(frozen=True, slots=True)
class Heard:
    """What one side has said; no ``content`` once it has left, ``cleanly`` or not."""

    from_caller: bool
    content: bytes | None
    cleanly: bool = True


class Silence:
    """Nobody has said anything for a while; that they may go on is seen to nevertheless."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What may go on to the model and to the caller; the conversation ends after it if there is a ``close`` code."""

    to_model: tuple[bytes, ...] = ()
    to_caller: tuple[bytes, ...] = ()
    close: int | None = None


class Conversation:
    """One caller and one model; ``heard`` is what is to be inspected next, ``turn`` what came of it.

    ``stopping`` is set by the gateway that ends; ``record`` is what will remain.
    """

    def __init__(self, exchange: Exchange, stations: Mapping[str, Any], policy: PolicyHolder) -> None:
        self.heard: Heard | Silence | None = None
        self.turn: Turn | None = None
        self.over = False
        self.stopping = False
        self._exchange = exchange
        self._stations = dict(stations)
        self._policy = policy
        self._open = OpenAnswers()
        self._answers = AnswerStream(
            exchange.format.stream, exchange.stages, exchange.drop_repeats, _Unmasking(exchange), exchange.unseen
        )
        record = exchange.policy.policy.record
        self.record = ConversationRecord(
            exchange.format, exchange.facts, max_bytes=record.segment_bytes, keeps=record.content == "masked"
        )

    @property
    def max_message_bytes(self) -> int:
        """Return how long one message may be."""
        limit: int = self._exchange.policy.policy.gateway.max_body_bytes
        return limit

    async def hear(self, flow: http.HTTPFlow) -> None:
        """Inspect what was heard, and set the turn that follows from it."""
        heard, self.heard = self.heard, None
        try:
            if heard is not None and not self.over:
                self.turn = await self._follow(flow, heard)
        except Refused as refused:
            self.turn = self.end(refused)
        except BaseException:  # whatever it is, an exit too, the conversation must end here
            _log.exception("%s: the conversation was ended, a message could not be inspected", self._exchange.id)
            self.turn = self.fail()
            task = asyncio.current_task()
            if task is not None and task.cancelling() > 0:
                raise

    def end(self, refused: Refused, close: int | None = None) -> Turn:
        """End the conversation: tell the caller why, in the API's words."""
        refused.__traceback__ = refused.__cause__ = refused.__context__ = None
        self.over = True
        self._exchange.finish(refused.outcome, f"{refused.code}: {refused.message}")
        last = error_event(refused.status, refused.code, refused.message, self._exchange.id, **refused.more)
        self.record.add_last(last)
        usual = CloseReason.POLICY_VIOLATION if refused.status < 500 else CloseReason.INTERNAL_ERROR
        return Turn(to_caller=(last,), close=close or _CODES.get(refused.code, usual))

    def fail(self) -> Turn:
        """End the conversation because of a bug of ours."""
        return self.end(Refused(503, "hoopguard_failed", _FAILED, "failed"))

    async def _follow(self, flow: http.HTTPFlow, heard: Heard | Silence) -> Turn:
        if isinstance(heard, Heard) and heard.content is None:
            return self._left(heard)
        await self._still_welcome(flow)
        if isinstance(heard, Silence) or heard.content is None:
            return Turn()
        if heard.from_caller:
            return await self._from_caller(flow, heard.content)
        return await self._from_model(heard.content)

    async def _still_welcome(self, flow: http.HTTPFlow) -> None:
        """Refuse to go on with a token that has expired, under a policy that is no more, or in a gateway that ends."""
        if self.stopping:
            raise Refused(503, "hoopguard_stopping", "The gateway is stopping; connect again.", "failed")
        if (await self._policy.refresh()).digest != self._exchange.policy.digest:
            message = "The policy has changed; connect again, so that the conversation goes on under the new one."
            raise Refused(503, "hoopguard_policy_changed", message)
        await self._call("identity", "message", flow)

    async def _from_caller(self, flow: http.HTTPFlow, raw: bytes) -> Turn:
        exchange = self._exchange
        try:
            event = await strict_json.parse_aside(raw)
            if not isinstance(event, dict):
                raise strict_json.BodyError("a message has to be a JSON object")
            self._check_models(event)
            exchange.body = event
            exchange.reading = await read_aside(event, exchange.format.request, len(raw), asked=True)
        except strict_json.BodyError as error:
            raise Refused(400, "hoopguard_bad_body", f"{error}.") from error
        known = len(exchange.facts["verdicts"])
        for station, hook in _LOOKS:
            await self._call(station, hook, flow)
        self._settle_verdicts(known)
        if not exchange.reading.opaque.keys() <= exchange.unseen:
            raise Refused(503, "hoopguard_failed", _FAILED, "failed")
        message = strict_json.dump(exchange.body)
        self.record.add(message, from_caller=True)
        return Turn(to_model=(message,))

    def _check_models(self, event: dict[str, Any]) -> None:
        """Let no model but a permitted one be asked, whenever it is named."""
        exchange = self._exchange
        for model in named_models(event):
            if not isinstance(model, str) or not is_label(model):
                raise strict_json.BodyError("a model has to be named by its name")
            allowed = permit(exchange.connection, exchange.principal, exchange.format.name, model)
            if not allowed.allowed:
                raise Refused(403, "hoopguard_not_permitted", allowed.reason)
            exchange.facts["model"] = exchange.facts["model"] or model
        if not exchange.facts["model"]:
            raise strict_json.BodyError("the model has to be named first, in the query or in session.update")

    def _settle_verdicts(self, known: int) -> None:
        """Refuse a message that a human would have to agree to; keep each verdict once, however often it came."""
        verdicts = self._exchange.facts["verdicts"]
        fresh, self._exchange.facts["verdicts"] = verdicts[known:], [*{str(each): each for each in verdicts}.values()]
        self._exchange.matched.clear()
        if any(verdict["action"] == "approve" and not verdict["observed"] for verdict in fresh):
            message = "This message needs approval, for which a live conversation cannot wait; ask over another route."
            raise Refused(403, "hoopguard_approval_required", message)

    async def _from_model(self, raw: bytes) -> Turn:
        try:
            event = await strict_json.parse_aside(raw)
        except strict_json.BodyError as error:
            message = f"A message of the model's cannot be inspected: {error}."
            raise Refused(502, "hoopguard_bad_answer", message, "failed") from error
        self._open.follow(event)
        try:
            line = strict_json.dump(event) + b"\n"
            feed = self._answers.feed
            out = feed(line) if len(line) <= LONG_PIECE else await asyncio.to_thread(feed, line)
            self._answers.forget_finished()
        except Exception as error:
            _log.exception("%s: the conversation was ended, the model's message is refused", self._exchange.id)
            message = "A message of the model's could not be inspected; the conversation ends here."
            raise Refused(502, "hoopguard_stream_failed", message, "failed") from error
        return self._said(out, CloseReason.POLICY_VIOLATION if self._answers.ended else None)

    def _said(self, out: bytes, close: int | None) -> Turn:
        """Return the turn that gives the caller some lines of the model's stream."""
        for message in self._answers.take_recorded(out).splitlines():
            self.record.add(message, from_caller=False)
        self.over = close is not None
        return Turn(to_caller=tuple(out.splitlines()), close=close)

    def _left(self, heard: Heard) -> Turn:
        """End the conversation because one side has left; if the model said goodbye, what is held of it comes first."""
        exchange = self._exchange
        if heard.from_caller:
            self.over = True
            gone = "the caller left in the middle of an answer" if heard.cleanly else "the caller's connection ended"
            exchange.finish(*(("allowed", "") if heard.cleanly and not self._open else ("cancelled", gone)))
            return Turn(close=CloseReason.NORMAL_CLOSURE)
        if self._open or not heard.cleanly:
            how = "left in the middle of an answer" if heard.cleanly else "broke off the conversation"
            raise Refused(502, "hoopguard_model_unreachable", f"The model {how}.", "failed")
        turn = self._said(self._answers.finish(), CloseReason.NORMAL_CLOSURE)
        exchange.finish("allowed", "")
        return turn

    async def _call(self, station: str, hook: str, flow: http.HTTPFlow) -> None:
        """Call a station's hook; that there is no such station, or hook, is a bug."""
        result = getattr(self._stations[station], hook)(flow)
        if result is not None:
            await result


class _Unmasking:
    """Puts back what was hidden for the caller, up to the time when each text began."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._begun: dict[Channel, Stage | None] = {}

    def feed(self, channel: Channel, text: str) -> str:
        """Return what of the text the caller may see now."""
        stage = self._begun.setdefault(channel, self._exchange.unmasking)
        return stage.feed(channel, text) if stage is not None else text

    def finish(self, channel: Channel) -> str:
        """Return what was held of the text."""
        stage = self._begun.pop(channel, None)
        return stage.finish(channel) if stage is not None else ""
