"""policy.toml → a checked Policy, or one error that says file, key, value and what was expected."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hoopguard.policy.model import Policy

_SECRET_KEYS = frozenset({"credential", "hash", "encrypt"})
_URL_SECRETS = re.compile(r"(?<=://).*(?=@)|(?<=[?#]).+", re.DOTALL)
"""What a URL may carry that nobody else should see: user and password, query, fragment."""
_MAX_POLICY_BYTES = 1_000_000


class PolicyError(Exception):
    """The operator's policy cannot be used; the text says where and why."""

    def __init__(self, file: Path, key: str, value: str | None, expected: str) -> None:
        shown = "" if value is None else f" = {value}"
        super().__init__(f"{file}: {key}{shown}: {expected}" if key else f"{file}: {expected}")
        self.file = file
        self.key = key
        self.value = value
        self.expected = expected


@dataclass(frozen=True, slots=True, eq=False)
class LoadedPolicy:
    """A policy with the file it came from and the digest of that file's bytes; equal if these and its lists are."""

    policy: Policy
    file: Path
    digest: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadedPolicy) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def _said(self) -> tuple[Path, str, object]:
        return self.file, self.digest, self.policy.recognisers

    @property
    def state(self) -> Path:
        """Return the state folder, which ``[gateway] state`` names relative to the file."""
        return (self.file.parent / self.policy.gateway.state).resolve()

    @property
    def certs(self) -> Path:
        """Return the CA's folder, which ``[gateway] certs`` names relative to the file."""
        return (self.file.parent / self.policy.gateway.certs).resolve()


def load_policy(file: Path, *, secrets: bool = True) -> LoadedPolicy:
    """Read and check a policy file; without ``secrets``, for who needs none, none is looked up.

    Raises:
        PolicyError: the file cannot be read, is not TOML, or says something that cannot be done.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise PolicyError(file, "", None, f"cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_POLICY_BYTES:
        raise PolicyError(file, "", None, "expected less than 1 MB of policy")
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError(file, "", None, f"expected UTF-8 text: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise PolicyError(file, "", None, f"expected TOML: {error}") from error
    try:
        context = {"folder": str(file.resolve().parent), "secrets": secrets}
        policy = Policy.model_validate(_tuples(document), context=context, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _policy_error(file, document, error) from error
    return LoadedPolicy(policy, file.resolve(), hashlib.sha256(raw).hexdigest())


def _tuples(value: Any) -> Any:
    """Turn TOML's arrays into tuples, which is what frozen objects hold."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def _policy_error(file: Path, document: dict[str, Any], error: ValidationError) -> PolicyError:
    first = error.errors(include_url=False)[0]
    location = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    key = _readable_key(document, location)
    kind, message = first["type"], first["msg"]
    if kind == "extra_forbidden":
        expected = f"unknown key; see docs/policy.md for the keys that {_table_name(location)} has"
    elif kind == "missing":
        expected = "this key is required"
    else:
        expected = message.removeprefix("Value error, ")
        expected = expected[0].lower() + expected[1:]
    shown = None if kind == "extra_forbidden" else _shown_value(document, location)
    return PolicyError(file, key, shown, expected)


def _table_name(location: list[int | str]) -> str:
    names = [part for part in location[:-1] if isinstance(part, str)]
    return f"[{'.'.join(names)}]" if names else "the file's top level"


def _readable_key(document: Any, location: list[int | str]) -> str:
    """Write a location as the operator knows it: ``guardrail "bulk-export" · action``."""
    parts: list[str] = []
    node = document
    for part in location:
        node = _step(node, part)
        if isinstance(part, int) and isinstance(node, dict) and isinstance(node.get("name"), str):
            parts[-1] += f' "{node["name"]}"'
        elif isinstance(part, int):
            parts[-1] += f"[{part}]"
        else:
            parts.append(part)
    return " · ".join(parts)


def _step(node: Any, part: int | str) -> Any:
    try:
        return node[part]
    except (KeyError, IndexError, TypeError):
        return None


def _shown_value(document: Any, location: list[int | str]) -> str | None:
    if not location or any(part in _SECRET_KEYS for part in location):
        return None
    node = document
    for part in location:
        node = _step(node, part)
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, str) and "://" in node:
        node = _URL_SECRETS.sub("…", node)
    return repr(node)[:80] if isinstance(node, str | int | float) else None
