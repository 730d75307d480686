"""The history's file: SQLite, of bounded size and age, shared by several processes.

A visitor's key is kept as a hash, so that the file tells nobody's. Whoever has an entry's id, from
a link, may open it; all else asks for the key that it was kept with.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import zlib
from pathlib import Path

from playground.database import Database, total
from playground.history.entry import Entry

_SHARE = 4  # one visitor has at most this part of the bytes
MOST_WORDS = 8  # of a search

# Each brings a file from the version of its index to the next.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE entries (
        id TEXT PRIMARY KEY,
        visitor BLOB NOT NULL,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        created REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        words TEXT NOT NULL,
        told TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        content BLOB NOT NULL
    );
    CREATE UNIQUE INDEX entries_by_source ON entries (visitor, source);
    CREATE INDEX entries_of_source ON entries (source);
    CREATE INDEX entries_by_time ON entries (visitor, created);
    CREATE INDEX entries_by_age ON entries (pinned, created);
    """,
    # By the second, what one visitor has is added up without reading it.
    total("entries") + "CREATE INDEX entries_by_size ON entries (visitor, bytes);",
    # A row that changes is written whole: apart, what was kept is not written for a new name.
    """
    CREATE TABLE contents (
        id TEXT PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
        content BLOB NOT NULL
    );
    INSERT INTO contents SELECT id, content FROM entries;
    ALTER TABLE entries DROP COLUMN content;
    """,
)
_FIELDS = "id, kind, source, created, pinned, told, bytes"


