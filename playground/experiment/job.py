"""One experiment of a server at work: its thread, its progress, and the table as it fills."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from playground.errors import ModelError
from playground.experiment import runner
from playground.experiment.experiment import ExperimentError
from playground.experiment.findings import Findings
from playground.experiment.kept_jobs import KeptJob, KeptJobs
from playground.experiment.result import Result
from playground.experiment.runner import Cell, Done, ExperimentFailed, ModelReleased, Runner
from playground.experiment.sample import Sample
from playground.experiment.state import OVER, Failed, Stage, blank, concluded, means
from playground.experiment.store import Store
from playground.experiment.tally import Tally

if TYPE_CHECKING:
    from playground.engine import Engine
    from playground.experiment.runner import Elsewhere

log = logging.getLogger(__name__)

AT_WORK = 2  # experiments at once; more would only share the same rows
_TABLE_SHARE = 0.05  # of the time goes into the table that is shown meanwhile, at most
_TABLE_S = 0.7  # between two tables, at least
_RELEASED_S = 30.0  # until a model that was released for another one is asked for again
_JOIN_S = 5.0


class Line:
    """Who is at work, and who waits for that, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, one: Job) -> Iterator[bool]:
        """Wait until it is the turn of ``one``; False where it was stopped before that."""
        with self._changed:
            self._waiting.append(one)
            try:
                while not one.stopping and one not in self._waiting[:AT_WORK]:
                    ahead = self._waiting.index(one) - AT_WORK + 1
                    one.wait_for(ahead)
                    self._changed.wait(1.0)
            except BaseException:
                self._leave(one)
                raise
        try:
            yield not one.stopping
        finally:
            with self._changed:
                self._leave(one)

    def _leave(self, one: Job) -> None:
        self._waiting.remove(one)
        self._changed.notify_all()


