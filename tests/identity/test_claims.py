"""Claims at any depth: found, demanded by issuers and by ``allow`` lines, or left out by the provider."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import SMALL, written
from providers import Provider

from hoopguard.identity.claims import only_text_of, said_of, texts_of, values_of
from hoopguard.identity.permissions import permit
from hoopguard.identity.principal import Principal
from hoopguard.identity.verify import TokenRejected, TokenVerifier
from hoopguard.policy import PolicyError, load_policy
from hoopguard.policy.model import Connection

CLAIMS: dict[str, Any] = {
    "sub": "ada",
    "https://example.com/roles": ["ml"],
    "a.b": "as it stands",
    "a": {"b": "below"},
    "realm_access": {"roles": ["dev", "ml"]},
    "kubernetes.io": {"namespace": "ml", "serviceaccount": {"name": "trainer", "uid": "u1"}},
    "teams": [{"name": "ml", "roles": ["reader", "writer"]}, {"name": "ops"}, "loose"],
    "clients": {"x": {"roles": ["one"]}, "y": {"roles": ["two"]}},
    "verified": True,
    "number": 7,
    "share": 1.5,
    "nothing": None,
    "empty": [],
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sub", ["ada"]),
        ("https://example.com/roles", ["ml"]),
        ("a.b", ["as it stands"]),
        ("$.a.b", ["below"]),
        ("$['a.b']", ["as it stands"]),
        ("realm_access.roles", ["dev", "ml"]),
        ("$.realm_access.roles[0]", ["dev"]),
        ("$.realm_access.roles[2]", []),
        ("kubernetes.io.namespace", []),
        ("$['kubernetes.io'].namespace", ["ml"]),
        ("$['kubernetes.io'].serviceaccount.name", ["trainer"]),
        ("$.teams[*].name", ["ml", "ops"]),
        ("$.teams[*].roles", ["reader", "writer"]),
        ("$.clients.*.roles", ["one", "two"]),
        ("teams.name", []),
        ("sub.x", []),
        ("$.sub[0]", []),
        ("empty", []),
        ("missing", []),
        ("nothing", [None]),
    ],
)
def test_a_claim_is_found_by_name_dotted_path_or_json_path(name: str, values: list[Any]) -> None:
    """A name as it stands wins over a dotted path; a JSON path is never a name."""
    assert values_of(CLAIMS, name) == values


def test_what_is_no_text_is_no_group_and_only_a_glob_sees_yes_or_no() -> None:
    """A yes-or-no claim can be demanded, but is nobody's name."""
    assert [texts_of(CLAIMS, name) for name in ("verified", "number", "share", "nothing")] == [(), ("7",), (), ()]
    assert [said_of(CLAIMS, name) for name in ("verified", "number", "share", "nothing")] == [("true",), ("7",), (), ()]


@pytest.mark.parametrize("name", ["$.teams[*].name", "realm_access.roles", "missing", "verified", "a", "empty"])
def test_a_claim_with_no_or_several_values_is_no_subject(name: str) -> None:
    """Nobody is taken for the first of several."""
    assert only_text_of(CLAIMS, name) == ""


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
NAMES = st.sampled_from(
    ["a", "a.b", "a.b.c", "$.a", "$.a[*]", "$.a[0].b", "$.*.b", "$['a']['b']", "$[*][*]", "$.a[*].b"]
)


@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), NAMES)
def test_claims_of_any_shape_are_read_without_a_crash(claims: dict[str, Any], name: str) -> None:
    """And only texts come out."""
    assert all(isinstance(text, str) for text in (*texts_of(claims, name), *said_of(claims, name)))


def with_allow(folder: Path, line: str) -> Path:
    return written(folder, SMALL.replace('allow = [{ groups = ["ml"] }]', f"allow = [{line}]"))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{ groups = ["ml"], require = { "$..repository" = "acme/*" } }', "without .."),
        ('{ groups = ["ml"], require = { "$.a[?@.b]" = "acme/*" } }', "filters"),
        ('{ groups = ["ml"], require = { "$" = "acme/*" } }', "everything"),
        ('{ groups = ["ml"], require = { "" = "acme/*" } }', "at least 1 character"),
        ('{ groups = ["ml"], require = { repository = "" } }', "at least 1 character"),
        ('{ groups = ["ml"], require = { repository = ["acme/*"] } }', "valid string"),
        ('{ issuers = ["staf"] }', "'staf', which does not exist"),
        ("{ require = {} }", "expected groups or subjects, issuers or require"),
        ('{ models = ["*"] }', "expected groups or subjects, issuers or require"),
    ],
)
def test_what_could_never_match_or_match_anything_is_an_error(tmp_path: Path, line: str, key: str) -> None:
    """The operator learns it when the policy is read."""
    with pytest.raises(PolicyError, match="allow") as caught:
        load_policy(with_allow(tmp_path, line))
    assert key in str(caught.value)


