"""What was written, kept in SQLite by what it follows from, so that no text is written twice.

A text follows from the model's weights, the device and number format, the prompt, the recipe, the
seed and the limits. A cell is found by a hash of these, so an experiment goes on after whatever
ended it, and one with more prompts, recipes or seeds takes over what an earlier one wrote.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from playground.database import Database
from playground.experiment.sample import Sample

MOST_BYTES = 1 << 30
_AT_ONCE = 500  # keys in one question; SQLite bounds them

# Each brings a file from the version of its index to the next.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE samples (
        key BLOB PRIMARY KEY,
        used REAL NOT NULL,
        bytes INTEGER NOT NULL,
        sample BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX samples_by_use ON samples (used);
    CREATE TABLE experiments (
        id TEXT PRIMARY KEY,
        created REAL NOT NULL,
        used REAL NOT NULL,
        experiment TEXT NOT NULL,
        facts TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        created REAL NOT NULL,
        state TEXT NOT NULL,
        note TEXT NOT NULL,
        model TEXT NOT NULL,
        experiment TEXT NOT NULL,
        facts TEXT NOT NULL
    );
    CREATE INDEX jobs_by_age ON jobs (created);
    CREATE TABLE ballots (
        id TEXT PRIMARY KEY,
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        created REAL NOT NULL,
        ballot TEXT NOT NULL
    );
    CREATE INDEX ballots_by_job ON ballots (job);
    CREATE TABLE votes (
        ballot TEXT NOT NULL REFERENCES ballots (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        voter TEXT NOT NULL,
        unit INTEGER NOT NULL,
        swapped INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        cast_at REAL NOT NULL,
        PRIMARY KEY (ballot, number),
        UNIQUE (ballot, voter, unit)
    ) WITHOUT ROWID;
    """,
)


class Store(Database):
    """A file of samples, in at most about ``most_bytes``. Any thread may call it.

    Those that were used longest ago go first. Several processes may share one file. ``None`` for
    the file keeps all in memory.
    """

    def __init__(self, file: Path | str | None, most_bytes: int = MOST_BYTES) -> None:
        """Raises ``DatabaseError`` where the file cannot be used."""
        self.most_bytes = most_bytes
        where = None if file is None else Path(file).expanduser()
        super().__init__(where, MIGRATIONS, "as a store", pragmas=["foreign_keys = ON"])

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.rows("SELECT count(*) FROM samples")[0][0])

    @property
    def nbytes(self) -> int:
        """Bytes of all samples, packed."""
        with self._lock:
            return self._bytes()

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Which of these are kept; they count as used now."""
        found: set[bytes] = set()
        with self.transaction() as database:
            for some in _parts(list(keys)):
                marks = ", ".join("?" * len(some))
                rows = database.execute(f"SELECT key FROM samples WHERE key IN ({marks})", some)
                found.update(key for (key,) in rows.fetchall())
                database.execute(
                    f"UPDATE samples SET used = ? WHERE key IN ({marks})", (time.time(), *some)
                )
        return found

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Sample]:
        """The samples of these keys, as far as they are kept."""
        found: dict[bytes, Sample] = {}
        for some in _parts(list(keys)):
            marks = ", ".join("?" * len(some))
            question = f"SELECT key, sample FROM samples WHERE key IN ({marks})"
            for key, packed in self.rows(question, *some):
                found[key] = Sample.model_validate_json(zlib.decompress(packed))
        return found

    def put(self, samples: Mapping[bytes, Sample]) -> None:
        """Keep samples, all or none, and drop those used longest ago beyond the bound.

        What is kept already stays: a text follows from its key.
        """
        now = time.time()
        rows = []
        for key, sample in samples.items():
            packed = zlib.compress(sample.model_dump_json().encode(), 6)
            rows.append((key, now, len(packed), packed))
        with self.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", rows)
            self._drop_oldest()

    def forget(self, keys: Iterable[bytes]) -> None:
        """Drop samples, so that they are written anew."""
        with self.transaction() as database:
            database.executemany("DELETE FROM samples WHERE key = ?", [(key,) for key in keys])

    def remember(self, id: str, experiment: str, facts: str) -> None:
        """Keep what an experiment asked, as JSON."""
        now = time.time()
        with self.transaction() as database:
            database.execute(
                "INSERT INTO experiments VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET used = excluded.used, facts = excluded.facts",
                (id, now, now, experiment, facts),
            )

    def experiments(self) -> list[tuple[str, str]]:
        """The id and the JSON of each that was asked, the latest first."""
        rows = self.rows("SELECT id, experiment FROM experiments ORDER BY used DESC")
        return [(str(id), str(experiment)) for id, experiment in rows]

    def _bytes(self) -> int:
        (total,) = self._database.execute("SELECT sum(bytes) FROM samples").fetchone()
        return int(total or 0)

    def _drop_oldest(self) -> None:
        excess = self._bytes() - self.most_bytes
        while excess > 0:
            rows = self._database.execute(
                "SELECT key, bytes FROM samples ORDER BY used LIMIT 100"
            ).fetchall()
            if not rows:
                return
            dropped = []
            for key, size in rows:
                if excess <= 0:
                    break
                dropped.append((key,))
                excess -= size
            self._database.executemany("DELETE FROM samples WHERE key = ?", dropped)


def key(parts: Mapping[str, object]) -> bytes:
    """The hash by which a cell is found, of all that its text follows from."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).digest()


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