class Job:
    """Runs what is missing, on a thread of its own. Any thread may read it.

    ``state`` is what is known of it; ``version`` grows with each change.
    """

    def __init__(
        self,
        row: KeptJob,
        store: Store,
        engine: Callable[[str | None], Engine | Elsewhere],
        line: Line,
        client: str = "",
    ) -> None:
        self.row, self.store, self.client = row, store, client
        self.experiment = row.experiment
        self.keys = runner.keys(row.experiment, row.facts)
        self.version = 0
        self.state = blank(row.id, row.experiment, row.facts.title)
        if row.stage in OVER:
            self.state = self.state.model_copy(update={"note": "Reading what is kept …"})
        self._engine, self._line = engine, line
        self._tally = Tally(row.experiment)
        self._stop, self._close = threading.Event(), threading.Event()
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
        """The same, as a run is asked for it."""
        return self.over

    @property
    def resumable(self) -> bool:
        return self.state.stage in ("stopped", "failed")

    @property
    def stopping(self) -> bool:
        return self._stop.is_set() or self._close.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it where it is; what is written stays, and is told."""
        self._end(self._stop)

    def close(self) -> None:
        """End it where it is; it goes on when the server starts again."""
        self._end(self._close)

    def join(self, timeout: float = _JOIN_S) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    @contextmanager
    def subscribe(self, changed: Callable[[], None]) -> Iterator[None]:
        """Have ``changed`` called, on this job's thread, whenever there is something new."""
        with self._lock:
            self._subscribers.add(changed)
        try:
            yield
        finally:
            with self._lock:
                self._subscribers.discard(changed)

    def result(self) -> Result:
        """All texts with their numbers, for a report; measured anew."""
        return Result(self.experiment, self.row.facts, dict(self._kept()))

    def findings(self) -> Findings:
        """What the texts that are measured so far tell."""
        return self._tally.findings()

    def texts(
        self, recipe: int, prompt: int | None = None, most: int | None = None
    ) -> dict[Cell, Sample]:
        """Those of a recipe, after one prompt or all, as far as they are kept."""
        wanted = {
            cell: key
            for cell, key in self.keys.items()
            if cell.recipe == recipe and prompt in (None, cell.prompt)
        }
        return dict(itertools.islice(runner.written(wanted, self.store), most))

    def wait_for(self, ahead: int) -> None:
        """Say how many experiments are before this one."""
        noun = "another experiment" if ahead == 1 else f"{ahead} other experiments"
        note = f"Waits for {noun}."
        if self.state.note != note:
            self._tell(note=note)

    def _end(self, event: threading.Event) -> None:
        event.set()
        current = self._runner
        if current is not None:
            current.stop()

    def _work(self) -> None:
        try:
            stage, note = self._worked()
            if not self._close.is_set():
                if stage != self.row.stage:
                    KeptJobs(self.store).set_stage(self.id, stage, note)
                self._tell(stage="concluding", note="", seconds_left=None)
                state = concluded(self.state, self._tally.findings())
                self._tell(**dict(state) | {"stage": stage, "note": note})
        except Exception as error:  # the thread's last: whoever follows it must hear of its end
            if self._close.is_set():
                return
            log.exception("an experiment failed")
            note = f"It failed through a fault of the program: {type(error).__name__}."
            self._tell(stage="failed", note=note)

    def _worked(self) -> tuple[Stage, str]:
        """Write what is missing; how it ended, and why where it did not end well."""
        if self.row.stage in OVER:
            self._take_in_what_is_kept()
            return self.row.stage, self.row.note
        with self._line.turn(self) as came:
            if not came:
                self._take_in_what_is_kept()
                return "stopped", ""
            try:
                while not self.stopping:
                    try:
                        self._write()
                        break
                    except ModelReleased:
                        self._tell(note="Waits for its model, which made room for another one.")
                        self._stop.wait(_RELEASED_S)
            except (ExperimentFailed, ExperimentError, ModelError) as error:
                return "failed", str(error)
        return ("stopped", "") if self._tally.written < self.experiment.cells else ("done", "")

    def _write(self) -> None:
        self._tell(note="Loads its model.", stage="waiting")
        import scipy.stats  # noqa: F401  # takes seconds, which are no part of what a table takes

        current = self._runner = Runner(self.experiment, self._engine(self.row.model), self.store)
        if self.stopping:
            return
        if current.facts != self.row.facts:  # other weights, another device, a later version
            self.row = replace(self.row, facts=current.facts)
            KeptJobs(self.store).set_facts(self.id, current.facts)
        self.keys = current.keys
        self._tally = Tally(self.experiment)
        self._take_in_what_is_kept()
        self._tell(stage="running", note="")
        for done in current.run():
            self._take_in(done)
            if self.stopping:  # also where that was said just before it began
                current.stop()

    def _take_in_what_is_kept(self) -> None:
        for cell, sample in self._kept():
            self._tally.add(cell, sample)
        self._tell(done=self._tally.written, failed=self._failed())

    def _kept(self) -> Iterator[tuple[Cell, Sample]]:
        return runner.written(self.keys, self.store)

    def _take_in(self, done: Done) -> None:
        self._tally.add(done.cell, done.sample)
        changes: dict[str, object] = {"done": done.done, "seconds_left": done.seconds_left}
        if monotonic() >= self._due:
            began = perf_counter()
            changes["means"] = means(self._tally.findings(), live=True)
            changes["measured"] = self._tally.written
            changes["failed"] = self._failed()
            self._cost = perf_counter() - began
            self._due = monotonic() + max(_TABLE_S, self._cost / _TABLE_SHARE)
        self._tell(**changes)

    def _failed(self) -> list[Failed]:
        counts: dict[int, Failed] = {}
        for cell, reason in self._tally.failed.items():
            known = counts.get(cell.recipe)
            counts[cell.recipe] = Failed(
                recipe=cell.recipe,
                texts=known.texts + 1 if known else 1,
                reason=known.reason if known else reason,
            )
        return list(counts.values())

    def _tell(self, **changes: object) -> None:
        with self._lock:
            self.state = self.state.model_copy(update=changes)
            self.version += 1
            subscribers = list(self._subscribers)
        for changed in subscribers:
            changed()
