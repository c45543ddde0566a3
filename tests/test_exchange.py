"""What is known about one request and its answer."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.test import tflow

from hoopguard import exchange as module
from hoopguard.exchange import METADATA_KEY, Exchange, Outcome

OUTCOMES: tuple[Outcome, ...] = ("allowed", "blocked", "rejected", "expired", "cancelled", "failed")


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.text(max_size=5)), min_size=1, max_size=5))
def test_the_first_outcome_stands(endings: list[tuple[Outcome, str]]) -> None:
    """However many follow, with their reasons."""
    exchange = Exchange()
    assert not exchange.answered
    assert [exchange.finish(outcome, reason) for outcome, reason in endings] == [True] + [False] * (len(endings) - 1)
    assert (exchange.facts["outcome"], exchange.facts["reason"]) == endings[0]
    assert exchange.answered


def test_facts_are_plain_json_in_the_flows_metadata() -> None:
    """Whoever opens a recorded session reads what the stations knew."""
    flow = tflow.tflow()
    exchange = Exchange.begin(flow)
    exchange.stamp("identity", "request")
    exchange.count_masked("request", "PERSON")
    exchange.count_masked("request", "PERSON", 2)
    exchange.finish("blocked", "why")
    assert flow.metadata[METADATA_KEY] is exchange.facts
    facts = json.loads(json.dumps(exchange.facts))
    assert facts == exchange.facts
    assert facts["masked"] == {"request": {"PERSON": 3}, "response": {}}
    assert exchange.stamped("identity", "request")
    assert not exchange.stamped("identity", "response")


def test_an_exchange_begins_without_what_the_flow_said_of_itself() -> None:
    """Metadata that came with a flow vouches for nothing."""
    flow = tflow.tflow()
    flow.metadata[METADATA_KEY] = {"stamps": {"identity.request": 0}, "outcome": "allowed"}
    with pytest.raises(LookupError):
        Exchange.of(flow)
    exchange = Exchange.begin(flow)
    assert not exchange.stamped("identity", "request")
    assert not exchange.answered
    assert not exchange.cleared


def test_a_copy_of_a_flow_has_no_exchange() -> None:
    """A replay, or a flow read back from its state, has to enter through the chain."""
    flow = tflow.tflow()
    Exchange.begin(flow).cleared = True
    again = tflow.tflow()
    again.set_state(flow.get_state())
    for other in (flow.copy(), again):
        with pytest.raises(LookupError):
            Exchange.of(other)


def test_ids_are_unique_and_hard_to_guess() -> None:
    """80 random bits each."""
    ids = {Exchange().id for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(each) for each in ids} == {23}


def test_exchanges_go_with_their_flows() -> None:
    """Nothing is kept of a flow that is gone."""
    gc.collect()
    before = len(module._LIVE)
    flows = [tflow.tflow() for _ in range(5)]
    for flow in flows:
        Exchange.begin(flow)
    assert len(module._LIVE) == before + 5
    del flow, flows
    gc.collect()
    assert len(module._LIVE) == before
