"""What policy.toml can say, as frozen objects: one class a table, in the order of the chain."""

import re
import ssl
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hoopguard.policy.claims import ClaimName, RequiredClaims
from hoopguard.policy.masking import Mask as Mask
from hoopguard.policy.masking import Recogniser as Recogniser
from hoopguard.policy.nlp import Masking
from hoopguard.policy.routes import Api, check_route, routes_of
from hoopguard.policy.table import Direction, Name, SomeWords, Table, Words
from hoopguard.policy.values import (
    DurationS,
    PatternText,
    SecretText,
    SizeBytes,
    parse_duration_s,
    policy_folder,
)

Forbidden = tuple[Annotated[str, Field(min_length=1, max_length=200, pattern=r"[\pL\pN\pP\pS]")], ...]
Subjects = tuple[Annotated[str, Field(min_length=1)], ...]

AsymmetricAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
TokenType = Literal["any", "access", "id"]


class Gateway(Table):
    """``[gateway]``: where state lives and how strict the gateway is."""

    state: str = "var"
    certs: str = "certs"
    mode: Literal["enforce", "observe"] = "enforce"
    unlisted_hosts: Literal["deny"] = "deny"
    max_body_bytes: SizeBytes = 10_000_000
    max_held_chars: Annotated[int, Field(ge=256, le=1_000_000)] = 16_384


class Claims(Table):
    """``[[issuer]] claims``: which claim of a token says what; dots lead into nested claims."""

    subject: ClaimName = "sub"
    groups: ClaimName | None = None
    session: ClaimName | None = None
    keep: tuple[ClaimName, ...] = ()


