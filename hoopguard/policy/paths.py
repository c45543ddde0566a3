"""Paths to fields, a part of JSONPath (RFC 9535): names, positions, wildcards, and ``..`` for any depth."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BeforeValidator

_SEGMENT: Final = re.compile(
    r"""(?P<deep>\.\.)?(?:
        (?P<dot>(?<!\.)\.)?(?P<name>[A-Za-z_\u0080-\U0010FFFF][\w\u0080-\U0010FFFF-]*|\*)
      | \[(?P<index>\d{1,9})\]
      | \[(?P<any>\*)\]
      | \[(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote))[^\\])+)(?P=quote)\]
    )""",
    re.VERBOSE,
)
_NOT_HERE: Final = {
    "?": "filters (?…)",
    ":": "slices (a:b)",
    ",": "unions (a,b)",
    "(": "expressions (…)",
    "\\": "escapes in quoted names",
    "-": "positions from the end (-1)",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a path: a name, a position, or None for any; ``deep``: after any number of other steps."""

    key: str | int | None
    deep: bool = False

    def takes(self, key: str | int) -> bool:
        """Tell whether the step leads to a key, or to a list's position; ``*`` is a position that is not known."""
        return self.key is None or self.key == key or (key == "*" and isinstance(self.key, int))


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path as the policy writes it, and its steps."""

    source: str
    segments: tuple[Segment, ...]

    @property
    def entity(self) -> str:
        """Return what a value there is called when it is hidden: the last name in capitals, or ``FIELD``."""
        names = [segment.key for segment in self.segments if isinstance(segment.key, str)]
        entity = re.sub(r"[^A-Z0-9]+", "_", names[-1].upper()).strip("_") if names else ""
        return entity if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", entity) else "FIELD"


def parse_path(source: object) -> FieldPath:
    """Return the path that a text such as ``$.customer.ssn``, ``$..password`` or ``$.items[*].id`` says.

    Raises:
        ValueError: it is none, or a part of JSONPath that is not understood here.
    """
    if isinstance(source, FieldPath):
        return source
    if not isinstance(source, str) or not source.startswith("$"):
        raise ValueError('expected a path such as "$.customer.ssn", "$..password" or "$.items[*].id"')
    segments: list[Segment] = []
    at = 1
    while at < len(source):
        match = _SEGMENT.match(source, at)
        if match is None or (match["name"] and not match["dot"] and not match["deep"]):
            raise ValueError(_complaint(source, at))
        segments.append(_segment(match))
        at = match.end()
    if not segments:
        raise ValueError('expected a field, not "$", which is everything')
    return FieldPath(source, tuple(segments))


def _segment(match: re.Match[str]) -> Segment:
    deep = match["deep"] is not None
    if match["index"]:
        return Segment(int(match["index"]), deep)
    name = match["quoted"] or match["name"]
    return Segment(None if match["any"] or (match["name"] == "*") else name, deep)


def _complaint(source: str, at: int) -> str:
    rest = source[at:]
    bracket = rest[: rest.find("]") + 1] if rest.startswith("[") else rest
    for sign, what in _NOT_HERE.items():
        if sign in bracket:
            return f"expected names, positions, * and .. in {source!r}: {what} are not supported"
    return f"expected .name, ['name'], [0], [*] or ..name in {source!r} at {rest!r}"


PathText = Annotated[FieldPath, BeforeValidator(parse_path)]
