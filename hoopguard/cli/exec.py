"""``hoopguard exec``: run a command whose clients go through the gateway."""

import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hoopguard.cli.output import fail
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
    import ssl

    from hoopguard.caller.bundle import Bundles

_EXITS = (
    "Exit codes: the command's own · 2 there is no token, or an option is wrong · 126, 127 the command cannot be run."
)

Command = Annotated[list[str], typer.Argument(metavar="CMD…", help="The command and its arguments.")]
GatewayOption = Annotated[
    str,
    typer.Option(
        "--gateway", envvar="HOOPGUARD_GATEWAY", metavar="URL", help="The gateway's address, http://gateway:8080."
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="HOOPGUARD_CA",
        metavar="FILE",
        help="The gateway's CA certificate; the command trusts it as well as what it trusts already.",
    ),
]
ModeOption = Annotated[
    Literal["proxy", "base-url"],
    typer.Option("--mode", help="Whether the gateway is the proxy (HTTPS_PROXY) or the model's address (…_BASE_URL)."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("exec", epilog=_EXITS, context_settings={"allow_interspersed_args": False})(run)


def run(
    command: Command,
    gateway: GatewayOption,
    ca: CaOption = None,
    mode: ModeOption = "proxy",
    token_file: TokenFileOption = None,
    audience: AudienceOption = DEFAULT_AUDIENCE,
    gitlab_variable: GitLabOption = DEFAULT_GITLAB_VARIABLE,
    kubernetes_file: KubernetesOption = DEFAULT_KUBERNETES_FILE,
) -> None:
    """Run a command whose clients go through the gateway.

    The command does not get the token (see `hoopguard token` for where it comes from), but the address of a forwarder
    on loopback, which adds it and renews it for as long as the command runs.
    """
    from hoopguard.caller.address import parse_address
    from hoopguard.caller.environment import command_environment
    from hoopguard.caller.forwarder import Forwarder
    from hoopguard.caller.renewing import RenewedToken
    from hoopguard.caller.running import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, become, listen, start_beside

    address = parse_address(gateway)
    if str(token_file) == "-":
        fail("the standard input is the command's, and cannot be read again", hint="keep the token in a file")
    places = sources(token_file, audience, gitlab_variable, kubernetes_file)
    source, first = first_token(places)
    password, listening = secrets.token_urlsafe(32), listen()
    renewed = RenewedToken(source, first, _complain)
    forwarder = Forwarder(address, mode, password, renewed.current, _tls(ca) if address.tls else None)
    bundles = _bundles(ca, mode)
    start_beside(lambda: forwarder.serve(listening), listening, bundles.remove if bundles else lambda: None)
    env = command_environment(
        os.environ,
        mode,
        port=listening.getsockname()[1],
        password=password,
        trust=bundles.variables if bundles else {},
        without=[name for place in places for name in place.variables],
    )
    try:
        become(command, env)
    except OSError as error:
        found = EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
        fail(f"{command[0]}: {error.strerror}", code=found)


def _bundles(ca: Path | None, mode: str) -> "Bundles | None":
    """Return CA bundles; none if there is nothing to add, or if the command speaks to loopback only."""
    from hoopguard.caller.bundle import make_bundles

    return make_bundles(ca, os.environ) if ca is not None and mode == "proxy" else None


def _tls(ca: Path | None) -> "ssl.SSLContext":
    """Return how the forwarder trusts a gateway that speaks TLS itself."""
    import ssl

    context = ssl.create_default_context()
    # A company's own CA seldom writes all that RFC 5280 asks for; curl, and Python before 3.13, do not insist either.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca is not None:
        context.load_verify_locations(cafile=str(ca))
    return context


def _complain(message: str) -> None:
    # Whoever read the command's stderr may be gone; that is no reason not to serve.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"hoopguard exec: {message}\n")
        sys.stderr.flush()
