"""Service accounts in the store: their table, its rows as frozen objects, and how to see that something changed.

The table is made with the first account, in the database that is there. Every administrative change raises SQLite's
``user_version``, in the same transaction: whoever remembers accounts compares that number instead of reading them
again. A last use does not raise it.
"""

import contextlib
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import JSON, Column, Connection, Float, MetaData, String, Table, Text, insert, inspect, select, update

from hoopguard.store.database import DATABASE_NAME

_metadata: Final = MetaData()

_accounts: Final = Table(
    "accounts",
    _metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("groups", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("key_sha256", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("old_key_sha256", String(64)),
    Column("old_expires_at", Float),
    Column("disabled_at", Float),
    Column("last_used_at", Float),
)


@dataclass(frozen=True, slots=True)
class Account:
    """One service account: the SHA-256 of its key and, while a rotation overlaps, of the one before."""

    id: str
    name: str
    groups: tuple[str, ...]
    note: str
    created_at: float
    key_sha256: str
    expires_at: float
    old_key_sha256: str | None = None
    old_expires_at: float | None = None
    disabled_at: float | None = None
    last_used_at: float | None = None


def prepare(connection: Connection) -> None:
    """Make the table, unless it is there."""
    _metadata.create_all(connection)


def add(connection: Connection, account: Account) -> None:
    """Store a new account."""
    connection.execute(insert(_accounts).values(asdict(account)))
    _raise_revision(connection)


def find(connection: Connection, name: str) -> Account | None:
    """Return the account of this name."""
    return next((account for account in listed(connection) if account.name == name), None)


def listed(connection: Connection) -> tuple[Account, ...]:
    """Return all accounts, by name."""
    if not inspect(connection).has_table(_accounts.name):
        return ()
    rows = connection.execute(select(_accounts).order_by(_accounts.c.name)).mappings()
    return tuple(Account(**{**row, "groups": tuple(row["groups"])}) for row in rows)


def change(connection: Connection, account_id: str, **values: Any) -> None:
    """Change an account; whoever remembers it will look again."""
    connection.execute(update(_accounts).where(_accounts.c.id == account_id).values(values))
    _raise_revision(connection)


def used(connection: Connection, account_id: str, at: float) -> None:
    """Write down a use, unless a later one is known."""
    earlier = _accounts.c.last_used_at.is_(None) | (_accounts.c.last_used_at < at)
    connection.execute(update(_accounts).where((_accounts.c.id == account_id) & earlier).values(last_used_at=at))


def revision(connection: Connection) -> int:
    """Return a number that every administrative change raises."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _raise_revision(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA user_version = {revision(connection) + 1}")


class RevisionWatch:
    """Tells the revision without waiting for anybody: a look at the file's first page, which is in memory."""

    def __init__(self, state: Path) -> None:
        self._file = state / DATABASE_NAME
        self._identity = _identity(self._file)
        self._connection = sqlite3.connect(
            f"file:{quote(str(self._file))}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )

    @property
    def is_replaced(self) -> bool:
        """Tell whether another file stands in the place of the one that is open, a backup say, or none."""
        return _identity(self._file) != self._identity

    def now(self) -> int | None:
        """Return the revision; ``None`` if it cannot be told at once, or the file was replaced."""
        if self.is_replaced:
            return None
        with contextlib.suppress(sqlite3.Error):
            return int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        return None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _identity(file: Path) -> tuple[int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - asked at every request; a third of Path.stat's time
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
