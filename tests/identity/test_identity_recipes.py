"""The recipes of docs/identity.md: each is a policy, and takes a token of the shape that its provider documents."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import jwt
import pytest
from policies import SMALL, written
from providers import EC_KEY, RSA_KEY, ec_jwk, rsa_jwk

from hoopguard.identity import keys
from hoopguard.identity.keys import KeySource
from hoopguard.identity.principal import Principal
from hoopguard.identity.verify import TokenRejected, TokenVerifier
from hoopguard.policy import load_policy
from hoopguard.policy.model import Issuer

DOC = (Path(__file__).resolve().parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```toml\n(.*?)^```$", DOC, flags=re.MULTILINE | re.DOTALL))


@dataclass(frozen=True)
class Case:
    """A token as a provider documents it, what it proves, and what would make it nobody's."""

    claims: dict[str, Any]
    subject: str
    groups: set[str]
    session: str = ""
    header: dict[str, Any] = field(default_factory=lambda: {"typ": "JWT"})
    elliptic: bool = False
    spoilt: tuple[dict[str, Any], ...] = ()


TENANT = "8c5c3b7a-1d2e-4f60-9a7b-0c1d2e3f4a5b"
ENTRA_AUDIENCE = "2b1f9d6e-7a3c-4e58-b0c4-5d6e7f8a9b0c"
CIRCLE = "5034460f-c7c4-4c43-9457-de07e2029e7b"
PROJECT = "c8e5a1c2-0b7e-4d55-8f3a-6a4c1d2e3f4a"
SHA = "9f3182061f1e2cca4702c368cbc039b7dc9d4485"

