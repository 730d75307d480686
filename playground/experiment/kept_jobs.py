"""The rows of a store that say what experiments a server has, and how far each is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

from playground.experiment.experiment import Experiment
from playground.experiment.facts import Facts
from playground.experiment.state import OVER, Stage
from playground.experiment.store import Store

MOST_JOBS = 2000  # of a store; the oldest that have ended go first, with their votes
_COLUMNS = "id, created, state, note, model, experiment, facts"


@dataclass(frozen=True)
class KeptJob:
    """One experiment, to whom it may concern that knows its id."""

    id: str
    created: float
    stage: Stage
    note: str
    model: str  # the id of the model that was asked for
    experiment: Experiment
    facts: Facts

    @classmethod
    def new(cls, id: str, model: str, experiment: Experiment, facts: Facts) -> KeptJob:
        return cls(id, time.time(), "waiting", "", model, experiment, facts)


@dataclass(frozen=True)
class KeptJobs:
    """The table of experiments in a store."""

    store: Store

    def add(self, row: KeptJob) -> None:
        ended = ", ".join(f"'{stage}'" for stage in sorted(OVER))
        with self.store.transaction() as database:
            database.execute(
                f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id, row.created, row.stage, row.note, row.model,
                    row.experiment.model_dump_json(), row.facts.model_dump_json(),
                ),
            )  # fmt: skip
            database.execute(
                f"DELETE FROM jobs WHERE state IN ({ended}) AND id NOT IN "
                "(SELECT id FROM jobs ORDER BY created DESC LIMIT ?)",
                (MOST_JOBS,),
            )

    def get(self, id: str) -> KeptJob | None:
        return next(iter(self._found("WHERE id = ?", id)), None)

    def unfinished(self) -> list[KeptJob]:
        """Those that neither ended nor were stopped, the oldest first."""
        ended = ", ".join(f"'{stage}'" for stage in sorted(OVER))
        return self._found(f"WHERE state NOT IN ({ended}) ORDER BY created")

    def set_stage(self, id: str, stage: Stage, note: str) -> None:
        with self.store.transaction() as database:
            database.execute("UPDATE jobs SET state = ?, note = ? WHERE id = ?", (stage, note, id))

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
            )
            for id, created, stage, note, model, experiment, facts in self.store.rows(
                f"SELECT {_COLUMNS} FROM jobs {where}", *values
            )
        ]
