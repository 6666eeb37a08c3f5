"""The SQLite file itself: opening it, making it anew, and doing without it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = 6

_BUSY_SECONDS = 5.0
# The file may be perfectly well, but this process cannot use it now: it is locked, read-only, on a
# full disk, on a file system without locks. Any other failure means that its content is broken.
_UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
    }
)


def open_file(path: Path) -> sqlite3.Connection:
    """The index at a path, made if absent or of another schema; raises sqlite3.Error, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _prepared(_connect(path))


def replace_file(path: Path) -> sqlite3.Connection:
    """An empty index in the place of a broken one; who has the old file open, keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        _prepared(_connect(fresh)).close()
        # Left beside the new file, the old journal would be played back into it.
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return open_file(path)


def open_memory(path: Path | None) -> sqlite3.Connection:
    """An index in memory, begun from the file where that can still be read."""
    memory = _connect(":memory:")
    if path is not None and path.is_file():
        try:
            _copy(path, memory)
            return _prepared(memory)
        except (sqlite3.Error, OSError):
            memory.close()
            memory = _connect(":memory:")
    return _prepared(memory)


def index_commits(connection: sqlite3.Connection) -> None:
    """The index by commit, inside a transaction, unless it is there: commits come in no order, and kept up to date run by run
    it takes a quarter of the time in which a million of them are read first."""
    connection.execute("CREATE INDEX IF NOT EXISTS run_commit ON run (run_commit)")


def is_unusable(error: Exception) -> bool:
    """Whether an error speaks of the file's surroundings rather than of its content."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (code is not None and code & 0xFF in _UNUSABLE)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write that others see whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(place: Path | str) -> sqlite3.Connection:
    # Autocommit, because transactions are begun by hand; any thread, because `Index` lets in one at
    # a time.
    return sqlite3.connect(place, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _copy(path: Path, memory: sqlite3.Connection) -> None:
    def give_up_when_locked(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise sqlite3.OperationalError("locked")

    source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)
    try:
        source.backup(memory, progress=give_up_when_locked)
    finally:
        source.close()


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        # What a crash of the machine might break is built again. The journal stays a file: a killed
        # process must not leave half a transaction, and WAL does not work on network drives.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.create_function("matches", 2, _matches, deterministic=True)
        if _version(connection) != SCHEMA:
            with transaction(connection):
                if _version(connection) != SCHEMA:
                    _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall():
        connection.execute('DROP TABLE "{}"'.format(name.replace('"', '""')))
    # One by one: executescript would end the transaction.
    script = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    for statement in re.sub(r"--.*", "", script).split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _matches(pattern: str, value: object) -> bool:
    """The operator ~; `re` keeps the patterns that it compiled last."""
    try:
        return value is not None and re.search(pattern, str(value)) is not None
    except (RecursionError, MemoryError):
        return False
