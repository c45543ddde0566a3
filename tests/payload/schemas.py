"""Bodies out of the types that the APIs' own packages are written in: their public schemas."""

import types
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired, Required, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import get_type_hints, is_typeddict

_WRAPPED: Final = (Annotated, Required, NotRequired)
_DEEPEST: Final = 9


class Leaf(NamedTuple):
    """What stands at the one place of a body that says something."""

    text: str
    number: int


def samples(hint: Any, leaf: Leaf) -> Iterator[Any]:
    """Yield bodies of a type: for every place that a text or number can have in it, one with a leaf just there."""
    yield from _samples(hint, leaf, 0)


@cache
def _samples(hint: Any, leaf: Leaf, depth: int) -> tuple[Any, ...]:
    return tuple(_all(hint, leaf, depth)) if depth <= _DEEPEST else ()


def _all(hint: Any, leaf: Leaf, depth: int) -> Iterator[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _WRAPPED:
        yield from _samples(arguments[0], leaf, depth)
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _samples(argument, leaf, depth)
    elif origin is dict:
        yield from ({"any": value} for value in _samples(arguments[1], leaf, depth + 1))
    elif origin is not None and origin is not Literal:
        yield from ([value] for value in _samples(arguments[0], leaf, depth + 1))
    elif isinstance(hint, type) and (fields := _fields(hint)):
        tags = {name: get_args(field)[0] for name, field in fields.items() if get_origin(field) is Literal}
        yield from (
            {**tags, name: value}
            for name, field in fields.items()
            if name not in tags
            for value in _samples(field, leaf, depth + 1)
        )
    elif hint in (str, object, Any, datetime):
        yield leaf.text
    elif hint in (int, float):
        yield leaf.number


@cache
def _fields(model: type) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {field.alias or name: _bare(field.annotation) for name, field in model.model_fields.items()}
    if is_typeddict(model):
        return {name: _bare(hint) for name, hint in get_type_hints(model, include_extras=True).items()}
    return {}


def _bare(hint: Any) -> Any:
    return _bare(get_args(hint)[0]) if get_origin(hint) in _WRAPPED else hint


def tag_of(body: Any) -> str:
    """Return the type of the outermost object in a body that has one; the body itself and a response do not count."""
    while isinstance(body, dict | list):
        body = next(iter(child for child in _children(body) if isinstance(child, dict | list)), None)
        if isinstance(body, dict) and "type" in body and body["type"] != "message":
            return str(body["type"])
    return ""


def _children(body: Any) -> list[Any]:
    return list(body.values()) if isinstance(body, dict) else body
