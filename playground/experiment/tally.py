"""The numbers of the texts so far; texts are kept only as long as a metric may compare them."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from playground.experiment.cells import Cell
from playground.experiment.experiment import Experiment
from playground.experiment.findings import Findings
from playground.experiment.metric import Features
from playground.experiment.sample import Sample

Array = NDArray[np.float64]


class Tally:
    """Measures texts as they come. ``numbers`` are, by metric, ``[recipes, prompts, seeds]``.

    Some metrics compare the texts of all seeds with each other: those of a prompt and a recipe are
    measured anew when another one has come, and dropped once all are there. NaN stands for texts
    that are missing, that failed, or that have no such number. ``notes`` are, by metric, what must
    be known to read its numbers. Any thread may read them.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.written = 0
        self.failed: dict[Cell, str] = {}
        self.notes: dict[str, str] = {}
        self._metrics = {str(metric): metric for metric in experiment.measured}
        sizes = tuple(map(len, (experiment.recipes, experiment.prompts, experiment.seeds)))
        self.numbers: dict[str, Array] = {
            written: np.full(sizes, np.nan) for written in self._metrics
        }
        self._open: dict[tuple[int, int], dict[int, Sample]] = {}  # by prompt and recipe, a seed
        self._changed: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def add(self, cell: Cell, sample: Sample) -> None:
        """Take a text in; each cell comes once."""
        with self._lock:
            self._add(cell, sample)

    def _add(self, cell: Cell, sample: Sample) -> None:
        if sample.error is not None:
            self.failed[cell] = sample.error
        self.written += 1
        group = (cell.prompt, cell.recipe)
        self._open.setdefault(group, {})[cell.seed] = sample
        self._changed.add(group)
        if len(self._open[group]) == len(self.experiment.seeds):
            self._measure(group)
            del self._open[group]

    def take(self, features: Features | None) -> None:
        """Measure what asks what the model makes of the texts; None where they were not read."""
        for written, metric in self._metrics.items():
            if not metric.info.reads_features:
                continue
            if features is None:
                reason = "the model reads the texts once all are written, and has not read these"
                self.notes[written] = f"{metric.info.title} is not told: {reason}."
                continue
            found = metric.over_all(features)
            with self._lock:
                self.numbers[written], self.notes[written] = found.numbers, found.note

    def values(self) -> dict[str, Array]:
        """A copy of all numbers on the scale of comparisons; NaN where there is none."""
        with self._lock:
            for group in list(self._changed):
                self._measure(group)
            copies = {written: numbers.copy() for written, numbers in self.numbers.items()}
        found = {}
        for written, numbers in copies.items():
            compared = self._metrics[written].compared
            found[written] = np.array(
                [np.nan if (value := compared(one)) is None else value for one in numbers.flat]
            ).reshape(numbers.shape)
        return found

    def findings(self) -> Findings:
        """The findings of the texts so far."""
        return Findings(self.experiment, self.values(), self.written, self.notes)

    def _measure(self, group: tuple[int, int]) -> None:
        self._changed.discard(group)
        prompt, recipe = group
        seeds = sorted(s for s, sample in self._open[group].items() if sample.error is None)
        samples = [self._open[group][seed] for seed in seeds]
        for written, metric in self._metrics.items():
            if metric.info.reads_features:
                continue
            values = metric.values(samples, self.experiment.prompts[prompt]) if samples else []
            for seed, value in zip(seeds, values, strict=True):
                self.numbers[written][recipe, prompt, seed] = np.nan if value is None else value
