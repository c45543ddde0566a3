"""A live conversation with a model behind TLS, also through a CONNECT tunnel, and with placeholders in it."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_realtime import PLACE
from harness import DEADLINE_S, HOST, make_certificate, wait_for
from realtimesite import PATH, Caller, RealtimeSite, told
from websockets.exceptions import InvalidProxyStatus, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from hoopguard.demo.stack import free_port

BOB, ANN, CARD = "bob@example.com", "ann@example.com", "4111 1111 1111 1111"


class TunnelSite(RealtimeSite):
    """A gateway with both ways in, before a model with a certificate of a private CA, which prefers HTTP/2."""

    def __init__(self, folder: Path) -> None:
        make_certificate(folder, "server", signer=make_certificate(folder, "private"))
        make_certificate(folder, "other")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "server.pem")
        tls.set_alpn_protocols(["h2", "http/1.1"])
        self.authority = "private"
        super().__init__(folder, tls=tls, ways=[f"regular@{free_port()}"])

    def put_policy(self, text: str) -> None:
        text = text.replace(f'hosts = ["{HOST}"]', f'hosts = ["{HOST}"]\nca = "{self.authority}-cert.pem"')
        super().put_policy(text.replace('"PHONE_NUMBER"]', '"PHONE_NUMBER"]\noperator = "pseudonym"'))

    def proxy_of(self, token: str) -> str:
        return self.proxy.replace("http://", f"http://token:{token}@")

    def tunnelled(self, token: str, *, path: str = PATH, host: str = HOST, alpn: Sequence[str] = ()) -> Any:
        """Open a conversation as HTTPS_PROXY makes a client do; no token of the caller's is inside of the tunnel.

        One handshake in some thousands is never sent: this client reads in one thread and writes in another, for which
        the ``ssl`` of Python before 3.13.1 has no lock. So it tries again.
        """
        proxy, tls = self.proxy_of(token), self.trust()
        tls.set_alpn_protocols(list(alpn))
        opened = partial(connect, f"wss://{host}{path}", proxy=proxy, ssl=tls, max_size=None)
        try:
            return opened(open_timeout=DEADLINE_S / 3)
        except TimeoutError:
            return opened(open_timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def _tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunnelSite]:
    with TunnelSite(tmp_path_factory.mktemp("tunnel")) as site:
        assert site.hoopguard("certs", "init").returncode == 0
        yield site.start_realtime()
        site.stop()
        site.assert_books_balance()
        site.verify()
        for secret in (BOB, ANN, CARD):
            site.assert_nothing_has(secret)


@pytest.fixture
def site(_tunnel: TunnelSite) -> TunnelSite:
    _tunnel.realtime.forget()
    return _tunnel


# ── through a tunnel ──


def test_a_tunnel_holds_a_conversation(site: TunnelSite) -> None:
    """By the model's own name and the tunnel's token; the model sees the connection's credential and placeholders."""
    token = site.token("tunnel@example.com")
    with site.tunnelled(token) as ws:
        caller = Caller(ws)
        assert caller.hear()["type"] == "session.created"
        caller.say(f"write to {BOB}")
        caller.send("response.create")
        events = caller.hear_until("response.done")
    assert told(events) == f"write to {BOB}"
    (item,) = site.realtime.events("conversation.item.create")
    assert item["item"]["content"][0]["text"] == "write to <EMAIL_ADDRESS_1>"
    (head,) = site.realtime.heads
    assert token not in str(head)
    assert "proxy-authorization" not in head
    outcome = site.outcome(caller.exchange)
    assert outcome["outcome"] == "allowed"
    site.assert_nothing_has(token)


SCRIPT = f"""
import openai
sdk = openai.OpenAI(base_url="https://{HOST}/v1", api_key="not-the-token")
with sdk.realtime.connect(model="llama-3-8b") as connection:
    part = {{"type": "input_text", "text": "write to {BOB}"}}
    connection.conversation.item.create(item={{"type": "message", "role": "user", "content": [part]}})
    connection.response.create()
    for event in connection:
        if event.type in ("response.output_text.done", "error"):
            print(event.to_json())
            break
"""


