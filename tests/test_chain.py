"""The order of the stations, the gate behind them, and what happens when one of them breaks."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.test import tflow
from policies import SMALL

from hoopguard.chain import ORDER, Chain
from hoopguard.exchange import METADATA_KEY, Exchange, Refused
from hoopguard.payload.channels import Channel
from hoopguard.payload.fields import Reading
from hoopguard.payload.formats import format_of
from hoopguard.policy import PolicyHolder
from hoopguard.relay import Relay

POLICY = f'gateway = {{ max_body_bytes = "100kB" }}{SMALL}'
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "zebra"}}]}
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"zebra"}}]}\n\n'
PHASES = ("requestheaders", "request", "responseheaders", "response")
SECRET = "s3cret-in-a-bug"


def bug() -> Exception:
    return RuntimeError(SECRET)


FAULTS: dict[str, Callable[[], BaseException]] = {
    "bug": bug,
    "KeyError": lambda: KeyError("x"),
    "TimeoutError": TimeoutError,
    "cancelled": asyncio.CancelledError,
    "exit": lambda: SystemExit(1),
    "stop iteration": StopAsyncIteration,
}


class FakeStation:
    """Notes each call in a log that all share; fails in a phase if told to. Half of them are coroutines."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.faults: dict[str, BaseException] = {}
        self._log = log

    def _note(self, phase: str) -> None:
        self._log.append(f"{self.name}.{phase}")
        if phase in self.faults:
            raise self.faults[phase]

    def http_connect(self, _flow: http.HTTPFlow) -> None:
        self._note("http_connect")

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._note("requestheaders")
        Exchange.of(flow).format = format_of("chat/completions")

    def request(self, flow: http.HTTPFlow) -> None:
        self._note("request")
        Exchange.of(flow).body, Exchange.of(flow).reading = BODY, Reading()

    async def responseheaders(self, _flow: http.HTTPFlow) -> None:
        self._note("responseheaders")

    async def response(self, _flow: http.HTTPFlow) -> None:
        await asyncio.sleep(0)
        self._note("response")

    def settle(self, flow: http.HTTPFlow) -> None:
        self._note(f"settle {Exchange.of(flow).facts['outcome']}")

    async def done(self) -> None:
        self._note("done")


