"""The table of a server's experiments: what each one is, its stage, and what it found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from playground.experiment.experiment import Experiment
from playground.experiment.state import Stage, State
from playground.experiment.store import Store
from playground.models.provenance import Facts

MOST_JOBS = 2000  # of a store; the oldest that have ended go first, with their votes
_COLUMNS = "id, created, state, note, model, experiment, facts, told"


@dataclass(frozen=True)
class KeptJob:
    """One experiment as the server keeps it; whoever knows its id may read it."""

    id: str
    created: float
    stage: Stage
    note: str
    model: str  # the id in the request
    experiment: Experiment
    facts: Facts
    final: State | None = None  # its state when it ended; the column is called told

    @classmethod
    def new(cls, id: str, model: str, experiment: Experiment, facts: Facts) -> KeptJob:
        return cls(id, time.time(), "waiting", "", model, experiment, facts)


@dataclass(frozen=True)
class KeptJobs:
    """The table of experiments in a store."""

    store: Store

    def add(self, row: KeptJob) -> None:
        written, facts = row.experiment.model_dump_json(), row.facts.model_dump_json()
        with self.store.transaction() as database:
            database.execute(
                "INSERT INTO jobs (id, created, state, note, model, experiment, facts, bytes) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id, row.created, row.stage, row.note, row.model, written, facts,
                    len(written.encode()) + len(facts),
                ),
            )  # fmt: skip
            database.execute(
                "DELETE FROM jobs WHERE used IS NOT NULL AND id NOT IN "
                "(SELECT id FROM jobs ORDER BY created DESC LIMIT ?)",
                (MOST_JOBS,),
            )
            self.store.make_room()

    def get(self, id: str) -> KeptJob | None:
        return next(iter(self._found("WHERE id = ?", id)), None)

    def unfinished(self) -> list[KeptJob]:
        """The experiments that have neither ended nor been stopped, the oldest first."""
        return self._found("WHERE used IS NULL ORDER BY created")

    def conclude(self, id: str, state: State) -> None:
        """Store the state in which an experiment ended, with what it found."""
        self._set(id, state.stage, state.note, state.model_dump_json(), time.time())

    def go_on(self, id: str) -> None:
        """Mark an experiment as waiting again."""
        self._set(id, "waiting", "", "", None)

    def delete(self, id: str) -> None:
        """Delete an experiment, with its votes."""
        with self.store.transaction() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def sharing(self, row: KeptJob) -> Iterator[KeptJob]:
        """Other experiments that may have texts of this one: those that share a prompt with it."""
        prompts = {prompt.text for prompt in row.experiment.prompts}
        others = "SELECT id FROM jobs WHERE model = ? AND id != ?"
        for (id,) in self.store.rows(others, row.model, row.id):
            for (written,) in self.store.rows("SELECT experiment FROM jobs WHERE id = ?", id):
                if prompts.isdisjoint(one["text"] for one in json.loads(written)["prompts"]):
                    continue
                yield from self._found("WHERE id = ?", id)

    def _set(self, id: str, stage: Stage, note: str, final: str, used: float | None) -> None:
        with self.store.transaction() as database:
            database.execute(
                "UPDATE jobs SET state = ?, note = ?, told = ?, used = ?, "
                "bytes = length(CAST(experiment AS BLOB)) + length(facts) + ? WHERE id = ?",
                (stage, note, final, used, len(final.encode()), id),
            )
            self.store.make_room()

    def set_facts(self, id: str, facts: Facts) -> None:
        """Replace the facts: the model now has other weights or a device; all texts are redone."""
        with self.store.transaction() as database:
            database.execute(
                "UPDATE jobs SET facts = ? WHERE id = ?", (facts.model_dump_json(), id)
            )

    def _found(self, where: str, *values: object) -> list[KeptJob]:
        return [
            KeptJob(
                id=str(id),
                created=float(created),
                stage=cast(Stage, stage),
                note=str(note),
                model=str(model),
                experiment=Experiment.model_validate_json(experiment),
                facts=Facts.model_validate_json(facts),
                final=_state(final),
            )
            for id, created, stage, note, model, experiment, facts, final in self.store.rows(
                f"SELECT {_COLUMNS} FROM jobs {where}", *values
            )
        ]


def _state(final: str) -> State | None:
    """The stored state; None where there is none, or one that an earlier version wrote."""
    try:
        return State.model_validate_json(final) if final else None
    except ValidationError:
        return None
