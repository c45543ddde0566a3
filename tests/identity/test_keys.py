"""A provider's keys: fetched once, kept, refreshed, and never because a stranger wants it."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from providers import DISCOVERY, OTHER_RSA_KEY, RSA_KEY, Provider, ec_jwk, rsa_jwk

from hoopguard.demo.connection import Reply, json_reply
from hoopguard.identity import keys
from hoopguard.identity.keys import FAILURE_PAUSE_S, FRESH_S, UNKNOWN_KID_PAUSE_S, KeySource, KeysUnavailable
from hoopguard.identity.verify import IssuerUnavailable, TokenRejected, TokenVerifier

NOW = 1_000_000.0


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def source(provider: Provider) -> AsyncIterator[KeySource]:
    source = KeySource(provider.issuer())
    yield source
    await source.aclose()


async def settled(source: KeySource) -> None:
    """Wait until the fetch in the background is over."""
    while source._flight is not None:
        await asyncio.sleep(0.005)


async def test_keys_are_discovered_and_fetched_once(provider: Provider, source: KeySource) -> None:
    """Both keys come in one flight, and stay."""
    assert await source.key("k1", "RS256", NOW) is await source.key("k1", "RS256", NOW + FRESH_S)
    assert await source.key("e1", "ES256", NOW) is not None
    assert provider.requests == {DISCOVERY: 1, "/jwks": 1}


async def test_callers_that_wait_share_one_flight(provider: Provider, source: KeySource) -> None:
    """Twenty at once make one fetch."""
    found = await asyncio.gather(*(source.key("k1", "RS256", NOW) for _ in range(20)))
    assert len({id(key) for key in found}) == 1
    assert provider.requests == {DISCOVERY: 1, "/jwks": 1}


async def test_a_caller_that_goes_away_does_not_end_the_flight(provider: Provider, source: KeySource) -> None:
    """The others still get their key."""
    provider.replies["/jwks"] = Reply(json.dumps({"keys": provider.keys}).encode(), delay_s=0.1)
    first = asyncio.create_task(source.key("k1", "RS256", NOW))
    second = asyncio.create_task(source.key("k1", "RS256", NOW))
    await asyncio.sleep(0.02)
    first.cancel()
    assert await second is not None
    assert first.cancelled()
    assert provider.requests["/jwks"] == 1


async def test_unknown_kids_lead_to_one_fetch_a_minute(provider: Provider, source: KeySource) -> None:
    """A flood of made-up key ids is no load on the provider."""
    await source.key("k1", "RS256", NOW)
    for second in range(0, 180, 3):
        at = NOW + second
        assert await asyncio.gather(*(source.key(f"x{number}", "RS256", at) for number in range(5))) == [None] * 5
    assert provider.requests["/jwks"] <= 1 + 180 // UNKNOWN_KID_PAUSE_S


async def test_a_new_key_is_found_by_the_token_that_needs_it(provider: Provider, source: KeySource) -> None:
    """Rotation is noticed at the first unknown kid, a minute after the last fetch at the earliest."""
    await source.key("k1", "RS256", NOW)
    provider.keys = [rsa_jwk(OTHER_RSA_KEY, kid="k2")]
    assert await source.key("k2", "RS256", NOW + 1) is None
    assert await source.key("k2", "RS256", NOW + UNKNOWN_KID_PAUSE_S + 1) is not None
    assert await source.key("k1", "RS256", NOW + UNKNOWN_KID_PAUSE_S + 1) is None


async def test_keys_are_refreshed_in_the_background(provider: Provider, source: KeySource) -> None:
    """A key that is known is given at once, while the set is fetched again."""
    old = await source.key("k1", "RS256", NOW)
    provider.keys = [rsa_jwk(OTHER_RSA_KEY, kid="k2")]
    assert await source.key("k1", "RS256", NOW + FRESH_S + 1) is old
    await settled(source)
    assert await source.key("k1", "RS256", NOW + FRESH_S + 2) is None
    assert provider.requests["/jwks"] == 2


async def test_known_keys_stay_good_while_the_provider_is_away(provider: Provider, source: KeySource) -> None:
    """For as long as it takes, with one attempt every few seconds."""
    old = await source.key("k1", "RS256", NOW)
    provider.replies["/jwks"] = json_reply({}, 503)
    for second in range(0, 3600, 2):
        assert await source.key("k1", "RS256", NOW + FRESH_S + 1 + second) is old
    await settled(source)
    assert provider.requests["/jwks"] <= 2 + 3600 / FAILURE_PAUSE_S


async def test_a_provider_that_was_down_at_start_is_asked_again(
    provider: Provider, source: KeySource, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tokens cannot be verified, the log says why, and all is well by itself once it is back."""
    provider.replies[DISCOVERY] = json_reply({}, 500)
    with pytest.raises(KeysUnavailable, match="answered 500"):
        await source.key("k1", "RS256", NOW)
    with pytest.raises(KeysUnavailable, match="answered 500"):
        await source.key("k1", "RS256", NOW + FAILURE_PAUSE_S)
    assert provider.requests[DISCOVERY] == 1
    provider.replies.clear()
    assert await source.key("k1", "RS256", NOW + FAILURE_PAUSE_S + 1) is not None
    assert "could not be fetched" in caplog.text
    assert "available again" in caplog.text


