"""The life of a provider's keys: rotated, withdrawn, cached, flooded with strangers; and whose clock is right."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm
from providers import DISCOVERY, OTHER_RSA_KEY, Provider, ec_jwk, rsa_jwk

from hoopguard.demo.connection import Reply, json_reply
from hoopguard.identity import keys
from hoopguard.identity.keys import FAILURE_PAUSE_S, FRESH_S, UNKNOWN_KID_PAUSE_S, KeySource, KeysUnavailable
from hoopguard.identity.verify import IssuerUnavailable, TokenRejected, TokenVerifier

NOW = 1_000_000.0


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


async def settled(source: KeySource) -> None:
    """Wait until the fetch in the background is over."""
    while source._flight is not None:
        await asyncio.sleep(0.005)


async def is_taken(verifier: TokenVerifier, token: str, now: float) -> bool:
    try:
        await verifier.verify(token, now)
    except TokenRejected:
        return False
    await asyncio.gather(*(settled(source) for source in verifier._sources.values()))
    return True


def new_token(provider: Provider, number: int = 0) -> str:
    """Return a token that nobody has seen, with the provider's second key."""
    return provider.token(key=OTHER_RSA_KEY, headers={"kid": "k2"}, sub=f"s{number}", exp=int(time.time()) + 9000)


def old_token(provider: Provider, number: int = 0) -> str:
    return provider.token(sub=f"s{number}", exp=int(time.time()) + 9000)


async def test_a_rotation_with_overlap_rejects_nobody(provider: Provider) -> None:
    """The new key is published before it signs, the old one withdrawn after its tokens are gone."""
    verifier, now = TokenVerifier([provider.issuer()]), time.time()
    both = [rsa_jwk(), rsa_jwk(OTHER_RSA_KEY, kid="k2")]
    assert await is_taken(verifier, old_token(provider, 1), now)
    provider.keys = both
    assert await is_taken(verifier, old_token(provider, 2), now + FRESH_S + 1)
    assert await is_taken(verifier, new_token(provider, 3), now + FRESH_S + 2)
    assert await is_taken(verifier, old_token(provider, 4), now + FRESH_S + 2)
    provider.keys = both[1:]
    assert await is_taken(verifier, new_token(provider, 5), now + 2 * FRESH_S + 2)
    assert await is_taken(verifier, new_token(provider, 6), now + 2 * FRESH_S + 3)
    assert not await is_taken(verifier, old_token(provider, 7), now + 2 * FRESH_S + 3)
    await verifier.aclose()


async def test_a_rotation_without_overlap_is_over_within_a_minute(provider: Provider) -> None:
    """The first new token that may asks for the keys; then all new ones are good and no old one is."""
    verifier, now = TokenVerifier([provider.issuer()]), time.time()
    remembered = old_token(provider, 1)
    assert await is_taken(verifier, remembered, now)
    provider.keys = [rsa_jwk(OTHER_RSA_KEY, kid="k2")]
    assert not await is_taken(verifier, new_token(provider, 2), now + 1)
    assert await is_taken(verifier, new_token(provider, 2), now + UNKNOWN_KID_PAUSE_S + 1)
    assert await is_taken(verifier, new_token(provider, 3), now + UNKNOWN_KID_PAUSE_S + 1)
    assert not await is_taken(verifier, remembered, now + UNKNOWN_KID_PAUSE_S + 1)
    assert not await is_taken(verifier, old_token(provider, 4), now + UNKNOWN_KID_PAUSE_S + 1)
    assert provider.requests["/jwks"] == 2
    await verifier.aclose()


async def test_a_new_key_by_an_old_name_replaces_it(provider: Provider) -> None:
    """A ``kid`` is a name and no promise."""
    verifier, now = TokenVerifier([provider.issuer()]), time.time()
    assert await is_taken(verifier, old_token(provider, 1), now)
    provider.keys = [rsa_jwk(OTHER_RSA_KEY)]
    assert await is_taken(verifier, old_token(provider, 2), now + FRESH_S + 1)
    assert not await is_taken(verifier, old_token(provider, 1), now + FRESH_S + 2)
    assert not await is_taken(verifier, old_token(provider, 3), now + FRESH_S + 2)
    assert await is_taken(verifier, provider.token(key=OTHER_RSA_KEY, exp=int(now) + 9000), now + FRESH_S + 2)
    await verifier.aclose()


