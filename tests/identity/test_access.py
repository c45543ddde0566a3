"""Credentials out of headers, targets out of paths, permissions out of tables."""

import base64
import fnmatch
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.exchange import Refused
from hoopguard.identity.credentials import find_credential
from hoopguard.identity.permissions import permit
from hoopguard.identity.principal import Principal
from hoopguard.identity.routing import find_target, split_host, upstream_address
from hoopguard.policy.model import Connection

TOKEN = "aaa.bbb.ccc"


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"cookie": TOKEN, "api-key": TOKEN, "x-forwarded-authorization": TOKEN}, None),
        ({"authorization": f"Bearer {TOKEN}"}, TOKEN),
        ({"authorization": f"bearer   {TOKEN}  "}, TOKEN),
        ({"authorization": f"BEARER {TOKEN}"}, TOKEN),
        ({"x-api-key": f" {TOKEN} "}, TOKEN),
        ({"proxy-authorization": f"Bearer {TOKEN}"}, TOKEN),
        ({"proxy-authorization": basic(f"token:{TOKEN}")}, TOKEN),
        ({"proxy-authorization": basic(f":{TOKEN}")}, TOKEN),
        ({"authorization": basic(f"user:{TOKEN}")}, TOKEN),
        ({"authorization": basic(f"user:a:{TOKEN}")}, f"a:{TOKEN}"),
        ({"authorization": f"Bearer {TOKEN} {TOKEN}"}, f"{TOKEN} {TOKEN}"),
        ({"authorization": "Bearer"}, ""),
        ({"authorization": "Bearer "}, ""),
        ({"authorization": ""}, ""),
        ({"authorization": TOKEN}, ""),
        ({"authorization": f"Token {TOKEN}"}, ""),
        ({"authorization": f"Bearer:{TOKEN}"}, ""),
        ({"authorization": 'Digest username="x"'}, ""),
        ({"authorization": "Basic"}, ""),
        ({"authorization": "Basic !!!"}, ""),
        ({"authorization": "Basic é"}, ""),
        ({"authorization": "Basic \udcff"}, ""),
        ({"authorization": basic("no colon")}, ""),
        ({"authorization": basic("user:pässword")}, ""),
        ({"authorization": basic(f"user:{TOKEN}").rstrip("=")[:-1]}, ""),
        ({"x-api-key": ""}, ""),
    ],
    ids=range(27),
)
def test_a_credential_is_read_from_where_it_may_stand(headers: dict[str, str], token: str | None) -> None:
    """What is there but cannot be read is the empty token, which nobody accepts; it is not the same as none."""
    assert find_credential(headers) == token


@pytest.mark.parametrize("stronger", ["Bearer a.b.c", "nonsense", "Basic !!!", ""])
def test_the_first_header_with_a_credential_decides(stronger: str) -> None:
    """A bad credential in a stronger place is not mended by a good one in a weaker place."""
    weak = {"authorization": f"Bearer {TOKEN}", "x-api-key": TOKEN}
    assert find_credential({"proxy-authorization": stronger, **weak}) != TOKEN
    assert find_credential({"x-api-key": TOKEN, "authorization": stronger}) != TOKEN
    assert find_credential(weak, ("proxy-authorization",)) is None


@given(
    st.text(max_size=40)
    | st.text(max_size=30).map(lambda text: f"Basic {text}")
    | st.binary(max_size=30).map(lambda raw: f"Basic {base64.b64encode(raw).decode()}")
)
def test_a_header_of_any_shape_is_read_without_a_crash(value: str) -> None:
    """Whatever stands there, there is a token, if only an empty one."""
    assert isinstance(find_credential({"proxy-authorization": value}), str)


def connection(name: str, **said: Any) -> Connection:
    document = {"name": name, "upstream": "http://127.0.0.1:8000", "allow": ({"groups": ("*",)},), **said}
    return Connection.model_validate(document)


LLAMA = connection(
    "llama", hosts=("llama.example.com", "llama"), routes=("chat/completions", "models", "POST /v1/classify")
)
MISTRAL = connection("mistral", upstream="https://mistral.internal:8443/base/", hosts=("mistral.example.com",))
BOTH = (LLAMA, MISTRAL)
HERE = ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("method", "path", "host", "default", "expected"),
    [
        ("POST", "/v1/chat/completions", "llama.example.com", None, ("llama", "/v1/chat/completions")),
        ("POST", "/v1/chat/completions", "mistral.example.com", HERE, ("mistral", "/base/v1/chat/completions")),
        ("POST", "/mistral/v1/completions", "gateway", HERE, ("mistral", "/base/v1/completions")),
        ("GET", "/llama/v1/models", "gateway", HERE, ("llama", "/v1/models")),
        ("GET", "/v1/models", "gateway", HERE, ("llama", "/v1/models")),
        ("GET", "/v1/models", "gateway", ("mistral.internal", 8443), ("mistral", "/base/v1/models")),
        ("POST", "/v1/classify", "llama", None, ("llama", "/v1/classify")),
        ("GET", "/v1/models?", "llama", None, ("llama", "/v1/models")),
    ],
)
def test_a_request_means_a_connection_by_host_prefix_or_listener(
    method: str, path: str, host: str, default: tuple[str, int] | None, expected: tuple[str, str]
) -> None:
    """In this order; the upstream's own path is put before the route's."""
    target = find_target(BOTH, method, path, host, default)
    assert (target.connection.name, target.path) == expected


