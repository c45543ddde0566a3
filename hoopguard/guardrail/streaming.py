"""Judging a text while it is being written: the same verdict as on the whole, and nothing forbidden is out before."""

from collections.abc import Sequence
from typing import Final

from hoopguard.guardrail.calm import calm_up_to, last_word
from hoopguard.guardrail.json_readings import Escaped, Literals
from hoopguard.guardrail.readings import Disguised
from hoopguard.guardrail.rules import CannotBeInspected, CompiledRule
from hoopguard.guardrail.searching import Hits, Reading
from hoopguard.guardrail.sought import CONTEXT_CHARS, Sought
from hoopguard.guardrail.views import Looking
from hoopguard.payload.tables import Kind

_MOST_CALM_CHARS: Final = 4_096


class HeldTooMuch(Exception):
    """More of a text would have to be held back than the policy allows; it must not go on."""


class StreamRules:
    """The rules for a stream's texts: those that stop it, and those of which it is only noted that they match."""

    def __init__(self, rules: Sequence[CompiledRule], *, max_held_chars: int) -> None:
        stopping = [compiled for compiled in rules if compiled.stops]
        self.stopping = Sought.of(stopping) if stopping else None
        noted = [compiled for compiled in rules if not compiled.stops]
        self.noted = Sought.of(noted) if noted else None
        self.quiet = Sought.of(rules).quiet
        self.max_held_chars = max_held_chars

    def begin(self, kind: Kind) -> "RuleStream":
        """Return the judgement of a new text."""
        return RuleStream(self, kind)


class RuleStream:
    """One text that arrives in pieces; ``hits`` are the rules that it is known to match so far.

    It is at rest where nothing is pending but its last word, which no reading has been fed then; the readings begin
    anew with it. So most of a text costs no more than to see that it is calm.
    """

    def __init__(self, rules: StreamRules, kind: Kind) -> None:
        self.hits: Hits = {}
        self._rules = rules
        self._kind = kind
        self._looking = Looking()
        self._noted_looking = Looking()
        self._stopping: tuple[Reading, ...] = ()
        self._noting: tuple[Reading, ...] = ()
        self._stopping_from = self._noting_from = 0
        self._rests = True
        self._held = ""
        self._before = ""
        self._released = 0

    @property
    def held_chars(self) -> int:
        """Return how many characters are held back."""
        return len(self._held) if self._rules.stopping else 0

    @property
    def given_up(self) -> bool:
        """Tell whether the text cannot be looked into to its end, so that nothing more of it may go on."""
        return self._looking.given_up

    @property
    def stopped(self) -> bool:
        """Tell whether a rule that stops the stream has matched."""
        return any(compiled.stops for compiled, _ in self.hits.values())

    def feed_calm(self, text: str) -> str | None:
        """Take the next piece if there is nothing to it, and return what can go on; None if it has to be fed."""
        if not self._rests or self._kind is Kind.JSON_TEXT or len(text) > _MOST_CALM_CHARS:
            return None
        known = self._held + text
        end = calm_up_to(known, self._rules.quiet)
        if end is None:
            return None
        self._held = known[end:]
        if end:
            self._released += end
            self._before = known[:end]
        return text if self._rules.stopping is None else known[:end]

    def feed(self, text: str) -> str:
        """Take the next piece; return what can no longer become part of what is forbidden.

        Raises:
            HeldTooMuch: that is too little.
            CannotBeInspected: it is encoded too often, or too much of it.
        """
        shown = self.feed_calm(text)
        if shown is None:
            shown = self._look(self._begin(text))
        return shown if self._rules.stopping else text

    def finish(self) -> str:
        """Say that the text is over; return what was held back, unless it is forbidden."""
        shown = self._take(self._begin("")) if self._rests else ""
        for reading in (*self._stopping, *self._noting):
            reading.finish()
        shown += "" if self.stopped else self._release(self._released + len(self._held))
        return shown if self._rules.stopping else ""

    def _look(self, text: str) -> str:
        """Show a text to the readings, but for its last word if that may be calm and nothing else is pending."""
        last = last_word(text) if self._kind is not Kind.JSON_TEXT else None
        if not last:
            return self._take(text)
        shown = self._take(text[:last])
        if self.stopped or not self._rest(text[:last]):
            return shown + self._take(text[last:])
        self._held = text[last:]
        return shown

    def _begin(self, text: str) -> str:
        """Have the readings begin, if they rest; return what comes next for them."""
        if not self._rests:
            return text
        rules, before = self._rules, self._before[-CONTEXT_CHARS:].rjust(CONTEXT_CHARS) if self._released else ""
        self._stopping = _readings(rules.stopping, self._kind, self.hits, self._looking, before)
        self._noting = _readings(rules.noted, self._kind, self.hits, self._noted_looking, before)
        self._stopping_from = self._noting_from = self._released
        self._rests = False
        text, self._held = self._held + text, ""
        return text

    def _rest(self, text: str) -> bool:
        """Rest after a text that ended between words, if nothing is pending any more."""
        end = self._released - self._noting_from
        self._rests = not self._held and not self.given_up and all(each.pending >= end for each in self._noting)
        if self._rests:
            self._before, self._stopping, self._noting = text, (), ()
        return self._rests

    def _take(self, text: str) -> str:
        self._held += text
        end = self._released + len(self._held)
        for reading in (*self._stopping, *self._noting):
            reading.feed(text)
        self._bound_noting(end)
        if self.stopped:
            return ""
        return self._release(min((self._stopping_from + each.pending for each in self._stopping), default=end))

    def _bound_noting(self, end: int) -> None:
        """Begin anew where what is only noted would have to be remembered for too long."""
        pending = min((self._noting_from + each.pending for each in self._noting), default=end)
        if end - pending > self._rules.max_held_chars:
            for reading in self._noting:
                reading.finish()
            self._noted_looking = Looking()
            self._noting = _readings(self._rules.noted, self._kind, self.hits, self._noted_looking)
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


def _readings(sought: Sought | None, kind: Kind, hits: Hits, looking: Looking, before: str = "") -> tuple[Reading, ...]:
    if sought is None:
        return ()
    if kind is not Kind.JSON_TEXT:
        return (Disguised(sought, hits, looking, before=before),)
    return Disguised(sought, hits), Escaped(sought, hits, looking), Literals(sought, hits)
