"""Service accounts: for callers that no OIDC provider vouches for. Making, listing, rotating and disabling them."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from hoopguard.identity.account_keys import key_sha256 as hashed
from hoopguard.identity.account_keys import new_account_id, new_key
from hoopguard.store import Store, accounts
from hoopguard.store.accounts import Account

LONGEST_S: Final = 366 * 86_400.0
LONGEST_OVERLAP_S: Final = 30 * 86_400.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_MAX_TEXT_CHARS: Final = 200

Standing = Literal["active", "expired", "disabled"]


class AccountRefusedError(Exception):
    """What was asked for cannot be done with the account as it stands."""


class Accounts:
    """The service accounts of one store. Its calls block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self, name: str, groups: Sequence[str], *, expires_s: float, note: str = "", now: float
    ) -> tuple[Account, str]:
        """Make an account; return it with its key, which nobody can see again.

        Raises:
            AccountRefusedError: the name is taken; a disabled account keeps its own, for the record says it.
            ValueError: a name, group, note or time cannot be.
        """
        _check_words(name, groups, note)
        _check_time("an expiry", expires_s, LONGEST_S, least_s=1.0)
        account_id = new_account_id()
        key = new_key(account_id)
        kept = tuple(dict.fromkeys(groups))
        account = Account(account_id, name, kept, note, now, hashed(key), now + expires_s)
        with self._store.writing() as connection:
            accounts.prepare(connection)
            if accounts.find(connection, name) is not None:
                raise AccountRefusedError(f"there is an account {name!r} already")
            accounts.add(connection, account)
        return account, key

    def rotate(self, name: str, *, expires_s: float, overlap_s: float = 0.0, now: float) -> tuple[Account, str]:
        """Give an account a new key; the one before it lives for ``overlap_s``, one still older no longer.

        Raises:
            LookupError: there is no such account.
            AccountRefusedError: it is disabled.
            ValueError: a time cannot be.
        """
        _check_time("an expiry", expires_s, LONGEST_S, least_s=1.0)
        _check_time("an overlap", overlap_s, LONGEST_OVERLAP_S)
        with self._store.writing() as connection:
            account = _found(accounts.find(connection, name), name)
            if account.disabled_at is not None:
                raise AccountRefusedError(f"the account {name!r} is disabled, for good")
            key = new_key(account.id)
            accounts.change(
                connection,
                account.id,
                key_sha256=hashed(key),
                expires_at=now + expires_s,
                old_key_sha256=account.key_sha256 if overlap_s else None,
                old_expires_at=min(account.expires_at, now + overlap_s) if overlap_s else None,
            )
            return _found(accounts.find(connection, name), name), key

    def disable(self, name: str, *, now: float) -> Account:
        """End an account, for good; running gateways refuse its keys from their next request on.

        Raises:
            LookupError: there is no such account.
        """
        with self._store.writing() as connection:
            account = _found(accounts.find(connection, name), name)
            if account.disabled_at is None:
                accounts.change(connection, account.id, disabled_at=now)
            return _found(accounts.find(connection, name), name)

    def list(self) -> tuple[Account, ...]:
        """Return all accounts, by name."""
        with self._store.reading() as connection:
            return accounts.listed(connection)

    def snapshot(self) -> tuple[int, dict[str, Account]]:
        """Return the accounts by id, and the revision of which they are."""
        with self._store.reading() as connection:
            return accounts.revision(connection), {account.id: account for account in accounts.listed(connection)}

    def used(self, account_id: str, at: float) -> None:
        """Write down when an account was last used."""
        with self._store.writing() as connection:
            accounts.used(connection, account_id, at)


def standing(account: Account, now: float) -> Standing:
    """Return what has become of an account."""
    if account.disabled_at is not None:
        return "disabled"
    return "active" if now < account.expires_at else "expired"


def _found(account: Account | None, name: str) -> Account:
    if account is None:
        raise LookupError(f"there is no account {name!r}")
    return account


def _check_words(name: str, groups: Sequence[str], note: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected a name of up to 64 of a-z, 0-9, '.', '_' and '-', not {name[:80]!r}")
    for group in groups:
        if not group.strip() or group == "*" or len(group) > _MAX_TEXT_CHARS or not group.isprintable():
            raise ValueError(f"expected the name of a group, not {group[:80]!r}")
    if len(note) > _MAX_TEXT_CHARS or not note.isprintable():
        raise ValueError(f"expected a note of one line and at most {_MAX_TEXT_CHARS} characters")


def _check_time(what: str, seconds: float, most_s: float, least_s: float = 0.0) -> None:
    if not least_s <= seconds <= most_s:
        raise ValueError(f"expected {what} between {least_s:g} s and {most_s / 86_400:g} days")
