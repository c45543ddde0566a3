"""How the story is told: as a page that a person reads along, or as JSON for scripts."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from hoopguard.demo.story import Act, Told

_COLUMNS: Final = 110
_INDENT: Final = "                "


class Page:
    """Tells each step as it is played; in colour, and with a sign of life, only on a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, emoji=False, soft_wrap=True)
        self._width = min(self.console.width, _COLUMNS) if self.console.is_terminal else _COLUMNS

    def say(self, markup: str = "") -> None:
        """Print a line of our own words."""
        self.console.print(markup)

    def command(self, line: str) -> None:
        """Print a line that is there to be copied: as it is, however long."""
        self.console.print(f"  {line}", style="cyan", markup=False)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Show a sign of life while something takes its time."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(escape(doing)):
            yield

    def announce(self, title: str) -> None:
        """Print what this is."""
        self.console.print(f"[bold]{escape(title)}[/]\n")

    def introduce(self, processes: Mapping[str, str], started_s: float) -> None:
        """Say which processes there are, once they run."""
        for name, place in processes.items():
            self.console.print(f"  {name:<13} {escape(place)}")
        self.console.print(f"  [dim]started in {started_s:.1f} s[/]")

    def begin(self, act: Act) -> None:
        """Announce an act."""
        self.console.print(f"\n[bold]{escape(act.title)}[/]")

    def tell(self, told: Told) -> None:
        """Print how a step went."""
        mark = "[green]✓[/]" if told.ok else "[bold red]✗[/]"
        self.console.print(f"\n {mark} [bold]{told.number:>2}[/]  {self._wrapped(told.what, 6)}")
        self._field("expected", told.expected, "dim")
        self._field("seen", told.seen, "green" if told.ok else "red")
        for name in told.failed:
            self._field("not so", name, "bold red")

    def _field(self, name: str, text: str, style: str) -> None:
        self.console.print(f"      [{style}]{name:<9}[/] {self._wrapped(text, len(_INDENT))}")

    def _wrapped(self, text: str, indent: int) -> str:
        lines = [
            part
            for line in text.splitlines() or [""]
            for part in textwrap.wrap(
                _visible(line), self._width - indent, break_on_hyphens=False, break_long_words=False
            )
            or [""]
        ]
        return escape(f"\n{' ' * indent}".join(lines))


class Silence:
    """Tells nothing; for who wants JSON at the end."""

    def announce(self, title: str) -> None:
        """Say nothing."""

    def introduce(self, processes: Mapping[str, str], started_s: float) -> None:
        """Say nothing."""

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Show nothing."""
        yield

    def begin(self, act: Act) -> None:
        """Say nothing."""

    def tell(self, told: Told) -> None:
        """Say nothing."""


def print_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """Print ``error: …`` to stderr."""
    _aside(f"[bold red]error:[/] {escape(message)}")


def note(message: str) -> None:
    """Print ``note: …`` to stderr."""
    _aside(f"[bold]note:[/] {escape(message)}")


def _aside(markup: str) -> None:
    Console(stderr=True, highlight=False, emoji=False, soft_wrap=True).print(markup)


def _visible(text: str) -> str:
    """Show what would steer a terminal as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