class House:
    """A chain of fake stations, and a flow to send through it."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ORDER) -> None:
        file = folder / "policy.toml"
        file.write_text(POLICY)
        self.log: list[str] = []
        self.stations = {name: FakeStation(name, self.log) for name in names}
        self.holder = PolicyHolder(file)
        self.chain = Chain(self.holder, [*self.stations.values()])
        self.flow = tflow.tflow()
        self.flow.request.content = json.dumps(BODY).encode()

    @property
    def exchange(self) -> Exchange:
        return Exchange.of(self.flow)

    @property
    def response(self) -> http.Response:
        assert self.flow.response
        return self.flow.response

    async def ask(self) -> None:
        await self.chain.requestheaders(self.flow)
        await self.chain.request(self.flow)

    async def answer(
        self, raw: bytes = json.dumps(ANSWER).encode(), media: str = "application/json", **more: str
    ) -> None:
        """Answer as the model would if it was asked, and let mitmproxy finish the flow."""
        if self.exchange.cleared:
            self.flow.response = http.Response.make(200, raw, {"content-type": media})
            self.flow.response.headers.update(more)
            await self.chain.responseheaders(self.flow)
        await self.chain.response(self.flow)

    def assert_refused(self, status: int, code: str) -> None:
        assert not self.exchange.cleared
        assert self.response.status_code == status
        assert json.loads(self.response.content or b"")["error"]["code"] == code
        assert self.response.headers["x-should-retry"] == "false"
        assert SECRET.encode() not in (self.response.content or b"")
        assert SECRET not in json.dumps(self.flow.metadata[METADATA_KEY])


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_request_walks_through_the_stations_in_order_and_its_answer_back(house: House) -> None:
    """Each hook of each station is called once, requests forwards, answers backwards."""
    await house.ask()
    assert house.exchange.cleared
    await house.answer()
    forth, back = list(ORDER), list(ORDER[::-1])
    steps = [(forth, "requestheaders"), (forth, "request"), (back, "responseheaders"), (back, "response")]
    expected = [f"{name}.{phase}" for names, phase in (*steps, (forth, "settle allowed")) for name in names]
    assert house.log == expected
    assert json.loads(house.response.content or b"") == ANSWER
    assert house.exchange.facts["outcome"] == "allowed"


async def test_each_station_leaves_its_stamp(house: House) -> None:
    """For every phase, in the facts that are recorded."""
    await house.ask()
    await house.answer()
    assert {*house.exchange.facts["stamps"]} == {f"{name}.{phase}" for name in ORDER for phase in PHASES}


async def test_what_was_inspected_is_what_is_sent(house: House) -> None:
    """Request and answer go on as they were parsed, whatever their bytes looked like."""
    house.flow.request.content = b'{"model": "x", "model": "y"}'
    house.flow.request.trailers = http.Headers([(b"x-evil", b"1")])
    await house.ask()
    assert house.flow.request.content == json.dumps(BODY, separators=(",", ":")).encode()
    assert house.flow.request.trailers is None
    await house.answer(b'{ "choices" : [ ] , "x" : "\\u0041" }')
    assert house.response.content == b'{"choices":[],"x":"A"}'


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("phase", PHASES)
async def test_a_station_that_breaks_refuses(
    house: House, name: str, phase: str, fault: Callable[[], BaseException]
) -> None:
    """In any hook, whatever it raises: 503, nothing of the bug is shown, nobody later in the walk is called."""
    house.stations[name].faults[phase] = fault()
    await house.ask()
    assert house.exchange.cleared is phase.startswith("response")
    await house.answer()
    house.assert_refused(503, "hoopguard_failed")
    assert house.exchange.facts["outcome"] == "failed"
    assert house.log.count(f"{name}.{phase}") == 1
    walk = ORDER if phase.startswith("request") else ORDER[::-1]
    later = walk[walk.index(name) + 1 :]
    assert not {f"{each}.{phase}" for each in later} & {*house.log}
    assert [line for line in house.log if "settle" in line] == [f"{each}.settle failed" for each in ORDER]


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("phase", PHASES)
async def test_a_station_that_refuses_is_obeyed(house: House, name: str, phase: str) -> None:
    """The caller is told its words, in the model's place; nobody later in the walk is called."""
    house.stations[name].faults[phase] = Refused(403, "hoopguard_blocked", "Not this.", "blocked", rule="r")
    await house.ask()
    await house.answer()
    house.assert_refused(403, "hoopguard_blocked")
    error = json.loads(house.response.content or b"")["error"]
    assert error["hoopguard"] == {"exchange": house.exchange.id, "rule": "r"}
    assert (house.exchange.facts["outcome"], house.exchange.facts["status"]) == ("blocked", 403)
    assert b"zebra" not in (house.response.content or b"")


@pytest.mark.parametrize("name", ORDER)
async def test_a_missing_station_closes_the_gate(tmp_path: Path, name: str) -> None:
    """Without all five stamps nothing is sent."""
    house = House(tmp_path, tuple(each for each in ORDER if each != name))
    await house.ask()
    house.assert_refused(503, "hoopguard_failed")
    await house.answer()
    house.assert_refused(503, "hoopguard_failed")


async def test_a_station_that_was_cancelled_with_its_task_passes_the_cancellation_on(house: House) -> None:
    """And the request is refused all the same."""

    async def wait(_flow: http.HTTPFlow) -> None:
        await asyncio.sleep(60)

    house.stations["approval"].request = wait  # type: ignore[method-assign, assignment]
    await house.chain.requestheaders(house.flow)
    task = asyncio.create_task(house.chain.request(house.flow))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    house.assert_refused(503, "hoopguard_failed")


async def test_a_refused_request_is_not_walked_on(house: House) -> None:
    """After a refusal at the headers, the body is nobody's business."""
    house.stations["identity"].faults["requestheaders"] = Refused(401, "hoopguard_no_credential", "Who?")
    await house.ask()
    await house.answer()
    assert house.log == ["identity.requestheaders", *(f"{name}.settle rejected" for name in ORDER)]
    assert house.response.headers["www-authenticate"]


@pytest.mark.parametrize("hook", ["request", "responseheaders", "response", "error"])
async def test_a_flow_that_did_not_enter_through_the_chain_is_refused(house: House, hook: str) -> None:
    """A flow that some other addon injected, or a replayed one, has nobody who vouches for it."""
    house.flow.response = http.Response.make(200, b"the model's own words")
    house.flow.metadata[METADATA_KEY] = {"stamps": {f"{name}.request": 0 for name in ORDER}, "outcome": ""}
    await getattr(house.chain, hook)(house.flow)
    house.assert_refused(503, "hoopguard_failed")
    assert house.exchange.facts["outcome"] == "failed"
    assert not [line for line in house.log if "settle" not in line]


