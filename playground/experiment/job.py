"""One experiment of a server: its thread, its progress, and its state as it is written."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from playground.errors import ModelError
from playground.experiment import cells
from playground.experiment.cells import Cell
from playground.experiment.experiment import ExperimentError
from playground.experiment.findings import Findings
from playground.experiment.job_queue import JobQueue
from playground.experiment.kept_jobs import KeptJob, KeptJobs
from playground.experiment.metric import Features
from playground.experiment.reading import kept_features
from playground.experiment.result import Result
from playground.experiment.runner import Done, ExperimentFailed, ModelReleased, Runner
from playground.experiment.sample import Sample
from playground.experiment.state import OVER, Failed, Stage, State, blank, concluded, means
from playground.experiment.store import Store
from playground.experiment.tally import Tally

if TYPE_CHECKING:
    from playground.experiment.runner import Writer

log = logging.getLogger(__name__)

_TABLE_SHARE = 0.05  # of the time, at most, for the table that is shown meanwhile
_TABLE_S = 0.7  # between two tables, at least
_RELEASED_S = 30.0  # until a model that was released for another one is requested again


class Job:
    """Runs what is missing, on a thread of its own. Any thread may read it.

    ``state`` is what is known of it; ``version`` grows with each change. Of one that has ended it
    is what was kept: its texts are measured again where more is asked.
    """

    def __init__(
        self,
        row: KeptJob,
        store: Store,
        engine: Callable[[str | None], Writer],
        queue: JobQueue,
        client: str = "",
    ) -> None:
        self.row, self.store, self.client = row, store, client
        self.experiment = row.experiment
        self.version = 0
        self.state = row.final or blank(row.id, row.experiment, row.facts.title)
        self._engine, self._queue = engine, queue
        self._tally: Tally | None = None  # until texts are measured
        self._found: Findings | None = None  # once it has ended
        self._measuring = threading.Lock()
        self._stop, self._closing = threading.Event(), False
        self._runner: Runner | None = None
        self._subscribers: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"job-{row.id}", daemon=True)
        self._due, self._cost = 0.0, 0.0

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def over(self) -> bool:
        return self.state.stage in OVER

    @property
    def done(self) -> bool:
        """``over``, by the name that a ``Run`` has for it."""
        return self.over

    @property
    def open(self) -> bool:
        """Whether there is something left to write."""
        return not self.over and self.row.stage not in OVER

    @property
    def resumable(self) -> bool:
        return self.state.stage in ("stopped", "failed")

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @cached_property
    def keys(self) -> dict[Cell, bytes]:
        """The keys under which a store has its texts."""
        return cells.keys(self.experiment, self.row.facts)

    def start(self) -> None:
        """Start writing what is missing, unless it has ended."""
        if not self.over:
            self._thread.start()

    def stop(self) -> None:
        """Stop it; what is written stays and is part of its findings."""
        self._stop.set()
        self._queue.wake()
        current = self._runner
        if current is not None:
            current.stop()

    def close(self) -> None:
        """Stop it until the server starts again."""
        self._closing = True
        self.stop()

    def join(self, timeout: float) -> None:
        """Wait until nothing more is written."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    @contextmanager
    def subscribe(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call ``changed`` on this job's thread at each change while the context is open."""
        with self._lock:
            self._subscribers.add(changed)
        try:
            yield
        finally:
            with self._lock:
                self._subscribers.discard(changed)

    def result(self) -> Result:
        """All texts with their numbers, for a report; they are measured again."""
        return Result.kept(self.experiment, self.row.facts, self.store)

    def findings(self) -> Findings:
        """The findings of the texts that are measured so far."""
        with self._measuring:
            if self._found is not None:
                return self._found
            found = (self._tally or self._measured()).findings()
            if self.over:
                self._found = found
            return found

    def texts(
        self, recipe: int, prompt: int | None = None, most: int | None = None
    ) -> dict[Cell, Sample]:
        """The stored texts of a recipe, after one prompt or all."""
        wanted = {
            cell: key
            for cell, key in self.keys.items()
            if cell.recipe == recipe and prompt in (None, cell.prompt)
        }
        return dict(itertools.islice(cells.written(wanted, self.store), most))

    def wait_for(self, ahead: int) -> None:
        """Show how many experiments are before this one in the queue."""
        noun = "another experiment" if ahead == 1 else f"{ahead} other experiments"
        note = f"Waits for {noun}."
        if self.state.note != note:
            self._update(note=note)

    def _work(self) -> None:
        try:
            stage, note = self._worked()
            if not self._closing:
                self._update(stage="concluding", note="", seconds_left=None)
                state = concluded(self.state, self.findings())
                failed = [] if self._tally is None else _failed(self._tally)
                outcome = {"stage": stage, "note": note, "failed": failed}
                self._end_as(state.model_copy(update=outcome))
        except Exception as error:  # whoever follows it must learn that it ended
            if self._closing:
                return
            log.exception("an experiment failed")
            note = f"It failed through a fault of the program: {type(error).__name__}."
            self._end_as(self.state.model_copy(update={"stage": "failed", "note": note}))

    def _end_as(self, state: State) -> None:
        try:
            KeptJobs(self.store).conclude(self.id, state)
        finally:
            self._update(**dict(state))

    def _worked(self) -> tuple[Stage, str]:
        """Write what is missing; how it ended, and why where it did not end well."""
        if self.row.stage in OVER:  # an earlier version of this program did not keep what it found
            self._update(stage="concluding")
            self._take_in_what_is_kept()
            return self.row.stage, self.row.note
        with self._queue.turn(self) as came:
            if not came:
                if not self._closing:
                    self._take_in_what_is_kept()
                return "stopped", ""
            try:
                while not self.stopping:
                    try:
                        self._write()
                        break
                    except ModelReleased:
                        self._update(note="Waits for its model, which made room for another one.")
                        self._stop.wait(_RELEASED_S)
            except (ExperimentFailed, ExperimentError, ModelError) as error:
                return "failed", str(error)
        unread = self.stopping and self.experiment.reads_features
        stopped = unread or self.state.done < self.experiment.cells
        return ("stopped" if stopped else "done"), ""

    def _write(self) -> None:
        self._update(note="Loads its model.", stage="waiting")
        import scipy.stats  # noqa: F401  # takes seconds, which are no part of what a table takes

        current = self._runner = Runner(self.experiment, self._engine(self.row.model), self.store)
        if self.stopping:
            return
        if current.facts != self.row.facts:  # other weights, another device, a later version
            self.row = replace(self.row, facts=current.facts)
            KeptJobs(self.store).set_facts(self.id, current.facts)
        self.keys = current.keys
        self._take_in_what_is_kept()
        self._update(stage="running", note="")
        for done in current.run(reading=self._reads):
            self._take_in(done)
            if self.stopping:  # also where that was said just before it began
                current.stop()
        assert self._tally is not None
        self._tally.take(self._features())

    def _reads(self, done: int, total: int) -> None:
        self._update(note=f"The model reads the texts: {done:,} of {total:,}.", seconds_left=None)

    def _take_in_what_is_kept(self) -> None:
        with self._measuring:
            tally = self._measured()
        self._update(done=tally.written, failed=_failed(tally))

    def _measured(self) -> Tally:
        """What is kept, measured anew; whoever calls it holds ``_measuring``."""
        self._tally = tally = Tally(self.experiment)
        for cell, sample in self._kept():
            tally.add(cell, sample)
        tally.take(self._features())
        return tally

    def _features(self) -> Features | None:
        return kept_features(self.experiment, self.row.facts, self.store)

    def _kept(self) -> Iterator[tuple[Cell, Sample]]:
        return cells.written(self.keys, self.store)

    def _take_in(self, done: Done) -> None:
        tally = self._tally
        assert tally is not None  # what was kept was taken in before
        tally.add(done.cell, done.sample)
        changes: dict[str, object] = {"done": done.done, "seconds_left": done.seconds_left}
        if monotonic() >= self._due:
            began = perf_counter()
            changes["means"] = means(tally.findings(), live=True)
            changes["measured"] = tally.written
            changes["failed"] = _failed(tally)
            self._cost = perf_counter() - began
            self._due = monotonic() + max(_TABLE_S, self._cost / _TABLE_SHARE)
        self._update(**changes)

    def _update(self, **changes: object) -> None:
        with self._lock:
            self.state = self.state.model_copy(update=changes)
            self.version += 1
            subscribers = list(self._subscribers)
        for changed in subscribers:
            changed()


def _failed(tally: Tally) -> list[Failed]:
    """The number of failed texts, by recipe."""
    counts: dict[int, Failed] = {}
    for cell, reason in tally.failed.items():
        known = counts.get(cell.recipe)
        counts[cell.recipe] = Failed(
            recipe=cell.recipe,
            texts=known.texts + 1 if known else 1,
            reason=known.reason if known else reason,
        )
    return list(counts.values())
