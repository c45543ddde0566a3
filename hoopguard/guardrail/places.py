"""Which offset of a text an offset in a view of it stands for."""

from bisect import bisect_right


class Places:
    """Where the characters of a view stand in the text that it is a view of."""

    def __init__(self, view: int, source: int) -> None:
        self._views = [view]
        self._sources = [source]
        self._same: list[bool] = []

    def copy(self) -> "Places":
        """Return the same places, to go on with in another way."""
        other = Places(0, 0)
        other._views, other._sources, other._same = self._views[:], self._sources[:], self._same[:]
        return other

    def same(self, chars: int) -> None:
        """Say that the next characters of both are the same."""
        if chars:
            self._add(chars, chars, same=True)

    def other(self, view_chars: int, source_chars: int) -> None:
        """Say that the next characters of the view are, together, what the next of the text mean."""
        self._add(view_chars, source_chars, same=False)

    def source(self, view: int) -> int:
        """Return where in the text a view's offset stands, or where that begins which it is part of."""
        at = bisect_right(self._views, view) - 1
        further = at < len(self._same) and self._same[at]
        return self._sources[at] + (view - self._views[at] if further else 0)

    def forget(self, view: int) -> None:
        """Drop what is before a view's offset."""
        at = bisect_right(self._views, view) - 1
        del self._views[:at], self._sources[:at], self._same[:at]

    def _add(self, view_chars: int, source_chars: int, *, same: bool) -> None:
        self._views.append(self._views[-1] + view_chars)
        self._sources.append(self._sources[-1] + source_chars)
        self._same.append(same)