async def test_a_copied_flow_does_not_inherit_its_clearance(house: House) -> None:
    """A replay is a new request."""
    await house.ask()
    with pytest.raises(LookupError):
        Exchange.of(house.flow.copy())


async def test_an_exchange_is_settled_exactly_once(house: House) -> None:
    """Whatever mitmproxy calls, and however often."""
    await house.ask()
    await house.answer()
    house.flow.error = Error("gone")
    await house.chain.error(house.flow)
    await house.chain.response(house.flow)
    assert [line for line in house.log if "settle" in line] == [f"{name}.settle allowed" for name in ORDER]
    assert house.exchange.facts["outcome"] == "allowed"


async def test_a_caller_that_hangs_up_cancels(house: House) -> None:
    """The outcome says so, once."""
    await house.ask()
    house.flow.error = Error("client disconnected")
    await house.chain.error(house.flow)
    await house.chain.error(house.flow)
    assert house.exchange.facts["outcome"] == "cancelled"
    assert "client disconnected" in house.exchange.facts["reason"]
    assert len([line for line in house.log if "settle" in line]) == len(ORDER)


async def test_an_answer_whose_outcome_cannot_be_recorded_does_not_go_out(house: House) -> None:
    """The record comes before the answer."""
    house.stations["recorder"].faults["settle allowed"] = OSError(28, SECRET)
    await house.ask()
    await house.answer()
    house.assert_refused(503, "hoopguard_failed")
    assert b"zebra" not in (house.response.content or b"")


async def test_a_station_that_cannot_settle_does_not_keep_the_others_from_it(house: House) -> None:
    """Each is told the outcome."""
    house.stations["identity"].faults["settle allowed"] = bug()
    await house.ask()
    await house.answer()
    assert [line.partition(".")[0] for line in house.log if "settle" in line] == [*ORDER]


async def test_a_policy_that_cannot_be_had_refuses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in reloading is a bug like any other."""

    async def refresh() -> None:
        raise bug()

    monkeypatch.setattr(house.holder, "refresh", refresh)
    await house.ask()
    house.assert_refused(503, "hoopguard_failed")
    assert house.log == []


async def test_an_exchange_ends_under_the_policy_it_began_with(house: House, tmp_path: Path) -> None:
    """A change in between is for the next request."""
    await house.chain.requestheaders(house.flow)
    begun = house.exchange.policy
    (tmp_path / "policy.toml").write_text(POLICY + "# edited\n")
    await house.chain.request(house.flow)
    assert house.exchange.policy is begun
    await house.chain.requestheaders(tflow.tflow())
    assert house.holder.current.digest != begun.digest


async def test_a_tunnel_is_refused_by_any_station(house: House) -> None:
    """CONNECT walks through the stations as well."""
    house.stations["identity"].faults["http_connect"] = Refused(407, "hoopguard_no_credential", "Who?")
    await house.chain.http_connect(house.flow)
    house.assert_refused(407, "hoopguard_no_credential")
    assert house.response.headers["proxy-authenticate"]


async def test_stations_end_in_the_order_of_answers_and_all_of_them(house: House) -> None:
    """The recorder, last in the chain, stops first; one that cannot stop does not keep the others from it."""
    house.stations["masking"].faults["done"] = bug()
    await house.chain.done()
    assert house.log == [f"{name}.done" for name in ORDER[::-1]]


BAD_ANSWERS: list[tuple[bytes, str, dict[str, str]]] = [
    (b"<html>", "text/html", {}),
    (b"{}", "", {}),
    (b"{}", "text/json", {}),
    (b"not json", "application/json", {}),
    (b"", "application/json", {}),
    (b'{"a":1,"a":2}', "application/json", {}),
    (b"NaN", "application/json", {}),
    (b"\xff", "application/json", {}),
    (b"[" * 100_000, "application/json", {}),
    (b"{}", "application/json", {"content-encoding": "gzip"}),
    (b"{}", "application/json", {"content-encoding": "compress"}),
    (json.dumps("x" * 200_000).encode(), "application/json", {}),
    (EVENT, "text/event-stream", {"content-encoding": "gzip"}),
]


@pytest.mark.parametrize(("raw", "media", "headers"), BAD_ANSWERS, ids=range(len(BAD_ANSWERS)))
async def test_an_answer_that_cannot_be_inspected_does_not_go_out(
    house: House, raw: bytes, media: str, headers: dict[str, str]
) -> None:
    """502 in the API's shape, and nothing of the model's bytes."""
    await house.ask()
    await house.answer(raw, media, **headers)
    assert (house.response.status_code, house.exchange.facts["outcome"]) == (502, "failed")
    assert json.loads(house.response.content or b"")["error"]["code"] == "hoopguard_bad_answer"


async def streaming(house: House, raw: bytes = b"") -> Callable[[bytes], list[bytes]]:
    await house.ask()
    house.flow.response = http.Response.make(200, raw, {"content-type": "text/event-stream; charset=utf-8"})
    await house.chain.responseheaders(house.flow)
    relay: Callable[[bytes], list[bytes]] = house.response.stream  # type: ignore[assignment]
    assert callable(relay)
    return relay


async def test_a_stream_is_relayed_while_it_comes_and_settled_at_its_end(house: House) -> None:
    """Each event goes out by itself; the outcome comes after the last."""
    relay = await streaming(house)
    assert b"zebra" in b"".join(relay(EVENT))
    assert house.exchange.facts["outcome"] == ""
    assert b"[DONE]" in b"".join(relay(b"data: [DONE]\n\n"))
    assert relay(EVENT) == []
    assert relay(b"") == []
    await house.chain.response(house.flow)
    assert house.exchange.facts["outcome"] == "allowed"
    assert "content-length" not in house.response.headers


class Breaking:
    """A stage with a bug."""

    def __init__(self, fault: BaseException, where: str) -> None:
        self._fault = fault
        self._where = where

    def feed(self, _channel: Channel, text: str) -> str:
        if self._where == "feed":
            raise self._fault
        return text

    def finish(self, _channel: Channel) -> str:
        if self._where == "finish":
            raise self._fault
        return ""


@pytest.mark.parametrize("where", ["feed", "finish"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_relay_never_raises(house: House, fault: Callable[[], BaseException], where: str) -> None:
    """A bug in a stage ends the stream with the API's own error event, and nothing comes after."""
    await house.chain.requestheaders(house.flow)
    house.exchange.stages.append(Breaking(fault(), where))
    await house.chain.request(house.flow)
    house.flow.response = http.Response.make(200, b"", {"content-type": "text/event-stream"})
    await house.chain.responseheaders(house.flow)
    relay: Any = house.response.stream
    out = b"".join([*relay(EVENT), *relay(b"data: [DONE]\n\n"), *relay(EVENT), *relay(b"")])
    assert out.count(b'"code":"hoopguard_stream_failed"') == 1
    assert out.endswith(b"\n\n")
    assert b"[DONE]" not in out
    assert SECRET.encode() not in out
    await house.chain.response(house.flow)
    assert house.exchange.facts["outcome"] == "failed"


