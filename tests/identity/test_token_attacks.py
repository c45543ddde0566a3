"""Attacks by what a token is and by what it names, nearly all of them signed with the provider's own key."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from providers import OTHER_RSA_KEY, RSA_KEY, Provider, part, rsa_jwk, signed

from hoopguard.identity.verify import MAX_TOKEN_CHARS, TokenRejected, TokenVerifier
from hoopguard.policy.model import Issuer

HEADER = {"alg": "RS256", "kid": "k1", "typ": "JWT"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def verifier(provider: Provider) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier([provider.issuer(claims={"groups": "groups"})])
    yield verifier
    await verifier.aclose()


async def rejected(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenRejected) as caught:
        await verifier.verify(token, time.time())
    return str(caught.value)


async def is_taken(issuer: Issuer, token: str) -> bool:
    verifier = TokenVerifier([issuer])
    try:
        await verifier.verify(token, time.time())
    except TokenRejected:
        return False
    finally:
        await verifier.aclose()
    return True


def json_serialised(token: str, *, flat: bool) -> str:
    """Write a compact JWS as JSON (RFC 7515 §7.2), with a second signature unless ``flat``."""
    protected, payload, signature = token.split(".")
    one = {"protected": protected, "signature": signature}
    return json.dumps({"payload": payload, **one} if flat else {"payload": payload, "signatures": [one, one]})


def certificate(key: Any) -> str:
    return part(json.dumps(rsa_jwk(key)).encode())


Forge = Callable[[Provider], str]
ATTACKS: dict[str, Forge] = {
    "kid a path": lambda p: p.token(headers={"kid": "../../../../dev/null"}),
    "kid an absolute path": lambda p: p.token(headers={"kid": "/dev/null"}),
    "kid SQL": lambda p: p.token(headers={"kid": "k1' UNION SELECT 'x"}),
    "kid a command": lambda p: p.token(headers={"kid": "k1|cat /etc/passwd"}),
    "kid an address": lambda p: p.token(headers={"kid": f"{p.url}/jwks"}),
    "kid with NUL behind": lambda p: p.token(headers={"kid": "k1\0"}),
    "kid in another case": lambda p: p.token(headers={"kid": "K1"}),
    "kid a place in the list": lambda p: p.token(headers={"kid": "#0"}),
    "kid of a pair": lambda p: signed({**HEADER, "kid": ["k1", "RS256"]}, p.claims()),
    "jku in other letters beside a kid that is not ours": lambda p: p.token(
        key=OTHER_RSA_KEY, headers={"kid": "x", "JKU": f"{p.url}/jwks"}
    ),
    "x5u and its thumbprint": lambda p: p.token(headers={"x5u": f"{p.url}/x", "x5t": certificate(OTHER_RSA_KEY)}),
    "jwk null": lambda p: p.token(headers={"jwk": None}),
    "signatures as JSON": lambda p: json_serialised(p.token(), flat=False),
    "one signature as JSON": lambda p: json_serialised(p.token(), flat=True),
    "JSON with two dots": lambda p: json_serialised(p.token(), flat=True).replace("{", "{.", 1) + ".",
    "two signatures in a row": lambda p: f"{p.token()}.{p.token().rpartition('.')[2]}",
    "a list of tokens": lambda p: f"{p.token()},{p.token()}",
    "JWE, compact": lambda _: f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d",
    "JWE's header on a JWS": lambda p: signed({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "k1"}, p.claims()),
    "a token within a token": lambda p: signed({**HEADER, "cty": "JWT"}, p.token().encode()),
    "no signature, alg kept": lambda p: f"{p.token().rpartition('.')[0]}.",
    "a signature of NULs": lambda p: f"{p.token().rpartition('.')[0]}.{part(bytes(256))}",
    "typ of a logout token": lambda p: p.token(headers={"typ": "logout+jwt"}),
    "typ of a security event": lambda p: p.token(headers={"typ": "secevent+jwt"}),
    "typ of a proof of possession": lambda p: p.token(headers={"typ": "dpop+jwt"}),
    "typ of a signed request": lambda p: p.token(headers={"typ": "oauth-authz-req+jwt"}),
    "typ empty": lambda p: signed({**HEADER, "typ": ""}, p.claims()),
    "typ null": lambda p: signed({**HEADER, "typ": None}, p.claims()),
    "typ a list": lambda p: signed({**HEADER, "typ": ["JWT"]}, p.claims()),
    "an event": lambda p: p.token(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    "Keycloak's refresh token": lambda p: p.token(typ="Refresh"),
    "Keycloak's offline token": lambda p: p.token(typ="Offline"),
    "Keycloak's logout token": lambda p: p.token(typ="Logout"),
    "aud a list without ours": lambda p: p.token(aud=["account", "grafana"]),
    "aud an empty list": lambda p: p.token(aud=[]),
    "aud a list in a list": lambda p: signed(HEADER, p.claims(aud=[["hoopguard"]])),
    "aud ours and a number": lambda p: signed(HEADER, p.claims(aud=["hoopguard", 5])),
    "aud an object": lambda p: signed(HEADER, p.claims(aud={"hoopguard": True})),
    "aud ours in a longer one": lambda p: p.token(aud="hoopguard hoopguard-admin"),
    "aud ours in another case": lambda p: p.token(aud="Hoopguard"),
    "aud ours with a slash": lambda p: p.token(aud=["hoopguard/"]),
    "aud a glob": lambda p: p.token(aud="*"),
    "iss with a slash": lambda p: p.token(iss=f"{p.url}/"),
    "iss in capitals": lambda p: p.token(iss=p.url.upper()),
    "iss with a space": lambda p: p.token(iss=f" {p.url}"),
    "iss with a NUL": lambda p: p.token(iss=f"{p.url}\0"),
    "iss with a user": lambda p: p.token(iss=p.url.replace("//", "//x@")),
    "iss with a query": lambda p: p.token(iss=f"{p.url}?"),
    "iss with full-width digits": lambda p: p.token(iss=p.url.replace("1", "\uff11")),
    "iss with a look-alike": lambda p: p.token(iss=p.url.replace("h", "\u04bb", 1)),
    "iss with a name for the address": lambda p: p.token(iss=p.url.replace("127.0.0.1", "localhost")),
    "iss a list": lambda p: signed(HEADER, p.claims(iss=[p.url])),
    "an overage of groups": lambda p: p.token(_claim_names={"groups": "src1"}, _claim_sources={"src1": {}}),
    "an overage of groups, implicit flow": lambda p: p.token(hasgroups=True),
    "an overage of groups, as a text": lambda p: p.token(hasgroups="true"),
    "an overage beside a group": lambda p: p.token(_claim_names={"groups": "src1"}, groups=["ml"]),
}


@pytest.mark.parametrize("forge", ATTACKS.values(), ids=ATTACKS.keys())
async def test_an_attack_is_rejected(provider: Provider, verifier: TokenVerifier, forge: Forge) -> None:
    """While a good token of the same provider is taken before and after; the reason does not repeat the token."""
    good, bad = provider.token(), forge(provider)
    assert (await verifier.verify(good, time.time())).subject == "ada"
    assert bad not in await rejected(verifier, bad)
    assert (await verifier.verify(good, time.time())).subject == "ada"


async def test_nothing_that_a_header_names_is_fetched(verifier: TokenVerifier) -> None:
    """Neither a set of keys nor a certificate: not even a connection is made."""
    with Provider(rsa_jwk(OTHER_RSA_KEY)) as evil:
        for header in ({"jku": f"{evil.url}/jwks"}, {"x5u": f"{evil.url}/x"}, {"kid": f"{evil.url}/jwks"}):
            await rejected(verifier, evil.token(key=OTHER_RSA_KEY, headers=header))
        await rejected(verifier, evil.token(key=OTHER_RSA_KEY))
        assert not evil.requests


@pytest.mark.parametrize("typ", ["JWT", "jwt", "JOSE", "at+jwt", "application/at+jwt", "AT+JWT"])
async def test_types_of_credentials_are_taken(provider: Provider, verifier: TokenVerifier, typ: str) -> None:
    """In any case of letters, as media types are."""
    assert (await verifier.verify(provider.token(headers={"typ": typ}), time.time())).subject == "ada"


async def test_one_audience_of_several_may_be_ours(provider: Provider, verifier: TokenVerifier) -> None:
    """Keycloak names ``account`` too, as often as not."""
    assert (await verifier.verify(provider.token(aud=["account", "hoopguard"]), time.time())).subject == "ada"


async def test_an_overage_matters_only_if_the_policy_reads_that_claim(provider: Provider) -> None:
    """And its bearer learns what to do about it."""
    token = provider.token(_claim_names={"groups": "src1"}, hasgroups=True, roles=["ml"])
    assert await is_taken(provider.issuer(), token)
    assert await is_taken(provider.issuer(claims={"groups": "roles"}), token)
    for path in ("groups", "$.groups"):
        verifier = TokenVerifier([provider.issuer(claims={"groups": path})])
        assert "app roles" in await rejected(verifier, token)
        await verifier.aclose()


TYPES: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "by RFC 9068": ({"typ": "at+jwt"}, {"client_id": "ci"}, {"access"}),
    "by RFC 9068, whatever else it says": ({"typ": "application/at+jwt"}, {"nonce": "n"}, {"access"}),
    "by scope": ({}, {"scope": "openid hoopguard"}, {"access"}),
    "by Okta's and Entra ID's scp": ({}, {"scp": ["hoopguard"]}, {"access"}),
    "by Entra ID for an application": ({}, {"azpacr": "1", "roles": ["ci"]}, {"access"}),
    "by Keycloak": ({}, {"typ": "Bearer", "nonce": "n"}, {"access"}),
    "an ID token by its nonce": ({}, {"nonce": "n"}, {"id"}),
    "an ID token by its at_hash, with a scope": ({}, {"at_hash": "x", "scope": "openid"}, {"id"}),
    "an ID token of Keycloak": ({}, {"typ": "ID", "scope": "openid"}, {"id"}),
    "a CI's token": ({}, {"repository": "acme/app"}, {"id"}),
}


@pytest.mark.parametrize(("header", "claims", "taken"), TYPES.values(), ids=TYPES.keys())
@pytest.mark.parametrize("wanted", ["any", "access", "id"])
async def test_the_policy_says_whether_access_or_id_tokens_are_due(
    provider: Provider, wanted: str, header: dict[str, Any], claims: dict[str, Any], taken: set[str]
) -> None:
    """A token that does not say that it is an access token is none."""
    token = provider.token(headers=header, **claims)
    assert await is_taken(provider.issuer(token=wanted), token) is (wanted == "any" or wanted in taken)


async def test_a_token_of_more_than_16_kb_is_rejected(provider: Provider) -> None:
    """However good its signature; just below that it is taken."""
    short = len(signed(HEADER, provider.claims(pad="")))
    room = (MAX_TOKEN_CHARS - short) * 3 // 4
    fits, exceeds = (signed(HEADER, provider.claims(pad="x" * (room + more))) for more in (-2, 4))
    assert len(fits) <= MAX_TOKEN_CHARS < len(exceeds) < MAX_TOKEN_CHARS + 10
    assert await is_taken(provider.issuer(), fits)
    assert not await is_taken(provider.issuer(), exceeds)


async def test_a_token_is_not_good_again_after_it_expired(provider: Provider, verifier: TokenVerifier) -> None:
    """Neither the memory of it nor asking often helps; a new one does."""
    now = int(time.time())
    old = provider.token(exp=now + 5)
    await verifier.verify(old, now)
    for later in (35, 36, 600, 86_400):
        with pytest.raises(TokenRejected, match="expired"):
            await verifier.verify(old, now + later)
    assert (await verifier.verify(provider.token(exp=now + 90_000), now)).subject == "ada"


async def test_a_token_signed_long_ago_by_the_same_key_is_expired_still(provider: Provider) -> None:
    """Its age is its own, not that of the key."""
    now = int(time.time())
    token = jwt.encode(provider.claims(iat=now - 9000, exp=now - 31), RSA_KEY, "RS256", headers={"kid": "k1"})
    assert not await is_taken(provider.issuer(), token)
