"""JSON with one meaning: what two parsers could read two ways is refused (law 3)."""

import asyncio
import json
import math
from typing import Any, Final, NoReturn

import orjson

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 300_000
_ASIDE_BYTES: Final = 131_072


class BodyError(Exception):
    """A body is not what its route demands; the text can be shown to the caller."""


def parse(raw: bytes) -> Any:
    """Return the value that ``raw`` holds: UTF-8 JSON (RFC 8259), nothing before or after it.

    Raises:
        BodyError: not UTF-8, not JSON, a duplicate key, NaN or an infinity, a number or a nesting
            beyond what can be sent on, half a surrogate pair.
    """
    nests = raw.count(b"[") + raw.count(b"{")
    if raw.count(b",") + nests > MAX_VALUES:
        raise BodyError(f"the body holds more than {MAX_VALUES} values")
    value = _parse_compact(raw, nests)
    return _parse_carefully(raw) if value is None else value


def _parse_compact(raw: bytes, nests: int) -> Any:
    """Return the value of a text that is just what it is written as again; None of any other.

    Such a text has nothing that two parsers could read two ways: no key twice, no number that does not fit.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if nests > MAX_DEPTH:
        _check_depth(value)
    return value if orjson.dumps(value) == raw else None


def _parse_carefully(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_int64
        )
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise BodyError(f"the body is not JSON: {error.msg} at character {error.pos}") from error
    _check_depth(value)
    try:
        text.encode("utf-8")
        orjson.dumps(value)
    except (TypeError, UnicodeEncodeError) as error:
        raise BodyError("the body holds text that is not Unicode (half a surrogate pair)") from error
    return value


async def parse_aside(raw: bytes) -> Any:
    """Return what :func:`parse` returns; a large body is parsed in a thread, so that others do not wait."""
    return parse(raw) if len(raw) <= _ASIDE_BYTES else await asyncio.to_thread(parse, raw)


def dump(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return orjson.dumps(value)


def canonical(value: Any) -> bytes:
    """Return a value as JSON in which equal values have equal bytes: sorted keys, compact."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyError("the body has an object with the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise BodyError(f"the body holds {name}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError("the body holds a number too large to be sent on")
    return number


def _int64(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise BodyError("the body holds a whole number of more than 64 bits")
    return number


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")
