"""The bytes of a recorded flow are mitmproxy's own."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

from hoopguard.exchange import Exchange
from hoopguard.recorder.addon import _state
from hoopguard.recorder.tnetstring import Encoded, dumps

_SCALARS: Any = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
_VALUES: Any = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(_VALUES)
def test_every_value_is_written_as_mitmproxy_writes_it(value: Any) -> None:
    assert dumps(value) == tnetstring.dumps(value)


def test_a_flow_is_written_as_mitmproxy_writes_it() -> None:
    state = tflow.tflow(resp=True).get_state()
    assert dumps(state) == tnetstring.dumps(state)


def test_a_value_that_is_written_already_is_put_in_as_it_is() -> None:
    assert dumps({"conn": Encoded(dumps({"a": [1, 2.5, None]})), "b": True}) == dumps(
        {"conn": {"a": [1, 2.5, None]}, "b": True}
    )


def test_a_flow_s_state_is_what_mitmproxy_would_write() -> None:
    for flow in (tflow.tflow(resp=True), tflow.tflow(err=True), tflow.twebsocketflow()):
        exchange = Exchange.begin(flow)
        response = flow.response.get_state() if flow.response else None
        written: Any = tnetstring.loads(dumps(_state(flow, flow.request.get_state(), response, exchange)))
        expected: Any = tnetstring.loads(tnetstring.dumps(flow.get_state()))
        assert written | {"comment": ""} == expected


def test_a_connection_that_changed_is_written_anew() -> None:
    flow = tflow.tflow()
    exchange = Exchange.begin(flow)
    assert b"changed.example.com" not in dumps(_state(flow, {}, None, exchange))
    flow.client_conn.sni = "changed.example.com"
    assert b"changed.example.com" in dumps(_state(flow, {}, None, exchange))
