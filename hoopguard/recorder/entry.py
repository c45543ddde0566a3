"""One event of the ledger as one canonical line of JSON, and the hash that chains it to the one before.

A line is RFC 8785 JSON as far as our values go: keys sorted, nothing between them, no floats, integers
below 2^53. Leaves are hashed as RFC 6962 §2.1 says, so a Merkle tree can be laid over the same lines.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

import orjson

EntryType = Literal["start", "stop", "intent", "outcome", "approval", "policy", "repair"]
ENTRY_TYPES: Final[frozenset[str]] = frozenset(get_args(EntryType))
GENESIS: Final = "0" * 64
"""What the first entry names as the leaf before it."""

_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_MAX_DEPTH: Final = 64


class EntryError(ValueError):
    """A line of the ledger is not an entry; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. ``time_us`` is Unix time in microseconds, ``prev`` the leaf hash of entry ``seq - 1``."""

    seq: int
    time_us: int
    type: str
    exchange: str
    prev: str
    data: dict[str, Any]


_FIELDS: Final = tuple(field.name for field in fields(Entry))


def leaf_hash(line: bytes) -> str:
    """Return the RFC 6962 leaf hash of a line (without its newline), in hex."""
    return hashlib.sha256(b"\x00" + line).hexdigest()


def encode(entry: Entry) -> bytes:
    """Return the entry's line, without a newline."""
    return orjson.dumps({name: getattr(entry, name) for name in _FIELDS}, option=_CANONICAL)


def decode(line: bytes) -> Entry:
    """Read a line back.

    Raises:
        EntryError: it is not JSON, not canonical, or not an entry.
    """
    try:
        value = orjson.loads(line)
        canonical = orjson.dumps(value, option=_CANONICAL)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise EntryError(f"is not JSON: {error}") from error
    if canonical != line:
        raise EntryError("is not canonical JSON")
    return _entry(value)


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy of ``value`` that a line can hold; lone surrogates are written as escapes.

    Raises:
        TypeError: there is something in it that canonical JSON has no one way to write (a float, an object).
    """
    if depth > _MAX_DEPTH:
        raise TypeError("the ledger takes no value nested this deep")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {_key(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, depth + 1) for inner in value]
    raise TypeError(f"the ledger takes no {type(value).__name__}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the ledger takes no key of type {type(key).__name__}")
    return key.encode("utf-8", "backslashreplace").decode()


def _entry(value: Any) -> Entry:
    if not isinstance(value, dict) or value.keys() != Entry.__dataclass_fields__.keys():
        raise EntryError("does not have an entry's fields")
    entry = Entry(**value)
    if type(entry.seq) is not int or type(entry.time_us) is not int or not isinstance(entry.data, dict):
        raise EntryError("has a field of another kind than an entry's")
    if not all(isinstance(text, str) for text in (entry.type, entry.exchange, entry.prev)):
        raise EntryError("has a field of another kind than an entry's")
    if entry.type not in ENTRY_TYPES:
        raise EntryError(f"has the unknown type {entry.type!r}")
    return entry