def test_the_openai_package_goes_through_https_proxy(site: TunnelSite) -> None:
    """With only HTTPS_PROXY and the CA set, its realtime client reaches a model host by its name."""
    certificate = str(site.folder / "certs" / "mitmproxy-ca-cert.pem")
    proxy = site.proxy_of(site.token("sdk@example.com"))
    env = {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": certificate, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", SCRIPT]
    run = partial(subprocess.run, command, env=env, capture_output=True, text=True, timeout=60, check=False)
    done = run()
    if "timed out while waiting for handshake" in done.stderr:
        done = run()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == f"write to {BOB}"
    (item,) = site.realtime.events("conversation.item.create")
    assert item["item"]["content"][0]["text"] == "write to <EMAIL_ADDRESS_1>"


def test_a_tunnel_s_conversation_outlives_no_token(site: TunnelSite) -> None:
    """The token was shown once, when the tunnel opened; it ends the conversation all the same."""
    with site.tunnelled(site.token(expires_in=2.0)) as ws:
        caller = Caller(ws)
        assert caller.hear()["type"] == "session.created"
        caller.assert_ended("hoopguard_bad_token", 1008)


def test_a_tunnel_is_no_way_around_the_rules(site: TunnelSite) -> None:
    """What is refused beside a tunnel is refused in it: strangers, other hosts, routes, models and words."""
    with pytest.raises(InvalidProxyStatus, match="407"), site.tunnelled("no.such.token"):
        raise AssertionError("it opened")
    with pytest.raises(InvalidProxyStatus, match="403"), site.tunnelled(site.token(), host="other.example.com"):
        raise AssertionError("it opened")
    for path in ("/v1/chat/completions", "/admin", f"{PATH}&x=1"):
        with pytest.raises(InvalidStatus, match="403"), site.tunnelled(site.token(), path=path):
            raise AssertionError("it opened")
    only_llama = site.token(groups=("only-llama",))
    with pytest.raises(InvalidStatus, match="403"), site.tunnelled(only_llama, path="/v1/realtime?model=other"):
        raise AssertionError("it opened")
    assert site.realtime.paths == []
    with site.tunnelled(site.token()) as ws:
        caller = Caller(ws)
        caller.hear()
        caller.say("say banana")
        caller.assert_ended("hoopguard_blocked", 1008)
    assert site.realtime.heard == []


# ── TLS to the model ──


@pytest.mark.parametrize("alpn", [[], ["http/1.1"], ["http/1.1", "h2"]])
def test_a_model_that_prefers_http_2_is_spoken_to_in_http_1_1(site: TunnelSite, alpn: list[str]) -> None:
    """A WebSocket is opened over HTTP/1.1, so nothing else is offered to the model, whatever the caller has offered."""
    with site.tunnelled(site.token(), alpn=alpn) as ws:
        caller = Caller(ws)
        assert caller.hear()["type"] == "session.created"


