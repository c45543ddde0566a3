"""What becomes of every field of every wire format, as ``docs/formats.md`` tells it.

``python -m hoopguard.payload.coverage > docs/formats.md`` writes that file anew.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, assert_never

from hoopguard.payload.formats import FORMATS
from hoopguard.payload.tables import (
    Fields,
    Kind,
    Label,
    Number,
    Opaque,
    Parts,
    Repeat,
    Said,
    Strings,
    Table,
    Treatment,
    Vector,
    Word,
)
from hoopguard.payload.wire import Format

_INTRO: Final = """\
# Wire formats

What the gateway does with every field of every API that it knows. This file is written by
`python -m hoopguard.payload.coverage` from the tables that the gateway itself works by, and a test compares the two.

**Whatever a table does not mention is masked as text**, wherever it stands: strings whole, numbers by their digits (a
number that changes becomes a string). Keys that are not the API's own words are inspected as names: nothing can be put
in a key's place, so one that holds personal data refuses the body. A request's key that is one of the API's own but for
its case is refused, for some servers take the two for one.

| treatment | what it means |
|---|---|
| text | inspected and masked |
| JSON inside a string | parsed, its strings and numbers masked, written again; what is no JSON is masked as text |
| identifier, inspected | a name: passes if it looks like one and holds nothing to hide; else text, or refused |
| identifier | one that a server made; passes if it looks like one, else text; card numbers in it are inspected |
| one of … | the API's own word passes; anything else is text |
| number up to … | passes; a larger one is inspected like a text |
| refused: … | cannot be inspected; refused unless the policy lets this kind pass |
| taken out | says a text again; `null` once a rule masks or blocks answers, and text in a request |
| by `key` | an object of one of the kinds below it; any other kind, or any other key in it, is refused: part |

`*` is any position of a list, `?` any key, `field[type]` a field that is of that type.
"""


class Row(NamedTuple):
    """A field, and what becomes of it."""

    field: str
    treatment: str


Shown = dict[int, str]
"""What has been described already, by its identity, and where."""


def describe(fields: Fields, shown: Shown | None = None) -> Iterator[Row]:
    """Yield a row for every field that a table mentions, in its order; what is ``shown`` already is referred to."""
    yield from _rows(fields.table, "", {} if shown is None else shown)


def _rows(table: Table, prefix: str, shown: Shown) -> Iterator[Row]:
    for path, treatment in table.items():
        field = f"{prefix}.{path}".strip(".")
        if not isinstance(treatment, Parts):
            yield Row(field, _said_of(treatment))
        elif id(treatment) in shown:
            yield Row(field, f"{_said_of(treatment)}, as {shown[id(treatment)]}")
        else:
            shown[id(treatment)] = f"`{field}`"
            yield Row(field, _said_of(treatment))
            yield from _variants(treatment, field, shown)


def _variants(parts: Parts, field: str, shown: Shown) -> Iterator[Row]:
    done: list[tuple[Table, str]] = []
    for name, variant in parts.variants.items():
        here = f"{field}[{name}]"
        same = next((other for table, other in done if table == variant), None)
        if isinstance(variant, Opaque):
            yield Row(here, _said_of(variant))
        elif same is not None:
            yield Row(here, f"as `{same}`")
        elif not variant:
            yield Row(here, "nothing but its type")
        else:
            done.append((variant, here))
            yield from _rows(variant, here, shown)


def _said_of(treatment: Treatment) -> str:
    match treatment:
        case Said(Kind.JSON_TEXT):
            return "JSON inside a string"
        case Said():
            return "text"
        case Strings(what, many):
            return f"text{', or a list of texts' if many else ''}; else refused: {what}"
        case Label(made):
            return "identifier" if made else "identifier, inspected"
        case Word(words):
            return f"one of {', '.join(sorted(words))}"
        case Number(most):
            return f"number up to {most:,}"
        case Opaque(what):
            return f"refused: {what}"
        case Repeat():
            return "taken out"
        case Vector():
            return "base64 of floats: what can be read in its bytes is inspected; else text"
        case Parts(by):
            return f"by `{by}`" if treatment.closed else f"by `{by}`; other keys are text"
    assert_never(treatment)


def document() -> str:
    """Return the whole of ``docs/formats.md``."""
    shown: Shown = {}
    return "\n".join([_INTRO, *(_section(format_, shown) for format_ in FORMATS)])


def _section(format_: Format, shown: Shown) -> str:
    lines = [f"## `{format_.name}`", "", f"`{format_.method} {format_.path}`, API `{format_.api}`", ""]
    parts: Shown = {}
    if format_.has_body or format_.live:
        title = "message of the caller's" if format_.live else "request"
        lines += _table(title, format_.request, format_.name, shown, parts)
    lines += _table("answer", format_.answer, format_.name, shown, parts)
    if format_.stream is not None and format_.stream.fields is not format_.answer:
        lines += _table(
            f"event of a stream (`{format_.stream.media}`)", format_.stream.fields, format_.name, shown, parts
        )
    return "\n".join(lines)


def _table(title: str, fields: Fields, name: str, shown: Shown, parts: Shown) -> list[str]:
    head, kind = [f"| {title} | |", "|---|---|"], title.partition(" (")[0]
    if id(fields) in shown:
        return [*head, f"| everything | as in the {shown[id(fields)]} |", ""]
    shown[id(fields)] = f"{kind} of `{name}`"
    rows = [f"| `{row.field or '*'}` | {row.treatment} |" for row in describe(fields, parts)]
    parts.update({part: f"{where} of the {kind}" for part, where in parts.items() if " of " not in where})
    return [*head, *(rows or ["| everything | text |"]), ""]


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201