async def test_a_provider_that_nobody_listens_at_is_unavailable() -> None:
    """A refused connection is an answer too."""
    with Provider() as gone:
        issuer = gone.issuer()
    source = KeySource(issuer)
    with pytest.raises(KeysUnavailable, match="cannot be reached: ConnectError"):
        await source.key("k1", "RS256", NOW)
    await source.aclose()


async def test_a_slow_provider_is_given_up(
    provider: Provider, source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flight has an end."""
    monkeypatch.setattr(keys, "_TIMEOUT_S", 0.05)
    provider.replies["/jwks"] = Reply(b"{}", delay_s=5)
    with pytest.raises(KeysUnavailable, match="cannot be reached"):
        await source.key("k1", "RS256", NOW)


async def _trickle() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.01)


async def test_a_provider_that_trickles_is_given_up(
    provider: Provider, source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of the whole document, not of a byte."""
    monkeypatch.setattr(keys, "_TIMEOUT_S", 0.2)
    provider.replies["/jwks"] = Reply(_trickle())
    with pytest.raises(KeysUnavailable):
        await source.key("k1", "RS256", NOW)


GOOD = json.dumps({"keys": [rsa_jwk()]}).encode()
BAD_ANSWERS: dict[str, tuple[str, Reply]] = {
    "redirect": ("/jwks", Reply(b"", 302, headers=(("location", "/elsewhere"),))),
    "created": ("/jwks", Reply(GOOD, 201)),
    "not found": ("/jwks", Reply(GOOD, 404)),
    "huge": ("/jwks", Reply(b" " * 1_000_001 + GOOD)),
    "packed": ("/jwks", Reply(gzip.compress(GOOD), headers=(("content-encoding", "gzip"),))),
    "empty": ("/jwks", Reply(b"")),
    "html": ("/jwks", Reply(b"<html>", content_type="text/html")),
    "a list": ("/jwks", Reply(b"[]")),
    "a text": ("/jwks", Reply(b'"keys"')),
    "deep": ("/jwks", Reply(b"[" * 100_000)),
    "no keys": ("/jwks", Reply(b"{}")),
    "keys null": ("/jwks", Reply(b'{"keys": null}')),
    "keys empty": ("/jwks", Reply(b'{"keys": []}')),
    "keys an object": ("/jwks", Reply(b'{"keys": {"k1": {}}}')),
    "symmetric only": ("/jwks", json_reply({"keys": [{"kty": "oct", "kid": "k1", "k": "AAAA", "alg": "HS256"}]})),
    "encryption only": ("/jwks", json_reply({"keys": [rsa_jwk(use="enc")]})),
    "another issuer": (DISCOVERY, json_reply({"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:1/"})),
    "no issuer": (DISCOVERY, json_reply({"jwks_uri": "http://127.0.0.1:1/"})),
    "discovery redirect": (DISCOVERY, Reply(b"", 301, headers=(("location", "/elsewhere"),))),
}


@pytest.mark.parametrize(("path", "reply"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_a_bad_answer_gives_no_key(provider: Provider, source: KeySource, path: str, reply: Reply) -> None:
    """And costs nothing but one attempt; redirects are not followed."""
    provider.replies = {path: reply, "/elsewhere": Reply(GOOD)}
    with pytest.raises(KeysUnavailable):
        await source.key("k1", "RS256", NOW)
    assert "/elsewhere" not in provider.requests
    provider.replies.clear()
    assert await source.key("k1", "RS256", NOW + FAILURE_PAUSE_S + 1) is not None


@pytest.mark.parametrize(
    "uri", ["http://keys.example/jwks", "file:///etc/passwd", "", None, 5, ["/jwks"], "https://[::1"]
)
async def test_keys_are_not_fetched_from_just_anywhere(provider: Provider, source: KeySource, uri: Any) -> None:
    """The configuration has to name an https:// address, or one on this machine."""
    provider.replies[DISCOVERY] = json_reply({"issuer": provider.url, "jwks_uri": uri})
    with pytest.raises(KeysUnavailable):
        await source.key("k1", "RS256", NOW)


async def test_the_policys_own_address_of_the_keys_is_used_without_discovery(provider: Provider) -> None:
    """For providers that have none."""
    source = KeySource(provider.issuer(jwks_url=f"{provider.url}/jwks"))
    assert await source.key("k1", "RS256", NOW) is not None
    assert provider.requests == {"/jwks": 1}
    await source.aclose()


def private_jwk() -> dict[str, Any]:
    pem = OTHER_RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key: Any = load_pem_private_key(pem, None)
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "private"}


ODD_KEYS: list[Any] = [
    None,
    5,
    "k1",
    [],
    {},
    {"kty": "RSA", "alg": "none", "n": "AQ", "e": "AQAB"},
    {"kty": "RSA", "alg": "HS256", "n": "AQ", "e": "AQAB"},
    {"kty": "RSA", "alg": ["RS256"], "n": "AQ", "e": "AQAB"},
    {"kty": "RSA", "n": 5, "e": None},
    {"kty": "RSA", "n": "", "e": ""},
    {"kty": "RSA", "n": "AQ", "e": "AQAB"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": {}},
    {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
    {"kty": "OKP", "crv": None, "x": []},
    {"kty": "oct", "k": "AAAA"},
    {"kty": {"RSA": 1}},
    {"kty": "unheard of"},
    private_jwk(),
]


@pytest.mark.parametrize("odd", ODD_KEYS, ids=range(len(ODD_KEYS)))
async def test_an_odd_key_in_the_set_does_not_spoil_the_others(odd: Any) -> None:
    """It is passed over, wherever it stands, and no private key is taken."""
    with Provider(odd, rsa_jwk(), odd) as provider:
        source = KeySource(provider.issuer())
        assert await source.key("k1", "RS256", NOW) is not None
        assert await source.key("private", "RS256", NOW) is None
        assert await source.key("#0", "RS256", NOW) is None
        await source.aclose()


FIELDS = st.sampled_from(["kty", "alg", "use", "kid", "n", "e", "crv", "x", "y", "d", "key_ops", "x5c"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        "RSA",
        "EC",
        "OKP",
        "oct",
        "none",
        "RS256",
        "ES256",
        "HS256",
        "sig",
        "P-256",
        "Ed25519",
        "AQAB",
        "",
        "é",
        None,
        5,
        [],
        {},
    ]
)


@given(st.lists(st.dictionaries(FIELDS, VALUES) | VALUES, max_size=4))
def test_whatever_stands_in_a_key_set_is_passed_over_or_taken(entries: list[Any]) -> None:
    """No shape of an entry raises anything."""
    assert [*keys._read_keys({"keys": [*entries, rsa_jwk()]})][-1] == ("k1", "RS256")


def test_no_more_than_a_hundred_keys_are_read() -> None:
    """A provider does not fill our memory."""
    found = keys._read_keys({"keys": [rsa_jwk(kid=f"k{number}") for number in range(150)]})
    assert len(found) == 100


def test_a_key_verifies_only_what_it_names_or_can() -> None:
    """``alg`` binds; without it the type does."""
    bound = keys._read_keys({"keys": [rsa_jwk(), ec_jwk()]})
    assert [*bound] == [("k1", "RS256"), ("e1", "ES256")]
    unbound = keys._read_keys({"keys": [{**rsa_jwk(RSA_KEY), "alg": None}, {**ec_jwk(), "alg": None}]})
    assert {algorithm for kid, algorithm in unbound if kid == "k1"} == {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    }
    assert {algorithm for kid, algorithm in unbound if kid == "e1"} == {"ES256"}


async def test_twenty_callers_of_a_verifier_make_one_fetch(provider: Provider) -> None:
    """Single flight holds for the whole path, with twenty different tokens."""
    verifier = TokenVerifier([provider.issuer()])
    tokens = [provider.token(sub=f"s{number}") for number in range(20)]
    found = await asyncio.gather(*(verifier.verify(token, time.time()) for token in tokens))
    assert {principal.subject for principal in found} == {f"s{number}" for number in range(20)}
    assert provider.requests == {DISCOVERY: 1, "/jwks": 1}
    await verifier.aclose()


async def test_a_verifier_tells_a_bad_token_from_an_issuer_that_is_away(provider: Provider) -> None:
    """A caller should know whether to get a new token or to wait."""
    provider.replies["/jwks"] = json_reply({}, 500)
    verifier = TokenVerifier([provider.issuer()])
    with pytest.raises(IssuerUnavailable, match="staff"):
        await verifier.verify(provider.token(), time.time())
    with pytest.raises(TokenRejected):
        await verifier.verify(provider.token(iss="https://evil.example"), time.time())
    await verifier.aclose()


async def test_a_new_policy_keeps_the_keys_of_issuers_that_did_not_change(provider: Provider) -> None:
    """Reloading is no reason to fetch; changing an issuer is."""
    verifier = TokenVerifier([provider.issuer()])
    token = provider.token()
    await verifier.verify(token, time.time())
    same = verifier.renewed([provider.issuer()])
    await same.verify(token, time.time())
    assert provider.requests["/jwks"] == 1
    changed = same.renewed([provider.issuer(audience="another")])
    with pytest.raises(TokenRejected, match="audience"):
        await changed.verify(token, time.time())
    assert provider.requests["/jwks"] == 2
    gone = changed.renewed([])
    with pytest.raises(TokenRejected, match="issuer"):
        await gone.verify(token, time.time())
    for each in (verifier, changed):
        await each.aclose()
