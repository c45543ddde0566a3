"""The bytes of a recorded flow are mitmproxy's own."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

from hoopguard.recorder.addon import dumps

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
