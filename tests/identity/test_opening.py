"""A WebSocket's two handshakes: what the caller may ask for, what the model has to answer."""

import base64
from collections.abc import Mapping

import pytest
from wsproto.utilities import generate_accept_token

from hoopguard.exchange import Refused
from hoopguard.identity.opening import Opening, read_opening, token_of
from hoopguard.identity.routing import find_target
from hoopguard.policy.model import Connection

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
    "sec-websocket-extensions": "permessage-deflate",
    "sec-websocket-protocol": "realtime, openai-insecure-api-key.t0ken",
}
LLM = Connection.model_validate(
    {"name": "llm", "upstream": "http://localhost:8000/base", "allow": ({"groups": ("*",)},), "routes": ("realtime",)}
)


def answer(opening: Opening, **more: str) -> Mapping[str, str]:
    accept = generate_accept_token(opening.own_key.encode()).decode()
    return {"upgrade": "websocket", "sec-websocket-accept": accept} | {k.replace("_", "-"): v for k, v in more.items()}


def test_the_gateway_asks_with_a_key_of_its_own() -> None:
    """Nothing of the caller's goes on but the one sub-protocol; no extension is offered."""
    opening = read_opening(GOOD, "HTTP/1.1")
    asked = opening.request_headers()
    assert asked.keys() == {
        "connection",
        "upgrade",
        "sec-websocket-version",
        "sec-websocket-key",
        "sec-websocket-protocol",
    }
    assert asked["sec-websocket-key"] != KEY
    assert len(base64.b64decode(asked["sec-websocket-key"])) == 16
    assert asked["sec-websocket-protocol"] == "realtime"
    assert "sec-websocket-protocol" not in Opening(KEY, speaks_realtime=False).request_headers()


def test_the_caller_is_answered_by_their_key() -> None:
    """The example of RFC 6455 §1.3."""
    opening = Opening(KEY, speaks_realtime=True)
    headers = opening.answer_headers(answer(opening, sec_websocket_protocol="realtime"))
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert headers["sec-websocket-protocol"] == "realtime"
    assert "sec-websocket-protocol" not in opening.answer_headers(answer(opening))


@pytest.mark.parametrize(
    "more",
    [
        {"sec_websocket_accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"sec_websocket_accept": "é"},
        {"upgrade": "h2c"},
        {"sec_websocket_extensions": "permessage-deflate"},
        {"sec_websocket_protocol": "other"},
    ],
)
def test_a_model_that_answers_something_else_is_refused(more: dict[str, str]) -> None:
    """It has seen the key that the gateway made, and agreed to what was offered."""
    opening = Opening(KEY, speaks_realtime=True)
    with pytest.raises(Refused, match="hoopguard_bad_answer"):
        opening.answer_headers(answer(opening, **more))


def test_a_sub_protocol_that_was_not_offered_is_not_taken() -> None:
    """A caller who offered none would have to fail the connection."""
    opening = Opening(KEY, speaks_realtime=False)
    with pytest.raises(Refused, match="hoopguard_bad_answer"):
        opening.answer_headers(answer(opening, sec_websocket_protocol="realtime"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connection", "close"),
        ("upgrade", "websocket, h2c"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR=="),
        ("sec-websocket-key", KEY + "\n"),
    ],
)
def test_another_handshake_is_refused(name: str, value: str) -> None:
    """What RFC 6455 §4.2.1 demands is demanded."""
    with pytest.raises(Refused, match="hoopguard_upgrade_refused"):
        read_opening(GOOD | {name: value}, "HTTP/1.1")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/2.0"])
def test_another_version_of_http_is_refused(version: str) -> None:
    """Only HTTP/1.1 has an upgrade."""
    with pytest.raises(Refused, match="hoopguard_upgrade_refused"):
        read_opening(GOOD, version)


def test_a_token_may_come_as_a_sub_protocol() -> None:
    """One token, with an upgrade; two of them are nobody's, and none is none."""
    assert token_of(GOOD) == "t0ken"
    assert token_of(GOOD | {"sec-websocket-protocol": "realtime"}) is None
    assert token_of({"sec-websocket-protocol": GOOD["sec-websocket-protocol"]}) is None
    several = "openai-insecure-api-key.a,openai-insecure-api-key.b"
    assert token_of(GOOD | {"sec-websocket-protocol": several}) == ""


@pytest.mark.parametrize(
    ("query", "model"),
    [("llama-3-8b", "llama-3-8b"), ("Qwen/Qwen3", "Qwen/Qwen3"), ("Qwen%2FQwen3", "Qwen/Qwen3"), ("a%2Bb", "a+b")],
)
def test_the_models_name_is_written_anew(query: str, model: str) -> None:
    """The model server reads the name that was checked, whichever way it unescapes a query."""
    target = find_target([LLM], "GET", f"/v1/realtime?model={query}", "", ("localhost", 8000))
    assert target.model == model
    assert target.path == f"/base/v1/realtime?model={model.replace('/', '%2F').replace('+', '%2B')}"
    assert target.route_path == "/v1/realtime"
