"""Putting values back in place of their placeholders: in a whole text, and in one that is being written."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Final

from hoopguard.masking.jsontext import JsonTextStream, encoded
from hoopguard.masking.operators import Masked
from hoopguard.masking.scan import Budget
from hoopguard.pace import Pace

_LIKE_A_PLACEHOLDER: Final = re.compile(r"<[A-Z][A-Z0-9_]*_[1-9][0-9]{0,5}>")


class Restorer:
    """Knows some placeholders and the values they stand for; whatever else looks like one stays as it is.

    What is put back is not looked at again, so a value that reads like a placeholder stays a value.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._sorted = sorted(self._values)
        self.max_held_chars = _MOST_RUN_CHARS

    def __bool__(self) -> bool:
        """Tell whether there is anything to put back."""
        return bool(self._values)

    def restore(self, text: str) -> str:
        """Return a text with the values in it."""
        if "<" not in text:
            return text
        return _LIKE_A_PLACEHOLDER.sub(lambda match: self._values.get(match.group(), match.group()), text)

    def restore_json(self, text: str) -> str:
        """Return a JSON text with the values in it, each escaped so that it cannot leave its string."""
        stream = self.json_stream()
        return stream.feed(text) + stream.finish()

    def stream(self, pace: Pace | None = None) -> "RestoringStream":
        """Return a stream that gives what :meth:`restore` gives, piece by piece; it needs no pace."""
        return RestoringStream(self)

    def json_stream(self, pace: Pace | None = None) -> JsonTextStream:
        """Return a stream that gives what :meth:`restore_json` gives, piece by piece."""
        outside = Restorer({placeholder: encoded(value) for placeholder, value in self._values.items()})
        return JsonTextStream(self, pace, outside=outside)

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return a text with the values in it, as what reads JSON texts wants it."""
        return Masked(self.restore(text), {})

    def held_from(self, text: str) -> int:
        """Return the offset from which on a text could still become a placeholder; its length if it could not."""
        start = text.rfind("<")
        if start < 0:
            return len(text)
        tail = text[start:]
        at = bisect_left(self._sorted, tail)
        begun = at < len(self._sorted) and self._sorted[at].startswith(tail) and self._sorted[at] != tail
        return start if begun else len(text)


_MOST_RUN_CHARS: Final = 1_000_000
"""How long a number in a JSON text may be; masking has had its say before."""


class RestoringStream:
    """One text that arrives in pieces; the same interface as :class:`TextStream`."""

    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer
        self._held = ""
        self.counts: Counter[str] = Counter()

    @property
    def held_chars(self) -> int:
        """Return how many characters are held back: those of a placeholder that is not complete."""
        return len(self._held)

    def feed(self, delta: str) -> str:
        """Take the next piece of the text; return what can be shown now."""
        text = self._held + delta
        at = self._restorer.held_from(text)
        self._held = text[at:]
        return self._restorer.restore(text[:at])

    def finish(self) -> str:
        """Say that the text is over; return what was held back."""
        text, self._held = self._held, ""
        return text
