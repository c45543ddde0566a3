"""``hoopguard whoami``: who would a caller here be?"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import typer

from hoopguard.cli.output import EXIT_FOUND, JsonOption, complain, print_json, say
from hoopguard.cli.token import (
    DEFAULT_AUDIENCE,
    DEFAULT_GITLAB_VARIABLE,
    DEFAULT_KUBERNETES_FILE,
    AudienceOption,
    GitLabOption,
    KubernetesOption,
    TokenFileOption,
    first_token,
    sources,
)

if TYPE_CHECKING:
    from hoopguard.caller.tokens import Token

_TEXTS: Final = {
    "issuer": "iss",
    "subject": "sub",
    "email": "email",
    "audience": "aud",
    "groups": "groups",
    "repository": "repository",
    "ref": "ref",
    "project": "project_path",
}
"""What is shown, by the claim that says it; the last three are GitHub's and GitLab's."""


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Exit code 1: the token has expired.")(whoami)


def whoami(
    token_file: TokenFileOption = None,
    audience: AudienceOption = DEFAULT_AUDIENCE,
    gitlab_variable: GitLabOption = DEFAULT_GITLAB_VARIABLE,
    kubernetes_file: KubernetesOption = DEFAULT_KUBERNETES_FILE,
    as_json: JsonOption = False,
) -> None:
    """Show what the token claims that `hoopguard token` would print. Only the gateway can tell whether it is true."""
    token = first_token(sources(token_file, audience, gitlab_variable, kubernetes_file))[1]
    now = time.time()
    facts = _facts(token, now)
    if as_json:
        print_json(facts)
    else:
        for line in _lines(facts, now):
            say(line)
    if facts["expired"]:
        if not as_json:
            complain("the token has expired", hint=f"get a new one: {token.source}")
        raise typer.Exit(EXIT_FOUND)


def _facts(token: "Token", now: float) -> dict[str, Any]:
    from hoopguard.caller.tokens import texts

    return {
        "source": token.source,
        "verified": False,
        "readable": bool(token.claims),
        **{name: list(texts(token.claims.get(claim))) for name, claim in _TEXTS.items()},
        "expires_at": token.expires_at,
        "expired": token.expires_at is not None and now >= token.expires_at,
    }


def _lines(facts: dict[str, Any], now: float) -> Iterator[str]:
    yield f"{'source:':<12}{facts['source']}"
    if not facts["readable"]:
        yield "The token is no JWT: what it says only its issuer knows."
        return
    for name in _TEXTS:
        if facts[name]:
            yield f"{name + ':':<12}{', '.join(facts[name])}"
    expires_at = facts["expires_at"]
    if expires_at is None:
        yield f"{'expires:':<12}does not say"
    else:
        at = datetime.fromtimestamp(expires_at, UTC)
        yield f"{'expires:':<12}{at:%Y-%m-%d %H:%M:%SZ} (in {max(0, round((expires_at - now) / 60))} min)"
    yield "Unverified: this is what the token claims; only the gateway can tell whether it is true."
