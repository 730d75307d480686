"""A cache of texts in SQLite, keyed by what they follow from, so that none is written twice.

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
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from playground.database import Database, total
from playground.experiment.sample import Sample

MOST_BYTES = 1 << 30
VOTE_BYTES = 256  # a vote, and what finds it
_AT_ONCE = 500  # keys in one query; SQLite bounds them

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
    # Of an experiment, ``used`` is when it ended, or was voted on; NULL while it goes on.
    f"""
    DROP TABLE experiments;
    ALTER TABLE jobs ADD COLUMN used REAL;
    ALTER TABLE jobs ADD COLUMN told TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ballots ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET bytes = length(CAST(experiment AS BLOB)) + length(facts);
    UPDATE jobs SET used = created WHERE state IN ('done', 'stopped', 'failed');
    UPDATE ballots SET bytes = length(CAST(ballot AS BLOB)) + {VOTE_BYTES} *
        (SELECT count(*) FROM votes WHERE votes.ballot = ballots.id);
    CREATE INDEX jobs_by_use ON jobs (used);
    """
    + total("samples", "jobs", "ballots"),
)


class Store(Database):
    """A file of samples, with what the model makes of them where that was asked, and of a server's
    experiments with their votes. Any thread may call it.

    It has at most about ``most_bytes``, of which what was used longest ago goes first, and nothing
    that was last used more than ``days`` ago; None is any time. Several processes may share one
    file. ``None`` for the file keeps all in memory.
    """

    def __init__(
        self, file: Path | str | None, most_bytes: int = MOST_BYTES, days: float | None = None
    ) -> None:
        """Raises ``DatabaseError`` where the file cannot be used."""
        self.most_bytes, self.days = most_bytes, days
        where = None if file is None else Path(file).expanduser()
        pragmas = ["foreign_keys = ON", "secure_delete = ON"]
        super().__init__(where, MIGRATIONS, "as a store", pragmas)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.rows("SELECT count(*) FROM samples")[0][0])

    def has(self, keys: Iterable[bytes]) -> set[bytes]:
        """Which of these keys are stored; they count as used now."""
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
        """The samples of these keys, as far as they are stored."""
        return {
            key: Sample.model_validate_json(zlib.decompress(packed))
            for key, packed in self._packed(keys)
        }

    def _packed(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for some in _parts(list(keys)):
            marks = ", ".join("?" * len(some))
            yield from self.rows(f"SELECT key, sample FROM samples WHERE key IN ({marks})", *some)

    def put(self, samples: Mapping[bytes, Sample]) -> None:
        """Store samples, all or none, and make room for them.

        What is kept already stays: a text follows from its key.
        """
        now = time.time()
        rows = []
        for key, sample in samples.items():
            packed = zlib.compress(sample.model_dump_json().encode(), 6)
            rows.append((key, now, len(packed), packed))
        with self.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", rows)
            self.make_room()

    def put_vectors(self, key: bytes, vectors: NDArray[np.float32]) -> None:
        """Keep what the model makes of some texts beside them, ``[texts, width]``."""
        packed = BytesIO()
        np.save(packed, vectors, allow_pickle=False)
        row = (key, time.time(), len(packed.getvalue()), packed.getvalue())
        with self.transaction() as database:
            database.execute("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", row)
            self.make_room()

    def vectors(self, keys: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors of these keys, as far as they are kept."""
        return {
            key: np.load(BytesIO(packed), allow_pickle=False) for key, packed in self._packed(keys)
        }

    def forget(self, keys: Iterable[bytes]) -> None:
        """Delete samples, so that they are written again."""
        with self.transaction() as database:
            database.executemany("DELETE FROM samples WHERE key = ?", [(key,) for key in keys])

    def make_room(self) -> None:
        """Drop what is too old and, of what was used longest ago, what is too much.

        That is, texts, and experiments that have ended, with their votes. Within a transaction.
        """
        if self.days is not None:
            oldest = time.time() - self.days * 86_400
            self._database.execute("DELETE FROM samples WHERE used < ?", (oldest,))
            self._database.execute("DELETE FROM jobs WHERE used < ?", (oldest,))
        while (excess := self._bytes() - self.most_bytes) > 0:
            rows = self._database.execute(
                "SELECT key, NULL, bytes, used FROM samples UNION ALL "
                "SELECT NULL, id, bytes, used FROM jobs WHERE used IS NOT NULL "
                "ORDER BY used LIMIT 100"
            ).fetchall()
            if not rows:
                return
            for text, job, size, _ in rows:
                self._database.execute("DELETE FROM samples WHERE key = ?", (text,))
                self._database.execute("DELETE FROM jobs WHERE id = ?", (job,))
                excess -= size
                if excess <= 0:
                    break

    def _bytes(self) -> int:
        (bytes_,) = self._database.execute("SELECT bytes FROM total").fetchone()
        return int(bytes_)


def key(parts: Mapping[str, object]) -> bytes:
    """The key of a cell: a hash of all that its text follows from."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).digest()


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
