"""No hook that is about a flow goes past the chain."""

import json
from pathlib import Path
from typing import get_type_hints

import mitmproxy.addons  # noqa: F401 - defines hooks of its own
import pytest
from mitmproxy import http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.flow import Flow
from mitmproxy.hooks import all_hooks
from mitmproxy.proxy import layers  # noqa: F401 - defines the hooks of every protocol
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpResponseHook
from mitmproxy.test import taddons, tflow
from policies import SMALL, written

from hoopguard.chain import Chain
from hoopguard.dispatch import reserve_flows
from hoopguard.exchange import Exchange
from hoopguard.policy import PolicyHolder


@pytest.mark.parametrize("name", sorted(all_hooks))
def test_a_hook_about_a_flow_calls_it_flow(name: str) -> None:
    """By that name the dispatcher knows it; another would make it an event for every addon."""
    hook = all_hooks[name]
    hints = get_type_hints(hook)
    about = [name for name, hint in hints.items() if isinstance(hint, type)]
    flows = [argument for argument in about if issubclass(hints[argument], Flow)]
    assert flows in ([], ["flow"])


def test_the_hooks_of_http_and_websockets_are_about_a_flow() -> None:
    about = {name for name, hook in all_hooks.items() if "flow" in get_type_hints(hook)}
    assert {"requestheaders", "request", "responseheaders", "response", "error", "http_connect"} <= about
    assert {"websocket_start", "websocket_message", "websocket_end"} <= about


class Recording:
    """A station that notes the outcomes that it is to record, or fails at it."""

    name = "recorder"

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.outcomes: list[str] = []

    def settle(self, flow: http.HTTPFlow) -> None:
        self.outcomes.append(json.loads(json.dumps(Exchange.of(flow).facts))["outcome"])
        if self.fails:
            raise OSError("the disk is full")


class Broken(Chain):
    """A chain that fails outside of every wrapper, once a request has begun."""

    async def response(self, flow: http.HTTPFlow) -> None:
        raise RuntimeError("a bug")


def dispatcher(chain: Chain) -> AddonManager:
    with taddons.context() as context:
        addons: AddonManager = context.master.addons
    reserve_flows(addons, chain)
    return addons


@pytest.mark.parametrize("fails", [False, True])
async def test_a_flow_whose_hook_fails_ends_with_an_outcome(tmp_path: Path, fails: bool) -> None:
    """It is killed, mitmproxy calls no other hook for it, and yet its end is recorded; or nobody can, and it ends."""
    station = Recording(fails=fails)
    addons = dispatcher(Broken(PolicyHolder(written(tmp_path, SMALL)), [station]))
    flow = tflow.tflow()
    flow.live = True
    await addons.handle_lifecycle(HttpRequestHeadersHook(flow))
    assert station.outcomes == []
    await addons.handle_lifecycle(HttpResponseHook(flow))
    assert station.outcomes == ["failed"]
    assert flow.error is not None
    assert not flow.live


async def test_a_flow_that_is_settled_already_is_not_settled_again(tmp_path: Path) -> None:
    """One outcome, whatever fails behind it."""
    station = Recording()
    chain = Chain(PolicyHolder(written(tmp_path, SMALL)), [station])
    flow = tflow.tflow(err=True)
    await chain.requestheaders(flow)
    await chain.error(flow)
    await chain.abandon(flow)
    assert station.outcomes == ["cancelled"]
