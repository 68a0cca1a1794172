"""One SQLite file: created whole, checked when opened, migrated, and used by one transaction at a time.

Every database of a home is opened through ``Database``. A file is created under another
name and renamed when its tables exist, so that an empty or cut file is always damage and
never "a new one"; damage, a newer version and a foreign lock are told as StorageError
with what to do, and leave the file as it was. One connection and one lock a process:
a reader never sees half of a transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import aiosqlite
import msgpack

from engine.errors import StorageError
from engine.turns import Turns

BUSY_S = 10.0  # wall seconds to wait for another process's transaction
_MAGIC = b"SQLite format 3\x00"
_READ_ROWS = 20_000  # rows a hash reads at once

Row = tuple[Any, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Schema:
    """What makes a file one of ours: its tables (``migrations[n]`` leads from version n to n + 1)."""

    title: str  # "stocks_data"
    application_id: int  # SQLite's own field for "whose file is this"
    migrations: tuple[tuple[str, ...], ...]
    synchronous: Literal["NORMAL", "FULL"]
    remedy: str  # what an operator does when the file is damaged

    @property
    def version(self) -> int:
        return len(self.migrations)


def storage_error(path: Path, schema: Schema, error: sqlite3.Error) -> StorageError:
    """The plain sentence for SQLite's complaint."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, schema, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"{path} is held by another process ({error}); nothing was changed. "
            "Stop the other engine or worker of this home ('tshc engine stop') and try again"
        )
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"no space left to write {path}; nothing was changed. Free some space and try again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
        return StorageError(
            f"{path} cannot be opened or written ({error}); nothing was changed. "
            "Check the folder's permissions and its disk, or choose another home with --home DIR"
        )
    return StorageError(f"{path}: {error}; the transaction was undone. 'tshc doctor' shows the state of the home")


def _damaged(path: Path, schema: Schema, detail: str) -> StorageError:
    return StorageError(
        f"{path} is damaged ({detail}); nothing was changed. "
        f"Move it away together with {path.name}-wal and {path.name}-shm, then {schema.remedy}"
    )


@contextmanager
def _told_plainly(path: Path, schema: Schema) -> Iterator[None]:
    """Turns SQLite's errors into StorageError; a broken constraint stays what it is: the caller's rule."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise storage_error(path, schema, error) from error


def _settings(schema: Schema, read_only: bool) -> list[str]:
    """What each connection needs to be told; WAL alone is kept in the file."""
    return [
        "PRAGMA foreign_keys = ON",
        f"PRAGMA synchronous = {schema.synchronous}",
        "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the disk
        "PRAGMA temp_store = MEMORY",
        *(["PRAGMA query_only = ON"] if read_only else []),
    ]


def _migrate(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    """Runs the missing migrations in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in schema.migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _create(path: Path, schema: Schema) -> None:
    """Makes the file with all its tables under another name, then gives it its own."""
    left_over = path.with_name(path.name + "-wal")
    if left_over.exists() and left_over.stat().st_size:
        raise StorageError(
            f"{path} is missing but its companion {left_over.name} is there: the database was moved without it. "
            f"Nothing was changed. Put {path.name} back beside it, or move {left_over.name} and "
            f"{path.name}-shm away too"
        )
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}-{threading.get_ident()}")
    fresh.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            _migrate(connection, schema, 0)
        try:
            os.link(fresh, path)  # unlike a rename it never replaces what another process just made
        except FileExistsError:
            return
        except OSError:
            fresh.replace(path)  # a file system without hard links
    except OSError as error:
        raise StorageError(
            f"cannot create {path}: {error.strerror}; choose another home with --home DIR"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _check(path: Path, schema: Schema, *, migrate: bool, busy_s: float) -> None:
    """Raises StorageError unless ``path`` is a sound database of ``schema``; brings it to our version."""
    with path.open("rb") as file:
        header = file.read(len(_MAGIC))
    if header != _MAGIC:
        detail = "it is empty" if not header else "it does not begin like a SQLite database"
        raise _damaged(path, schema, detail)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=busy_s)) as connection:
        # The version is read first: an older program has no say about what a newer file looks like inside.
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if owner != schema.application_id:
            raise StorageError(
                f"{path} is a SQLite database but not a {schema.title} of TSH Console; nothing was changed. "
                f"Move it away, then {schema.remedy}"
            )
        if version > schema.version:
            raise StorageError(
                f"{path} was written by a newer TSH Console (version {version}, this one knows {schema.version}); "
                "nothing was changed. Update the program, or use another home with --home DIR"
            )
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(path, schema, " ".join(str(found).split()))
        if migrate:
            connection.execute("PRAGMA journal_mode = WAL")
            for setting in _settings(schema, read_only=False):
                connection.execute(setting)
            if version < schema.version:
                _migrate(connection, schema, version)
        elif version < schema.version:
            raise StorageError(
                f"{path} is of an older version ({version}, this program writes {schema.version}): "
                "start the engine once, it brings the file up to date"
            )


