"""The database file: whose it is, which version it has, and what happens when it is not right."""

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from hoopguard.store import StoreError, StoreMissingError, open_store
from hoopguard.store.database import DATABASE_NAME
from hoopguard.store.tables import decisions, grants


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The folder is made 0700, the database and its companions 0600, and no draft is left behind."""
    state = tmp_path / "a" / "var"
    with open_store(state) as store, store.writing() as connection:
        connection.execute(select(grants))
        assert mode(state) == 0o700
        assert {mode(file) for file in state.iterdir()} == {0o600}
        assert {file.name for file in state.iterdir()} <= {
            DATABASE_NAME,
            f"{DATABASE_NAME}-wal",
            f"{DATABASE_NAME}-shm",
        }


def test_it_is_set_up_for_many_processes(tmp_path: Path) -> None:
    """The database is in WAL mode, waits when busy, keeps foreign keys and survives a power cut."""
    with open_store(tmp_path) as store, store.reading() as connection:
        pragmas = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 1, 2, 15_000]


@pytest.mark.parametrize(("version", "age"), [(2, "a newer"), (0, "an older")])
def test_another_version_is_refused_by_name(tmp_path: Path, version: int, age: str) -> None:
    """A database of another schema version is not opened; the error names the file and both versions."""
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("UPDATE schema_version SET version = ?", (version,))
    connection.close()
    with pytest.raises(StoreError, match=f"{DATABASE_NAME} was written by {age} .* version {version}, this one uses 1"):
        open_store(tmp_path)


@pytest.mark.parametrize("content", [b"not a database" * 100, b""])
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no hoopguard database is refused by name, and left as it was."""
    file = tmp_path / DATABASE_NAME
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(StoreError, match=r"hoopguard\.db.*is this a hoopguard database"):
        open_store(tmp_path)
    assert file.read_bytes() == content


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A database or folder that is open to others is refused with the command that mends it."""
    open_store(tmp_path).close()
    (tmp_path / DATABASE_NAME).chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        open_store(tmp_path)
    (tmp_path / DATABASE_NAME).chmod(0o600)
    tmp_path.chmod(0o770)
    with pytest.raises(StoreError, match="chmod 700"):
        open_store(tmp_path)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    """Opening to read what does not exist says so and creates nothing; reading cannot write."""
    with pytest.raises(StoreMissingError, match="nothing has been stored"):
        open_store(tmp_path / "var", read_only=True)
    assert not (tmp_path / "var").exists()
    open_store(tmp_path).close()
    values = {"approval_id": "x", "granted_at": 0.0, "expires_at": 0.0}
    with open_store(tmp_path, read_only=True) as store, pytest.raises(StoreError, match="readonly"):  # noqa: SIM117
        with store.writing() as connection:
            connection.execute(insert(grants).values(values))


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """A grant or decision without its approval is refused by the database, and what went before is undone."""
    values = {"approval_id": "x", "issuer": "i", "subject": "s", "verdict": "deny", "note": "secret", "at": 0.0}
    with open_store(tmp_path) as store:
        with pytest.raises(StoreError, match="FOREIGN KEY") as caught, store.writing() as connection:
            connection.execute(insert(decisions).values(values))
        assert "secret" not in str(caught.value)
        with store.reading() as connection:
            assert connection.execute(select(decisions)).all() == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A state folder that is a file is an error that names it."""
    (tmp_path / "var").write_text("")
    with pytest.raises(StoreError, match="var"):
        open_store(tmp_path / "var")
