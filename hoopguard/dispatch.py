"""Flows go to the chain, and to no other addon.

mitmproxy shows every flow to every addon, in turn, twice a hook (``update`` follows each), and goes on when one
raises. An addon after the gate (another script, say) could change what the gate has cleared; one before it could
answer in the chain's place. So the addon manager hands flows to the chain alone, which also saves a fifth of a
small request's time.
"""

import logging
from dataclasses import fields
from typing import Any

from mitmproxy.addonmanager import AddonManager
from mitmproxy.flow import Flow
from mitmproxy.hooks import Hook, all_hooks
from mitmproxy.http import HTTPFlow

from hoopguard.chain import Chain

_log = logging.getLogger(__name__)


def reserve_flows(addons: AddonManager, chain: Chain) -> None:
    """Let nobody but the chain see flows from now on; events that are not about a flow go the usual way."""
    for hook in all_hooks.values():
        if [each.name for each in fields(hook)] == ["flow"]:  # type: ignore[arg-type]
            hook.args = _flow_of  # type: ignore[method-assign, assignment]
    addons.__class__ = ReservedAddons
    if isinstance(addons, ReservedAddons):
        addons.flow_addon = chain


def _flow_of(hook: Hook) -> list[Any]:
    """Return what ``Hook.args`` would; that looks through the class's fields each time, a twelfth of a request."""
    return [hook.flow]  # type: ignore[attr-defined]


class ReservedAddons(AddonManager):
    """An addon manager whose flows are reserved for one addon."""

    flow_addon: Chain

    async def handle_lifecycle(self, event: Hook) -> None:
        """Call the one addon's hook for a flow; a flow whose hook fails goes no further."""
        subject = getattr(event, "flow", None)  # what mitmproxy calls it in every such hook
        if not isinstance(subject, Flow):
            await super().handle_lifecycle(event)
            return
        hook = getattr(self.flow_addon, event.name, None)
        if hook is None:
            return
        try:
            await hook(subject)
        except Exception:  # noqa: BLE001 - whatever it is, the flow ends here
            _log.exception("a flow was ended: the chain failed in %s", event.name)
            if subject.killable:
                subject.kill()
            if isinstance(subject, HTTPFlow):
                await self._settle(subject)

    async def _settle(self, subject: HTTPFlow) -> None:
        """Have the end of a flow recorded whose hook failed: mitmproxy calls no other hook for one that is killed."""
        try:
            await self.flow_addon.abandon(subject)
        except Exception:  # noqa: BLE001 - there is nothing left to end
            _log.exception("the outcome of a flow that was ended could not be recorded")
