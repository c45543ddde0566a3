"""Masking a body when its texts have been looked at before: what is known of each text, and who asks for it.

The work on a body runs with a masker that looks its findings up. What is not known yet is noted, and counts as
clean for the time being: that result is thrown away, and the work runs again when everything is known.
"""

from hoopguard.masking.detector import Detector
from hoopguard.masking.findings import Finding
from hoopguard.masking.masker import Masked, Masker
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.masking.streaming import TextStream
from hoopguard.pace import Pace


class Known:
    """What was found in the texts of one body."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.missing: dict[str, None] = {}
        self._found: dict[str, tuple[Finding, ...]] = {}
        self._budget: Budget | None = None
        self._chars = 0

    def look_at_once(self, budget: Budget, most_chars: int) -> None:
        """From now on, look at texts that are not known, until there were so many characters or the time is over."""
        self._budget = budget
        self._chars = most_chars

    def findings(self, text: str) -> tuple[Finding, ...]:
        """Return what is in a text, or nothing and note that it is missing."""
        found = self._found.get(text)
        if found is None:
            found = self.detector.memory.recall(text)
            if found is None:
                found = self._look(text)
            if found is None:
                self.missing[text] = None
                return ()
            self._found[text] = found
        return found

    def add(self, findings: dict[str, tuple[Finding, ...]]) -> None:
        """Take what was found in texts that were missing."""
        for text, found in findings.items():
            self._found[text] = found
            self.detector.memory.remember(text, found)
            self.missing.pop(text, None)

    def _look(self, text: str) -> tuple[Finding, ...] | None:
        self._chars -= len(text)
        if self._budget is None or self._chars < 0:
            return None
        try:
            return self.detector.detect(text, budget=self._budget)
        except DetectionGaveUp:
            self._budget = None
            return None


class PreparedMasker(Masker):
    """A masker that hides what is known, whatever state the one that it stands for has."""

    def __init__(self, masker: Masker, known: Known) -> None:
        vars(self).update(vars(masker))
        self._known = known

    def mask(self, text: str, budget: Budget | None = None) -> Masked:
        """Return the text with all that is known to be in it hidden."""
        return self.hide(text, self._known.findings(text))

    def stream(self, pace: Pace | None = None) -> TextStream:
        """Return a stream for a text that is whole: what it gives comes at the end."""
        return _WholeText(self, pace)


class _WholeText(TextStream):
    """A string of a JSON text; masked as a whole, for nobody waits for its beginning."""

    def __init__(self, masker: Masker, pace: Pace | None) -> None:
        super().__init__(masker, pace)
        self._whole = masker
        self._parts: list[str] = []

    def feed(self, delta: str) -> str:
        self._parts.append(delta)
        return ""

    def finish(self) -> str:
        masked = self._whole.mask("".join(self._parts))
        self.counts.update(masked.counts)
        return masked.text
