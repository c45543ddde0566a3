"""``addons.py`` with a bug: the file named in ``HG_E2E_FAULT`` says in which hook, and what it raises."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mitmproxy.addonmanager import Loader

from hoopguard.chain import Chain
from hoopguard.gateway import install
from hoopguard.payload.channels import Channel

KINDS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
    "TimeoutError": TimeoutError,
}
HOOKS = ("requestheaders", "request", "responseheaders", "response", "settle", "message")


def load(loader: Loader) -> None:
    """Install the gateway, and put a trap before each hook of each station."""
    install(loader.master)
    chain = loader.master.addons.get("hoopguard")
    if not isinstance(chain, Chain):
        return
    for station in chain._stations:
        for hook in HOOKS:
            if hasattr(station, hook):
                setattr(station, hook, _trapped(f"{station.name}.{hook}", getattr(station, hook)))
    if (missing := os.environ.get("HG_E2E_MISSING")) is not None:
        chain._stations = tuple(station for station in chain._stations if station.name != missing)


def _fault() -> list[str]:
    return Path(os.environ["HG_E2E_FAULT"]).read_text().split() or [""]


def _trapped(where: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        place, *kind = _fault()
        if place == where:
            raise KINDS[kind[0]]("a bug of the test's")
        result = hook(*arguments)
        if place == "stream" and where.endswith(".responseheaders"):
            _exchange(arguments[0]).stages.append(_BrokenStage(kind[0]))
        return result

    return call


def _exchange(flow: Any) -> Any:
    from hoopguard.exchange import Exchange

    return Exchange.of(flow)


class _BrokenStage:
    """Lets three pieces through and then fails."""

    def __init__(self, kind: str) -> None:
        self._kind = KINDS[kind]
        self._count = 0

    def feed(self, channel: Channel, text: str) -> str:
        self._count += 1
        if self._count > 3:
            raise self._kind("a bug of the test's")
        return text

    def finish(self, channel: Channel) -> str:
        return ""