CASES = {
    "Keycloak": Case(
        {
            "auth_time": 1760000000,
            "jti": "onrtac:6f1c5b0a-0d53-4a58-8d55-2f6d7f3f2f10",
            "iss": "https://login.example.com/realms/eng",
            "aud": ["hoopguard", "account"],
            "sub": "f4a1c7a6-3b4e-4c3f-8d0d-0f0e6a2b9c11",
            "typ": "Bearer",
            "azp": "notebook",
            "sid": "7c2e6f0e-55a2-4b7c-9d43-2a8c6f0a1b2c",
            "acr": "1",
            "allowed-origins": ["https://notebook.example.com"],
            "realm_access": {"roles": ["ml", "offline_access", "default-roles-eng"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "openid profile email",
            "email_verified": True,
            "name": "Ada Lovelace",
            "preferred_username": "ada",
            "email": "ada@example.com",
        },
        "ada",
        {"ml", "offline_access", "default-roles-eng"},
        "7c2e6f0e-55a2-4b7c-9d43-2a8c6f0a1b2c",
        spoilt=({"typ": "ID"}, {"typ": "Refresh"}, {"aud": "account"}),
    ),
    "Okta": Case(
        {
            "ver": 1,
            "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "iss": "https://example.okta.com/oauth2/default",
            "aud": "api://hoopguard",
            "cid": "nmdP1fcyvdVO11AL7ECm",
            "uid": "00ujmkLgagxeRrAg20g3",
            "scp": ["openid", "hoopguard"],
            "auth_time": 1760000000,
            "sub": "ada@example.com",
            "groups": ["Everyone", "ml"],
        },
        "ada@example.com",
        {"Everyone", "ml"},
        header={},
        spoilt=({"scp": None, "at_hash": "fPlsvVszI29LU2UhDyJ9vg"}, {"iss": "https://example.okta.com"}),
    ),
    "Entra ID": Case(
        {
            "aud": ENTRA_AUDIENCE,
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "aio": "AXQAi/8TAAAA",
            "azp": "7d1e2f3a-0000-4000-8000-1a2b3c4d5e6f",
            "azpacr": "0",
            "groups": ["3c5a9f2e-1111-4222-8333-444455556666"],
            "name": "Ada Lovelace",
            "oid": "9f0e1d2c-3b4a-4958-8776-655443322110",
            "preferred_username": "ada@example.com",
            "rh": "0.AXQA",
            "scp": "access_as_user",
            "sid": "00ab12cd-34ef-4567-89ab-cdef01234567",
            "sub": "hKq1v0JbR0bD0m9b0QmCzJ6N6q0bq0",
            "tid": TENANT,
            "uti": "kYz0m3bN0E2",
            "ver": "2.0",
        },
        "9f0e1d2c-3b4a-4958-8776-655443322110",
        {"3c5a9f2e-1111-4222-8333-444455556666"},
        "00ab12cd-34ef-4567-89ab-cdef01234567",
        header={"typ": "JWT", "x5t": "kgQ8pUfLqPZ3v9bP"},
        spoilt=(
            {"groups": None, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}},
            {"groups": None, "hasgroups": True},
            {"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"},
            {"scp": None, "azpacr": None},
            {"iss": f"https://sts.windows.net/{TENANT}/"},
        ),
    ),
    "Google": Case(
        {
            "iss": "https://accounts.google.com",
            "azp": "1234567890-abc.apps.googleusercontent.com",
            "aud": "1234567890-abc.apps.googleusercontent.com",
            "sub": "110169484474386276334",
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
            "hd": "example.com",
            "email": "ada@example.com",
            "email_verified": True,
            "nonce": "0394852-3190485-2490358",
        },
        "ada@example.com",
        {"staff"},
        spoilt=(
            {"hd": None},
            {"hd": "example.com.evil.example"},
            {"email_verified": False},
            {"iss": "accounts.google.com"},
        ),
    ),
    "Auth0": Case(
        {
            "iss": "https://example.eu.auth0.com/",
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "aud": ["https://hoopguard.example.com", "https://example.eu.auth0.com/userinfo"],
            "azp": "my_client_id",
            "client_id": "my_client_id",
            "scope": "openid profile hoopguard",
            "jti": "1p2q3r",
            "https://example.com/roles": ["ml"],
        },
        "auth0|5f7c8ec7c33c6c004bbafe82",
        {"ml"},
        header={"typ": "at+jwt"},
        spoilt=({"iss": "https://example.eu.auth0.com"}, {"aud": "my_client_id"}),
    ),
    "GitHub Actions": Case(
        {
            "jti": "f9d0e0a8-5b5e-4a9d-8a2d-3f2c3b1a0e9d",
            "sub": "repo:acme/app:ref:refs/heads/main",
            "aud": "hoopguard",
            "ref": "refs/heads/main",
            "sha": SHA,
            "repository": "acme/app",
            "repository_owner": "acme",
            "repository_owner_id": "65",
            "run_id": "9876543210",
            "run_number": "10",
            "run_attempt": "2",
            "repository_visibility": "private",
            "repository_id": "74",
            "actor_id": "12",
            "actor": "ada",
            "workflow": "evaluate",
            "head_ref": "",
            "base_ref": "",
            "event_name": "push",
            "ref_protected": "true",
            "ref_type": "branch",
            "workflow_ref": "acme/app/.github/workflows/evaluate.yml@refs/heads/main",
            "workflow_sha": SHA,
            "job_workflow_ref": "acme/app/.github/workflows/evaluate.yml@refs/heads/main",
            "job_workflow_sha": SHA,
            "runner_environment": "github-hosted",
            "iss": "https://token.actions.githubusercontent.com",
        },
        "repo:acme/app:ref:refs/heads/main",
        {"ci"},
        "9876543210",
        header={"typ": "JWT", "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE"},
        spoilt=(
            {"repository_owner": "acme-evil"},
            {"repository_owner": "Acme"},
            {"ref": "refs/pull/7/merge"},
            {"ref": "refs/tags/v1"},
            {"aud": "https://github.com/acme"},
        ),
    ),
    "GitLab": Case(
        {
            "namespace_id": "72",
            "namespace_path": "acme",
            "project_id": "20",
            "project_path": "acme/app",
            "user_id": "1",
            "user_login": "ada",
            "user_email": "ada@example.com",
            "user_access_level": "developer",
            "pipeline_id": "574",
            "pipeline_source": "push",
            "job_id": "302",
            "ref": "main",
            "ref_type": "branch",
            "ref_path": "refs/heads/main",
            "ref_protected": "true",
            "groups_direct": ["acme", "acme/ml"],
            "runner_id": 1,
            "runner_environment": "self-hosted",
            "sha": SHA,
            "project_visibility": "private",
            "ci_config_ref_uri": "gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main",
            "ci_config_sha": SHA,
            "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
            "iss": "https://gitlab.com",
            "aud": "hoopguard",
            "sub": "project_path:acme/app:ref_type:branch:ref:main",
        },
        "project_path:acme/app:ref_type:branch:ref:main",
        {"ci"},
        "574",
        spoilt=({"project_path": "evil/app"}, {"ref_protected": "false"}, {"aud": "https://gitlab.com"}),
    ),
    "Buildkite": Case(
        {
            "iss": "https://agent.buildkite.com",
            "sub": f"organization:acme:pipeline:app:ref:refs/heads/main:commit:{SHA}:step:build",
            "aud": "hoopguard",
            "organization_slug": "acme",
            "pipeline_slug": "app",
            "build_number": 1,
            "build_branch": "main",
            "build_tag": None,
            "build_commit": SHA,
            "step_key": "build",
            "job_id": "0184990a-477b-4fa8-9968-496074483cee",
            "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
            "build_source": "ui",
            "runner_environment": "buildkite-hosted",
        },
        f"organization:acme:pipeline:app:ref:refs/heads/main:commit:{SHA}:step:build",
        {"ci"},
        "0184990a-477b-4fa8-9968-496074483cee",
        spoilt=({"organization_slug": "evil"}, {"pipeline_slug": "docs"}, {"build_branch": "main-2"}),
    ),
    "CircleCI": Case(
        {
            "aud": "hoopguard",
            "iss": f"https://oidc.circleci.com/org/{CIRCLE}",
            "oidc.circleci.com/context-ids": ["1f5f6d3e-0f4c-4ce9-9d0c-8c5d1a6a2f11"],
            "oidc.circleci.com/job-id": "b1f7a5c8-8d0e-4d4e-a8b4-2a0c4a9d7e55",
            "oidc.circleci.com/org-id": CIRCLE,
            "oidc.circleci.com/pipeline-definition-id": "6d1d5a38-3d3e-4d88-8a55-8f0c3c9a1b22",
            "oidc.circleci.com/pipeline-id": "2f1c9b7e-7a7b-4a7a-9d1d-7a1f7a6c5e33",
            "oidc.circleci.com/project-id": PROJECT,
            "oidc.circleci.com/ssh-rerun": False,
            "oidc.circleci.com/vcs-origin": "github.com/acme/app",
            "oidc.circleci.com/vcs-ref": "refs/heads/main",
            "sub": f"org/{CIRCLE}/project/{PROJECT}/user/3b8f1d2c-0a1b-4c2d-8e3f-4a5b6c7d8e9f",
        },
        f"org/{CIRCLE}/project/{PROJECT}/user/3b8f1d2c-0a1b-4c2d-8e3f-4a5b6c7d8e9f",
        {"ci"},
        "2f1c9b7e-7a7b-4a7a-9d1d-7a1f7a6c5e33",
        spoilt=(
            {"oidc.circleci.com/project-id": CIRCLE},
            {"oidc.circleci.com/vcs-ref": "refs/pull/7"},
            {"iss": f"https://oidc.circleci.com/org/{PROJECT}"},
        ),
    ),
    "Kubernetes": Case(
        {
            "aud": ["hoopguard"],
            "iss": "https://kubernetes.default.svc.cluster.local",
            "jti": "7a0e4c1e-8d5b-4b0e-9a41-2a6d0f6b9c77",
            "kubernetes.io": {
                "namespace": "ml-training",
                "node": {"name": "worker-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
                "pod": {"name": "trainer-0", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
                "serviceaccount": {"name": "trainer", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
                "warnafter": 1760003607,
            },
            "sub": "system:serviceaccount:ml-training:trainer",
        },
        "system:serviceaccount:ml-training:trainer",
        {"ml-training"},
        "5e0bd49b-f040-43b0-99b7-22765a53f7f3",
        header={},
        spoilt=(
            {"kubernetes.io": {"namespace": "default"}},
            {"kubernetes.io": None, "kubernetes.io/serviceaccount/namespace": "ml-training"},
            {"aud": ["https://kubernetes.default.svc.cluster.local"]},
        ),
    ),
    "SPIFFE": Case(
        {
            "aud": ["spiffe://example.org/hoopguard"],
            "iss": "https://spire.example.org",
            "sub": "spiffe://example.org/ns/ml/sa/trainer",
        },
        "spiffe://example.org/ns/ml/sa/trainer",
        {"workloads"},
        elliptic=True,
        spoilt=({"sub": "spiffe://evil.example/ns/ml/sa/trainer"}, {"iss": None}, {"aud": []}),
    ),
}


def issuer_of(name: str, folder: Path) -> Issuer:
    """Load the recipe as an operator would, in a whole policy."""
    (folder / "cluster-ca.crt").write_text(Path(certifi.where()).read_text(encoding="utf-8"), encoding="utf-8")
    rest = SMALL[SMALL.index("[[connection]]") :]
    return load_policy(written(folder, f"version = 1\n{RECIPES[name]}\n{rest}")).policy.issuers[0]


def token_of(case: Case, **over: Any) -> str:
    now = int(time.time())
    claims = {**case.claims, "iat": now, "nbf": now, "exp": now + 300, **over}
    key, algorithm, kid = (EC_KEY, "ES256", "e1") if case.elliptic else (RSA_KEY, "RS256", "k1")
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers={"typ": None, "kid": kid, **case.header})


async def verified(issuer: Issuer, token: str) -> Principal:
    """Verify with the provider's keys known, for no test asks the providers themselves."""
    source = KeySource(issuer)
    source._keys, source._fetched_at = keys._read_keys({"keys": [rsa_jwk(), ec_jwk()]}), time.time()
    return await TokenVerifier([issuer], known=[source]).verify(token, time.time())


def test_every_recipe_has_a_case_and_every_case_a_recipe() -> None:
    """Nothing is documented that is not tried."""
    assert {*RECIPES} == {*CASES}


@pytest.mark.parametrize("name", CASES)
async def test_a_token_of_the_providers_shape_is_taken(name: str, tmp_path: Path) -> None:
    """With the subject, groups and session that the recipe is about."""
    case = CASES[name]
    found = await verified(issuer_of(name, tmp_path), token_of(case))
    assert (found.subject, found.groups, found.session) == (case.subject, frozenset(case.groups), case.session)
    assert all(found.claims.values())


@pytest.mark.parametrize(("name", "over"), [(name, over) for name, case in CASES.items() for over in case.spoilt])
async def test_a_token_from_elsewhere_is_not(name: str, over: dict[str, Any], tmp_path: Path) -> None:
    """Another tenant, project, branch or type of token; all else being the same."""
    with pytest.raises(TokenRejected):
        await verified(issuer_of(name, tmp_path), token_of(CASES[name], **over))


@pytest.mark.parametrize("line", re.findall(r"^  (\{ issuers = .*\}),$", DOC, flags=re.MULTILINE))
def test_the_allow_line_that_is_shown_is_one(line: str, tmp_path: Path) -> None:
    """Beside GitHub's recipe, whose name it has."""
    rest = SMALL[SMALL.index("[[connection]]") :].replace('{ groups = ["ml"] }', line)
    policy = load_policy(written(tmp_path, f"version = 1\n{RECIPES['GitHub Actions']}\n{rest}")).policy
    assert policy.claims_asked == {"repository", "environment"}
