"""What a verified token's claims say, wherever in it they stand."""

import fnmatch
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from hoopguard.policy.paths import FieldPath, parse_path

_MAX_CLAIM_CHARS: Final = 512


def texts_of(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a claim's values as texts; what is neither a text nor a whole number, or is too long, is left out."""
    return tuple(text for value in values_of(claims, name) for text in _text(value))


def said_of(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return what a policy's glob may match: the texts, and ``true`` and ``false`` for a yes-or-no claim."""
    return tuple(text for value in values_of(claims, name) for text in _text(_spelt(value)))


def only_text_of(claims: Mapping[str, Any], name: str) -> str:
    """Return the text of a claim with a single value that can be shown; of any other the empty one."""
    texts = texts_of(claims, name) if len(values_of(claims, name)) == 1 else ()
    return texts[0] if texts and texts[0].strip() and texts[0].isprintable() else ""


def values_of(claims: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values at a claim's name or path, those of a list one by one.

    The name as it stands wins over a dotted path: ``https://example.com/roles`` is a name. A path that begins with
    ``$`` is always a path (RFC 9535), the only way to a nested name that has dots in it.
    """
    if name.startswith("$"):
        nodes = _at(claims, _path(name))
    elif name in claims:
        nodes = [claims[name]]
    else:
        nodes = [claims]
        for part in name.split("."):
            nodes = [node[part] for node in nodes if isinstance(node, Mapping) and part in node]
    return [value for node in nodes for value in (node if isinstance(node, list) else [node])]


def unmet(said: Mapping[str, Iterable[str]], required: Mapping[str, str]) -> str | None:
    """Return the first of the required claims of which no value matches its glob, in its exact case."""
    for name, pattern in required.items():
        if not any(fnmatch.fnmatchcase(value, pattern) for value in said.get(name, ())):
            return name
    return None


def is_left_out(claims: Mapping[str, Any], name: str) -> bool:
    """Tell whether the provider says that a claim is to be had elsewhere, since it became too long for the token.

    Entra ID does so for groups (``_claim_names`` as in OpenID Connect Core §5.6.2, or ``hasgroups``).
    """
    elsewhere, top = claims.get("_claim_names"), name.removeprefix("$.")
    if isinstance(elsewhere, Mapping) and top in elsewhere:
        return True
    return top == "groups" and claims.get("hasgroups") not in (None, False, "false")


def _at(claims: Mapping[str, Any], path: FieldPath) -> list[Any]:
    nodes: list[Any] = [claims]
    for segment in path.segments:
        nodes = [inner for node in nodes for inner in _below(node, segment.key)]
    return nodes


def _below(node: Any, key: str | int | None) -> Iterable[Any]:
    if isinstance(node, Mapping):
        return node.values() if key is None else [node[key]] if key in node else []
    if isinstance(node, list):
        return node if key is None else node[key : key + 1] if isinstance(key, int) else []
    return []


@lru_cache(maxsize=256)
def _path(source: str) -> FieldPath:
    return parse_path(source)


def _spelt(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _text(value: Any) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return []
    text = str(value)
    return [text] if len(text) <= _MAX_CLAIM_CHARS else []
