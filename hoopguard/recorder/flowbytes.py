"""The one place where a flow becomes bytes, as mitmproxy's own ``FlowWriter`` would write them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitmproxy.flow import Flow


def flow_bytes(flow: "Flow") -> bytes:
    """Return the flow as it stands in a ``.mitm`` file; what the file gets is what is hashed."""
    from mitmproxy.io import tnetstring

    return tnetstring.dumps(flow.get_state())
