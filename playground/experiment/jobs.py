"""The experiments of a server: each is run in the background, stored, and found by its id.

Whoever knows an id may read, stop and delete that experiment; ids are drawn, and cannot be guessed.
An experiment that had not ended when the server stopped continues when it starts again.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from playground.database import DatabaseError
from playground.engine.request import Busy
from playground.experiment.ballots import Ballots
from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.job import Job
from playground.experiment.job_queue import JobQueue
from playground.experiment.kept_jobs import KeptJob, KeptJobs
from playground.experiment.reading import kept_by
from playground.experiment.runner import Runner
from playground.experiment.store import Store

if TYPE_CHECKING:
    from playground.experiment.runner import Writer

log = logging.getLogger(__name__)

MOST_OPEN = 24  # that run or wait, of all clients
MOST_OF_ONE = 3  # of one client
_UNPACKED = 16  # that have ended and are kept in memory; the others are read from the store
_STOPPED_S = 5.0  # that one may take to end before it is deleted
_CLOSED_S = 1.0  # that all may take to end before the store is closed
_AGAIN_S = 60  # after which one who is refused may try again


class Jobs:
    """Every method may be called from any thread."""

    def __init__(
        self,
        engine: Callable[[str | None], Writer],
        store: Callable[[], Store],
        most_texts: int,
    ) -> None:
        """``engine`` returns a model's engine, loaded if need be; ``store`` opens the file."""
        self._engine, self._open, self.most_texts = engine, store, most_texts
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.RLock()
        self._queue = JobQueue()
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The store of texts; in memory alone where the file cannot be used."""
        with self._lock:
            if self._store is None:
                try:
                    self._store = self._open()
                except DatabaseError as error:
                    log.error("experiments are kept in memory alone: %s", error)
                    self._store = Store(None)
            return self._store

    @property
    def kept(self) -> KeptJobs:
        return KeptJobs(self.store)

    @cached_property
    def ballots(self) -> Ballots:
        """The blind votes on them."""
        return Ballots(self.store)

    def submit(self, given: Mapping[str, Any], client: str = "") -> Job:
        """Check an experiment, given as the fields of its file, and start it.

        Raises ``ExperimentError``, which names the field, ``ModelError``, or ``Busy``.
        """
        definition = self.checked(given)
        with self._lock:
            self._check_room(client)
        engine = self._engine(definition.model)
        if (
            definition.model is not None
            or engine.model.facts.id != self._engine(None).model.facts.id
        ):
            definition = definition.model_copy(update={"model": engine.model.facts.id})
        facts = Runner(definition, engine, self.store).facts
        row = KeptJob.new(secrets.token_urlsafe(12), engine.model.facts.id, definition, facts)
        with self._lock:
            self._check_room(client)
            self.kept.add(row)
            return self._begin(row, client)

    def checked(self, given: Mapping[str, Any]) -> Experiment:
        """The validated experiment. Raises ``ExperimentError`` where this host would not run it."""
        definition = Experiment.of(given)
        if not self.most_texts:
            raise ExperimentError("", "This host runs no experiments.")
        if definition.cells > self.most_texts:
            raise ExperimentError(
                "",
                f"{len(definition.prompts):,} prompts × {len(definition.recipes):,} recipes × "
                f"{len(definition.seeds):,} seeds are {definition.cells:,} texts; this host writes "
                f"at most {self.most_texts:,}.",
            )
        return definition

    def get(self, id: str) -> Job | None:
        """An experiment of this server."""
        with self._lock:
            job = self._jobs.get(id)
            if job is not None:
                self._jobs.move_to_end(id)
                return job
            row = self.kept.get(id)
            return None if row is None else self._begin(row)

    def delete(self, id: str) -> bool:
        """Forget an experiment, its votes, and its texts where no other one has the same.

        One that runs is stopped. False where there is none.
        """
        job = self.get(id)
        if job is None:
            return False
        job.stop()
        job.join(_STOPPED_S)
        with self._lock:
            self._jobs.pop(id, None)
            self.kept.delete(id)
        own = kept_by(job.experiment, job.row.facts)
        for other in self.kept.sharing(job.row):
            own -= kept_by(other.experiment, other.facts)
        self.store.forget(own)
        return True

    def stop(self, id: str) -> bool:
        """Stop an experiment; False where there is none."""
        job = self.get(id)
        if job is not None:
            job.stop()
        return job is not None

    def go_on(self, id: str, client: str = "") -> Job | None:
        """Continue an experiment that was stopped or failed; None where there is none."""
        with self._lock:
            job = self.get(id)
            if job is None or not job.resumable:
                return job
            self._check_room(client)
            self.kept.go_on(id)
            row = self.kept.get(id)
            if row is None:  # dropped meanwhile, to make room
                self._jobs.pop(id, None)
                return None
            return self._begin(row, client)

    def resume(self) -> None:
        """Continue the experiments that had not ended when the server stopped."""
        if not self.most_texts:
            return
        with self._lock:
            for row in self.kept.unfinished():
                if row.id not in self._jobs:
                    self._begin(row)

    def end(self) -> None:
        """Stop all experiments until the server starts again."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.close()

    def close(self) -> None:
        """The same, and wait for them: a second, for all together."""
        self.end()
        with self._lock:
            jobs = list(self._jobs.values())
        late = monotonic() + _CLOSED_S
        for job in jobs:
            job.join(max(0.0, late - monotonic()))
        with self._lock:
            if self._store is not None:
                self._store.close()

    def _begin(self, row: KeptJob, client: str = "") -> Job:
        job = Job(row, self.store, self._engine, self._queue, client)
        self._jobs[row.id] = job
        ended = [id for id, one in self._jobs.items() if one.over]
        for id in ended[: max(0, len(ended) - _UNPACKED)]:
            del self._jobs[id]
        job.start()
        return job

    def _check_room(self, client: str) -> None:
        open_ = [job for job in self._jobs.values() if job.open]
        own = [job for job in open_ if client and job.client == client]
        if len(own) >= MOST_OF_ONE:
            raise Busy(
                f"{len(own)} experiments of yours have not ended; at most {MOST_OF_ONE} are taken "
                "at once. Stop one, or wait for it.",
                _AGAIN_S,
            )
        if len(open_) >= MOST_OPEN:
            raise Busy(f"{len(open_)} experiments are waiting already. Try again later.", _AGAIN_S)
