"""How commands speak: rows for people, JSON for scripts, ``error:`` and ``hint:`` on stderr."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hoopguard.cli.terminal import ascii_json, visible

EXIT_FOUND: Final = 1
EXIT_USAGE: Final = 2
_PIPE_COLUMNS: Final = 100_000

PolicyOption = Annotated[
    Path,
    typer.Option("--policy", "-p", envvar="HOOPGUARD_POLICY", help="The policy file.", show_default=True),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DEFAULT_POLICY: Final = Path("policy.toml")


def complain(message: str, hint: str = "") -> None:
    """Print ``error: …`` and, if there is something to do about it, ``hint: …`` to stderr."""
    console = _console(stderr=True)
    console.print(f"[bold red]error:[/] {escape(visible(message))}")
    if hint:
        console.print(f"[bold]hint:[/] {escape(visible(hint))}")


def fail(message: str, hint: str = "", code: int = EXIT_USAGE) -> NoReturn:
    """Complain and leave with ``code``."""
    complain(message, hint)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print one JSON document to stdout: exact for a script, harmless on a terminal."""
    sys.stdout.write(ascii_json(value) + "\n")


def print_rows(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; colours only on a terminal, nothing cut off in a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(str(cell))) for cell in row))
    _console().print(table)


def say(message: str, *, keep: str = "") -> None:
    """Print a message for a person, as one line; ``keep`` lists control characters that may stay in it."""
    _console().print(escape(visible(message, keep=keep)))


def _console(*, stderr: bool = False) -> Console:
    """Return a console that neither wraps nor cuts what goes into a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=width is None, width=width)
