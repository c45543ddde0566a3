"""What a wire format says of every field of its bodies: a table of dotted paths, and what stands at each.

A field that no table mentions is inspected, not trusted; so a table only says what need not be, and why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

Path = tuple[str | int, ...]
"""Where a value stands: keys from the root; in lists ``*`` for any position, or, in a stream, the entry's index."""


class Kind(Enum):
    """How an inspected value is read."""

    TEXT = "text"
    JSON_TEXT = "json"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Said:
    """A text: masked as such, or as JSON inside a string."""

    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Strings:
    """A text (or ``many``) where a server would also take something else, such as token ids: ``what`` it then is."""

    what: str
    many: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """An identifier; it passes if it looks like one. Unless a server ``made`` it, it is inspected as a name."""

    made: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One of the format's own words; anything else is a text."""

    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Number:
    """A number that passes up to a size; one beyond it is inspected, for it may be a card's."""

    most: float


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something that cannot be inspected, by what it is: ``image``, ``audio``, ``file``, ``tokens``."""

    what: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """What says a text again in another form (log probabilities, token ids); taken out when masking."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An object that is read by the word at its key ``by``.

    No other key than a variant's own may say anything in it, unless it is not ``closed``: what is unknown then is text.
    """

    by: str
    variants: Mapping[str, "Table | Opaque"]
    closed: bool = True
    usual: str | None = None
    """What an object is that does not say."""


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding as base64 of floats; what could be read in its bytes is inspected as a name."""


Treatment = Said | Strings | Label | Word | Number | Opaque | Repeat | Parts | Vector
Table = Mapping[str, Treatment]
"""Dotted paths (``choices.*.message.content``) and what each of them holds."""

TEXT: Final = Said()
JSON_TEXT: Final = Said(Kind.JSON_TEXT)
LABEL: Final = Label()
MADE: Final = Label(made=True)
REPEAT: Final = Repeat()
COUNT: Final = Number(999_999)
"""Tokens, positions, durations: fewer digits than a telephone number."""
SMALL: Final = Number(9_999)
TIME: Final = Number(99_999_999_999)
"""Seconds since 1970: fewer digits than a card's number."""


def word(*words: str) -> Word:
    """Return the treatment of a field that holds one of some words."""
    return Word(frozenset(words))


def under(prefix: str, table: Table) -> dict[str, Treatment]:
    """Return a table with all its paths below another."""
    return {f"{prefix}.{path}": treatment for path, treatment in table.items()}


class Node:
    """A table's paths as a tree, which is walked beside the body."""

    __slots__ = ("_folded", "below", "closed", "treatment", "variants")

    def __init__(self) -> None:
        self._folded: frozenset[str] | None = None
        self.below: dict[str, Node] = {}
        self.treatment: Treatment | None = None
        self.variants: dict[str, Node] | None = None
        self.closed = False

    @property
    def folded(self) -> frozenset[str]:
        """Return the keys below without their case; asked for once the tree is complete."""
        if self._folded is None:
            self._folded = frozenset(map(str.casefold, self.below))
        return self._folded

    def add(self, path: str, treatment: Treatment) -> None:
        """Put a treatment at a dotted path."""
        node = self
        for step in path.split(".") if path else ():
            node = node.below.setdefault(step, Node())
        node.treatment = treatment
        if isinstance(treatment, Parts):
            node.variants = {name: _variant(treatment, table) for name, table in treatment.variants.items()}


def _variant(parts: Parts, table: Table | Opaque) -> Node:
    node = Node()
    if isinstance(table, Opaque):
        node.treatment = table
        return node
    node.closed = parts.closed
    node.add(parts.by, Word(frozenset(parts.variants)))
    for path, treatment in table.items():
        node.add(path, treatment)
    return node


class Fields:
    """A wire format's table for one kind of body, ready to be walked; ``vocabulary`` holds further words of its own."""

    def __init__(self, table: Table | None = None, vocabulary: frozenset[str] = frozenset()) -> None:
        self.table: Table = dict(table or {})
        self._root = Node()
        for path, treatment in self.table.items():
            self._root.add(path, treatment)
        self.vocabulary = vocabulary | frozenset(_words(self._root))

    @property
    def root(self) -> Node:
        """Return the tree's root, for a walk beside a body."""
        return self._root


def _words(node: Node) -> Iterator[str]:
    for step, child in (*node.below.items(), *(node.variants or {}).items()):
        yield step
        yield from _words(child)
    if isinstance(node.treatment, Word):
        yield from node.treatment.words