@given(st.lists(st.binary(max_size=30) | st.just(EVENT) | st.just(b"data: [DONE]\n\n"), max_size=6))
def test_a_relay_takes_any_bytes(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    """Whatever the model sends, there is an end, and no exception; bytes only ever come out whole events."""

    async def run() -> None:
        house = House(tmp_path_factory.mktemp("house"))
        relay = await streaming(house)
        out = b"".join(piece for chunk in (*chunks, b"") for piece in relay(chunk))
        assert out == b"" or out.endswith(b"\n\n")
        await house.chain.response(house.flow)
        assert house.exchange.facts["outcome"] in {"allowed", "failed"}

    asyncio.run(run())


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_stream_longer_than_the_policy_allows_is_ended(house: House, keeps: bool) -> None:
    """Also if nothing of it is kept for the record."""
    relay = await streaming(house)
    house.exchange.sent = bytearray() if keeps else None
    sent = b"".join(piece for _ in range(5000) for piece in relay(EVENT))
    assert len(sent) < 102_000
    assert sent.count(b"hoopguard_stream_failed") == 1


async def test_a_stream_that_the_model_broke_off_ends_with_an_error_event(house: House) -> None:
    """Once; a stream that was over stays as it is."""
    relay = await streaming(house)
    relay(EVENT)
    exchange_relay = house.exchange.relay
    assert isinstance(exchange_relay, Relay)
    assert b"hoopguard_stream_failed" in exchange_relay.cut("reset")
    assert exchange_relay.cut("reset") == b""
    assert relay(EVENT) == []
    assert house.exchange.facts["outcome"] == "failed"


async def test_a_stream_on_a_route_that_has_none_does_not_go_out(house: House) -> None:
    """Nobody could cut it into texts."""
    await house.ask()
    house.exchange.format = format_of("models")
    await house.answer(EVENT, "text/event-stream")
    assert house.response.status_code == 502
    assert not house.response.stream
