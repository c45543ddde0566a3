"""Hiding one value as a whole, with the same interface as the masker that would look into it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hoopguard.masking.operators import Masked
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.pace import Pace


@dataclass(frozen=True, slots=True)
class FieldMasker:
    """Hides every value that it is given."""

    hide: Callable[[str], Masked]
    max_held_chars: int

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return the value hidden."""
        return self.hide(text)

    def mask_json(self, text: str, budget: Budget | None = None) -> Masked:
        """Return the same: the JSON text is a value like any other."""
        return self.mask(text)

    def stream(self, pace: Pace | None = None) -> "FieldStream":
        """Return a stream that gives what :meth:`mask` gives, at its end."""
        return FieldStream(self)

    def json_stream(self, pace: Pace | None = None) -> "FieldStream":
        """Return the same stream."""
        return FieldStream(self)


class FieldStream:
    """A value that arrives in pieces and is shown hidden when it is whole."""

    def __init__(self, masker: FieldMasker) -> None:
        self._masker = masker
        self._held: list[str] = []
        self.held_chars = 0
        self.counts: Counter[str] = Counter()

    def feed(self, delta: str) -> str:
        """Take the next piece; nothing of it can be shown.

        Raises:
            DetectionGaveUp: too much is held.
        """
        self._held.append(delta)
        self.held_chars += len(delta)
        if self.held_chars > self._masker.max_held_chars:
            raise DetectionGaveUp("a field that is hidden as a whole has no end")
        return ""

    def finish(self) -> str:
        """Say that the value is over; return it hidden."""
        masked = self._masker.mask("".join(self._held))
        self._held.clear()
        self.held_chars = 0
        self.counts.update(masked.counts)
        return masked.text
