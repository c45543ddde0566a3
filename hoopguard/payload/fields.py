"""What a wire format says of every field of a body, and how all of a body is read or rewritten in one walk.

The rule is the safe one: a string or number is inspected unless its field is known to be structural *and* it looks
like what stands there. A field nobody has heard of is therefore inspected, not trusted.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

import orjson

from hoopguard.payload.strict_json import MAX_DEPTH, BodyError
from hoopguard.payload.vectors import readable_in

Path = tuple[str | int, ...]
"""Where a value stands: keys from the root; in lists ``*`` for any position, or, in a stream, the entry's index."""


class Kind(Enum):
    """How an inspected value is read."""

    TEXT = "text"
    JSON_TEXT = "json"
    NUMBER = "number"


class Uninspectable(BodyError):
    """A body holds something that nobody here can look into: an image, audio, a file."""


# ── what a table says of a field ──


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


class _Node:
    """A table's paths as a tree, which is walked beside the body."""

    __slots__ = ("below", "closed", "treatment", "variants")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.treatment: Treatment | None = None
        self.variants: dict[str, _Node] | None = None
        self.closed = False

    def add(self, path: str, treatment: Treatment) -> None:
        node = self
        for step in path.split(".") if path else ():
            node = node.below.setdefault(step, _Node())
        node.treatment = treatment
        if isinstance(treatment, Parts):
            node.variants = {name: _variant(treatment, table) for name, table in treatment.variants.items()}


def _variant(parts: Parts, table: Table | Opaque) -> _Node:
    node = _Node()
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
        self._root = _Node()
        for path, treatment in self.table.items():
            self._root.add(path, treatment)
        self.vocabulary = vocabulary | frozenset(_words(self._root))

    @property
    def root(self) -> Any:
        """Return the tree's root, for a walk beside a body."""
        return self._root


def _words(node: _Node) -> Iterator[str]:
    for step, child in (*node.below.items(), *(node.variants or {}).items()):
        yield step
        yield from _words(child)
    if isinstance(node.treatment, Word):
        yield from node.treatment.words


# ── reading a body ──


class Text(NamedTuple):
    """One inspectable value of a body; a number is given as JSON writes it."""

    path: Path
    kind: Kind
    value: str


Transform = Callable[[Text], str]


@dataclass(slots=True)
class Reading:
    """All that is to be known of a body after one walk over it.

    ``texts`` are the values to inspect, each with its container and key; ``names`` the keys and identifiers that are
    not the format's own; ``repeats`` what says texts again; ``opaque`` what cannot be inspected, by kind;
    ``chars`` the characters of all texts, ``values`` how many values the body has.
    """

    texts: list[tuple[Any, Any, Text]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    repeats: list[tuple[Any, Any]] = field(default_factory=list)
    opaque: dict[str, None] = field(default_factory=dict)
    chars: int = 0
    values: int = 0

    def said(self) -> Iterator[Text]:
        """Yield all that the body says: its texts, then its names as one text."""
        for _, _, text in self.texts:
            yield text
        if self.names:
            yield Text((), Kind.TEXT, "\n".join(self.names))


_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,255}", re.ASCII)
_HAS_LETTER: Final = re.compile(r"[A-Za-z]", re.ASCII)
_FEW_DIGITS: Final = 6
_ASIDE_BYTES: Final = 131_072


def is_label(value: str) -> bool:
    """Tell whether a string looks like an identifier and not like a number that may be somebody's."""
    if not _IDENTIFIER.fullmatch(value):
        return False
    return _HAS_LETTER.search(value) is not None or sum(map(str.isdigit, value)) <= _FEW_DIGITS


def read(body: Any, fields: Fields, *, indexed: bool = False) -> Reading:
    """Walk over a body once; nothing is changed. ``indexed``: list entries are known by their index.

    Raises:
        BodyError: the body is nested deeper than anything that is parsed here.
    """
    return _read([body], fields, indexed=indexed)


async def read_aside(body: Any, fields: Fields, size: int) -> Reading:
    """Return what :func:`read` returns; a body of many bytes is read in a thread, so that others do not wait."""
    return read(body, fields) if size <= _ASIDE_BYTES else await asyncio.to_thread(read, body, fields)


def _read(root: list[Any], fields: Fields, *, indexed: bool = False) -> Reading:
    reading = Reading()
    _Walk(fields, reading, indexed=indexed).value(root, 0, root[0], fields.root, ())
    return reading


