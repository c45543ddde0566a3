"""How all of a body is read, or rewritten, in one walk beside its format's table.

The rule is the safe one: a string or number is inspected unless its field is known to be structural *and* it looks
like what stands there. A field nobody has heard of is therefore inspected, not trusted.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from hoopguard.payload.identifiers import is_label, telling_parts
from hoopguard.payload.strict_json import MAX_DEPTH, BodyError
from hoopguard.payload.tables import (
    Fields,
    Kind,
    Label,
    Node,
    Number,
    Opaque,
    Parts,
    Path,
    Repeat,
    Said,
    Strings,
    Treatment,
    Vector,
    Word,
)
from hoopguard.payload.vectors import readable_in


class Text(NamedTuple):
    """One inspectable value of a body; a number is given as JSON writes it."""

    path: Path
    kind: Kind
    value: str


@dataclass(slots=True)
class Reading:
    """All that is to be known of a body after one walk over it.

    ``texts`` are the values to inspect, each with its container and key; ``names`` the keys and identifiers that are
    not the format's own; ``repeats`` what says texts again; ``opaque`` the kinds of what cannot be inspected, and
    ``unreadable`` where that stands; ``chars`` the characters of all texts, ``values`` how many values the body has.
    """

    texts: list[tuple[Any, Any, Text]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    repeats: list[tuple[Any, Any]] = field(default_factory=list)
    opaque: dict[str, None] = field(default_factory=dict)
    unreadable: list[tuple[Any, Any]] = field(default_factory=list)
    chars: int = 0
    values: int = 0

    def said(self) -> Iterator[Text]:
        """Yield all that the body says: its texts, then its names as one text."""
        for _, _, text in self.texts:
            yield text
        if self.names:
            yield Text((), Kind.TEXT, "\n".join(self.names))


ASIDE_BYTES: Final = 131_072


def read(body: Any, fields: Fields, *, indexed: bool = False, asked: bool = False) -> Reading:
    """Walk over a body once; nothing is changed. ``indexed``: list entries are known by their index.

    ``asked``: a caller says it. Nothing in it counts as said again, and no key may be another one of the format's
    but for its case: Go's JSON takes the two for one (``encoding/json``), the last one counting.

    Raises:
        BodyError: the body is nested deeper than anything that is parsed here, or has such a key.
    """
    reading = Reading()
    _Walk(fields, reading, indexed=indexed, asked=asked).value([body], 0, body, fields.root, ())
    return reading


async def read_aside(body: Any, fields: Fields, size: int, *, asked: bool = False) -> Reading:
    """Return what :func:`read` returns; a body of many bytes is read in a thread, so that others do not wait."""
    if size <= ASIDE_BYTES:
        return read(body, fields, asked=asked)
    return await asyncio.to_thread(read, body, fields, asked=asked)


class _Walk:
    """One walk over a body, a table's tree beside it."""

    __slots__ = ("_asked", "_found", "_indexed", "_known")

    def __init__(self, fields: Fields, reading: Reading, *, indexed: bool, asked: bool) -> None:
        self._asked = asked
        self._known = fields.vocabulary
        self._found = reading
        self._indexed = indexed

    def value(self, node: Any, key: Any, child: Any, spec: Node | None, path: Path) -> None:
        """Take one value, which stands at ``node[key]``."""
        treatment = spec.treatment if spec is not None else None
        if child is None or child is True or child is False:
            return
        if spec is not None and treatment is not None and self._settled(node, key, child, treatment, spec.below):
            return
        if isinstance(child, str):
            self._string(node, key, child, treatment, path)
        elif isinstance(child, dict):
            self._object(child, spec, path)
        elif isinstance(child, list):
            self._list(child, spec, path)
        elif not (type(treatment) is Number and -treatment.most <= child <= treatment.most):
            self._text(node, key, Text(path, Kind.NUMBER, orjson.dumps(child).decode()))

    def _list(self, node: list[Any], spec: Node | None, path: Path) -> None:
        if len(path) > MAX_DEPTH:
            raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")
        self._found.values += len(node)
        items = spec.below.get("*") if spec is not None else None
        here = (*path, "*")
        for position, item in enumerate(node):
            self.value(node, position, item, items, (*path, index_of(item, position)) if self._indexed else here)

    def _settled(self, node: Any, key: Any, child: Any, treatment: Treatment, below: dict[str, Node]) -> bool:
        """Note what needs no look inside; tell whether it was that. A file of a form tells of itself below."""
        if isinstance(treatment, Opaque):
            if below and isinstance(child, dict):
                return False
            self._found.opaque[treatment.what] = None
            self._found.unreadable.append((node, key))
        elif isinstance(treatment, Repeat) and not self._asked:
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
            self._found.names.update(dict.fromkeys(telling_parts(value)))
            return
        if type(treatment) is Vector and (readable := readable_in(value)) is not None:
            self._found.names.update(dict.fromkeys(readable))
            return
        kind = treatment.kind if type(treatment) is Said else Kind.TEXT
        self._text(node, key, Text(path, kind, value))

    def _text(self, node: Any, key: Any, text: Text) -> None:
        self._found.texts.append((node, key, text))
        self._found.chars += len(text.value)

    def _object(self, node: dict[str, Any], spec: Node | None, path: Path) -> None:
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
            if self._asked and spec is not None and key not in below and key.casefold() in spec.folded:
                raise BodyError("a key of the body differs from the API's own in its case only")
            if spec is not None and spec.closed and key not in below and child is not None:
                found.opaque["part"] = None
            self.value(node, key, child, below.get(key) or below.get("?"), (*path, key))

    def _variant(self, node: dict[str, Any], parts: Parts, variants: dict[str, Node]) -> Node | None:
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


def replace(reading: Reading, values: list[str]) -> None:
    """Put values in the places of the reading's texts, in their order; a number that stays itself stays a number.

    The reading is one of the changed body then.
    """
    for at, ((node, key, text), value) in enumerate(zip(reading.texts, values, strict=True)):
        if value != text.value:
            node[key] = value
            kind = Kind.TEXT if text.kind is Kind.NUMBER else text.kind
            reading.texts[at] = (node, key, Text(text.path, kind, value))
