"""Where a token comes from: each place with the true protocol, and what happens where it is not as it should be."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from calling import clean_environment, hoopguard, write_token

from hoopguard.caller.github import GitHub
from hoopguard.caller.sources import Where, find_source, sources_of
from hoopguard.caller.tokens import NoTokenError, read_token
from hoopguard.demo.connection import Reply, Request, json_reply
from hoopguard.demo.issuer import DemoIssuer
from hoopguard.demo.loopback import LoopbackServer

RUNNER = "runner-credential-91c3"


class TokenService(LoopbackServer):
    """GitHub's service: a bearer and an audience in, ``{"count", "value"}`` out (as its documentation shows)."""

    def __init__(self, issuer: DemoIssuer) -> None:
        super().__init__()
        self.issuer = issuer
        self.seen: list[Request] = []
        self.instead: list[Reply] = []

    async def handle(self, request: Request) -> Reply:
        self.seen.append(request)
        if self.instead:
            return self.instead.pop(0)
        query = parse_qs(request.query)
        if request.header("authorization") != f"Bearer {RUNNER}" or query["api-version"] != ["2.0"]:
            return json_reply({"message": "Unauthorized"}, 401)
        claims = {"repository": "acme/app", "ref": "refs/heads/main"}
        value = self.issuer.token("repo:acme/app:ref:refs/heads/main", audience=query["audience"][0], claims=claims)
        return json_reply({"count": len(value), "value": value})

    @property
    def env(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/x/idtoken?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": RUNNER,
        }


@pytest.fixture(scope="module")
def issuer() -> Iterator[DemoIssuer]:
    with DemoIssuer() as issuer:
        yield issuer


@pytest.fixture
def github(issuer: DemoIssuer) -> Iterator[TokenService]:
    with TokenService(issuer) as service:
        yield service


def test_github_gives_a_token_for_the_audience(github: TokenService) -> None:
    """The runner's credential goes to the service alone; the job's token is for whom was asked."""
    done = hoopguard("token", "--json", "--audience", "my gateway", env=clean_environment(**github.env))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["source"] == "GitHub Actions"
    token = read_token(answer["token"], "")
    assert token.audiences == ("my gateway",)
    assert token.expires_at == answer["expires_at"] is not None
    assert RUNNER not in done.stdout + done.stderr


def test_github_is_asked_again_when_it_stumbles(github: TokenService) -> None:
    """A 503 is asked again; a refusal is not."""
    github.instead = [Reply(b"", 503)]
    assert GitHub(github.env, "hoopguard").read().audiences == ("hoopguard",)
    assert len(github.seen) == 2
    github.instead = [Reply(b"", 403)]
    with pytest.raises(NoTokenError, match="answered 403"):
        GitHub(github.env, "hoopguard").read()
    assert len(github.seen) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b'{"value": 3}', b"[" * 50_000], ids=["empty", "list", "number", "deep"])
def test_github_without_a_token_is_an_error(github: TokenService, body: bytes) -> None:
    github.instead = [Reply(body)]
    with pytest.raises(NoTokenError, match="without a token"):
        GitHub(github.env, "hoopguard").read()


def test_github_may_not_lead_elsewhere_or_on_and_on(github: TokenService) -> None:
    """A redirect is not followed with the runner's credential, and a huge answer is not read."""
    github.instead = [Reply(b"", 302, headers=(("location", f"{github.url}/other"),))]
    with pytest.raises(NoTokenError, match="answered 302"):
        GitHub(github.env, "hoopguard").read()
    assert [request.path for request in github.seen] == ["/x/idtoken"]
    github.instead = [Reply(b"x" * 200_000)]
    with pytest.raises(NoTokenError, match="more than a token"):
        GitHub(github.env, "hoopguard").read()


