"""Attacks with tokens, most of them really signed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers import (
    EC_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    Provider,
    ec_jwk,
    hmac_signed,
    part,
    public_pem,
    rsa_jwk,
    signed,
)

from hoopguard.demo.issuer import DemoIssuer
from hoopguard.identity import verify
from hoopguard.identity.principal import Principal
from hoopguard.identity.verify import MAX_TOKEN_CHARS, TokenRejected, TokenVerifier
from hoopguard.policy.model import Issuer

HEADER = {"alg": "RS256", "kid": "k1", "typ": "JWT"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def verifier(provider: Provider) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier([provider.issuer(claims={"groups": "groups", "session": "sid"})])
    yield verifier
    await verifier.aclose()


async def rejected(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenRejected) as caught:
        await verifier.verify(token, time.time())
    assert len(token) < 20 or token not in str(caught.value)
    return str(caught.value)


async def verified(issuer: Issuer, token: str) -> Principal:
    verifier = TokenVerifier([issuer])
    try:
        return await verifier.verify(token, time.time())
    finally:
        await verifier.aclose()


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["RS256", "ES256"])
async def test_a_good_token_names_its_principal(provider: Provider, verifier: TokenVerifier, key: Any) -> None:
    """Subject, issuer, groups, session and expiry are those of the token."""
    expires = int(time.time()) + 300
    token = provider.token(key=key, groups=["ml", "ci"], sid="s1", exp=expires)
    principal = await verifier.verify(token, time.time())
    assert principal.id == "staff:ada"
    assert principal.groups == {"ml", "ci"}
    assert (principal.session, principal.expires, principal.kind) == ("s1", expires, "person")
    json.dumps(principal.facts())


async def test_the_demo_issuers_tokens_are_good() -> None:
    """The issuer behind ``make demo`` is one like any other."""
    with DemoIssuer() as demo:
        issuer = Issuer.model_validate({"name": "demo", "url": demo.url, "audience": "hoopguard"})
        assert (await verified(issuer, demo.token("ada@example.com"))).subject == "ada@example.com"
        with pytest.raises(TokenRejected):
            await verified(issuer, demo.token(expires_in=-60))
        with pytest.raises(TokenRejected):
            await verified(issuer, demo.token(audience="grafana"))


Forge = Callable[[Provider], str]
FORGERIES: dict[str, Forge] = {
    "alg none": lambda p: f"{part({'alg': 'none', 'kid': 'k1'})}.{part(p.claims())}.",
    "alg None": lambda p: f"{part({'alg': 'None', 'kid': 'k1'})}.{part(p.claims())}.",
    "alg none with signature": lambda p: signed({"alg": "none", "kid": "k1"}, p.claims()),
    "no alg": lambda p: signed({"kid": "k1"}, p.claims()),
    "alg null": lambda p: signed({"alg": None, "kid": "k1"}, p.claims()),
    "alg list": lambda p: signed({"alg": ["RS256"], "kid": "k1"}, p.claims()),
    "alg in lower case": lambda p: signed({"alg": "rs256", "kid": "k1"}, p.claims()),
    "alg RS512 named, RS256 used": lambda p: signed({**HEADER, "alg": "RS512"}, p.claims()),
    "alg PS256 named, RS256 used": lambda p: signed({**HEADER, "alg": "PS256"}, p.claims()),
    "alg ES256 with the RSA key": lambda p: signed({**HEADER, "alg": "ES256"}, p.claims()),
    "HS256 with the public key": lambda p: hmac_signed({**HEADER, "alg": "HS256"}, p.claims(), public_pem()),
    "HS256 called RS256": lambda p: hmac_signed(HEADER, p.claims(), public_pem()),
    "HS256 with the JWK": lambda p: hmac_signed({**HEADER, "alg": "HS256"}, p.claims(), json.dumps(rsa_jwk()).encode()),
    "HS256 with nothing": lambda p: hmac_signed({**HEADER, "alg": "HS256"}, p.claims(), b""),
    "another key": lambda p: p.token(key=OTHER_RSA_KEY),
    "jwk of its own": lambda p: p.token(key=OTHER_RSA_KEY, headers={"jwk": rsa_jwk(OTHER_RSA_KEY)}),
    "jwk beside a good signature": lambda p: p.token(headers={"jwk": rsa_jwk()}),
    "jku": lambda p: p.token(headers={"jku": f"{p.url}/jwks"}),
    "x5u": lambda p: p.token(headers={"x5u": "https://evil.example/x"}),
    "x5c": lambda p: p.token(headers={"x5c": ["AAAA"]}),
    "crit": lambda p: p.token(headers={"crit": ["exp"]}),
    "b64 false": lambda p: p.token(headers={"b64": False, "crit": ["b64"]}),
    "kid of the EC key": lambda p: p.token(headers={"kid": "e1"}),
    "kid unknown": lambda p: p.token(headers={"kid": "k2"}),
    "kid a path": lambda p: p.token(headers={"kid": "../../../../dev/null"}),
    "kid SQL": lambda p: p.token(headers={"kid": "k1' OR '1'='1"}),
    "kid empty": lambda p: p.token(headers={"kid": ""}),
    "kid a number": lambda p: signed({**HEADER, "kid": 1}, p.claims()),
    "kid a list": lambda p: signed({**HEADER, "kid": ["k1"]}, p.claims()),
    "kid an object": lambda p: signed({**HEADER, "kid": {"k1": 1}}, p.claims()),
    "expired": lambda p: p.token(exp=int(time.time()) - 31),
    "expired long ago": lambda p: p.token(exp=0),
    "not before": lambda p: p.token(nbf=int(time.time()) + 120),
    "issued tomorrow": lambda p: p.token(iat=int(time.time()) + 86400),
    "no exp": lambda p: p.token(exp=None),
    "no iat": lambda p: p.token(iat=None),
    "no aud": lambda p: p.token(aud=None),
    "no iss": lambda p: p.token(iss=None),
    "no sub": lambda p: p.token(sub=None),
    "another audience": lambda p: p.token(aud="grafana"),
    "audiences without ours": lambda p: p.token(aud=["a", "hoopguard2"]),
    "audience in capitals": lambda p: p.token(aud="HOOPGUARD"),
    "audience with a space": lambda p: p.token(aud="hoopguard "),
    "audience an object": lambda p: signed(HEADER, p.claims(aud={"hoopguard": 1})),
    "audience nested": lambda p: signed(HEADER, p.claims(aud=[["hoopguard"]])),
    "audience empty": lambda p: p.token(aud=[]),
    "issuer with a slash": lambda p: p.token(iss=f"{p.url}/"),
    "issuer in capitals": lambda p: p.token(iss=p.url.upper()),
    "issuer with a path": lambda p: p.token(iss=f"{p.url}/realms/x"),
    "issuer elsewhere": lambda p: p.token(iss="https://evil.example"),
    "issuer a list": lambda p: signed(HEADER, p.claims(iss=[p.url])),
    "issuer an object": lambda p: signed(HEADER, p.claims(iss={"url": p.url})),
    "two issuers, ours last but another key": lambda p: _resigned(p.token(key=OTHER_RSA_KEY)),
    "exp a text": lambda p: signed(HEADER, p.claims(exp="9999999999")),
    "exp true": lambda p: signed(HEADER, p.claims(exp=True)),
    "exp a list": lambda p: signed(HEADER, p.claims(exp=[9999999999])),
    "exp an object": lambda p: signed(HEADER, p.claims(exp={})),
    "exp NaN": lambda p: signed(HEADER, json.dumps(p.claims(exp=float("nan"))).encode()),
    "exp infinite": lambda p: signed(HEADER, p.claims(exp=float("inf"))),
    "exp 1e400": lambda p: signed(HEADER, json.dumps(p.claims(exp="E")).replace('"E"', "1e400").encode()),
    "exp beyond all calendars": lambda p: signed(HEADER, p.claims(exp=10**18)),
    "exp of 400 digits": lambda p: signed(HEADER, p.claims(exp=10**400)),
    "exp of 5000 digits": lambda p: signed(HEADER, json.dumps(p.claims(exp="E")).replace('"E"', "9" * 5000).encode()),
    "exp negative": lambda p: p.token(exp=-1),
    "iat a text": lambda p: signed(HEADER, p.claims(iat="1")),
    "iat infinite": lambda p: signed(HEADER, p.claims(iat=float("-inf"))),
    "nbf a text": lambda p: signed(HEADER, p.claims(nbf="0")),
    "nbf NaN": lambda p: signed(HEADER, p.claims(nbf=float("nan"))),
    "sub empty": lambda p: p.token(sub=""),
    "sub blank": lambda p: p.token(sub=" "),
    "sub a number of groups": lambda p: signed(HEADER, p.claims(sub=["ada", "root"])),
    "sub one of two too long": lambda p: signed(HEADER, p.claims(sub=["ada", "x" * 1000])),
    "sub an object": lambda p: signed(HEADER, p.claims(sub={"name": "ada"})),
    "sub true": lambda p: signed(HEADER, p.claims(sub=True)),
    "sub too long": lambda p: p.token(sub="x" * 513),
    "sub with a line break": lambda p: p.token(sub="ada\nroot"),
    "sub that steers a terminal": lambda p: p.token(sub="ada\x1b[2J"),
    "sub written backwards": lambda p: p.token(sub="ada\u202etoor"),
    "payload a list": lambda p: signed(HEADER, [p.claims()]),
    "payload a text": lambda p: signed(HEADER, "x"),
    "payload not JSON": lambda _: signed(HEADER, b"x"),
    "payload empty": lambda _: signed(HEADER, b""),
    "payload not UTF-8": lambda _: signed(HEADER, b'{"sub": "\xff"}'),
    "payload deep": lambda _: signed(HEADER, b"[" * 5000),
    "header a list": lambda p: signed(["RS256"], p.claims()),
    "header deep": lambda p: f"{part(b'[' * 5000)}.{part(p.claims())}.AA",
    "header empty": lambda p: f".{part(p.claims())}.AA",
    "no signature": lambda p: p.token().rpartition(".")[0] + ".",
    "signature cut": lambda p: p.token()[:-4],
    "signature of another token": lambda p: f"{p.token(sub='root').rpartition('.')[0]}.{p.token().rpartition('.')[2]}",
    "payload exchanged": lambda p: _with_payload(p.token(), p.claims(sub="root")),
    "two dots too many": lambda p: f"{p.token()}.x.y",
    "one dot": lambda p: p.token().rpartition(".")[0],
    "encrypted": lambda _: "a.b.c.d.e",
    "a space behind": lambda p: f"{p.token()} ",
    "a null behind": lambda p: f"{p.token()}\0",
    "not ASCII": lambda p: f"{p.token()}é",
    "half a surrogate": lambda p: f"{p.token()}\udcff",
    "empty": lambda _: "",
    "dots": lambda _: "..",
    "huge": lambda p: p.token(pad="x" * 100_000),
    "huge garbage": lambda _: "." * 10_000_000,
    "a key of our own": lambda _: "sk-proj-0123456789",
}


def _with_payload(token: str, payload: Any) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{part(payload)}.{signature}"


def _resigned(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    twice = json.dumps({"iss": "https://evil.example"})[:-1] + ", " + json.dumps(claims)[1:]
    return _with_payload(token, twice.encode())


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_or_spoilt_token_is_rejected(provider: Provider, verifier: TokenVerifier, forge: Forge) -> None:
    """With a reason that its bearer may see, which does not hold the token; and never with a crash."""
    assert await rejected(verifier, forge(provider))
    assert (await verifier.verify(provider.token(), time.time())).subject == "ada"


@pytest.mark.parametrize(
    "again",
    ['"iss": "https://evil.example"', '"sub": "root"', '"sub": "ada"', '"x": {"groups": ["ml"], "groups": ["root"]}'],
)
@pytest.mark.parametrize("first", [True, False])
async def test_a_claim_named_twice_is_rejected_whoever_signed_it(
    provider: Provider, verifier: TokenVerifier, again: str, first: bool
) -> None:
    """What two parsers could read two ways proves nothing (RFC 7519 §4), also deep in the token."""
    said = json.dumps(provider.claims())[1:-1]
    payload = ", ".join((again, said) if first else (said, again))
    assert "twice" in await rejected(verifier, signed(HEADER, f"{{{payload}}}".encode()))


async def test_a_header_named_twice_is_rejected(provider: Provider, verifier: TokenVerifier) -> None:
    """As a claim is."""
    header = b'{"alg": "none", "alg": "RS256", "kid": "k1"}'
    assert "twice" in await rejected(verifier, signed(header, provider.claims()))


@given(data=st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_no_flipped_character_keeps_a_token_good(
    provider: Provider, verifier: TokenVerifier, data: st.DataObject
) -> None:
    """Whatever one character is changed to, the token is rejected, or it decodes to the very same bytes."""
    token = provider.token()
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + data.draw(st.characters(max_codepoint=0x17F)) + token[at + 1 :]
    try:
        principal = await verifier.verify(changed, time.time())
    except TokenRejected:
        return
    assert principal.subject == "ada"
    assert changed.split(".")[:2] == token.split(".")[:2]


@given(token=st.text(alphabet=".eyJhbGciOiJub25l-_=\u00e9\0", max_size=80) | st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_garbage_is_rejected_and_never_crashes(verifier: TokenVerifier, token: str) -> None:
    """Nothing but TokenRejected comes out of it."""
    await rejected(verifier, token)


async def test_a_token_is_good_within_the_leeway_and_not_beyond(provider: Provider) -> None:
    """Clocks may differ by what the policy says."""
    token = provider.token(exp=int(time.time()) - 20, iat=int(time.time()) - 100)
    assert (await verified(provider.issuer(leeway="60s"), token)).subject == "ada"
    with pytest.raises(TokenRejected, match="expired"):
        await verified(provider.issuer(leeway="5s"), token)


async def test_only_the_issuers_own_algorithms_are_taken(provider: Provider) -> None:
    """A key that is published does not make its algorithm good."""
    assert (await verified(provider.issuer(algorithms=("ES256",)), provider.token(key=EC_KEY))).subject == "ada"
    with pytest.raises(TokenRejected, match="algorithm"):
        await verified(provider.issuer(algorithms=("ES256",)), provider.token())


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
async def test_a_key_without_alg_verifies_what_its_type_can(algorithm: str) -> None:
    """Some providers do not say ``alg``; the issuer's list and the token decide, within the key's type."""
    jwk = {name: value for name, value in rsa_jwk().items() if name != "alg"}
    with Provider(jwk, ec_jwk()) as provider:
        token = jwt.encode(provider.claims(), RSA_KEY, algorithm, headers={"kid": "k1"})
        issuer = provider.issuer(algorithms=("RS256", "RS512", "PS256", "ES256"))
        assert (await verified(issuer, token)).subject == "ada"


async def test_a_token_without_kid_is_good_if_one_key_fits() -> None:
    """And rejected where there is a choice."""
    with Provider() as provider:
        token = jwt.encode(provider.claims(), RSA_KEY, "RS256")
        assert (await verified(provider.issuer(), token)).subject == "ada"
        provider.keys = [rsa_jwk(), rsa_jwk(OTHER_RSA_KEY, kid="k2")]
        with pytest.raises(TokenRejected):
            await verified(provider.issuer(), token)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["ml", "ci"], {"ml", "ci"}),
        ("ml", {"ml"}),
        ([], set()),
        (None, set()),
        ({"ml": True}, set()),
        ([["ml"], {"a": "ml"}, None, True, 7, 1.5], {"7"}),
        (["x" * 600, "ml"], {"ml"}),
        (True, set()),
        ("*", {"*"}),
    ],
    ids=range(9),
)
async def test_groups_of_any_type_are_texts_or_none(
    provider: Provider, verifier: TokenVerifier, groups: Any, expected: set[str]
) -> None:
    """What is not a text or a whole number is no group."""
    principal = await verifier.verify(signed(HEADER, provider.claims(groups=groups)), time.time())
    assert principal.groups == expected


async def test_claims_are_found_by_name_or_by_path(provider: Provider) -> None:
    """A name with dots wins over a path with the same dots; a path into nothing is nothing."""
    claims = {
        "subject": "who.name",
        "groups": "realm.roles",
        "session": "https://example.com/sid",
        "keep": ("a.b", "nothing.here", "n"),
    }
    dotted: dict[str, Any] = {"https://example.com/sid": "s", "a.b": "x", "a": {"b": "y"}}
    token = provider.token(who={"name": "ada"}, realm={"roles": ["ml"]}, n=5, **dotted)
    principal = await verified(provider.issuer(claims=claims, groups=("staff",)), token)
    assert (principal.subject, principal.session, principal.groups) == ("ada", "s", frozenset({"ml", "staff"}))
    assert principal.claims == {"a.b": "x", "nothing.here": "", "n": "5"}


@pytest.mark.parametrize(
    ("require", "good"),
    [
        ({"repo": "example/*"}, True),
        ({"repo": "example/app"}, True),
        ({"repo": "Example/*"}, False),
        ({"repo": "ample/*"}, False),
        ({"repo": "*", "ref": "refs/heads/*"}, True),
        ({"repo": "*", "ref": "refs/tags/*"}, False),
        ({"missing": "*"}, False),
        ({"nested.env": "prod"}, True),
        ({"nested": "*"}, False),
        ({"list": "b*"}, True),
        ({"list": "c*"}, False),
        ({"verified": "true"}, True),
        ({"verified": "false"}, False),
        ({"number": "7"}, True),
        ({"number": "70"}, False),
    ],
    ids=str,
)
async def test_required_claims_have_to_be_there(provider: Provider, require: dict[str, str], good: bool) -> None:
    """All of them, by glob, in their exact case."""
    token = provider.token(
        repo="example/app", ref="refs/heads/main", nested={"env": "prod"}, list=["a", "b1"], verified=True, number=7
    )
    issuer = provider.issuer(require=require)
    if good:
        assert (await verified(issuer, token)).subject == "ada"
    else:
        with pytest.raises(TokenRejected, match="policy requires"):
            await verified(issuer, token)


async def test_each_issuer_vouches_for_its_own_only() -> None:
    """A token of one provider that names another is checked with the other's keys, audience and rules."""
    with Provider() as one, Provider(rsa_jwk(OTHER_RSA_KEY)) as two:
        issuers = [one.issuer(name="one"), two.issuer(name="two", kind="service", audience="ci")]
        verifier = TokenVerifier(issuers)
        principal = await verifier.verify(two.token(key=OTHER_RSA_KEY, aud="ci"), time.time())
        assert (principal.id, principal.kind) == ("two:ada", "service")
        for token in (
            two.token(aud="ci"),
            one.token(key=OTHER_RSA_KEY),
            one.token(aud="ci"),
            two.token(key=OTHER_RSA_KEY),
        ):
            await rejected(verifier, token)
        await verifier.aclose()