class Issuer(Table):
    """``[[issuer]]``: one OIDC provider whose tokens are taken, and on what conditions."""

    name: Name
    url: str
    audience: Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]
    algorithms: tuple[AsymmetricAlgorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    token: TokenType = "any"  # noqa: S105 - a type of tokens, and no token
    kind: Literal["person", "service"] = "person"
    claims: Claims = Claims()
    require: RequiredClaims = Field(default={})
    groups: Words = ()
    leeway_s: Annotated[DurationS, Field(alias="leeway", le=300)] = 30.0
    jwks_url: str | None = None
    ca: str | None = None

    @field_validator("audience")
    @classmethod
    def _some_audience(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise ValueError("expected at least one audience, none of them empty")
        return value

    @field_validator("url", "jwks_url")
    @classmethod
    def _secure_url(cls, value: str | None) -> str | None:
        if value is not None:
            _check_url(value, secure_unless_loopback=True)
        return value

    @field_validator("ca")
    @classmethod
    def _readable_ca(cls, value: str | None, info: ValidationInfo) -> str | None:
        return _ca_file(value, info)


ACCOUNTS_ISSUER: Final = "hoopguard accounts"
"""Who vouches for service accounts: it has a space, which no ``[[issuer]]`` can have in its name."""


class Accounts(Table):
    """``[accounts]``: whether keys of ``hoopguard accounts`` are taken, as tokens are."""

    enabled: bool = False


class Credential(Table):
    """``credential``: the header that proves to the model that the gateway may ask."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "authorization"
    value: SecretText


class Allow(Table):
    """One line of a connection's ``allow``: who, vouched for by whom and with which claims, may use what."""

    groups: Words = ()
    subjects: Subjects = ()
    issuers: Words = ()
    require: RequiredClaims = Field(default={})
    models: SomeWords = ("*",)
    routes: SomeWords = ("*",)

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if not (self.groups or self.subjects or self.issuers or self.require):
            raise ValueError('expected groups or subjects, issuers or require; groups = ["*"] is every known caller')
        for group in self.groups:
            if "*" in group and group != "*":
                raise ValueError(f'expected whole names of groups, or "*" for every known caller, not {group!r}')
        return self


class Connection(Table):
    """``[[connection]]``: one model server, the names callers use for it, and who may call it."""

    name: Name
    upstream: str
    hosts: tuple[str, ...] = ()
    api: Api = "openai"
    routes: SomeWords = Field(default_factory=lambda data: routes_of(data.get("api", "auto")))
    credential: Credential | None = None
    ca: str | None = None
    answer_timeout_s: Annotated[DurationS, Field(alias="answer_timeout", gt=0)] = 600.0
    allow: tuple[Allow, ...] = Field(min_length=1)

    @field_validator("upstream")
    @classmethod
    def _upstream_url(cls, value: str) -> str:
        _check_url(value, secure_unless_loopback=False)
        return value

    @field_validator("hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", host):
                raise ValueError(f"expected a lower-case host name without port, not {host!r}")
        return value

    @field_validator("routes")
    @classmethod
    def _route_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for route in value:
            check_route(route)
        return value

    @field_validator("ca")
    @classmethod
    def _readable_ca(cls, value: str | None, info: ValidationInfo) -> str | None:
        return _ca_file(value, info)

    @model_validator(mode="after")
    def _routes_allowed_are_routes_listed(self) -> Self:
        for number, allow in enumerate(self.allow):
            unknown = [route for route in allow.routes if route != "*" and route not in self.routes]
            if unknown:
                raise ValueError(
                    f"allow.{number}.routes names {unknown[0]!r}, which the connection's routes do not list"
                )
        return self


class Unless(Table):
    """``unless``: callers to whom a rule does not apply."""

    groups: Words = ()
    subjects: Subjects = ()

    @field_validator("groups", "subjects")
    @classmethod
    def _whole_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if "*" in name:
                raise ValueError(f"expected whole names, not {name!r}; a rule for nobody is better left out")
        return value


class Guardrail(Table):
    """``[[guardrail]]``: words and RE2 patterns, and what happens to a text that has one."""

    name: Name
    on: Direction = "request"
    words: Forbidden = ()
    patterns: tuple[PatternText, ...] = ()
    unreadable: tuple[Literal["audio", "encrypted", "file", "image", "tokens", "video"], ...] = ()
    connections: Words = ()
    unless: Unless = Unless()
    action: Literal["block", "approve", "flag"]
    approval: str | None = None
    message: str = "The policy of this gateway does not allow this."
    mode: Literal["enforce", "observe"] = "enforce"

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if not self.words and not self.patterns and not self.unreadable:
            raise ValueError("expected words, patterns or unreadable; a rule without any can never match")
        if (self.action == "approve") != (self.approval is not None):
            raise ValueError('expected approval = "name" together with action = "approve", and only then')
        if self.action == "approve" and self.on != "request":
            raise ValueError('expected on = "request" with action = "approve"; answers cannot wait')
        return self


def _grant(value: object) -> object:
    if value == "once":
        return value
    duration_s = parse_duration_s(value)
    if not duration_s:
        raise ValueError('expected "once" or a time in which the approval can be used')
    return duration_s


class Approval(Table):
    """``[[approval]]``: who decides, how long a caller waits, and what an approval allows."""

    name: Name
    reviewers: Words = ()
    reviewer_subjects: Subjects = ()
    local_users: Subjects = ()
    quorum: Annotated[int, Field(ge=1, le=10)] = 1
    hold_s: Annotated[DurationS, Field(alias="hold", le=3600)] = 60.0
    expires_s: Annotated[DurationS, Field(alias="expires", gt=0)] = 1800.0
    grant: Annotated[Literal["once"] | float, BeforeValidator(_grant)] = "once"

    @model_validator(mode="after")
    def _someone_decides(self) -> Self:
        if not (self.reviewers or self.reviewer_subjects or self.local_users):
            raise ValueError("expected reviewers, reviewer_subjects or local_users; nobody could decide")
        return self


class Record(Table):
    """``[record]``: what is kept of each exchange, and how safely it is written."""

    content: Literal["masked", "none"] = "masked"
    segment_bytes: SizeBytes = 16_000_000
    durability: Literal["fsync", "flush"] = "fsync"
    idle_s: Annotated[DurationS, Field(alias="idle", gt=0)] = 900.0


class Policy(Table):
    """The whole of policy.toml."""

    version: Literal[1]
    gateway: Gateway = Gateway()
    issuers: tuple[Issuer, ...] = Field(alias="issuer", min_length=1)
    accounts: Accounts = Accounts()
    connections: tuple[Connection, ...] = Field(alias="connection", min_length=1)
    guardrails: tuple[Guardrail, ...] = Field(alias="guardrail", default=())
    approvals: tuple[Approval, ...] = Field(alias="approval", default=())
    masking: Masking = Masking()
    recognisers: tuple[Recogniser, ...] = Field(alias="recogniser", default=())
    masks: tuple[Mask, ...] = Field(alias="mask", default=())
    record: Record = Record()

    @property
    def claims_asked(self) -> frozenset[str]:
        """Return the claims that ``allow`` lines require, whoever's token they stand in."""
        lines = (line for connection in self.connections for line in connection.allow)
        return frozenset(name for line in lines for name in line.require)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for table in ("issuer", "connection", "guardrail", "approval", "recogniser", "mask"):
            names = [entry.name for entry in getattr(self, f"{table}s")]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two [[{table}]] tables are called {name!r}; names have to be unique")
        hosts = [host for connection in self.connections for host in connection.hosts]
        for host in hosts:
            if hosts.count(host) > 1:
                raise ValueError(f"host {host!r} is named twice; a host leads to one connection")
        urls = [issuer.url for issuer in self.issuers]
        for url in urls:
            if urls.count(url) > 1:
                raise ValueError(f"two [[issuer]] tables have the url {url!r}; a token could be read two ways")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        connections = {connection.name for connection in self.connections}
        approvals = {approval.name for approval in self.approvals}
        issuers = {issuer.name for issuer in self.issuers} | ({ACCOUNTS_ISSUER} if self.accounts.enabled else set())
        for connection in self.connections:
            for name in (name for line in connection.allow for name in line.issuers if name not in issuers):
                raise ValueError(f"connection {connection.name!r} allows the issuer {name!r}, which does not exist")
        rules: tuple[Guardrail | Mask, ...] = (*self.guardrails, *self.masks)
        for rule in rules:
            for name in rule.connections:
                if name not in connections:
                    raise ValueError(f"rule {rule.name!r} names the connection {name!r}, which does not exist")
        for guardrail in self.guardrails:
            if guardrail.approval is not None and guardrail.approval not in approvals:
                raise ValueError(f"guardrail {guardrail.name!r} names no existing [[approval]]: {guardrail.approval!r}")
        return self


def _check_url(value: str, *, secure_unless_loopback: bool) -> None:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("expected a URL without spaces, control characters or letters beyond ASCII")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"expected a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("expected a URL that begins with http:// or https:// and names a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("expected a URL without user, query or fragment")
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if secure_unless_loopback and parts.scheme != "https" and not loopback:
        raise ValueError("expected https://; keys fetched over plain HTTP could be anyone's")


def _ca_file(value: str | None, info: ValidationInfo) -> str | None:
    if value is None:
        return None
    path = policy_folder(info) / value
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(f"expected PEM certificates in {path}") from error
    except OSError as error:
        raise ValueError(f"expected a readable file at {path}: {error.strerror}") from error
    return str(path.resolve())
