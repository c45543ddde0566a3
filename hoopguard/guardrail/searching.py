"""The search of rules in a text that arrives in pieces."""

from typing import Final, Protocol

from hoopguard.guardrail.rules import CompiledRule
from hoopguard.guardrail.sought import CONTEXT_CHARS, Sought
from hoopguard.guardrail.views import View, ViewName

_LOOK_ALWAYS_CHARS: Final = 1_024
_LOOK_EVERY: Final = 16

Hits = dict[str, tuple[CompiledRule, ViewName]]
"""The rules that match, by name, and how the text was read when they did."""


class Reading(Protocol):
    """One way to read a text that arrives in pieces."""

    @property
    def pending(self) -> int:
        """Return from where on more text could make a difference."""
        ...

    def feed(self, text: str) -> None:
        """Take the next piece."""
        ...

    def finish(self) -> None:
        """Say that the text is over."""
        ...


class AsItIs:
    """A text as it stands: searched from where on something could still be found, and kept from there on."""

    def __init__(self, sought: Sought, hits: Hits, name: ViewName, before: str = "") -> None:
        """Begin a text; ``before`` is the end of what stands before it."""
        self._sought = sought
        self._hits = hits
        self.name = name
        self._window = before[-CONTEXT_CHARS:]
        self._base = -len(self._window)
        self._unseen = 0
        self.pending = 0

    def fork(self, name: ViewName) -> "AsItIs":
        """Return one that has seen the same and goes its own way."""
        other = AsItIs(self._sought, self._hits, name)
        other._window, other._base, other._unseen = self._window, self._base, self._unseen
        other.pending = self.pending
        return other

    @property
    def end(self) -> int:
        """Return how long the text is so far."""
        return self._base + len(self._window)

    def feed(self, text: str) -> None:
        """Take the next piece. Where much is pending, several are looked at together."""
        if not text:
            return
        known = len(self._window)
        self._window += text
        start = self.pending - self._base
        if start == known and self._sought.quiet.fullmatch(self._window, start):
            self._pass_to(len(self._window))
            return
        self._unseen += len(text)
        held = len(self._window) - start
        if held < _LOOK_ALWAYS_CHARS or self._unseen * _LOOK_EVERY >= held:
            self._unseen = 0
            self._look(start, self._sought.earliest(self._window, start))

    def finish(self) -> None:
        """Say that the text is over."""
        self._look(self.pending - self._base, len(self._window) + 1)

    def _look(self, start: int, before: int) -> None:
        if before <= start:
            return
        for compiled in self._sought.matched(self._window, start, before, self._hits):
            self._hits[compiled.rule.name] = compiled, self.name
        self._pass_to(min(before, len(self._window)))

    def _pass_to(self, offset: int) -> None:
        self.pending = self._base + offset
        cut = max(0, offset - CONTEXT_CHARS)
        self._window = self._window[cut:]
        self._base += cut

    def judge(self, view: View) -> None:
        """Note which rules match what this text turned out to say besides."""
        judge(self._sought, self._hits, view)


def judge(sought: Sought, hits: Hits, view: View) -> None:
    """Note which rules match a text that is whole, but for those that are known to."""
    for compiled in sought.rules:
        if compiled.rule.name not in hits and compiled.matches(view.said):
            hits[compiled.rule.name] = compiled, view.name
