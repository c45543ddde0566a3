"""Refuse, hold or flag requests and answers that a ``[[guardrail]]`` of policy.toml names."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from mitmproxy import http

from hoopguard.exchange import Exchange, Refused
from hoopguard.guardrail.rules import CannotBeInspected, CompiledRule, Verdict, compile_rules, concerning, judge
from hoopguard.guardrail.streaming import RuleStream, StreamRules
from hoopguard.guardrail.unreadable import judge_unreadable, let_pass, spoken
from hoopguard.pace import Load, Pace
from hoopguard.payload.channels import Channel, StopStream
from hoopguard.payload.tables import Kind
from hoopguard.policy import LoadedPolicy

_INLINE_BYTES: Final = 65_536
_STEP_CHARS: Final = 4_096
_TURN_S: Final = 0.2
"""What a piece of a stream may take of the event loop: twenty times what 100 kB of prose does."""


class Guardrail:
    """Answer a forbidden request before it leaves the gateway, and stop a forbidden answer."""

    name = "guardrail"

    def __init__(self) -> None:
        self._compiled = lru_cache(maxsize=64)(_compile)
        self._streamed = lru_cache(maxsize=256)(_stream_rules)
        self._load = Load()

    async def request(self, flow: http.HTTPFlow) -> None:
        """Judge every text of the request; block it, or note for approval and the record what matched."""
        exchange = Exchange.of(flow)
        size = max(len(flow.request.raw_content or b""), exchange.reading.chars)
        try:
            self._check_readable(exchange, "request")
            await self._judge(exchange, "request", size)
        except CannotBeInspected as error:
            raise Refused(400, "hoopguard_uninspectable", f"The request cannot be inspected: {error}.") from error

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stand in the way of a streamed answer."""
        exchange = Exchange.of(flow)
        rules = self._rules(exchange, "response")
        exchange.unseen = let_pass(rules)
        exchange.drop_repeats |= any(compiled.stops for compiled in rules)
        if rules and exchange.facts["streamed"]:
            concerned = frozenset(compiled.rule.name for compiled in rules)
            streamed = self._streamed(exchange.policy, exchange.connection.name, concerned)
            exchange.stages.append(_Watch(exchange, streamed, Pace(self._load, turn_s=_TURN_S)))

    async def response(self, flow: http.HTTPFlow) -> None:
        """Judge every text of a whole answer, as the caller would get it."""
        exchange = Exchange.of(flow)
        size = len((flow.response.raw_content if flow.response else None) or b"")
        try:
            self._check_readable(exchange, "response")
            await self._judge(exchange, "response", size)
        except CannotBeInspected as error:
            message = f"The answer cannot be inspected: {error}."
            raise Refused(502, "hoopguard_uninspectable", message, "failed") from error

    async def _judge(self, exchange: Exchange, direction: str, size: int) -> None:
        """Judge the body at hand; a large one in a thread, so that others do not wait."""
        rules = self._rules(exchange, direction)
        if not rules:
            return
        said = exchange.reading.said()
        verdicts = judge(rules, said) if size <= _INLINE_BYTES else await asyncio.to_thread(judge, rules, said)
        for verdict in verdicts:
            _note(exchange, verdict)
            exchange.matched.append(verdict.text)
            if verdict.rule.action == "block" and not verdict.observed:
                raise _blocked(verdict)

    def _check_readable(self, exchange: Exchange, direction: str) -> None:
        """Judge what nobody can look into; refuse what of it no rule lets pass."""
        rules = self._rules(exchange, direction)
        exchange.unseen = let_pass(rules)
        kinds = exchange.reading.opaque.keys()
        for verdict in judge_unreadable(rules, kinds):
            _note(exchange, verdict)
            if verdict.rule.action == "block" and not verdict.observed:
                raise _blocked(verdict)
        if kinds - exchange.unseen:
            raise CannotBeInspected(spoken(sorted(kinds - exchange.unseen)))

    def _rules(self, exchange: Exchange, direction: str) -> tuple[CompiledRule, ...]:
        rules = self._compiled(exchange.policy, exchange.connection.name, direction)
        return concerning(rules, exchange.principal.subject, exchange.principal.groups)


class _Watch:
    """The guardrail's place in a stream: holds back of each channel what could still become forbidden."""

    def __init__(self, exchange: Exchange, rules: StreamRules, pace: Pace) -> None:
        self._exchange = exchange
        self._rules = rules
        self._pace = pace
        self._streams: dict[Channel, RuleStream] = {}
        self._noted: set[str] = set()

    def feed(self, channel: Channel, text: str) -> str:
        """Judge what a channel says; return what of it may go on now.

        Raises:
            DetectionGaveUp: that takes too much of everybody's time; the stream must end.
        """
        stream = self._streams.get(channel)
        if stream is None:
            stream = self._streams[channel] = self._rules.begin(channel.kind)
        shown = stream.feed_calm(text)
        return self._feed(stream, text) if shown is None else shown

    def finish(self, channel: Channel) -> str:
        """Judge a channel to its end; return what was held of it.

        Raises:
            DetectionGaveUp: that takes too much of everybody's time; the stream must end.
        """
        stream = self._streams.pop(channel, None)
        return "" if stream is None else self._finish(stream)

    def check_names(self, names: Sequence[str]) -> None:
        """Judge what the stream says beside its texts."""
        stream = self._rules.begin(Kind.TEXT)
        self._feed(stream, "\n".join(names))
        self._finish(stream)

    def _feed(self, stream: RuleStream, text: str) -> str:
        """Judge a piece in steps, after each of which it is asked whether there is time for the next."""
        shown = []
        with self._pace.turn(len(text)) as budget:
            for at in range(0, len(text), _STEP_CHARS):
                shown.append(stream.feed(text[at : at + _STEP_CHARS]))
                if stream.hits:
                    self._judge(stream)
                budget.left_s()
        return "".join(shown)

    def _finish(self, stream: RuleStream) -> str:
        with self._pace.turn(0):
            shown = stream.finish()
        self._judge(stream)
        return shown

    def _judge(self, stream: RuleStream) -> None:
        for name, (compiled, view) in stream.hits.items():
            verdict = Verdict(compiled.rule, compiled.observed, view)
            if name not in self._noted:
                self._noted.add(name)
                _note(self._exchange, verdict)
            if compiled.stops:
                refused = _blocked(verdict)
                self._exchange.finish("blocked", f"{refused.code}: {refused.message}")
                raise StopStream({"code": refused.code, "message": refused.message, "exchange": self._exchange.id})


def _compile(loaded: LoadedPolicy, connection: str, direction: str) -> tuple[CompiledRule, ...]:
    return compile_rules(loaded.policy, connection, direction)


def _stream_rules(loaded: LoadedPolicy, connection: str, names: frozenset[str]) -> StreamRules:
    rules = [compiled for compiled in _compile(loaded, connection, "response") if compiled.rule.name in names]
    return StreamRules(rules, max_held_chars=loaded.policy.gateway.max_held_chars)


def _note(exchange: Exchange, verdict: Verdict) -> None:
    facts: list[dict[str, Any]] = exchange.facts["verdicts"]
    facts.append(verdict.facts())


def _blocked(verdict: Verdict) -> Refused:
    return Refused(403, "hoopguard_blocked", verdict.rule.message, "blocked", rule=verdict.rule.name)
