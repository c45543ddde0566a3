"""Which rule hides a whole field: paths are followed key by key, as a body or a JSON text is walked through."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from hoopguard.masking.operators import Masked
from hoopguard.policy.paths import FieldPath


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A path of a ``[[mask]]`` table; ``rule`` is the table's place in the masker."""

    path: FieldPath
    rule: int

    @property
    def entity(self) -> str:
        """Return what a value there is called."""
        return self.path.entity


class Place:
    """Somewhere in a document: how far each path leads to it, and the first rule that hides what is there.

    What stands below a hidden place is hidden too.
    """

    __slots__ = ("_positions", "hidden_by")

    def __init__(self, positions: frozenset[tuple[FieldRule, int]], hidden_by: FieldRule | None = None) -> None:
        self._positions = positions
        self.hidden_by = hidden_by

    @classmethod
    def root(cls, rules: Iterable[FieldRule]) -> "Place":
        """Return the place from which the paths begin."""
        return cls(frozenset((rule, 0) for rule in rules))

    def step(self, key: str | int) -> "Place":
        """Return the place at a key, or at a list's position."""
        if self.hidden_by is not None or not self._positions:
            return self
        reached: set[tuple[FieldRule, int]] = set()
        hits: list[FieldRule] = []
        for rule, position in self._positions:
            segment = rule.path.segments[position]
            if segment.deep:
                reached.add((rule, position))
            if not segment.takes(key):
                continue
            if position + 1 == len(rule.path.segments):
                hits.append(rule)
            else:
                reached.add((rule, position + 1))
        first = min(hits, key=lambda rule: (rule.rule, rule.path.source), default=None)
        return Place(frozenset(reached), first)

    def at(self, path: Iterable[str | int]) -> "Place":
        """Return the place that several steps lead to."""
        place = self
        for key in path:
            place = place.step(key)
        return place

    def also(self, other: "Place") -> "Place":
        """Return a place that is this and another: the root of a JSON text within a body is one of its own."""
        return Place(self._positions | other._positions, self.hidden_by or other.hidden_by)


class Walk:
    """Where a JSON text that is read from left to right is, and what hides the values there."""

    def __init__(self, root: Place, hide: Callable[[FieldRule, str], Masked], most_chars: int) -> None:
        """Begin at a place; a value may have so many characters until its end has to come."""
        self.most_chars = most_chars
        self._hide = hide
        self._value = root
        self._open: list[tuple[Place, int | None]] = []  # the containers, and the position if it is a list
        self._expects_key = False
        self._key: list[str] = []

    def value(self) -> Callable[[str], Masked] | None:
        """Return what hides the string or number that comes next, or None if it is looked into."""
        rule = None if self._expects_key else self._value.hidden_by
        return None if rule is None else partial(self._hide, rule)

    def string_part(self, part: str) -> None:
        """Take a part of a string, decoded."""
        if self._expects_key:
            self._key.append(part)

    def string_ended(self) -> None:
        """Take the end of a string: if it is a key, it says where the next value is."""
        if self._expects_key and self._open:
            self._value = self._open[-1][0].step("".join(self._key))
            self._key.clear()
            self._expects_key = False

    def mark(self, mark: str) -> None:
        """Take a mark of a text that is JSON so far."""
        if mark in "{[":
            self._open.append((self._value, 0 if mark == "[" else None))
            self._begin()
        elif mark in "}]" and self._open:
            self._open.pop()
            self._expects_key = False
        elif mark == "," and self._open:
            container, position = self._open[-1]
            if position is not None:
                self._open[-1] = (container, position + 1)
            self._begin()

    def _begin(self) -> None:
        container, position = self._open[-1]
        self._expects_key = position is None
        if position is not None:
            self._value = container.step(position)
