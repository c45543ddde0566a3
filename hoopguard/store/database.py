"""Opening the store, and the two kinds of short transaction it has: reading and writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import SQLAlchemyError

from hoopguard.store.sqlite import check_owner_only, create_file, sqlite_engine
from hoopguard.store.tables import SCHEMA_VERSION, metadata, schema_version

DATABASE_NAME: Final = "hoopguard.db"


class StoreError(Exception):
    """The store cannot be used; the text names it and says why."""


class StoreMissingError(StoreError):
    """There is no database yet: nothing has been stored."""


class Store:
    """A database that several processes share.

    Its calls block; a coroutine makes them in ``asyncio.to_thread``. Any thread may make them.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database throughout.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._errors_named(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection that is the only writer until the block ends; an exception undoes all.

        Raises:
            StoreError: the database cannot be written, or stayed busy for too long.
        """
        with self._errors_named(), self._engine.connect() as plain:
            connection = plain.execution_options(hoopguard_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The driver's own words only: SQLAlchemy's would quote the statement's values.
            cause = getattr(error, "orig", None) or type(error).__name__
            raise StoreError(f"{self._name}: {cause}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(state: Path, *, create: bool = True, read_only: bool = False) -> Store:
    """Open ``hoopguard.db`` in the state folder; make both if they are missing, unless told not to.

    A PostgreSQL URL will be the other way to say where the store is.

    Raises:
        StoreMissingError: there is no database, and ``create`` or ``read_only`` forbid making one.
        StoreError: the file is not ours, of another version, or open to other users.
    """
    file = state / DATABASE_NAME
    try:
        if not file.exists():
            if read_only or not create:
                raise StoreMissingError(f"{file} does not exist: nothing has been stored yet")
            create_file(file, _fill)
        check_owner_only(file)
    except PermissionError as error:
        raise StoreError(error.strerror or str(error)) from error
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror or error}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{file}: {getattr(error, 'orig', error)}") from error
    store = Store(sqlite_engine(file, read_only=read_only), str(file))
    try:
        _check_version(store, file)
    except StoreError:
        store.close()
        raise
    return store


def _fill(engine: Engine) -> None:
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))


def _check_version(store: Store, file: Path) -> None:
    try:
        with store.reading() as connection:
            found = connection.execute(select(schema_version.c.version)).scalars().all()
    except StoreError as error:
        raise StoreError(f"{error} (is this a hoopguard database?)") from error
    if len(found) != 1:
        raise StoreError(f"{file}: expected one schema version, found {len(found)}")
    if found[0] != SCHEMA_VERSION:
        age = "a newer" if found[0] > SCHEMA_VERSION else "an older"
        raise StoreError(
            f"{file} was written by {age} hoopguard: its schema is version {found[0]}, this one uses {SCHEMA_VERSION}"
        )