def _prepare(path: Path, schema: Schema, read_only: bool, busy_s: float) -> None:
    with _told_plainly(path, schema):
        if not path.exists():
            if read_only:
                raise StorageError(f"{path} does not exist: nothing was stored in this home yet; {schema.remedy}")
            _create(path, schema)
        try:
            _check(path, schema, migrate=not read_only, busy_s=busy_s)
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}; check its permissions") from error


def connect(path: Path, schema: Schema, *, read_only: bool = False, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A plain connection for one thread, for a store that is no part of the engine's loop.

    The file is made and checked as ``Database.open`` does it, with the same StorageErrors.
    """
    _prepare(path, schema, read_only, busy_s)
    with _told_plainly(path, schema):
        connection = sqlite3.connect(path, isolation_level=None, timeout=busy_s)
        try:
            for setting in _settings(schema, read_only):
                connection.execute(setting)
        except BaseException:
            connection.close()
            raise
    return connection


# aiosqlite's worker threads keep a process alive that ends by an exception without closing its
# databases: a crashed worker would hang for ever, its locks held. They end with the main thread.
_open_connections: weakref.WeakSet[aiosqlite.Connection] = weakref.WeakSet()
_ending = threading.Lock()


def _end_with_the_process(connection: aiosqlite.Connection) -> None:
    def stop_all() -> None:
        threading.main_thread().join()
        for left_open in list(_open_connections):
            left_open.stop()

    _open_connections.add(connection)
    if _ending.acquire(blocking=False):  # held for good by the one watching thread
        threading.Thread(target=stop_all, name="databases-end", daemon=True).start()


class Database:
    """The common part of every store; subclasses own their SQL and say it in methods."""

    SCHEMA: ClassVar[Schema]
    # Columns that hold times of the clock on the wall: left out of ``table_hashes``.
    UNHASHED_COLUMNS: ClassVar[dict[str, frozenset[str]]] = {}
    # Bookkeeping, not results: left out of ``table_hashes``.
    UNHASHED_TABLES: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self.path = path
        self._connection = connection
        self._turns = Turns()

    @classmethod
    async def open(cls, path: Path, *, read_only: bool = False, busy_s: float = BUSY_S) -> Self:
        """Opens the file (made when missing, unless ``read_only``) after checking it whole.

        Raises StorageError: damaged, of a newer version, of another program, locked, not writable.
        """
        await asyncio.to_thread(_prepare, path, cls.SCHEMA, read_only, busy_s)
        with _told_plainly(path, cls.SCHEMA):
            connection = await aiosqlite.connect(path, isolation_level=None, timeout=busy_s)
            _end_with_the_process(connection)
            try:
                for setting in _settings(cls.SCHEMA, read_only):
                    await connection.execute(setting)
            except BaseException:
                await connection.close()
                raise
        return cls(path, connection)

    async def close(self) -> None:
        """Waits for the running transaction, then closes; the last one out folds the WAL into the file."""
        async with self._turns.turn():
            await self._connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """All or nothing, on disk when it returns; an error or a cancelled task undoes it.

        Inside, use the connection it gives: ``rows`` would wait for this transaction's end.
        """
        async with self._turns.turn():
            with _told_plainly(self.path, self.SCHEMA):
                try:
                    await self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
                    await self._connection.execute("COMMIT")
                except BaseException:
                    await self._connection.rollback()
                    raise

    async def in_one_trip(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> T:
        """Runs ``work`` as one transaction in the writing thread: one hand-over instead of one a statement.

        For what orders wait for. ``work`` must not commit; when the caller is cancelled it is done all the same.
        """

        def transact() -> T:
            connection = self._connection._conn
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            return result

        async with self._turns.turn(urgent=urgent):
            with _told_plainly(self.path, self.SCHEMA):
                done: T = await self._connection._execute(transact)  # type: ignore[no-untyped-call]
                return done

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        async with self._turns.turn():
            with _told_plainly(self.path, self.SCHEMA):
                return [tuple(row) for row in await self._connection.execute_fetchall(sql, parameters)]

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def tables(self) -> list[str]:
        """Names of all tables, sorted."""
        found = await self.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return [name for (name,) in found]

    async def columns(self, table: str) -> list[tuple[str, int]]:
        """(name, position in the primary key or 0) of each column; [] without such a table."""
        return [(name, key) for _, name, _, _, _, key in await self.rows(f'PRAGMA table_info("{table}")')]

    async def count(self, table: str) -> int:
        found = await self.rows(f'SELECT COUNT(*) FROM "{table}"')
        return int(found[0][0])

    async def content(self, table: str) -> tuple[list[str], list[Row]]:
        """Column names and all rows of a table, in key order; ValueError when there is no such table."""
        columns = await self.columns(table)
        if not columns:
            raise ValueError(f"{self.path.name} has no table '{table}'")
        keys = [name for name, key in sorted(columns, key=lambda c: c[1]) if key]
        names = [name for name, _ in columns]
        order = ", ".join(f'"{name}"' for name in keys or names)
        return names, await self.rows(f'SELECT * FROM "{table}" ORDER BY {order}')

    async def table_hashes(self) -> dict[str, str]:
        """SHA-256 of each table's rows in key order, without clock times and bookkeeping.

        Two homes with the same hashes hold the same results, whatever happened on the way there.
        """
        hashes = {}
        for table in await self.tables():
            if table in self.UNHASHED_TABLES:
                continue
            left_out = self.UNHASHED_COLUMNS.get(table, frozenset())
            columns = [(name, key) for name, key in await self.columns(table) if name not in left_out]
            keys = [name for name, key in sorted(columns, key=lambda c: c[1]) if key]
            names = ", ".join(f'"{name}"' for name, _ in columns)
            order = ", ".join(f'"{name}"' for name in keys) or names
            digest = hashlib.sha256(names.encode())
            async for part in self._pages(f'SELECT {names} FROM "{table}" ORDER BY {order}'):
                digest.update(msgpack.packb(part))  # a third of the time that repr takes
            hashes[table] = digest.hexdigest()
        return hashes

    async def _pages(self, sql: str) -> AsyncIterator[list[Row]]:
        async with self._turns.turn():
            with _told_plainly(self.path, self.SCHEMA):
                cursor = await self._connection.execute(sql)
                try:
                    while part := await cursor.fetchmany(_READ_ROWS):
                        yield [tuple(row) for row in part]
                finally:
                    await cursor.close()

    async def backup_to(self, target: Path) -> None:
        """A complete copy at ``target``, on disk when it returns; an interrupted copy leaves only a .part file."""
        partial = target.with_name(target.name + ".part")
        await asyncio.to_thread(_make_room, partial)
        async with self._turns.turn():
            with _told_plainly(self.path, self.SCHEMA):
                await self._connection.execute("VACUUM INTO ?", (str(partial),))
        await asyncio.to_thread(_finish_copy, partial, target)


def _make_room(partial: Path) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)


def _finish_copy(partial: Path, target: Path) -> None:
    """VACUUM INTO does not sync what it wrote; a copy that gives leave to wipe must be on disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    if sys.platform != "win32":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def verify_copy(path: Path, counts: Mapping[str, int]) -> None:
    """StorageError unless ``path`` is a sound database with exactly ``counts`` rows in each of those tables."""
    await asyncio.to_thread(_verify_copy, path, counts)


def _verify_copy(path: Path, counts: Mapping[str, int]) -> None:
    problem = ""
    if not path.exists():
        problem = "it does not exist"
    else:
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
                problem = "" if found == "ok" else str(found)
                for table, count in counts.items():
                    rows = connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]
                    if rows != count:
                        problem = f"{table} has {rows} rows, the original {count}"
        except sqlite3.Error as error:
            problem = str(error)
    if problem:
        raise StorageError(
            f"the copy {path} is not complete ({problem}); nothing was wiped. "
            "Move it away, look at the space left on that disk, and run the stage again"
        )


def file_parts(path: Path) -> tuple[Path, ...]:
    """The database file and its companions while it is open."""
    return (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))


def file_bytes(path: Path) -> int:
    """What a database takes on the disk, its companion files included."""
    total = 0
    for part in file_parts(path):
        with suppress(FileNotFoundError):
            total += part.stat().st_size
    return total


def marks(count: int) -> str:
    """``?, ?, ?`` for ``count`` values."""
    return ", ".join("?" * count)


async def insert(connection: aiosqlite.Connection, table: str, rows: Iterable[Row], columns: int) -> None:
    await connection.executemany(f'INSERT INTO "{table}" VALUES ({marks(columns)})', rows)