def test_a_caller_s_http_2_has_no_conversations(site: TunnelSite) -> None:
    """Whoever speaks it is refused, and the model is not asked."""
    certificate = str(site.folder / "certs" / "mitmproxy-ca-cert.pem")
    env = {"HTTPS_PROXY": site.proxy_of(site.token()), "CURL_CA_BUNDLE": certificate, "PATH": os.environ["PATH"]}
    command = ["curl", "-sS", "--http2", "-w", " %{http_version} %{http_code}", f"https://{HOST}{PATH}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "hoopguard_upgrade_refused" in done.stdout
    assert done.stdout.endswith(" 2 403")
    assert site.realtime.paths == []


def test_a_private_ca_is_trusted_beside_a_tunnel_too(site: TunnelSite) -> None:
    """The reverse proxy's way to the same model."""
    with site.talk() as caller:
        caller.say("hello")
        assert caller.hear()["type"] == "conversation.item.added"


def test_a_model_by_another_ca_is_not_spoken_to(tmp_path: Path) -> None:
    """Who cannot prove to be the model gets neither the credential nor a word."""
    with TunnelSite(tmp_path) as own:
        own.authority = "other"
        own.write_realtime_policy()
        assert own.hoopguard("certs", "init").returncode == 0
        own.start_realtime()
        with pytest.raises(InvalidStatus, match="502"), own.talk():
            raise AssertionError("it opened")
        assert own.realtime.heads == []


# ── placeholders ──


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_callers_get_their_own_values_back(site: TunnelSite, size: int) -> None:
    """In deltas, however cut, and in all events that say the text again; the record and the model have none of them."""
    site.realtime.act = lambda ws, event: (
        event["type"] == "response.create"
        and site.realtime.tell(
            ws, site.realtime.events("conversation.item.create")[-1]["item"]["content"][0]["text"], size
        )
    )
    said = f"mail {BOB}, then {ANN}, then {BOB}; pay {CARD}"
    hidden = "mail <EMAIL_ADDRESS_1>, then <EMAIL_ADDRESS_2>, then <EMAIL_ADDRESS_1>; pay <CREDIT_CARD_1>"
    with site.talk(token=site.token(f"own-{size}@example.com")) as caller:
        caller.say(said)
        caller.send("response.create")
        events = caller.hear_until("response.done")
    (whole,) = [event["text"] for event in events if event["type"] == "response.output_text.done"]
    assert told(events) == whole == said
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == said
    assert site.realtime.events("conversation.item.create")[0]["item"]["content"][0]["text"] == hidden
    flow = site.recorded(caller.exchange)
    assert flow.websocket is not None
    recorded = [json.loads(message.content) for message in flow.websocket.messages if not message.from_client]
    assert told(recorded) == hidden
    assert recorded[-1]["response"]["output"][0]["content"][0]["text"] == hidden


def test_a_tool_is_called_with_the_caller_s_own_values(site: TunnelSite) -> None:
    """Inside the JSON of its arguments, in pieces and whole."""
    arguments = json.dumps({"to": "<EMAIL_ADDRESS_1>", "said": "to <EMAIL_ADDRESS_1>"})

    def call(ws: ServerConnection, event: dict[str, Any]) -> bool:
        if event["type"] != "response.create":
            return False
        for piece in arguments:
            site.realtime.say(ws, "response.function_call_arguments.delta", **PLACE, call_id="call_1", delta=piece)
        done = {"call_id": "call_1", "name": "mail", "arguments": arguments}
        site.realtime.say(ws, "response.function_call_arguments.done", **PLACE, **done)
        return True

    site.realtime.act = call
    with site.talk(token=site.token("tools@example.com")) as caller:
        caller.say(f"write to {BOB}")
        caller.send("response.create")
        *events, done = caller.hear_until("response.function_call_arguments.done")
    deltas = "".join(event["delta"] for event in events if "delta" in event)
    assert json.loads(deltas) == json.loads(done["arguments"]) == {"to": BOB, "said": f"to {BOB}"}


def test_a_value_that_is_sent_later_is_put_back_from_then_on(site: TunnelSite) -> None:
    """Placeholders go on through a conversation; one that the caller never sent stays a placeholder."""
    with site.talk(token=site.token("later@example.com")) as caller:
        for said, heard in ((f"I am {BOB}", f"I am {BOB}"), ("<EMAIL_ADDRESS_2>?", "<EMAIL_ADDRESS_2>?"), (ANN, ANN)):
            caller.say(said)
            caller.send("response.create")
            assert told(caller.hear_until("response.done")) == heard
    wait_for(lambda: len(site.realtime.events("conversation.item.create")) == 3, "the model has heard it all")
    texts = [each["item"]["content"][0]["text"] for each in site.realtime.events("conversation.item.create")]
    assert texts == ["I am <EMAIL_ADDRESS_1>", "<EMAIL_ADDRESS_2>?", "<EMAIL_ADDRESS_3>"]


def test_nobody_gets_another_caller_s_values(site: TunnelSite) -> None:
    """A placeholder of somebody else's is a text like any other."""
    with (
        site.talk(token=site.token("first@example.com")) as first,
        site.talk(token=site.token("second@e.com")) as second,
    ):
        first.say(f"I am {BOB}")
        first.hear()
        second.say("say <EMAIL_ADDRESS_1>")
        second.send("response.create")
        assert told(second.hear_until("response.done")) == "say <EMAIL_ADDRESS_1>"
