"""A service account's key in, a principal out; looked up in memory, as long as nobody changed an account."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hoopguard.identity.account_keys import account_of, is_key, key_sha256
from hoopguard.identity.accounts import Accounts
from hoopguard.identity.principal import Principal
from hoopguard.policy.model import ACCOUNTS_ISSUER
from hoopguard.store import Store, StoreError, open_store
from hoopguard.store.accounts import Account, RevisionWatch

_log = logging.getLogger(__name__)

_LAST_USE_S: Final = 60.0
_NOBODYS: Final = key_sha256("")


class AccountVerifier:
    """Verifies the keys of one state folder's accounts; a change of another process counts from the next key on."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._opened: tuple[Store, RevisionWatch] | None = None
        self._reading = asyncio.Lock()
        self._revision: int | None = None
        self._accounts: Mapping[str, Account] = {}
        self._noted: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def verify(self, key: str, now: float) -> Principal | None:
        """Return the principal that ``key`` proves; ``None``, without a reason, if it proves none.

        Raises:
            StoreError: the accounts cannot be looked up.
        """
        account_id = account_of(key)
        if account_id is None:
            return None
        account = (await self._current()).get(account_id)
        expires = _good_until(account, key)
        if account is None or now >= expires:
            return None
        self._note_use(account, now)
        return Principal(account.name, ACCOUNTS_ISSUER, "service", frozenset(account.groups), "", expires)

    async def aclose(self) -> None:
        """Finish writing, and close the store."""
        while self._writing:
            await asyncio.gather(*self._writing)
        for each in self._opened or ():
            each.close()
        self._opened = None

    async def _current(self) -> Mapping[str, Account]:
        """Return the accounts as they are now, reading them again only if one was changed."""
        if self._is_fresh():
            return self._accounts
        async with self._reading:
            if not self._is_fresh():
                if self._opened is not None and self._opened[1].is_replaced:
                    await self.aclose()
                if self._opened is None:
                    self._opened = await asyncio.to_thread(_open, self._state)
                store, _ = self._opened
                self._revision, self._accounts = await asyncio.to_thread(Accounts(store).snapshot)
            return self._accounts

    def _is_fresh(self) -> bool:
        return self._opened is not None and self._revision is not None and self._opened[1].now() == self._revision

    def _note_use(self, account: Account, now: float) -> None:
        """Have the use written down, at most once a minute; no request waits for that."""
        noted = self._noted.get(account.id, account.last_used_at or 0.0)
        if self._opened is None or 0 <= now - noted < _LAST_USE_S:
            return
        self._noted[account.id] = now
        task = asyncio.create_task(self._write_use(self._opened[0], account, now))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_use(self, store: Store, account: Account, now: float) -> None:
        try:
            await asyncio.to_thread(Accounts(store).used, account.id, now)
        except StoreError as error:
            _log.warning("the last use of the account %s could not be written: %s", account.name, error)


def _good_until(account: Account | None, key: str) -> float:
    """Return until when a key is good: no time at all if it is wrong; all keys take as long."""
    is_new = is_key(key, account.key_sha256 if account else _NOBODYS)
    is_old = is_key(key, (account.old_key_sha256 if account else None) or _NOBODYS)
    if account is None or account.disabled_at is not None:
        return 0.0
    if is_new:
        return account.expires_at
    return account.old_expires_at or 0.0 if is_old else 0.0


def _open(state: Path) -> tuple[Store, RevisionWatch]:
    store = open_store(state)
    try:
        return store, RevisionWatch(state)
    except sqlite3.Error as error:
        store.close()
        raise StoreError(f"{state}: {error}") from error
