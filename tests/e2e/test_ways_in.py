"""Both ways in, several connections behind one listener, upstream TLS, and every place for a token."""

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import CHAT, HOST, MODEL_KEY, Site, chat, make_certificate, refused

from hoopguard.demo.model import DemoModel
from hoopguard.demo.stack import free_port

CONNECTIONS = """
[[connection]]
name = "second"
upstream = "{second}"
hosts = ["second.models.example.com"]
credential = {{ header = "x-model-key", value = "second-key" }}
allow = [{{ groups = ["ml"] }}]
[[connection]]
name = "private"
upstream = "{tls}"
ca = "right-cert.pem"
credential = {{ value = "Bearer ${{env:HG_E2E_MODEL_KEY}}" }}
allow = [{{ groups = ["ml"] }}]
[[connection]]
name = "impostor"
upstream = "{impostor}"
ca = "wrong-cert.pem"
credential = {{ value = "Bearer ${{env:HG_E2E_MODEL_KEY}}" }}
allow = [{{ groups = ["ml"] }}]
[[connection]]
name = "public"
upstream = "{public}"
credential = {{ value = "Bearer ${{env:HG_E2E_MODEL_KEY}}" }}
allow = [{{ groups = ["ml"] }}]
"""


class Several(Site):
    """A gateway before five models: two plain, three that speak TLS with a private CA's certificate."""

    def begin(self) -> None:
        signer = make_certificate(self.folder, "right")
        make_certificate(self.folder, "wrong")
        make_certificate(self.folder, "server", signer=signer)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.folder / "server.pem")
        self.second = DemoModel(api_key="").start()
        self.private, self.impostor, self.public = (DemoModel(tls=tls, api_key=MODEL_KEY).start() for _ in range(3))
        extra = CONNECTIONS.format(
            second=self.second.url, tls=self.private.url, impostor=self.impostor.url, public=self.public.url
        )
        self.write_policy(extra=extra)
        assert self.hoopguard("certs", "init").returncode == 0
        self.start()

    def models(self) -> list[DemoModel]:
        return [self.model, self.second, self.private, self.impostor, self.public]


@pytest.fixture(scope="module")
def _several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    with Several(tmp_path_factory.mktemp("several"), modes=["", f"regular@{free_port()}"]) as site:
        site.begin()
        yield site
        for model in site.models()[1:]:
            model.stop()


@pytest.fixture
def several(_several: Several) -> Several:
    for model in _several.models():
        model.forget()
    return _several


def where(site: Several) -> list[int]:
    """Return how many requests each model got."""
    return [len(model.seen) for model in site.models()]


def test_the_host_chooses_the_connection(several: Several) -> None:
    """A Host header that a connection lists leads to its model, with that model's own credential."""
    with several.client() as client:
        for host in ("second.models.example.com", "SECOND.models.example.com:8080"):
            assert client.post(CHAT, json=chat("hello"), headers={"host": host}).status_code == 200
        assert client.post(CHAT, json=chat("hello"), headers={"host": HOST}).status_code == 200
    assert where(several) == [1, 2, 0, 0, 0]
    seen = several.second.seen[0]
    assert (seen.header("x-model-key"), seen.header("authorization")) == ("second-key", "")
    assert seen.header("host") == f"127.0.0.1:{several.second.port}"


def test_the_path_chooses_the_connection(several: Several) -> None:
    """A path that begins with a connection's name leads to its model, without the name."""
    assert several.ask(path=f"/second{CHAT}").status_code == 200
    assert where(several) == [0, 1, 0, 0, 0]
    assert several.second.seen[0].path == CHAT


def test_the_listener_has_a_default(several: Several) -> None:
    """Neither host nor path: the connection whose upstream the listener was started with."""
    assert several.ask().status_code == 200
    assert where(several) == [1, 0, 0, 0, 0]


def test_an_unknown_name_is_refused(several: Several) -> None:
    """A first part of the path that is no connection is not a listed route."""
    refused(several.ask(path=f"/third{CHAT}"), 403, "hoopguard_route_not_listed")
    assert where(several) == [0] * 5


def test_a_private_ca_is_trusted_for_its_connection_only(several: Several) -> None:
    """The right CA: answered. Another one, or only the system's: 502, and the model gets nothing."""
    assert several.ask(path=f"/private{CHAT}").status_code == 200
    refused(several.ask(path=f"/impostor{CHAT}"), 502, "hoopguard_model_unreachable")
    refused(several.ask(path=f"/public{CHAT}"), 502, "hoopguard_model_unreachable")
    assert where(several) == [0, 0, 1, 0, 0]
    assert several.ask(path=f"/private{CHAT}", stream=True).text.rstrip().endswith("[DONE]")