@pytest.mark.parametrize(
    ("said", "fresh_s"),
    [
        ("", FRESH_S),
        ("public", FRESH_S),
        ("max-age=21600, public", FRESH_S),
        ("public, max-age=120", 120.0),
        ("MAX-AGE=120", 120.0),
        ('max-age="120"', 120.0),
        ("max-age=0", UNKNOWN_KID_PAUSE_S),
        ("no-cache", UNKNOWN_KID_PAUSE_S),
        ("private, no-store, max-age=9999", UNKNOWN_KID_PAUSE_S),
        ("s-maxage=90", FRESH_S),
        ("x-max-age=90", FRESH_S),
        ("max-age=-5", FRESH_S),
        ("max-age=99999999999", FRESH_S),
        ("max-age=soon", FRESH_S),
    ],
)
async def test_keys_are_refreshed_as_the_provider_says_within_bounds(
    provider: Provider, said: str, fresh_s: float
) -> None:
    """Sooner than usual if ``Cache-Control`` says so, but not more than once a minute; never later."""
    provider.replies["/jwks"] = json_reply({"keys": provider.keys}, headers=(("cache-control", said),))
    source = KeySource(provider.issuer())
    for at, fetches in ((0.0, 1), (fresh_s, 1), (fresh_s + 1, 2), (fresh_s + 2, 2), (2 * fresh_s + 3, 3)):
        assert await source.key("k1", "RS256", NOW + at) is not None
        await settled(source)
        assert provider.requests["/jwks"] == fetches
    await source.aclose()


@pytest.mark.parametrize(
    ("called", "good"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("application/jwk-set+json", True),
        ("Application/JSON", True),
        ("text/html", False),
        ("text/plain; charset=utf-8", False),
        ("application/octet-stream", False),
        ("application/javascript", False),
        ("text/json application/json", False),
        ("application/jsonp", False),
    ],
)
@pytest.mark.parametrize("path", ["/jwks", DISCOVERY])
async def test_what_is_not_called_json_is_no_key(provider: Provider, path: str, called: str, good: bool) -> None:
    """Though it could be read: it may be a file that somebody has put there."""
    documents = {
        "/jwks": {"keys": provider.keys},
        DISCOVERY: {"issuer": provider.url, "jwks_uri": f"{provider.url}/jwks"},
    }
    body = json_reply(documents[path]).body
    provider.replies[path] = Reply(body, content_type=called)
    source = KeySource(provider.issuer())
    if good:
        assert await source.key("k1", "RS256", NOW) is not None
    else:
        with pytest.raises(KeysUnavailable, match="does not call JSON"):
            await source.key("k1", "RS256", NOW)
    await source.aclose()


@pytest.mark.parametrize("trouble", ["down", "slow", "empty", "redirect", "huge", "html"])
async def test_nobody_waits_for_a_provider_whose_keys_are_known(provider: Provider, trouble: str) -> None:
    """Whatever it does meanwhile, and though the keys are due for a refresh; it mends by itself."""
    verifier, now = TokenVerifier([provider.issuer()]), time.time()
    assert await is_taken(verifier, old_token(provider), now)
    replies = {
        "down": json_reply({}, 503),
        "slow": Reply(b"{}", delay_s=30),
        "empty": json_reply({"keys": []}),
        "redirect": Reply(b"", 302, headers=(("location", "/elsewhere"),)),
        "huge": json_reply({"keys": provider.keys, "more": "x" * 1_000_000}),
        "html": Reply(b"<html>", content_type="text/html"),
    }
    provider.replies["/jwks"] = replies[trouble]
    source = next(iter(verifier._sources.values()))
    for number in range(3):
        found = source.key("k1", "RS256", now + FRESH_S + 1 + number)
        with pytest.raises(StopIteration) as answered:
            found.send(None)  # it returns without ever giving way to the loop
        assert answered.value.value is not None
    provider.replies.clear()
    if trouble == "slow":
        await verifier.aclose()
    else:
        await settled(source)
        assert await is_taken(verifier, old_token(provider, 9), now + FRESH_S + FAILURE_PAUSE_S + 9)
        assert source._failure == ""
    await verifier.aclose()