async def test_a_remembered_token_is_not_verified_again_until_it_expires(
    provider: Provider, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature is checked once; the expiry, with its leeway, at every request."""
    now = int(time.time())
    token = provider.token(exp=now + 50)
    principal = await verifier.verify(token, now)
    monkeypatch.setattr(verify, "_decode", None)
    assert await verifier.verify(token, now + 79.9) is principal
    monkeypatch.undo()
    with pytest.raises(TokenRejected, match="expired"):
        await verifier.verify(token, now + 80)


async def test_a_rejected_token_is_not_remembered_as_good(provider: Provider, verifier: TokenVerifier) -> None:
    """Asking twice does not help."""
    token = provider.token(key=OTHER_RSA_KEY)
    assert await rejected(verifier, token) == await rejected(verifier, token)


@pytest.mark.parametrize("kid", ["k1", "k2"])
async def test_a_token_whose_key_was_withdrawn_is_forgotten(kid: str) -> None:
    """A stolen key's tokens end within minutes of the provider's withdrawing it, not when they expire."""
    with Provider() as provider:
        verifier = TokenVerifier([provider.issuer()])
        now, token = time.time(), provider.token(exp=int(time.time()) + 9000)
        await verifier.verify(token, now)
        provider.keys = [rsa_jwk(OTHER_RSA_KEY, kid=kid)]
        with pytest.raises(TokenRejected):
            await _ask_until_rejected(verifier, token, now + 400)
        await verifier.aclose()


async def _ask_until_rejected(verifier: TokenVerifier, token: str, now: float) -> None:
    """Keep asking, for the keys are refreshed in the background."""
    while True:
        await verifier.verify(token, now)
        await asyncio.sleep(0.01)


async def test_remembered_tokens_do_not_fill_the_memory(
    provider: Provider, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one not used for longest goes first."""
    monkeypatch.setattr(verify, "_REMEMBERED", 3)
    tokens = [provider.token(sub=f"s{number}") for number in range(4)]
    for token in (*tokens[:3], tokens[0], tokens[3]):
        await verifier.verify(token, time.time())
    monkeypatch.setattr(verify, "_decode", None)
    for token in (tokens[0], tokens[2], tokens[3]):
        await verifier.verify(token, time.time())
    with pytest.raises(TypeError):
        await verifier.verify(tokens[1], time.time())


def test_the_longest_token_fits_into_a_header() -> None:
    """Nothing longer than 16 KB is even looked at."""
    assert MAX_TOKEN_CHARS == 16_384
