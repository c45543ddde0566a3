"""``hoopguard``: check a policy, keep CA and accounts, decide approvals, read sessions, verify the record."""

import importlib
import sys
from typing import Annotated

import typer

from hoopguard import __version__
from hoopguard.cli.output import EXIT_USAGE, complain

app = typer.Typer(
    name="hoopguard",
    help="An identity-aware, policy-driven, auditable gateway in front of self-hosted models.",
    epilog="Exit codes: 0 all is well · 1 a check found something wrong · 2 the command or its input cannot be used.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_COMMANDS = ("check", "certs", "accounts", "approvals", "sessions", "audit", "reveal", "exec", "token", "whoami")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hoopguard {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def _assemble() -> typer.Typer:
    for command in _COMMANDS:
        importlib.import_module(f"hoopguard.cli.{command}").add_to(app)
    return app


def main() -> None:
    """Run the command line; an operator's mistake is one line on stderr, never a traceback."""
    from hoopguard.policy import PolicyError

    try:
        _assemble()()
    except PolicyError as error:
        complain(str(error), hint="mend the policy, then run: hoopguard check")
        sys.exit(EXIT_USAGE)
    except (OSError, ValueError) as error:
        complain(str(error))
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(130)