def test_a_target_knows_its_upstreams_address() -> None:
    """Scheme, host, port, and the Host header without a port that goes without saying."""
    target = find_target(BOTH, "GET", "/v1/models", "mistral.example.com", None)
    assert (target.scheme, target.host, target.port) == ("https", "mistral.internal", 8443)
    assert target.authority == "mistral.internal:8443"
    v6 = connection("six", upstream="https://[::1]", hosts=("six",))
    assert upstream_address(v6) == ("https", "::1", 443)
    assert find_target((v6,), "GET", "/v1/models", "six", None).authority == "[::1]"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/",
        "//",
        "v1/models",
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/../v1/models",
        "/llama/../v1/models",
        "/./v1/models",
        "/v1/models/..",
        "/..",
        "/v1/%6dodels",
        "/v1%2fmodels",
        "/v1/models%00",
        "/v1/models\0",
        "/v1/models;x",
        "/v1/models#x",
        "/v1/models?x=1",
        "/v1/models??",
        "/v1\\models",
        "/v1/models ",
        "/v1/ models",
        "/v1/models\n",
        "/v1/mödels",
        "/v1/\uff4dodels",
        "/V1/models",
        "/v1/MODELS",
        "/v1/models/llama",
        "/v1/modelsx",
        "/llama",
        "/llama/",
        "/llamax/v1/models",
        "/LLAMA/v1/models",
        "/llama/llama/v1/models",
        "/llama//v1/models",
        "/mistral/llama/v1/models",
        "/admin",
        "/v1/load_lora_adapter",
        "/metrics",
        "/version",
        "http://127.0.0.1:8000/v1/models",
        "@evil.example/v1/models",
        "/" + "a/" * 10_000,
    ],
)
@pytest.mark.parametrize(("host", "default"), [("gateway", HERE), ("llama", None), ("llama", HERE)])
def test_a_path_that_is_not_exactly_a_listed_route_is_refused(
    path: str, host: str, default: tuple[str, int] | None
) -> None:
    """No spelling of a path reaches the model but the listed one."""
    with pytest.raises(Refused) as caught:
        find_target(BOTH, "GET", path, host, default)
    assert caught.value.status == 403
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "post", "", "X" * 999]
)
def test_a_method_that_the_route_does_not_have_is_refused(method: str) -> None:
    """HEAD and OPTIONS included."""
    with pytest.raises(Refused) as caught:
        find_target(BOTH, method, "/v1/chat/completions", "llama", None)
    assert caught.value.code == "hoopguard_route_not_listed"
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "host", ["", "evil.example", "llama.example.com.", "xllama.example.com", "llama.example.com.evil.example"]
)
def test_an_unlisted_host_is_refused_by_the_forward_proxy(host: str) -> None:
    """Path prefixes count on a reverse listener only."""
    for path in ("/v1/models", "/llama/v1/models"):
        with pytest.raises(Refused) as caught:
            find_target(BOTH, "GET", path, host, None)
        assert caught.value.code == "hoopguard_unknown_host"


def test_a_listener_whose_upstream_no_connection_has_falls_back_to_none() -> None:
    """A reverse listener started with another address serves hosts and prefixes only."""
    with pytest.raises(Refused):
        find_target(BOTH, "GET", "/v1/models", "gateway", ("127.0.0.1", 9999))
    assert find_target(BOTH, "GET", "/llama/v1/models", "gateway", ("127.0.0.1", 9999)).connection is LLAMA


