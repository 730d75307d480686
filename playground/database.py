"""A file of SQLite that several threads and processes share, brought to this program's form."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BUSY_SECONDS = 30.0  # that another process may hold the file


class DatabaseError(RuntimeError):
    """The file cannot be used; a sentence says why."""


class Database:
    """Any thread may call it. ``None`` for the file keeps all in memory.

    Each of ``migrations`` brings a file from the version of its index to the next, and ``pragmas``
    are set beside those that every file of ours has. Raises ``DatabaseError`` where the file cannot
    be used ``purpose`` ("for the history"), or a later version of this program wrote it.
    """

    def __init__(
        self,
        file: Path | None,
        migrations: Sequence[str],
        purpose: str,
        pragmas: Sequence[str] = (),
    ) -> None:
        self.file = file
        self._lock = threading.Lock()
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                file or ":memory:", timeout=_BUSY_SECONDS, check_same_thread=False
            )
            self._database.isolation_level = None  # transactions are begun where they are meant
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", *pragmas):
                self._database.execute(f"PRAGMA {pragma}")
            self._migrate(migrations)
        except (sqlite3.DatabaseError, OSError) as error:
            raise DatabaseError(f"{file} cannot be used {purpose}: {error}.") from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept, as the rows of the tables of ``total`` say."""
        return int(self.rows("SELECT bytes FROM total")[0][0])

    def rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a SELECT finds."""
        with self._lock:
            return self._database.execute(question, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes of which all are kept or, where this raises, none."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > len(migrations):
                raise DatabaseError(
                    f"{self.file} was written by a later version of this program (form {version}; "
                    f"this one knows {len(migrations)})."
                )
            for migration in migrations[version:]:
                for statement in _statements(migration):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {len(migrations)}")


def total(*tables: str) -> str:
    """A migration: ``total`` has the sum of ``bytes`` of all rows of these tables from then on.

    To add them up at each change would read a large file again and again.
    """
    sums = " + ".join(f"(SELECT coalesce(sum(bytes), 0) FROM {table})" for table in tables)
    made = f"CREATE TABLE total (bytes INTEGER NOT NULL); INSERT INTO total SELECT {sums};"
    for table in tables:
        for change, by in (
            ("INSERT", "NEW.bytes"),
            ("DELETE", "-OLD.bytes"),
            ("UPDATE OF bytes", "NEW.bytes - OLD.bytes"),
        ):
            made += (
                f"CREATE TRIGGER {table}_{change.split()[0].lower()} AFTER {change} ON {table} "
                f"BEGIN UPDATE total SET bytes = bytes + {by}; END;"
            )
    return made


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger holds semicolons of its own."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