@pytest.mark.parametrize("url", ["http://tokens.example.com/?a=b", "ftp://127.0.0.1/", "no address", "http://[::"])
def test_the_runners_credential_is_not_sent_in_the_clear(url: str) -> None:
    env = {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": RUNNER}
    with pytest.raises(NoTokenError, match="ACTIONS_ID_TOKEN_REQUEST_URL"):
        GitHub(env, "hoopguard").read()


def test_a_github_job_without_the_permission_is_told_so() -> None:
    done = hoopguard("token", env=clean_environment(GITHUB_ACTIONS="true"))
    assert done.returncode == 2
    assert "permissions: id-token: write" in done.stderr


def test_gitlab_gives_the_variable_that_the_job_names(issuer: DemoIssuer) -> None:
    """The variable counts in a GitLab job only, and if the token in it is for the gateway."""
    token = issuer.token("project_path:acme/app:ref_type:branch:ref:main", claims={"project_path": "acme/app"})
    job = clean_environment(GITLAB_CI="true", MODEL_TOKEN=token)
    assert hoopguard("token", "--gitlab-variable", "MODEL_TOKEN", env=job).stdout == token + "\n"
    assert "no id_tokens named HOOPGUARD_ID_TOKEN" in hoopguard("token", env=job).stderr
    outside = hoopguard("token", "--gitlab-variable", "MODEL_TOKEN", env=clean_environment(MODEL_TOKEN=token))
    assert outside.returncode == 2
    vault = clean_environment(GITLAB_CI="true", HOOPGUARD_ID_TOKEN=issuer.token(audience="https://vault.example.com"))
    refused = hoopguard("token", env=vault)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "for https://vault.example.com, not for hoopguard" in refused.stderr


def test_a_pods_projected_token_is_read_as_the_kubelet_writes_it(issuer: DemoIssuer, tmp_path: Path) -> None:
    """The kubelet swaps a link to a folder of that moment's files, which a whole group may read."""
    file = tmp_path / "token"
    for number, subject in enumerate(("system:serviceaccount:ml:trainer", "system:serviceaccount:ml:renewed")):
        moment = tmp_path / f"..moment{number}"
        moment.mkdir()
        (moment / "token").write_text(issuer.token(subject))
        (moment / "token").chmod(0o644)
        (tmp_path / "..new").symlink_to(moment.name)
        (tmp_path / "..new").rename(tmp_path / "..data")
        if not file.is_symlink():
            file.symlink_to("..data/token")
        shown = json.loads(hoopguard("whoami", "--json", "--kubernetes-file", str(file)).stdout)
        assert (shown["subject"], shown["source"]) == ([subject], f"Kubernetes ({file})")


def test_the_clusters_own_token_is_not_shown_around(issuer: DemoIssuer, tmp_path: Path) -> None:
    """The token that every pod has is for the cluster's API; the gateway never gets to see it."""
    file = tmp_path / "token"
    file.write_text(issuer.token(audience="https://kubernetes.default.svc"))
    done = hoopguard("token", "--kubernetes-file", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "for https://kubernetes.default.svc, not for hoopguard" in done.stderr


def test_what_is_named_comes_before_what_is_found(github: TokenService, issuer: DemoIssuer, tmp_path: Path) -> None:
    """File, variable, GitHub, GitLab, Kubernetes; and the first that is there decides, even if it fails."""
    file = write_token(tmp_path / "token", issuer.token("file"))
    pod = tmp_path / "pod"
    pod.write_text(issuer.token("pod"))
    gitlab = {"GITLAB_CI": "true", "JOB": issuer.token("gitlab")}
    env = {"HOOPGUARD_TOKEN": issuer.token("variable"), **github.env, **gitlab}
    found = []
    for gone in ((), ("HOOPGUARD_TOKEN",), tuple(github.env), ("GITLAB_CI",)):
        env = {name: value for name, value in env.items() if name not in gone}
        for named in (file, None):
            source = find_source(sources_of(Where(named, "hoopguard", "JOB", pod), env))
            found.append(source.read().claims["sub"].partition(":")[0])
    assert found == ["file", "variable", "file", "repo", "file", "gitlab", "file", "pod"]
    github.instead = [Reply(b"", 403)]
    with pytest.raises(NoTokenError, match="answered 403"):
        find_source(sources_of(Where(None, "hoopguard", "JOB", pod), {**github.env, **gitlab})).read()


def test_without_any_token_it_is_said_what_was_tried() -> None:
    done = hoopguard("token", "--kubernetes-file", "/nonexistent/token")
    assert (done.returncode, done.stdout) == (2, "")
    for place in ("--token-file", "$HOOPGUARD_TOKEN", "GitHub Actions", "GitLab", "/nonexistent/token"):
        assert place in done.stderr


@pytest.mark.parametrize("value", ["a\nproxy-authorization: x", "tök", "a b", "x" * 16_385], ids=repr)
def test_what_could_not_stand_in_a_header_is_no_token(value: str, tmp_path: Path) -> None:
    done = hoopguard("token", env=clean_environment(HOOPGUARD_TOKEN=value))
    assert (done.returncode, done.stdout) == (2, "")
    file = write_token(tmp_path / "token", value)
    assert hoopguard("token", "--token-file", str(file)).returncode == 2


def test_a_token_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = write_token(tmp_path / "token", "abc")
    assert hoopguard("token", "--token-file", str(file)).stdout == "abc\n"
    assert hoopguard("token", "--token-file", "-", stdin="abc\n").stdout == "abc\n"
    file.chmod(0o640)
    done = hoopguard("token", "--token-file", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"chmod 600 {file}" in done.stderr
    assert hoopguard("token", "--token-file", str(tmp_path / "none")).returncode == 2


def test_whoami_shows_the_claims_and_never_the_token(issuer: DemoIssuer) -> None:
    token = issuer.token("ada@example.com", ["ml", "\x1b[31mred"])
    env = clean_environment(HOOPGUARD_TOKEN=token)
    done = hoopguard("whoami", env=env)
    assert done.returncode == 0
    for shown in (issuer.url, "ada@example.com", "hoopguard", r"ml, \x1b[31mred", "Unverified"):
        assert shown in done.stdout
    facts = json.loads(hoopguard("whoami", "--json", env=env).stdout)
    assert (facts["verified"], facts["expired"]) == (False, False)
    assert facts["expires_at"] > time.time()
    for part in token.split("."):
        assert part not in done.stdout + done.stderr + json.dumps(facts)


def test_whoami_finds_that_a_token_has_expired(issuer: DemoIssuer) -> None:
    done = hoopguard("whoami", env=clean_environment(HOOPGUARD_TOKEN=issuer.token(expires_in=-60)))
    assert done.returncode == 1
    assert "expired" in done.stderr


def test_whoami_of_what_is_no_jwt(issuer: DemoIssuer) -> None:
    done = hoopguard("whoami", env=clean_environment(HOOPGUARD_TOKEN="hg_opaque-key"))
    assert done.returncode == 0
    assert "no JWT" in done.stdout
    assert "opaque" not in done.stdout


def test_nothing_shows_a_token_by_accident(issuer: DemoIssuer, github: TokenService) -> None:
    """What a traceback or a log would print of these objects holds no secret."""
    value = issuer.token()
    places = sources_of(Where(None, "hoopguard", "JOB", Path("/none")), {"HOOPGUARD_TOKEN": value, **github.env})
    shown = repr((places, read_token(value, "somewhere")))
    assert "somewhere" in shown
    assert not [part for part in (*value.split("."), RUNNER) if part in shown]