class _Walk:
    """One walk over a body, a table's tree beside it."""

    __slots__ = ("_found", "_indexed", "_known")

    def __init__(self, fields: Fields, reading: Reading, *, indexed: bool) -> None:
        self._known = fields.vocabulary
        self._found = reading
        self._indexed = indexed

    def value(self, node: Any, key: Any, child: Any, spec: _Node | None, path: Path) -> None:
        """Take one value, which stands at ``node[key]``."""
        treatment = spec.treatment if spec is not None else None
        if child is None or child is True or child is False:
            return
        if treatment is not None and self._settled(node, key, child, treatment):
            return
        if isinstance(child, str):
            self._string(node, key, child, treatment, path)
        elif isinstance(child, dict):
            self._object(child, spec, path)
        elif isinstance(child, list):
            self._list(child, spec, path)
        elif not (type(treatment) is Number and -treatment.most <= child <= treatment.most):
            self._text(node, key, Text(path, Kind.NUMBER, orjson.dumps(child).decode()))

    def _list(self, node: list[Any], spec: _Node | None, path: Path) -> None:
        if len(path) > MAX_DEPTH:
            raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")
        self._found.values += len(node)
        items = spec.below.get("*") if spec is not None else None
        here = (*path, "*")
        for position, item in enumerate(node):
            self.value(node, position, item, items, (*path, index_of(item, position)) if self._indexed else here)

    def _settled(self, node: Any, key: Any, child: Any, treatment: Treatment) -> bool:
        """Note what needs no look inside; tell whether it was that."""
        if isinstance(treatment, Opaque):
            self._found.opaque[treatment.what] = None
        elif isinstance(treatment, Repeat):
            if child not in ([], {}):
                self._found.repeats.append((node, key))
        elif isinstance(treatment, Strings) and not isinstance(child, str):
            if not treatment.many or not isinstance(child, list) or not all(type(item) is str for item in child):
                self._found.opaque[treatment.what] = None
            return False
        elif isinstance(treatment, Parts) and not isinstance(child, dict):
            self._found.opaque["part"] = None
        else:
            return False
        return True

    def _string(self, node: Any, key: Any, value: str, treatment: Treatment | None, path: Path) -> None:
        if type(treatment) is Word and value in treatment.words:
            return
        if type(treatment) is Label and is_label(value):
            if not treatment.made and value not in self._known:
                self._found.names[value] = None
            return
        if type(treatment) is Vector and (readable := readable_in(value)) is not None:
            self._found.names.update(dict.fromkeys(readable))
            return
        kind = treatment.kind if type(treatment) is Said else Kind.TEXT
        self._text(node, key, Text(path, kind, value))

    def _text(self, node: Any, key: Any, text: Text) -> None:
        self._found.texts.append((node, key, text))
        self._found.chars += len(text.value)

    def _object(self, node: dict[str, Any], spec: _Node | None, path: Path) -> None:
        if len(path) > MAX_DEPTH:
            raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")
        if spec is not None and spec.variants is not None and isinstance(spec.treatment, Parts):
            spec = self._variant(node, spec.treatment, spec.variants)
            if spec is None:
                return
        found, known = self._found, self._known
        found.values += len(node)
        below = spec.below if spec is not None else {}
        for key, child in node.items():
            if key not in known:
                found.names[key] = None
            if spec is not None and spec.closed and key not in below and child is not None:
                found.opaque["part"] = None
            self.value(node, key, child, below.get(key) or below.get("?"), (*path, key))

    def _variant(self, node: dict[str, Any], parts: Parts, variants: dict[str, _Node]) -> _Node | None:
        """Return the tree of the part's own kind; a part of no known kind, or an opaque one, is noted."""
        name = node.get(parts.by, parts.usual)
        variant = variants.get(name) if isinstance(name, str) else None
        if variant is None:
            self._found.opaque["part"] = None
        elif isinstance(variant.treatment, Opaque):
            self._found.opaque[variant.treatment.what] = None
            return None
        return variant


def index_of(entry: Any, position: int) -> int:
    """Return the ``index`` that a list's entry says of itself, else its position."""
    index = entry.get("index") if isinstance(entry, dict) else None
    return index if type(index) is int else position


def texts(body: Any, fields: Fields) -> Iterator[Text]:
    """Yield every text of ``body``, in document order."""
    yield from (text for _, _, text in read(body, fields).texts)


def names(body: Any, fields: Fields) -> Iterator[Text]:
    """Yield, as one text, what ``body`` says beside its texts: keys and identifiers that are not the format's own."""
    said = read(body, fields).names
    if said:
        yield Text((), Kind.TEXT, "\n".join(said))


def rewrite(body: Any, fields: Fields, transform: Transform) -> Any:
    """Return ``body``, changed in place, with each text replaced by what ``transform`` makes of it.

    Everything is transformed before anything is changed, so that a failure leaves the body whole. A number that is
    changed becomes a string.
    """
    root = [body]
    reading = _read(root, fields)
    replace(reading, [transform(text) for _, _, text in reading.texts])
    return root[0]


def replace(reading: Reading, values: list[str]) -> None:
    """Put values in the places of the reading's texts, in their order; a number that stays itself stays a number.

    The reading is one of the changed body then.
    """
    for at, ((node, key, text), value) in enumerate(zip(reading.texts, values, strict=True)):
        if value != text.value:
            node[key] = value
            kind = Kind.TEXT if text.kind is Kind.NUMBER else text.kind
            reading.texts[at] = (node, key, Text(text.path, kind, value))


def drop_repeats(body: Any, fields: Fields) -> None:
    """Set every value that repeats a text in another form to ``null``."""
    for node, key in read(body, fields).repeats:
        node[key] = None
