"""Judging a text while it is being written: the same verdict as on the whole, and nothing forbidden is out before."""

from collections.abc import Sequence

from hoopguard.guardrail.json_readings import Escaped, Literals
from hoopguard.guardrail.readings import Disguised
from hoopguard.guardrail.rules import CannotBeInspected, CompiledRule
from hoopguard.guardrail.searching import Hits, Reading
from hoopguard.guardrail.sought import Sought
from hoopguard.guardrail.views import Looking
from hoopguard.payload.tables import Kind


class HeldTooMuch(Exception):
    """More of a text would have to be held back than the policy allows; it must not go on."""


class StreamRules:
    """The rules for a stream's texts: those that stop it, and those of which it is only noted that they match."""

    def __init__(self, rules: Sequence[CompiledRule], *, max_held_chars: int) -> None:
        stopping = [compiled for compiled in rules if compiled.stops]
        self.stopping = Sought.of(stopping) if stopping else None
        noted = [compiled for compiled in rules if not compiled.stops]
        self.noted = Sought.of(noted) if noted else None
        self.max_held_chars = max_held_chars

    def begin(self, kind: Kind) -> "RuleStream":
        """Return the judgement of a new text."""
        return RuleStream(self, kind)


class RuleStream:
    """One text that arrives in pieces; ``hits`` are the rules that it is known to match so far."""

    def __init__(self, rules: StreamRules, kind: Kind) -> None:
        self.hits: Hits = {}
        self._rules = rules
        self._kind = kind
        self._looking = Looking()
        self._stopping = _readings(rules.stopping, kind, self.hits, self._looking)
        self._noting = _readings(rules.noted, kind, self.hits, Looking())
        self._noting_from = 0
        self._held = ""
        self._released = 0

    @property
    def held_chars(self) -> int:
        """Return how many characters are held back."""
        return len(self._held)

    @property
    def given_up(self) -> bool:
        """Tell whether the text cannot be looked into to its end, so that nothing more of it may go on."""
        return self._looking.given_up

    @property
    def stopped(self) -> bool:
        """Tell whether a rule that stops the stream has matched."""
        return any(compiled.stops for compiled, _ in self.hits.values())

    def feed(self, text: str) -> str:
        """Take the next piece; return what can no longer become part of what is forbidden.

        Raises:
            HeldTooMuch: that is too little.
            CannotBeInspected: it is encoded too often, or too much of it.
        """
        self._held += text
        end = self._released + len(self._held)
        for reading in (*self._stopping, *self._noting):
            reading.feed(text)
        self._bound_noting(end)
        return "" if self.stopped else self._release(min((each.pending for each in self._stopping), default=end))

    def finish(self) -> str:
        """Say that the text is over; return what was held back, unless it is forbidden."""
        for reading in (*self._stopping, *self._noting):
            reading.finish()
        return "" if self.stopped else self._release(self._released + len(self._held))

    def _bound_noting(self, end: int) -> None:
        """Begin anew where what is only noted would have to be remembered for too long."""
        pending = min((self._noting_from + each.pending for each in self._noting), default=end)
        if end - pending > self._rules.max_held_chars:
            for reading in self._noting:
                reading.finish()
            self._noting = _readings(self._rules.noted, self._kind, self.hits, Looking())
            self._noting_from = end

    def _release(self, pending: int) -> str:
        if self.given_up:
            raise CannotBeInspected("the text is encoded too often, or too much of it")
        chars = max(0, pending - self._released)
        out, self._held = self._held[:chars], self._held[chars:]
        self._released += chars
        if len(self._held) > self._rules.max_held_chars:
            raise HeldTooMuch(f"more than {self._rules.max_held_chars} characters would have to be held back")
        return out


def _readings(sought: Sought | None, kind: Kind, hits: Hits, looking: Looking) -> tuple[Reading, ...]:
    if sought is None:
        return ()
    if kind is not Kind.JSON_TEXT:
        return (Disguised(sought, hits, looking),)
    return Disguised(sought, hits), Escaped(sought, hits, looking), Literals(sought, hits)