async def test_a_flood_of_strangers_does_not_touch_those_whose_keys_are_known(provider: Provider) -> None:
    """A thousand made-up ids lead to one fetch; a good token is verified in the midst of it."""
    verifier, now = TokenVerifier([provider.issuer()]), time.time()
    assert await is_taken(verifier, old_token(provider), now)
    flood = [provider.token(key=OTHER_RSA_KEY, headers={"kid": f"x{number}"}) for number in range(100)]
    good = [old_token(provider, number) for number in range(5)]
    asked = [is_taken(verifier, token, now + UNKNOWN_KID_PAUSE_S + 1) for token in [*flood, *good] * 10]
    assert sum(await asyncio.gather(*asked)) == len(good) * 10
    assert provider.requests["/jwks"] == 2
    await verifier.aclose()


async def test_a_provider_that_is_away_locks_out_its_own_callers_only(provider: Provider) -> None:
    """Another issuer's tokens are as good as ever, and its own once it is back."""
    with Provider() as gone:
        gone.replies[DISCOVERY] = json_reply({}, 500)
        issuers = [provider.issuer(name="here"), gone.issuer(name="gone")]
        verifier, now = TokenVerifier(issuers), time.time()
        for _ in range(3):
            with pytest.raises(IssuerUnavailable, match="gone"):
                await verifier.verify(gone.token(), now)
            assert (await verifier.verify(provider.token(), now)).issuer == "here"
        assert gone.requests[DISCOVERY] == 1
        gone.replies.clear()
        assert (await verifier.verify(gone.token(), now + FAILURE_PAUSE_S + 1)).issuer == "gone"
        await verifier.aclose()


P384 = ec.generate_private_key(ec.SECP384R1())
SHORT_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def p384_jwk(**more: Any) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(P384.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": "p", "use": "sig", **more}


WRONG_KEYS: dict[str, dict[str, Any]] = {
    "for encryption": rsa_jwk(use="enc"),
    "for nothing known": rsa_jwk(use="SIG"),
    "for encryption, by its operations": rsa_jwk(key_ops=["encrypt", "wrapKey"]),
    "for signing only": rsa_jwk(key_ops=["sign"]),
    "with operations that are no list": rsa_jwk(key_ops="verify"),
    "of another type than its alg": rsa_jwk(alg="ES256"),
    "of another curve than its alg": p384_jwk(alg="ES256"),
    "of a curve with another's point": ec_jwk(crv="P-384"),
    "of an algorithm for encryption": rsa_jwk(alg="RSA-OAEP"),
    "of a symmetric algorithm": rsa_jwk(alg="HS256"),
    "elliptic, called RSA": ec_jwk(alg="RS256"),
}


@pytest.mark.parametrize("wrong", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_a_key_of_the_wrong_use_type_or_curve_verifies_nothing(wrong: dict[str, Any]) -> None:
    """It is passed over; the others in the set are not."""
    right = rsa_jwk(OTHER_RSA_KEY, kid="right", key_ops=["verify"])
    assert [*keys._read_keys({"keys": [wrong, right]})] == [("right", "RS256")]


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_key_that_is_too_short_verifies_nothing() -> None:
    """RSA begins at 2,048 bits (RFC 7518 §3.3)."""
    with Provider(rsa_jwk(SHORT_RSA), rsa_jwk(OTHER_RSA_KEY, kid="k2")) as provider:
        verifier = TokenVerifier([provider.issuer()])
        short = jwt.encode(provider.claims(), SHORT_RSA, "RS256", headers={"kid": "k1"})
        assert not await is_taken(verifier, short, time.time())
        assert await is_taken(verifier, new_token(provider), time.time())
        await verifier.aclose()


@pytest.mark.parametrize(
    ("over", "taken"),
    [
        ({"iat": 20}, True),
        ({"iat": 50}, False),
        ({"nbf": 20}, True),
        ({"nbf": 50}, False),
        ({"exp": -20}, True),
        ({"exp": -40}, False),
        ({"iat": -9000, "exp": 20}, True),
    ],
    ids=str,
)
async def test_clocks_may_differ_by_the_leeway(provider: Provider, over: dict[str, int], taken: bool) -> None:
    """Thirty seconds, either way, for each of the times."""
    now = int(time.time())
    verifier = TokenVerifier([provider.issuer()])
    times: dict[str, Any] = {name: now + offset for name, offset in over.items()}
    token = provider.token(**times)
    assert await is_taken(verifier, token, now) is taken
    await verifier.aclose()
