"""Refuse, hold or flag requests and answers that a ``[[guardrail]]`` of policy.toml names."""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from mitmproxy import http

from hoopguard.exchange import Exchange, Refused
from hoopguard.guardrail.rules import CompiledRule, Verdict, compile_rules, concerning, judge
from hoopguard.payload.fields import Fields, Text, names, texts
from hoopguard.payload.streaming import Channel, StopStream
from hoopguard.policy import LoadedPolicy

_INLINE_BYTES: Final = 65_536
_WINDOW_CHARS: Final = 4096
"""How far back a pattern may reach in a streamed answer."""


class Guardrail:
    """Answer a forbidden request before it leaves the gateway, and stop a forbidden answer."""

    name = "guardrail"

    def __init__(self) -> None:
        self._compiled = lru_cache(maxsize=64)(_compile)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Judge every text of the request; block it, or note for approval and the record what matched."""
        exchange = Exchange.of(flow)
        size = len(flow.request.raw_content or b"")
        await self._judge(exchange, "request", exchange.body, exchange.format.request, size)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stand in the way of a streamed answer."""
        exchange = Exchange.of(flow)
        rules = self._rules(exchange, "response")
        if rules and exchange.facts["streamed"]:
            exchange.stages.append(_Watch(exchange, rules))

    async def response(self, flow: http.HTTPFlow) -> None:
        """Judge every text of a whole answer, as the caller would get it."""
        exchange = Exchange.of(flow)
        size = len((flow.response.raw_content if flow.response else None) or b"")
        await self._judge(exchange, "response", exchange.answer, exchange.format.answer, size)

    async def _judge(self, exchange: Exchange, direction: str, body: Any, fields: Fields, size: int) -> None:
        """Judge a body; a large one in a thread, so that others do not wait."""
        rules = self._rules(exchange, direction)
        if not rules:
            return
        said = _said(body, fields)
        verdicts = judge(rules, said) if size <= _INLINE_BYTES else await asyncio.to_thread(judge, rules, said)
        for verdict in verdicts:
            _note(exchange, verdict)
            exchange.matched.append(verdict.text)
            if verdict.rule.action == "block" and not verdict.observed:
                raise _blocked(verdict)

    def _rules(self, exchange: Exchange, direction: str) -> tuple[CompiledRule, ...]:
        rules = self._compiled(exchange.policy, exchange.connection.name, direction)
        return concerning(rules, exchange.principal.subject, exchange.principal.groups)


class _Watch:
    """The guardrail's place in a stream: sees each channel's text before the caller does."""

    def __init__(self, exchange: Exchange, rules: tuple[CompiledRule, ...]) -> None:
        self._exchange = exchange
        self._rules = rules
        self._windows: dict[Channel, str] = {}
        self._noted: set[str] = set()

    def feed(self, channel: Channel, text: str) -> str:
        """Judge what a channel says, with what it said just before."""
        window = self._windows.get(channel, "") + text
        self._windows[channel] = window[-_WINDOW_CHARS:]
        for verdict in judge(self._rules, [Text((), channel.kind, window)]):
            if verdict.rule.name not in self._noted:
                self._noted.add(verdict.rule.name)
                _note(self._exchange, verdict)
            if verdict.rule.action == "block" and not verdict.observed:
                refused = _blocked(verdict)
                self._exchange.finish("blocked", f"{refused.code}: {refused.message}")
                raise StopStream({"code": refused.code, "message": refused.message, "exchange": self._exchange.id})
        return text

    def finish(self, channel: Channel) -> str:
        """Hold nothing back."""
        self._windows.pop(channel, None)
        return ""


def _said(body: Any, fields: Fields) -> Iterator[Text]:
    yield from texts(body, fields)
    yield from names(body, fields)


def _compile(loaded: LoadedPolicy, connection: str, direction: str) -> tuple[CompiledRule, ...]:
    return compile_rules(loaded.policy, connection, direction)


def _note(exchange: Exchange, verdict: Verdict) -> None:
    facts: list[dict[str, Any]] = exchange.facts["verdicts"]
    facts.append(verdict.facts())


def _blocked(verdict: Verdict) -> Refused:
    return Refused(403, "hoopguard_blocked", verdict.rule.message, "blocked", rule=verdict.rule.name)
