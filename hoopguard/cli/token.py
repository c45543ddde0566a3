"""``hoopguard token``: the token that callers here would show the gateway."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hoopguard.cli.output import JsonOption, fail, print_json

if TYPE_CHECKING:
    from hoopguard.caller.sources import Source
    from hoopguard.caller.tokens import Token

DEFAULT_AUDIENCE: Final = "hoopguard"
DEFAULT_GITLAB_VARIABLE: Final = "HOOPGUARD_ID_TOKEN"
DEFAULT_KUBERNETES_FILE: Final = Path("/var/run/secrets/hoopguard/token")

TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", help="A file that holds the token, read again as it changes; - is the standard input."
    ),
]
AudienceOption = Annotated[
    str,
    typer.Option("--audience", envvar="HOOPGUARD_AUDIENCE", help="Whom tokens shall be for: the policy's audience."),
]
GitLabOption = Annotated[
    str, typer.Option("--gitlab-variable", metavar="NAME", help="What the GitLab job's id_tokens calls the token.")
]
KubernetesOption = Annotated[
    Path, typer.Option("--kubernetes-file", metavar="FILE", help="Where the pod's projected token is mounted.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog='Example: curl -H "authorization: Bearer $(hoopguard token)" …')(token)


def token(
    token_file: TokenFileOption = None,
    audience: AudienceOption = DEFAULT_AUDIENCE,
    gitlab_variable: GitLabOption = DEFAULT_GITLAB_VARIABLE,
    kubernetes_file: KubernetesOption = DEFAULT_KUBERNETES_FILE,
    as_json: JsonOption = False,
) -> None:
    """Print a token: from --token-file, $HOOPGUARD_TOKEN, GitHub Actions, GitLab or Kubernetes, whichever is there."""
    found = first_token(sources(token_file, audience, gitlab_variable, kubernetes_file))[1]
    if sys.stdout.isatty():
        typer.echo("warning: this is a secret: whoever reads it here is you to the gateway, until it expires", err=True)
    if as_json:
        print_json({"token": found.value, "source": found.source, "expires_at": found.expires_at})
    else:
        sys.stdout.write(found.value + "\n")


def sources(
    token_file: Path | None, audience: str, gitlab_variable: str, kubernetes_file: Path
) -> "tuple[Source, ...]":
    """Return where a token may come from, by the options that the commands share."""
    from hoopguard.caller.sources import Where, sources_of

    return sources_of(Where(token_file, audience, gitlab_variable, kubernetes_file), os.environ)


def first_token(places: "tuple[Source, ...]") -> "tuple[Source, Token]":
    """Return the first source that is there, and its token; leave with a complaint if there is none."""
    from hoopguard.caller.sources import find_source
    from hoopguard.caller.tokens import NoTokenError

    try:
        source = find_source(places)
        return source, source.read()
    except NoTokenError as error:
        fail(str(error), hint=error.hint)