class History(Database):
    """A file of at most about ``most_bytes``, in which nothing is older than ``days``.

    The oldest goes first, and what a visitor pinned last. Any thread may call it. ``None`` for the
    file keeps all in memory.
    """

    def __init__(self, file: Path | None, most_bytes: int = 256 << 20, days: float = 90) -> None:
        """Raises ``DatabaseError`` where the file cannot be used."""
        self.most_bytes, self.days = most_bytes, days
        pragmas = ["foreign_keys = ON", "secure_delete = ON"]
        super().__init__(file, MIGRATIONS, "for the history", pragmas)

    def keep(self, visitor: str, entry: Entry, content: str) -> str:
        """Keep ``content``, the JSON of what the entry tells of; its id.

        What the same visitor kept of this source before is replaced, and keeps its id and pin.
        """
        packed = zlib.compress(content.encode(), 6)
        told, who = json.dumps(entry.told, ensure_ascii=False), _hash(visitor)
        with self.transaction() as database:
            row = database.execute(
                "INSERT INTO entries (id, visitor, kind, source, created, words, told, bytes) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (visitor, source) DO "
                "UPDATE SET words = excluded.words, told = excluded.told, bytes = excluded.bytes "
                "RETURNING id",
                (
                    secrets.token_hex(12), who, entry.kind, entry.source, time.time(), entry.words,
                    told, len(packed),
                ),
            ).fetchone()  # fmt: skip
            database.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (row[0], packed))
            self._drop(who)
        return str(row[0])

    def known(self, visitor: str, source: str) -> Entry | None:
        """What a visitor kept of a source."""
        question = f"SELECT {_FIELDS} FROM entries WHERE visitor = ? AND source = ?"
        rows = self.rows(question, _hash(visitor), source)
        return _entry(rows[0]) if rows else None

    def rename(self, visitor: str, entry: Entry) -> None:
        """Set what is told and searched of an entry of this source; what was kept stays."""
        told = json.dumps(entry.told, ensure_ascii=False)
        with self.transaction() as database:
            database.execute(
                "UPDATE entries SET words = ?, told = ? WHERE visitor = ? AND source = ?",
                (entry.words, told, _hash(visitor), entry.source),
            )

    def list(
        self, visitor: str, search: str = "", before: float | None = None, most: int = 50
    ) -> list[Entry]:
        """A visitor's entries, the latest first, that hold all words of a search."""
        words = search.casefold().split()[:MOST_WORDS]
        told = [f"%{_plain(word)}%" for word in words]
        where = "visitor = ? AND created < ?" + " AND words LIKE ? ESCAPE '\\'" * len(told)
        limit = time.time() + 1 if before is None else before
        rows = self.rows(
            f"SELECT {_FIELDS} FROM entries WHERE {where} ORDER BY created DESC LIMIT ?",
            _hash(visitor), limit, *told, most,
        )  # fmt: skip
        return [_entry(row) for row in rows]

    def get(self, id: str) -> tuple[Entry, str] | None:
        """An entry and the JSON that was kept, for whoever has its id."""
        return self._one("id = ?", id)

    def of_source(self, source: str) -> tuple[Entry, str] | None:
        """The same of what a page calls ``source``, whoever kept it."""
        return self._one("source = ?", source)

    def pinned(self, visitor: str) -> Entry | None:
        """The entry that this visitor compares with."""
        question = f"SELECT {_FIELDS} FROM entries WHERE visitor = ? AND pinned = 1"
        rows = self.rows(question, _hash(visitor))
        return _entry(rows[0]) if rows else None

    def pin(self, visitor: str, id: str | None) -> None:
        """Compare with this entry from now on, and with no other; None compares with none."""
        who = _hash(visitor)
        with self.transaction() as database:
            database.execute("UPDATE entries SET pinned = 0 WHERE visitor = ?", (who,))
            database.execute(
                "UPDATE entries SET pinned = 1 WHERE visitor = ? AND id = ?", (who, id)
            )

    def delete(self, visitor: str, id: str | None = None) -> int:
        """Delete one of a visitor's entries, or all of them; how many there were."""
        with self.transaction() as database:
            return database.execute(
                "DELETE FROM entries WHERE visitor = ? AND (? IS NULL OR id = ?)",
                (_hash(visitor), id, id),
            ).rowcount

    def experiments(self, visitor: str, id: str | None = None) -> list[str]:
        """What the experiments among a visitor's entries are called, or that of one entry."""
        rows = self.rows(
            "SELECT source FROM entries WHERE visitor = ? AND kind = 'experiment' "
            "AND (? IS NULL OR id = ?)",
            _hash(visitor), id, id,
        )  # fmt: skip
        return [str(source) for (source,) in rows]

    def forget(self, source: str) -> None:
        """Delete what anybody kept of a source."""
        with self.transaction() as database:
            database.execute("DELETE FROM entries WHERE source = ?", (source,))

    def _one(self, where: str, value: str) -> tuple[Entry, str] | None:
        rows = self.rows(
            f"SELECT {_FIELDS}, content FROM entries JOIN contents USING (id) "
            f"WHERE {where} LIMIT 1",
            value,
        )
        if not rows:
            return None
        *fields, content = rows[0]
        return _entry(tuple(fields)), zlib.decompress(content).decode()

    def _drop(self, visitor: bytes) -> None:
        """Drop what is too old, what is too much of this visitor's, and what is too much of all."""
        oldest = time.time() - self.days * 86_400
        self._database.execute("DELETE FROM entries WHERE pinned = 0 AND created < ?", (oldest,))
        own = "SELECT sum(bytes) FROM entries WHERE visitor = ?"
        self._drop_oldest(self.most_bytes // _SHARE, own, "WHERE visitor = ?", visitor)
        self._drop_oldest(self.most_bytes, "SELECT bytes FROM total")

    def _drop_oldest(self, most: int, sum_: str, where: str = "", *values: bytes) -> None:
        (bytes_,) = self._database.execute(sum_, values).fetchone()
        excess = (bytes_ or 0) - most
        if excess <= 0:
            return
        rows = self._database.execute(
            f"SELECT id, bytes FROM entries {where} ORDER BY pinned, created", values
        )
        dropped = []
        for id, size in rows:
            dropped.append((id,))
            excess -= size
            if excess <= 0:
                break
        self._database.executemany("DELETE FROM entries WHERE id = ?", dropped)


def _hash(visitor: str) -> bytes:
    return hashlib.sha256(visitor.encode()).digest()


def _plain(word: str) -> str:
    """A word in which no character stands for others."""
    for mark in ("\\", "%", "_"):
        word = word.replace(mark, f"\\{mark}")
    return word


def _entry(row: tuple[object, ...]) -> Entry:
    id, kind, source, created, pinned, told, size = row
    return Entry.model_validate(
        {
            **json.loads(str(told)), "id": id, "kind": kind, "source": source, "created": created,
            "pinned": bool(pinned), "nbytes": size,
        }
    )  # fmt: skip
