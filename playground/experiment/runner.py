"""Runs an experiment's missing cells in the background, and yields each as it is done.

All recipes of a prompt and a seed make one run of the engine, which shares the prompt and its
noise; as many runs are under way as there are rows for. A finished run's cells are stored at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from playground.engine import EngineClosed, FieldError, Request, Run
from playground.engine.request import Busy, Cancelled
from playground.experiment.cells import Cell, keys, written
from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.reading import groups, read
from playground.experiment.sample import Sample
from playground.experiment.store import Store
from playground.models.provenance import Facts
from playground.trace import ModelFacts

if TYPE_CHECKING:
    from playground.engine import Limits
    from playground.engine.request_builder import RequestBuilder

_SERVED_SHARE = 0.5  # of the rows, where an engine serves others too
_LOOK_AGAIN = 0.5  # seconds after which a full queue, or a request to stop, is looked at again


class ExperimentFailed(RuntimeError):
    """The model failed; the texts that were written before are stored."""


class ModelReleased(ExperimentFailed):
    """The model was released to make room for another one; it can be loaded again."""


@dataclass(frozen=True)
class Done:
    """A cell with its text, and the progress of the experiment after it."""

    cell: Cell
    sample: Sample
    done: int  # cells, those that were kept from before included
    total: int
    seconds_left: float | None  # by the pace so far; None until there is one


@dataclass(frozen=True)
class _Work:
    """The cells of one run: several recipes after one prompt with one seed."""

    prompt: int
    seed: int
    recipes: tuple[int, ...]


@dataclass(frozen=True)
class _UnderWay:
    work: _Work
    run: Run
    following: ExitStack


class Described(Protocol):
    """What an experiment uses of a model that writes texts."""

    @property
    def facts(self) -> ModelFacts: ...

    def provenance(self) -> Facts:
        """The provenance of the texts."""


class Writer(Protocol):
    """What an experiment uses of an ``Engine``, or of the engines of several processes as one."""

    @property
    def model(self) -> Described: ...

    @property
    def builder(self) -> RequestBuilder: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def rows(self) -> int: ...

    @property
    def alive(self) -> bool: ...

    def submit(self, request: Request) -> Run:
        """Queue a run."""

    def features(
        self, texts: Sequence[Sequence[int]], cancelled: Callable[[], bool]
    ) -> NDArray[np.float32]:
        """The hidden state of each text's last token, read behind everybody's runs."""

    def step(self) -> None:
        """Run one step, where no thread of its own does."""


class Runner:
    """One experiment on one engine. ``run`` may be left and called again: it continues."""

    def __init__(self, experiment: Experiment, engine: Writer, store: Store) -> None:
        self.experiment, self.engine, self.store = experiment, engine, store
        self.facts = engine.model.provenance()
        self.keys = keys(experiment, self.facts)
        self._stop = threading.Event()
        self._check()

    def stop(self) -> None:
        """Make ``run`` end soon; what is written stays. Any thread may call it."""
        self._stop.set()

    def samples(self) -> dict[Cell, Sample]:
        """The cells that are written so far."""
        return dict(self.written())

    def written(self) -> Iterator[tuple[Cell, Sample]]:
        """The written cells one by one, read from the store in batches."""
        yield from written(self.keys, self.store)

    def run(
        self, *, fresh: bool = False, reading: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Done]:
        """Write every missing cell, and yield each once it is stored; with ``fresh`` all of them.

        Then read them, where a metric needs the model's hidden states; ``reading`` is called with
        the numbers done and in all. Leaving the iterator ends the runs under way. Raises
        ``ExperimentFailed``.
        """
        self._stop.clear()
        if fresh:
            self.store.forget(self.keys.values())
            self.store.forget(groups(self.experiment, self.facts).values())
        kept = self.store.has(self.keys.values())
        before = count = sum(key in kept for key in self.keys.values())
        clock = perf_counter()
        for work, run in self._runs(deque(self._missing(kept))):
            for cell, sample in self._stored(work, run):
                count += 1
                pace = (perf_counter() - clock) / (count - before)
                left = (len(self.keys) - count) * pace
                yield Done(cell, sample, count, len(self.keys), left)
        self._read(reading)

    def _read(self, progress: Callable[[int, int], None]) -> None:
        try:
            read(self.experiment, self.facts, self.engine, self.store, progress, self._stop.is_set)
        except Cancelled:  # it was stopped
            return
        except EngineClosed as error:
            raise ModelReleased("The model was released; what was written is kept.") from error
        except (RuntimeError, MemoryError) as error:
            raise ExperimentFailed(f"The texts could not be read: {error}.") from error

    def _check(self) -> None:
        """Raise ``ExperimentError`` where this model cannot run a recipe, a prompt or a metric."""
        if self.experiment.reads_features and self.engine.builder.no_states:
            asking = next(one for one in self.experiment.measured if one.info.reads_features)
            sentence = f"metrics: {asking.info.id} {self.engine.builder.no_states}"
            raise ExperimentError("metrics", sentence)
        for number in range(len(self.experiment.prompts)):
            recipes = range(len(self.experiment.recipes)) if number == 0 else range(1)
            for recipe in recipes:
                try:
                    self.engine.builder.run(self._request(_Work(number, 0, (recipe,))))
                except FieldError as error:
                    field = error.field
                    if field.startswith("recipes"):
                        field = f"recipes.{recipe}"
                    elif field == "prompt":
                        field = f"prompts.{number}"
                    raise ExperimentError(field, f"{field}: {error.message}") from error

    def _missing(self, kept: set[bytes]) -> Iterator[_Work]:
        """The missing cells, all recipes of a prompt and a seed together as far as they may be."""
        widths = [self._width(recipe) for recipe in range(len(self.experiment.recipes))]
        most = min(self._rows, self.engine.builder.rows)  # of several engines, one writes a run
        for p in range(len(self.experiment.prompts)):
            for s in range(len(self.experiment.seeds)):
                some: list[int] = []
                for r, width in enumerate(widths):
                    if self.keys[Cell(p, r, s)] in kept:
                        continue
                    full = sum(widths[i] for i in some) + width > most
                    if some and (full or len(some) == self.engine.limits.columns):
                        yield _Work(p, s, tuple(some))
                        some = []
                    some.append(r)
                if some:
                    yield _Work(p, s, tuple(some))

    @property
    def _rows(self) -> int:
        share = _SERVED_SHARE if self.engine.alive else 1.0
        return max(1, int(self.engine.rows * share))

    def _width(self, recipe: int) -> int:
        return self.engine.builder.run(self._request(_Work(0, 0, (recipe,)))).width

    def _request(self, work: _Work) -> Request:
        asked = self.experiment
        return Request(
            prompt=asked.prompts[work.prompt].text,
            recipes=[asked.recipes[recipe] for recipe in work.recipes],
            max_new_tokens=asked.max_new_tokens,
            min_new_tokens=asked.min_new_tokens,
            seed=asked.seeds[work.seed],
            stop=list(asked.stop),
            chat=asked.chat,
            split_special_tokens=asked.split_special_tokens,
            top_n=1,
            background=True,
        )

    def _runs(self, todo: deque[_Work]) -> Iterator[tuple[_Work, Run]]:
        """Each piece of work with its run, in the order in which the runs end."""
        under_way: dict[str, _UnderWay] = {}
        changed = threading.Event()
        try:
            while (todo or under_way) and not self._stop.is_set():
                while todo and self._has_room(under_way.values()):
                    try:
                        run = self.engine.submit(self._request(todo[0]))
                    except Busy:
                        break
                    except EngineClosed as error:
                        raise ModelReleased(
                            "The model was released; what was written is kept."
                        ) from error
                    following = ExitStack()
                    following.enter_context(run.subscribe(changed.set))
                    under_way[run.id] = _UnderWay(todo.popleft(), run, following)
                self._wait(changed)
                for one in [one for one in under_way.values() if one.run.done]:
                    work, run = one.work, one.run
                    del under_way[run.id]
                    one.following.close()
                    if run.yielded:  # ended to give its rows to others: it begins anew
                        todo.appendleft(work)
                    elif run.error is not None:
                        raise ExperimentFailed(run.error)
                    elif run.outcome == "cancelled" and not self._stop.is_set():
                        raise ModelReleased("The model was released; what was written is kept.")
                    elif run.outcome == "cancelled":
                        return
                    else:
                        yield work, run
        finally:
            for one in under_way.values():
                one.following.close()
                one.run.cancel()

    def _has_room(self, runs: Iterable[_UnderWay]) -> bool:
        """Whether another run may be under way: all rows are used, and one run waits for them."""
        return sum(one.run.width for one in runs) < self._rows

    def _wait(self, changed: threading.Event) -> None:
        """Until a run changed; where no thread serves the engine, by stepping it."""
        if self.engine.alive:
            changed.wait(_LOOK_AGAIN)
            changed.clear()
        else:
            self.engine.step()

    def _stored(self, work: _Work, run: Run) -> list[tuple[Cell, Sample]]:
        lanes = run.comparison().lanes
        found = [
            (Cell(work.prompt, recipe, work.seed), Sample.of(lane, paused=run.paused))
            for recipe, lane in zip(work.recipes, lanes, strict=True)
        ]
        self.store.put({self.keys[cell]: sample for cell, sample in found})
        return found
