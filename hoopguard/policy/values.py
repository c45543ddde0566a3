"""Units, secrets and patterns as policy.toml writes them, checked while the file is read."""

import hmac
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Final

import re2
from pydantic import BeforeValidator, ValidationInfo

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_LONGEST_S: Final = 10 * 366 * 86400.0
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|kB|MB|GB)?")
_BYTES: Final = {None: 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_REFERENCE: Final = re.compile(r"\$\{(env|file):([^}]+)\}")
_MAX_SECRET_CHARS: Final = 65_536
_MAX_LIST_CHARS: Final = 10_000_000
_SECRET_FILE_MODE: Final = stat.S_IRWXG | stat.S_IRWXO


def parse_duration_s(value: object) -> float:
    """Return the seconds that ``"90s"``, ``"15m"`` or ``"400d"`` means."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('expected a duration such as "500ms", "60s", "15m", "8h" or "30d"')
    duration_s = float(match[1]) * _SECONDS[match[2]]
    if duration_s > _LONGEST_S:
        raise ValueError("expected a duration of at most ten years")
    return duration_s


def parse_size_bytes(value: object) -> int:
    """Return the bytes that ``"10MB"`` means (powers of 1000)."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError('expected a size such as "512kB", "10MB" or "1GB"')
    size_bytes = int(match[1]) * _BYTES[match[2]]
    if not size_bytes:
        raise ValueError("expected a size of more than nothing")
    return size_bytes


class Secret:
    """A value that never shows itself: printing it, or a traceback that holds it, tells nothing."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; the only way to it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(other._value.encode(), self._value.encode())

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")

    def __hash__(self) -> int:
        return hash(self._value)


def resolve_secret(value: object, base: Path) -> Secret:
    """Return ``value`` with each ``${env:NAME}`` and ``${file:path}`` in it replaced.

    Paths are relative to ``base``, the folder of the policy file. A file that others than its
    owner can read is refused.

    Raises:
        ValueError: a variable is not set, a file is missing, empty or readable by others.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text, best as ${env:NAME} or ${file:path}")
    if "${" in _REFERENCE.sub("", value):
        raise ValueError("expected ${env:NAME} or ${file:path}; another ${…} means nothing")
    resolved = _REFERENCE.sub(lambda match: _lookup(match[1], match[2], base), value)
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in resolved):
        raise ValueError("expected a secret without line breaks or control characters")
    return Secret(resolved)


def _lookup(kind: str, name: str, base: Path) -> str:
    if kind == "env":
        found = os.environ.get(name, "")
        if not found:
            raise ValueError(f"expected the environment variable {name} to be set and not empty")
        return found
    path = base / name
    try:
        if path.stat().st_mode & _SECRET_FILE_MODE:
            raise ValueError(f"expected {path} to be readable by its owner only; run: chmod 600 {path}")
        with path.open(encoding="utf-8") as opened:
            text = opened.read(_MAX_SECRET_CHARS + 1).strip()
    except OSError as error:
        raise ValueError(f"expected a readable file at {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text in {path}") from error
    if len(text) > _MAX_SECRET_CHARS:
        raise ValueError(f"expected a secret of at most {_MAX_SECRET_CHARS} characters in {path}")
    if not text:
        raise ValueError(f"expected a secret in {path}, which is empty")
    return text


def _secret(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    context: dict[str, Any] = info.context or {}
    if isinstance(value, str) and value and not context.get("secrets", True):
        return Secret(value.ljust(32))
    return resolve_secret(value, policy_folder(info))


def policy_folder(info: ValidationInfo) -> Path:
    """Return the folder of the policy file, which the loader puts in the validation's context."""
    context: dict[str, Any] = info.context or {}
    return Path(context.get("folder", "."))


def words_of_file(value: object, info: ValidationInfo) -> object:
    """Return the lines of the file that a policy names, less empty ones and comments.

    Raises:
        ValueError: the file cannot be read, is too long, or a line has no letter or digit.
    """
    if not isinstance(value, str):
        return value
    path = policy_folder(info) / value
    try:
        with path.open(encoding="utf-8-sig") as opened:
            text = opened.read(_MAX_LIST_CHARS + 1)
    except OSError as error:
        raise ValueError(f"expected a readable file at {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text in {path}") from error
    if len(text) > _MAX_LIST_CHARS:
        raise ValueError(f"expected at most {_MAX_LIST_CHARS} characters in {path}")
    lines = [line.strip() for line in text.splitlines()]
    words = tuple(line for line in lines if line and not line.startswith("#"))
    if not words or not all(re.search(r"\w", word) for word in words):
        raise ValueError(f"expected words or phrases in {path}, one a line")
    return words


def compile_pattern(pattern: str) -> Any:
    """Compile an operator's pattern with RE2: linear time, whatever the text.

    Raises:
        ValueError: RE2 refuses the pattern, or it matches the empty text and so says nothing.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"expected a pattern that RE2 accepts: {reason}") from error
    if any(not match[0] for sample in _SAMPLES if (match := compiled.search(sample))):
        raise ValueError("expected a pattern that needs some text; this one matches the empty text")
    return compiled


_SAMPLES: Final = ("", "a a", "\n")
"""Texts in one of which every assertion that RE2 knows (``^ $ \\b \\B \\A \\z``) holds."""


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a pattern, as a text")
    compile_pattern(value)
    return value


DurationS = Annotated[float, BeforeValidator(parse_duration_s)]
SizeBytes = Annotated[int, BeforeValidator(parse_size_bytes)]
PatternText = Annotated[str, BeforeValidator(_pattern)]
SecretText = Annotated[Secret, BeforeValidator(_secret)]
