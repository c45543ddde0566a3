"""Which strings of a JSON body are text, and how to read or rewrite every one of them.

The rule is the safe one: a string is text unless its path is known to be structural *and* it looks
like an identifier. A field nobody has heard of is therefore inspected, not trusted.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from hoopguard.payload.strict_json import BodyError

Path = tuple[str, ...]
"""Where a value stands: keys from the root, ``*`` for any position of a list."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,255}", re.ASCII)


class Kind(Enum):
    """How a string is read."""

    TEXT = "text"
    JSON_TEXT = "json"
    STRUCTURAL = "structural"


@dataclass(frozen=True, slots=True)
class Fields:
    """What a wire format says of its strings; all that it does not mention is text."""

    structural: frozenset[Path] = frozenset()
    json_text: frozenset[Path] = frozenset()
    repeats: frozenset[Path] = frozenset()
    """Values that say a text again in another form (log probabilities, token ids); taken out when masking."""
    vocabulary: frozenset[str] = frozenset()
    """Keys and identifiers that are the format's own words."""

    def kind(self, path: Path, value: str) -> Kind:
        """Return how the string ``value`` at ``path`` is read."""
        if path in self.structural and _IDENTIFIER.fullmatch(value):
            return Kind.STRUCTURAL
        return Kind.JSON_TEXT if path in self.json_text else Kind.TEXT


@dataclass(frozen=True, slots=True)
class Text:
    """One inspectable string of a body."""

    path: Path
    kind: Kind
    value: str


Transform = Callable[[Text], str]

_ROOT: Final = None
"""The place of the list that holds nothing but the body, so that the body itself can be a text."""


def texts(body: Any, fields: Fields) -> Iterator[Text]:
    """Yield every text of ``body``, in document order."""
    for _, _, text in _leaves([body], fields, _ROOT):
        yield text


def names(body: Any, fields: Fields) -> Iterator[Text]:
    """Yield, as one text, what ``body`` says beside its texts: keys and identifiers that are not the format's own."""
    said = dict.fromkeys(_names([body], fields, _ROOT))
    if said:
        yield Text((), Kind.TEXT, "\n".join(said))


def rewrite(body: Any, fields: Fields, transform: Transform) -> Any:
    """Return ``body``, changed in place, with each text replaced by what ``transform`` makes of it.

    Everything is transformed before anything is changed, so that a failure leaves the body whole.
    """
    root = [body]
    changes = [(node, key, transform(text)) for node, key, text in _leaves(root, fields, _ROOT)]
    for node, key, value in changes:
        node[key] = value
    return root[0]


def drop_repeats(body: Any, fields: Fields) -> None:
    """Set every value that repeats a text in another form to ``null``."""
    for path in fields.repeats:
        _nullify([body], path)


def _nullify(nodes: list[Any], path: Path) -> None:
    for step in path[:-1]:
        if step == "*":
            nodes = [child for node in nodes if isinstance(node, list) for child in node]
        else:
            nodes = [node[step] for node in nodes if isinstance(node, dict) and step in node]
    for node in nodes:
        if isinstance(node, dict) and node.get(path[-1]) is not None:
            node[path[-1]] = None


def _leaves(node: Any, fields: Fields, path: Path | None) -> Iterator[tuple[Any, Any, Text]]:
    """Yield ``(container, key, text)`` for each text below ``node``, which stands at ``path``."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        child = node[key]
        here = () if path is _ROOT else (*path, key if isinstance(key, str) else "*")
        if isinstance(child, str):
            kind = fields.kind(here, child)
            if kind is not Kind.STRUCTURAL:
                yield node, key, Text(here, kind, child)
        elif isinstance(child, dict | list):
            yield from _leaves(child, fields, here)


_LONGEST_NAME: Final = 256
_LABELS: Final = frozenset({"id", "model", "object", "owned_by", "service_tier", "system_fingerprint", "tool_call_id"})
"""Where an identifier stands that the policy checks elsewhere, or that a server made."""


def _names(node: Any, fields: Fields, path: Path | None) -> Iterator[str]:
    known = fields.vocabulary
    steps: Iterable[tuple[str, Any]] = node.items() if isinstance(node, dict) else (("*", child) for child in node)
    for step, child in steps:
        if step not in known and isinstance(node, dict):
            yield step
        if isinstance(child, str):
            if len(child) > _LONGEST_NAME or step in _LABELS or child in known:
                continue
            if fields.kind((*path, step) if path is not _ROOT else (), child) is Kind.STRUCTURAL:
                yield child
        elif isinstance(child, dict | list):
            yield from _names(child, fields, (*path, step) if path is not _ROOT else ())


class Uninspectable(BodyError):
    """A body holds something that nobody here can look into: an image, audio, a file."""
