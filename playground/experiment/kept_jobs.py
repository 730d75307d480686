"""The rows of a store that say what experiments a server has, and how far each is."""

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
    model: str  # the id of the model that was asked for
    experiment: Experiment
    facts: Facts
    told: State | None = None  # what it found, once it has ended

    @classmethod
    def new(cls, id: str, model: str, experiment: Experiment, facts: Facts) -> KeptJob:
        return cls(id, time.time(), "waiting", "", model, experiment, facts)


@dataclass(frozen=True)
class KeptJobs:
    """The table of experiments in a store."""

    store: Store

    def add(self, row: KeptJob) -> None:
        asked, facts = row.experiment.model_dump_json(), row.facts.model_dump_json()
        with self.store.transaction() as database:
            database.execute(
                "INSERT INTO jobs (id, created, state, note, model, experiment, facts, bytes) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id, row.created, row.stage, row.note, row.model, asked, facts,
                    len(asked.encode()) + len(facts),
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
        """Those that neither ended nor were stopped, the oldest first."""
        return self._found("WHERE used IS NULL ORDER BY created")

    def conclude(self, id: str, state: State) -> None:
        """Keep how an experiment ended, and what it found."""
        self._set(id, state.stage, state.note, state.model_dump_json(), time.time())

    def go_on(self, id: str) -> None:
        """Mark it as going on again."""
        self._set(id, "waiting", "", "", None)

    def delete(self, id: str) -> None:
        """Forget an experiment, with its votes."""
        with self.store.transaction() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def sharing(self, row: KeptJob) -> Iterator[KeptJob]:
        """Other experiments that may have texts of this one: those with a prompt of it."""
        prompts = {prompt.text for prompt in row.experiment.prompts}
        others = "SELECT id FROM jobs WHERE model = ? AND id != ?"
        for (id,) in self.store.rows(others, row.model, row.id):
            for (asked,) in self.store.rows("SELECT experiment FROM jobs WHERE id = ?", id):
                if prompts.isdisjoint(one["text"] for one in json.loads(asked)["prompts"]):
                    continue
                yield from self._found("WHERE id = ?", id)

    def _set(self, id: str, stage: Stage, note: str, told: str, used: float | None) -> None:
        with self.store.transaction() as database:
            database.execute(
                "UPDATE jobs SET state = ?, note = ?, told = ?, used = ?, "
                "bytes = length(CAST(experiment AS BLOB)) + length(facts) + ? WHERE id = ?",
                (stage, note, told, used, len(told.encode()), id),
            )
            self.store.make_room()

    def set_facts(self, id: str, facts: Facts) -> None:
        """The model was loaded with other weights or on another device: all is written anew."""
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
                told=_state(told),
            )
            for id, created, stage, note, model, experiment, facts, told in self.store.rows(
                f"SELECT {_COLUMNS} FROM jobs {where}", *values
            )
        ]


def _state(told: str) -> State | None:
    """What was kept of how it ended; None where an earlier version of this program told it."""
    try:
        return State.model_validate_json(told) if told else None
    except ValidationError:
        return None
