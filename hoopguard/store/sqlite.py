"""SQLite as the default store: one file that belongs to its owner only, safe for many processes."""

import contextlib
import os
import secrets
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

_BUSY_TIMEOUT_S: Final = 15.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH

Fill = Callable[[Engine], None]


def sqlite_engine(file: Path, *, read_only: bool = False) -> Engine:
    """Return an engine on an existing file; the file is never created by opening it.

    Transactions begin with ``BEGIN IMMEDIATE`` if the connection's execution option
    ``hoopguard_writes`` is set: a writer that waits first and reads then cannot have read what
    another is about to change (SQLite, "Isolation In SQLite").
    """

    def connect() -> sqlite3.Connection:
        mode = "ro" if read_only else "rw"
        connection = sqlite3.connect(
            f"file:{quote(str(file))}?mode={mode}",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # Not NORMAL: after a power cut, a grant that was spent must not be unspent.
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, max_overflow=64)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hoopguard_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def create_file(file: Path, fill: Fill) -> None:
    """Make the database under another name and put it in place whole, unless somebody was faster.

    So a crash, or two processes starting at once, never leaves a half-made database. (Switching a
    shared file to WAL can fail as busy without waiting; here nobody else has the file open yet.)
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        engine = sqlite_engine(draft)
        try:
            # Past SQLAlchemy, which begins a transaction first; the mode changes outside of any.
            with contextlib.closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            fill(engine)
        finally:
            engine.dispose()
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        for suffix in ("", "-wal", "-shm"):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def check_owner_only(file: Path) -> None:
    """Refuse a database that others can read, or a folder in which others could swap it.

    Raises:
        PermissionError: says which, and the command that mends it.
    """
    if file.parent.stat().st_mode & _OTHERS_WRITE:
        raise PermissionError(f"{file.parent} can be written by others than its owner; run: chmod 700 {file.parent}")
    if file.exists() and file.stat().st_mode & _OTHERS:
        raise PermissionError(f"{file} is open to others than its owner; run: chmod 600 {file}")