@pytest.mark.parametrize("key", ["subject", "groups", "session"])
def test_an_issuers_claims_are_checked_paths_too(tmp_path: Path, key: str) -> None:
    """Somewhere in the token is not good enough for a subject."""
    text = SMALL.replace('audience = "hoopguard"', f'audience = "hoopguard"\nclaims = {{ {key} = "$..x" }}')
    with pytest.raises(PolicyError, match=r"without \.\."):
        load_policy(written(tmp_path, text))


def principal(issuer: str = "github", **proven: str) -> Principal:
    said = {name: (value,) for name, value in proven.items()}
    return Principal("repo:acme/app", issuer, "service", frozenset({"ci"}), "", 0.0, proven=said)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (principal(repository="acme/app", ref="refs/heads/main"), True),
        (principal(repository="acme/app", ref="refs/heads/evil"), False),
        (principal(repository="acme-evil/app", ref="refs/heads/main"), False),
        (principal(repository="Acme/app", ref="refs/heads/main"), False),
        (principal(repository="acme/app"), False),
        (principal(), False),
        (principal("staff", repository="acme/app", ref="refs/heads/main"), False),
        (principal("", repository="acme/app", ref="refs/heads/main"), False),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("named", [{}, {"groups": ("ci",)}, {"subjects": ("repo:acme/*",)}])
def test_a_line_requires_all_its_claims_from_one_of_its_issuers(
    who: Principal, allowed: bool, named: dict[str, tuple[str, ...]]
) -> None:
    """By glob, in their exact case; the same words out of another issuer's mouth count for nothing."""
    line = {"issuers": ("github",), "require": {"repository": "acme/*", "ref": "refs/heads/main"}, **named}
    document = {"name": "llama", "upstream": "http://127.0.0.1:8000", "allow": (line,)}
    permission = permit(Connection.model_validate(document), who, "chat/completions", "llama-3-8b")
    assert permission.allowed is allowed
    assert permission.line == (0 if allowed else None)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


async def test_a_principal_brings_the_claims_that_allow_lines_ask_for(provider: Provider, tmp_path: Path) -> None:
    """And no others; what is only asked for is not recorded."""
    lines = '{ require = { repository = "acme/*" } }, { require = { "$.env.tier" = "prod", verified = "true" } }'
    policy = load_policy(with_allow(tmp_path, lines)).policy
    verifier = TokenVerifier([provider.issuer()], policy.claims_asked)
    token = provider.token(repository="acme/app", env={"tier": "prod"}, verified=True, secret="s3cret")
    found = await verifier.verify(token, time.time())
    assert found.proven == {"repository": ("acme/app",), "$.env.tier": ("prod",), "verified": ("true",)}
    assert permit(policy.connections[0], found, "chat/completions", "any").line == 0
    assert not {"acme/app", "prod", "s3cret"} & {*map(str, found.facts()["claims"].values())}
    narrowed = verifier.renewed([provider.issuer()])
    assert (await narrowed.verify(token, time.time())).proven == {}
    await narrowed.aclose()


@pytest.mark.parametrize("path", ["realm_access.roles", "$.realm_access.roles", "$.teams[*].roles[*]"])
async def test_groups_come_from_any_depth(provider: Provider, path: str) -> None:
    """As the recipes for Keycloak and others have it."""
    verifier = TokenVerifier([provider.issuer(claims={"groups": path})])
    claims: dict[str, Any] = {"realm_access": {"roles": ["ml"]}, "teams": [{"roles": ["ml"]}, {"roles": []}]}
    assert (await verifier.verify(provider.token(**claims), time.time())).groups == {"ml"}
    await verifier.aclose()


async def test_a_subject_of_several_values_is_nobody(provider: Provider) -> None:
    """Also if a path leads to them."""
    verifier = TokenVerifier([provider.issuer(claims={"subject": "$.teams[*].name"})])
    one, two = [{"name": "ada"}], [{"name": "ada"}, {"name": "root"}]
    assert (await verifier.verify(provider.token(teams=one), time.time())).subject == "ada"
    with pytest.raises(TokenRejected, match="does not name one subject"):
        await verifier.verify(provider.token(teams=two), time.time())
    await verifier.aclose()
