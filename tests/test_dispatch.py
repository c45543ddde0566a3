"""No hook that is about a flow goes past the chain."""

from typing import get_type_hints

import mitmproxy.addons  # noqa: F401 - defines hooks of its own
import pytest
from mitmproxy.flow import Flow
from mitmproxy.hooks import all_hooks
from mitmproxy.proxy import layers  # noqa: F401 - defines the hooks of every protocol


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
