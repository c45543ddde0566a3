"""The policy in force: read again when the file changes, kept when the new one is broken."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from hoopguard.policy.loading import LoadedPolicy, PolicyError, load_policy

_log = logging.getLogger(__name__)

Check = Callable[[LoadedPolicy], None]
"""A further check on a policy about to come into force; raises PolicyError to refuse it."""

Stamp = tuple[int, int, int]


class PolicyHolder:
    """Gives the policy in force for the next request; an exchange keeps the one that it began with."""

    def __init__(self, file: Path, checks: tuple[Check, ...] = ()) -> None:
        """Load the policy.

        Raises:
            PolicyError: the first policy cannot be used; there is no last good one to fall back to.
        """
        self._file = file
        self._checks = checks
        self._stamp = _stamp(file)
        self._reloading = asyncio.Lock()
        self._current = self._load()

    @property
    def current(self) -> LoadedPolicy:
        """Return the last good policy."""
        return self._current

    async def refresh(self) -> LoadedPolicy:
        """Return the policy for a request that begins now, reading the file again if it changed.

        A broken edit keeps the last good policy, and says so at every attempt to load it.
        """
        if _stamp(self._file) == self._stamp:
            return self._current
        async with self._reloading:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return self._current
            try:
                fresh = await asyncio.to_thread(self._load)
                if fresh.state != self._current.state:
                    raise PolicyError(fresh.file, "gateway · state", None, "cannot change while running; restart")
            except PolicyError as error:
                _log.error("policy NOT reloaded, the last good one stays in force: %s", error)
            except Exception:  # noqa: BLE001 - a bug in reading a policy must not end the one that works
                _log.exception("policy NOT reloaded, the last good one stays in force: it could not be checked")
            else:
                self._current = fresh
                _log.warning("policy reloaded: %s (%s)", fresh.file, fresh.digest[:12])
            self._stamp = stamp
        return self._current

    def _load(self) -> LoadedPolicy:
        loaded = load_policy(self._file)
        for check in self._checks:
            check(loaded)
        return loaded


def _stamp(file: Path) -> Stamp:
    try:
        status = os.stat(file)  # noqa: PTH116 - asked at every request; a third of Path.stat's time
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
