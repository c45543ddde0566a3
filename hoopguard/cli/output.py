"""How commands speak: rows for people, JSON for scripts, ``error:`` and ``hint:`` on stderr."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

EXIT_FOUND: Final = 1
EXIT_USAGE: Final = 2

PolicyOption = Annotated[
    Path,
    typer.Option("--policy", "-p", envvar="HOOPGUARD_POLICY", help="The policy file.", show_default=True),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DEFAULT_POLICY: Final = Path("policy.toml")


def complain(message: str, hint: str = "") -> None:
    """Print ``error: …`` and, if there is something to do about it, ``hint: …`` to stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(message)}")
    if hint:
        console.print(f"[bold]hint:[/] {escape(hint)}")


def fail(message: str, hint: str = "", code: int = EXIT_USAGE) -> NoReturn:
    """Complain and leave with ``code``."""
    complain(message, hint)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_rows(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; colours only on a terminal, nothing cut off in a pipe."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not sys.stdout.isatty())
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)


def say(message: str) -> None:
    """Print one line for a person."""
    Console(highlight=False, soft_wrap=True).print(escape(message))
