"""Placeholders such as ``<EMAIL_ADDRESS_1>`` that stand for one value each, and what a caller may have put back.

A vault belongs to one principal's session on one connection. It remembers two things of each value: whether the
caller has *sent* it, for only then may an answer show it to them again; and whether its placeholder was *shown* to
them, for then the placeholder in the history that they resend means what it meant.

A caller may also write ``<EMAIL_ADDRESS_1>`` and mean just that. Such a literal takes its number, so that no value
gets it; if a value has it already, the literal is a value itself and gets a placeholder of its own.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from hoopguard.masking.operators import PLACEHOLDER, PLACEHOLDER_TEXT, entity_within
from hoopguard.masking.restoring import Restorer

_MOST_NUMBER: Final = 999_999
_MOST_VALUES: Final = 10_000
_MOST_CHARS: Final = 500_000
_MOST_VAULTS: Final = 1_024
_IDLE_S: Final = 4 * 3600.0

VaultKey = tuple[str, str, str]
"""Principal, session, connection."""


@dataclass(slots=True, repr=False)
class _Entry:
    value: str
    placeholder: str
    sent: bool = False
    shown: bool = False


class Vault:
    """The placeholders of one session; safe to use from several threads, and bounded: what is oldest is forgotten."""

    def __init__(self, *, most_values: int = _MOST_VALUES, most_chars: int = _MOST_CHARS) -> None:
        self._most_values = most_values
        self._most_chars = most_chars
        self._chars = 0
        self._values: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._taken: dict[str, _Entry] = {}
        self._reserved: dict[str, None] = {}
        self._last: dict[str, int] = {}
        self._lock = Lock()

    def hide_sent(self, entity: str, text: str) -> str:
        """Return the placeholder of a value in a request: the caller may have it back."""
        with self._lock:
            if entity == PLACEHOLDER:
                return self._literal_sent(text)
            return self._hide(entity, text, sent=True)

    def hide_shown(self, entity: str, text: str) -> str:
        """Return the placeholder of a value in an answer: it stays, unless the caller has sent the value."""
        with self._lock:
            if entity == PLACEHOLDER:
                return self._literal_shown(text)
            return self._hide(entity, text, sent=False)

    def restorer(self) -> Restorer:
        """Return what puts back the values that the caller has sent so far."""
        with self._lock:
            return Restorer({entry.placeholder: entry.value for entry in self._values.values() if entry.sent})

    def _hide(self, entity: str, value: str, *, sent: bool) -> str:
        entry = self._values.get((entity, value))
        if entry is None:
            placeholder = self._next(entity)
            if placeholder is None:
                return f"<{entity}>"
            entry = self._values[entity, value] = self._taken[placeholder] = _Entry(value, placeholder)
            self._chars += len(value)
        entry.sent |= sent
        entry.shown |= not sent
        self._values.move_to_end((entity, value))
        self._forget()
        return entry.placeholder

    def _literal_sent(self, text: str) -> str:
        if not PLACEHOLDER_TEXT.fullmatch(text):
            return self._hide(entity_within(text), text, sent=True)
        entry = self._taken.get(text)
        if entry is not None and not entry.shown:
            return self._hide(entity_within(text), text, sent=True)
        return self._reserve(text)

    def _literal_shown(self, text: str) -> str:
        if not PLACEHOLDER_TEXT.fullmatch(text):
            return self._hide(entity_within(text), text, sent=False)
        return self._reserve(text)

    def _reserve(self, literal: str) -> str:
        if literal not in self._taken:
            self._reserved[literal] = None
            if len(self._reserved) > self._most_values:
                del self._reserved[next(iter(self._reserved))]
        return literal

    def _next(self, entity: str) -> str | None:
        """Return a placeholder that stands for nothing yet, or None if there are no more."""
        number = self._last.get(entity, 0) + 1
        while f"<{entity}_{number}>" in self._reserved:
            number += 1
        self._last[entity] = number
        return f"<{entity}_{number}>" if number <= _MOST_NUMBER else None

    def _forget(self) -> None:
        """Drop the values that were not used for longest; their placeholders are never given to others."""
        while len(self._values) > self._most_values or (self._chars > self._most_chars and len(self._values) > 1):
            _, entry = self._values.popitem(last=False)
            del self._taken[entry.placeholder]
            self._chars -= len(entry.value)


class Vaults:
    """The vaults of all sessions, in memory only; those that idle for long, or longest, are given up."""

    def __init__(self, *, idle_s: float = _IDLE_S, most_vaults: int = _MOST_VAULTS) -> None:
        self._idle_s = idle_s
        self._most_vaults = most_vaults
        self._open: OrderedDict[VaultKey, tuple[Vault, float]] = OrderedDict()
        self._lock = Lock()

    def open(self, key: VaultKey, now: float) -> Vault:
        """Return a session's vault, a new one if it has none (any more)."""
        with self._lock:
            self._give_up(now)
            vault, _ = self._open.pop(key, (None, 0.0))
            vault = Vault() if vault is None else vault
            self._open[key] = (vault, now)
            return vault

    def __len__(self) -> int:
        return len(self._open)

    def _give_up(self, now: float) -> None:
        while self._open:
            key, (_, used) = next(iter(self._open.items()))
            if now - used <= self._idle_s and len(self._open) < self._most_vaults:
                break
            del self._open[key]