@given(
    st.text(max_size=40).map(lambda text: f"/{text}"), st.sampled_from(["GET", "POST"]), st.sampled_from([None, HERE])
)
def test_whatever_the_path_only_listed_routes_come_out(path: str, method: str, default: tuple[str, int] | None) -> None:
    """A target's path is one of those that the policy lists, never the caller's spelling."""
    try:
        target = find_target(BOTH, method, path, "llama", default)
    except Refused:
        return
    assert target.path in {"/v1/chat/completions", "/v1/models", "/v1/classify"}


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("llama.example.com", "llama.example.com"),
        ("LLAMA.Example.com:8080", "llama.example.com"),
        ("[::1]", "::1"),
        ("[::1]:8080", "::1"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("", ""),
        (":80", ""),
        ("a:b", ""),
        ("a:1:2", ""),
        ("a:999999", ""),
        ("user@llama", ""),
        ("evil/llama", ""),
        ("llama\\evil", ""),
        ("llama evil", ""),
        ("llama,evil", ""),
        ("llama\t", ""),
        ("llama\n", ""),
        ("[::1", ""),
        ("::1", ""),
        ("[]", ""),
        ("[evil]", ""),
        ("llama?x", ""),
        ("llama#x", ""),
        ("ｌｌａｍａ", ""),
        ("llama。example", ""),
        ("\udcff", ""),
    ],
)
def test_a_host_header_names_a_host_or_nothing(header: str, host: str) -> None:
    """Whatever is not a host with an optional port is nobody's host."""
    assert split_host(header) == host


@given(st.text(max_size=30))
def test_a_host_header_of_any_shape_is_read_without_a_crash(header: str) -> None:
    """And what comes out is lower case and holds nothing that leads elsewhere."""
    host = split_host(header)
    assert host == host.lower()
    assert not set(host) & set("/@?# \t\r\n\\,")


GROUPS = st.sampled_from(["ml", "ci", "ops", "*", "m"])
MODELS = st.sampled_from(["llama-3-8b", "llama-3-70b", "mistral", "*", "", "llama-3-8b\n"])
ROUTES = ("chat/completions", "completions", "models")
LINES = st.fixed_dictionaries(
    {},
    optional={
        "groups": st.lists(GROUPS, max_size=2).map(tuple),
        "subjects": st.lists(st.sampled_from(["ada", "ad*", "*@example.com", "bob"]), max_size=2).map(tuple),
        "models": st.lists(st.sampled_from(["*", "llama-*", "llama-3-8b", "[lm]*"]), min_size=1, max_size=2).map(tuple),
        "routes": st.lists(st.sampled_from([*ROUTES, "*"]), min_size=1, max_size=2).map(tuple),
    },
).filter(lambda line: bool(line.get("groups") or line.get("subjects")))


def principal(subject: str, *groups: str) -> Principal:
    return Principal(subject, "staff", "person", frozenset(groups), "", 0.0)


@given(
    st.lists(LINES, min_size=1, max_size=4),
    st.sampled_from(["ada", "ADA", "bob@example.com", "*", "ad*"]),
    st.sets(GROUPS, max_size=2),
    st.sampled_from(ROUTES),
    MODELS,
)
def test_what_no_line_allows_is_refused_and_what_one_allows_is_not(
    lines: list[dict[str, Any]], subject: str, groups: set[str], route: str, model: str
) -> None:
    """One single line has to concern the caller, the route and the model; lines do not lend to each other."""

    def allows(line: dict[str, Any]) -> bool:
        mine = line.get("groups", ())
        concerns = "*" in mine or bool(groups & {*mine}) or _globs(subject, line.get("subjects", ()))
        return concerns and _globs(route, line.get("routes", ("*",))) and _globs(model, line.get("models", ("*",)))

    permission = permit(connection("llama", allow=tuple(lines)), principal(subject, *groups), route, model)
    assert permission.allowed is any(map(allows, lines))
    assert bool(permission.reason) is not permission.allowed


def _globs(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("who", "route", "model", "reason"),
    [
        (principal("eve"), "models", None, "connection 'llama'"),
        (principal("eve", "ML"), "models", None, "connection 'llama'"),
        (principal("eve", "ml "), "models", None, "connection 'llama'"),
        (principal("eve", "ci"), "models", None, "route 'models'"),
        (principal("eve", "ci"), "chat/completions", "llama-3-70b", "model"),
        (principal("eve", "ci"), "chat/completions", "LLAMA-3-8B", "model"),
        (principal("eve", "ci"), "chat/completions", "llama-3-8b ", "model"),
        (principal("eve", "ci"), "chat/completions", "x" * 9999, "model"),
    ],
    ids=range(8),
)
def test_a_refusal_says_what_was_missing(who: Principal, route: str, model: str | None, reason: str) -> None:
    """Connection, route or model, in this order, and nothing of the caller's own words."""
    allow = ({"groups": ("ml",)}, {"groups": ("ci",), "models": ("llama-3-8b",), "routes": ("chat/completions",)})
    permission = permit(connection("llama", allow=allow), who, route, model)
    assert not permission.allowed
    assert reason in permission.reason
    assert model is None or model not in permission.reason


def test_a_route_without_model_needs_a_line_for_the_route_only() -> None:
    """The list of models names none."""
    allow = ({"groups": ("ml",), "models": ("llama-3-8b",)},)
    assert permit(connection("llama", allow=allow), principal("eve", "ml"), "models", None).allowed