PLACES: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda token: {"authorization": f"Bearer {token}"},
    "bearer, other case": lambda token: {"Authorization": f"bearer {token}"},
    "basic": lambda token: {"authorization": "Basic " + base64.b64encode(f"token:{token}".encode()).decode()},
    "x-api-key": lambda token: {"x-api-key": token},
    "proxy bearer": lambda token: {"proxy-authorization": f"Bearer {token}"},
    "proxy basic": lambda token: {"proxy-authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode()},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_token_may_stand_in_several_places(several: Several, place: str) -> None:
    """Each place for a token is read, and none of it reaches the model."""
    token = several.token()
    with httpx.Client(base_url=several.url, trust_env=False, timeout=30) as client:
        headers = PLACES[place](token)
        assert client.post(CHAT, json=chat("hello"), headers=headers).status_code == 200
        broken = {
            name: value.replace("earer ", "earer x").replace("asic ", "asic x") for name, value in headers.items()
        }
        broken = {name: value if value != token else "x" for name, value in broken.items()}
        assert client.post(CHAT, json=chat("hello"), headers=broken).status_code == 401
        assert client.post(CHAT, json=chat("hello")).status_code == 401
    (seen,) = several.model.seen
    assert token not in str(seen.headers)


def test_a_weaker_place_does_not_save_a_bad_token(several: Several) -> None:
    """A credential that is there and bad is not passed over for another one."""
    with several.client() as client:
        response = client.post(CHAT, json=chat("hello"), headers={"proxy-authorization": "Bearer nonsense"})
    refused(response, 401, "hoopguard_bad_token")
    assert where(several) == [0] * 5


def _proxy(site: Site) -> str:
    return site.proxy.replace("http://", f"http://token:{site.token()}@")


def test_curl_goes_through_https_proxy(several: Several) -> None:
    """With only HTTPS_PROXY and the CA set, curl reaches a model host by its name."""
    certificate = str(several.folder / "certs" / "mitmproxy-ca-cert.pem")
    env = {"HTTPS_PROXY": _proxy(several), "CURL_CA_BUNDLE": certificate, "PATH": os.environ["PATH"]}
    for extra in ([], ["--http2"]):
        command = ["curl", "-sS", "--json", json.dumps(chat("who is the customer")), *extra, f"https://{HOST}{CHAT}"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "<EMAIL_ADDRESS>" in done.stdout
    command = ["curl", "-sS", "-o", "-", "https://unlisted.example.com/"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 56
    assert "403" in done.stderr
    assert where(several) == [2, 0, 0, 0, 0]


SCRIPT = f"""
import openai
sdk = openai.OpenAI(base_url="https://{HOST}/v1", api_key="not-the-token")
ask = dict(model="llama-3-8b", messages=[{{"role": "user", "content": "who is the customer"}}])
print(sdk.chat.completions.create(**ask).choices[0].message.content)
print("".join(chunk.choices[0].delta.content or "" for chunk in sdk.chat.completions.create(stream=True, **ask)))
"""


def test_python_goes_through_https_proxy(several: Several) -> None:
    """With only HTTPS_PROXY and the CA set, the openai SDK reaches a model host by its name."""
    certificate = str(several.folder / "certs" / "mitmproxy-ca-cert.pem")
    env = {"HTTPS_PROXY": _proxy(several), "SSL_CERT_FILE": certificate, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<EMAIL_ADDRESS>") == 2
    assert "ada.lovelace" not in done.stdout


def test_a_policy_change_adds_a_connection(tmp_path: Path) -> None:
    """A connection that is added to the policy is there for the next request."""
    with Site(tmp_path) as site, DemoModel(api_key="") as other:
        text = site.write_policy()
        site.start()
        refused(site.ask(path=f"/late{CHAT}"), 403, "hoopguard_route_not_listed")
        site.put_policy(
            text + f'\n[[connection]]\nname = "late"\nupstream = "{other.url}"\nallow = [{{groups = ["ml"]}}]\n'
        )
        assert site.ask(path=f"/late{CHAT}").status_code == 200
        assert (len(site.seen), len(other.seen)) == (0, 1)
