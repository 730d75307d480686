"""What an experiment found: the number of every cell, means with intervals, pairs, a verdict."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from playground.experiment.experiment import Experiment
from playground.experiment.facts import Facts
from playground.experiment.frontier import Point, frontier
from playground.experiment.metric import Metric
from playground.experiment.registry import metrics
from playground.experiment.runner import Cell
from playground.experiment.sample import Sample
from playground.experiment.statistics.interval import Interval, interval
from playground.experiment.statistics.pairs import Difference, differences, grid
from playground.experiment.statistics.words import sentence

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """A recipe's mean of a metric over prompts, as it is shown: ratios are no logarithms here."""

    recipe: int
    metric: str
    mean: float
    low: float | None
    high: float | None
    prompts: int
    cells: int


@dataclass(frozen=True)
class Compared:
    """A pair of recipes by one metric, and what is said of it."""

    metric: str
    difference: Difference
    sentence: str


class Result:
    """Everything an experiment found, from its samples alone; it needs no model.

    It may be of an experiment that was stopped: what is missing is left out.
    """

    def __init__(
        self, experiment: Experiment, facts: Facts, samples: Mapping[Cell, Sample]
    ) -> None:
        self.experiment, self.facts = experiment, facts
        self.samples = dict(sorted(samples.items(), key=lambda each: _place(each[0])))

    def __repr__(self) -> str:
        return f"<Result: {len(self.samples):,} of {self.experiment.cells:,} texts>"

    @property
    def complete(self) -> bool:
        return len(self.samples) == self.experiment.cells

    @property
    def errors(self) -> dict[Cell, str]:
        """Why texts have no number: their recipes failed."""
        return {cell: one.error for cell, one in self.samples.items() if one.error is not None}

    @cached_property
    def _computed(self) -> dict[str, dict[Cell, float | None]]:
        """Each metric's number of each cell; a cell that failed has none."""
        groups: dict[tuple[int, int], list[Cell]] = {}
        for cell, sample in self.samples.items():
            if sample.error is None:
                groups.setdefault((cell.prompt, cell.recipe), []).append(cell)
        found: dict[str, dict[Cell, float | None]] = {}
        for metric in self.experiment.measured:
            numbers: dict[Cell, float | None] = {}
            found[str(metric)] = numbers
            for (prompt, _), cells in groups.items():
                samples = [self.samples[cell] for cell in cells]
                values = metric.values(samples, self.experiment.prompts[prompt])
                numbers.update(zip(cells, values, strict=True))
        return found

    def values(self, metric: str) -> Array:
        """A metric as it is compared, ``[recipes, prompts, seeds]``, NaN where there is none."""
        asked = self._metric(metric)
        cells = {
            (cell.recipe, cell.prompt, cell.seed): asked.compared(value)
            for cell, value in self._computed[str(asked)].items()
        }
        sizes = (self.experiment.recipes, self.experiment.prompts, self.experiment.seeds)
        return grid(cells, *map(len, sizes))

    def summary(self, metric: str) -> list[Summary]:
        """Each recipe's mean over prompts, with its interval; those without a number left out."""
        asked, values = self._metric(metric), self.values(metric)
        found = []
        for recipe, own in enumerate(values):
            there = ~np.isnan(own)
            if there.any():
                means = np.array([np.mean(row[~np.isnan(row)]) for row in own[there.any(axis=1)]])
                found.append(_summary(recipe, asked, interval(means), int(there.sum())))
        return found

    def by_prompt(self, metric: str) -> dict[tuple[int, int], Summary]:
        """By prompt and recipe: the mean over seeds, with its interval over them."""
        asked, values = self._metric(metric), self.values(metric)
        found = {}
        for recipe, prompt in np.ndindex(values.shape[:2]):
            own = values[recipe, prompt]
            own = own[~np.isnan(own)]
            if len(own):
                found[prompt, recipe] = _summary(recipe, asked, interval(own), len(own))
        return found

    @cached_property
    def compared(self) -> list[Compared]:
        """Every pair of recipes by every metric, Holm's correction over the pairs of a metric."""
        found = []
        for metric in self.experiment.measured:
            for difference in differences(self.values(str(metric))):
                said = sentence(
                    difference,
                    metric,
                    self.experiment.name(difference.first),
                    self.experiment.name(difference.second),
                    len(self.experiment.seeds),
                )
                found.append(Compared(str(metric), difference, said))
        return found

    def verdict(self) -> list[str]:
        """What can be told, and then what cannot, a sentence a pair and metric."""
        settled = [f"{one.sentence}." for one in self.compared if one.difference.settled]
        return settled + [f"{one.sentence}." for one in self.compared if not one.difference.settled]

    def frontier(
        self, quality: str | None = None, diversity: str | None = None
    ) -> tuple[str, str, list[Point]]:
        """The two metrics and a point a recipe: diversity across, quality up.

        By default quality is the first check that the experiment measures, or perplexity, and
        diversity self-BLEU, or distinct n-grams. ``ValueError`` where there is no such metric.
        """
        y = quality or self._first("exact", "contains", "json_schema", "json_valid", "perplexity")
        x = diversity or self._first("self_bleu", "distinct_n", "entropy")
        down, across = self._metric(y), self._metric(x)
        means = [_means(self.values(str(metric))) for metric in (across, down)]
        points = frontier(
            means[0],
            means[1],
            self.experiment.recipes,
            across.info.better or "more",
            down.info.better or "less",  # a lower perplexity
        )
        return str(across), str(down), points

    def frame(self) -> pd.DataFrame:
        """A row per text: its prompt, recipe and seed, how it ended, and a column per metric."""
        import pandas as pd

        asked, rows = self.experiment, []
        for cell, sample in self.samples.items():
            prompt = asked.prompts[cell.prompt]
            row: dict[str, Any] = {
                "prompt": cell.prompt + 1,
                "prompt_name": prompt.name,
                "prompt_text": prompt.text,
                "expected": prompt.expected,
                "recipe": str(asked.recipes[cell.recipe]),
                "name": asked.name(cell.recipe),
                "seed": asked.seeds[cell.seed],
                "text": sample.text,
                "finish_reason": sample.finish_reason,
                "error": sample.error,
            }
            row |= {metric: self._computed[metric].get(cell) for metric in asked.metrics}
            rows.append(row)
        return pd.DataFrame(rows)

    def table(self) -> pd.DataFrame:
        """A row per recipe and metric: mean, the bounds of its interval, and over how much."""
        import pandas as pd

        return pd.DataFrame(
            {
                "recipe": str(self.experiment.recipes[one.recipe]),
                "name": self.experiment.name(one.recipe),
                "metric": one.metric,
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "prompts": one.prompts,
                "texts": one.cells,
            }
            for metric in self.experiment.metrics
            for one in self.summary(metric)
        )

    def pairs(self) -> pd.DataFrame:
        """A row per pair of recipes and metric; differences of ratios are factors."""
        import pandas as pd

        rows = []
        for one in self.compared:
            found = one.difference
            ratio = self._metric(one.metric).info.ratio
            low, high = found.interval.low, found.interval.high
            rows.append(
                {
                    "metric": one.metric,
                    "first": self.experiment.name(found.first),
                    "second": self.experiment.name(found.second),
                    "compared_by": "factor" if ratio else "difference",
                    "difference": _shown(found.interval.mean, ratio),
                    "low": None if low is None else _shown(low, ratio),
                    "high": None if high is None else _shown(high, ratio),
                    "p": found.p,
                    "p_corrected": found.corrected,
                    "settled": found.settled,
                    "further_prompts": found.further,
                    "sentence": one.sentence,
                }
            )
        return pd.DataFrame(rows)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        from playground.experiment.report import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """The report as one HTML file, which opens without a server or a request."""
        from playground.experiment.report import to_html

        return to_html(self)

    def to_csv(self) -> str:
        """All texts with their numbers, a row each; quoted, since a text may hold any line end."""
        written: str = self.frame().to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
        return written

    def _metric(self, written: str) -> Metric:
        metric = metrics().parse(written)
        if str(metric) not in self.experiment.metrics:
            raise ValueError(
                f"metrics: {metric} was not measured; there are "
                f"{', '.join(self.experiment.metrics)}."
            )
        return metric

    def _first(self, *ids: str) -> str:
        for id in ids:
            for written in self.experiment.metrics:
                if metrics().parse(written).info.id == id:
                    return written
        raise ValueError(f"metrics: a frontier needs one of {', '.join(ids)}.")


def _place(cell: Cell) -> tuple[int, int, int]:
    return cell.prompt, cell.recipe, cell.seed


def _means(values: Array) -> Array:
    """Of each recipe and prompt, over seeds; NaN where there is none."""
    there = ~np.isnan(values)
    count = there.sum(axis=2)
    total = np.where(there, values, 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _summary(recipe: int, metric: Metric, found: Interval, cells: int) -> Summary:
    ratio = metric.info.ratio
    return Summary(
        recipe=recipe,
        metric=str(metric),
        mean=_shown(found.mean, ratio),
        low=None if found.low is None else _shown(found.low, ratio),
        high=None if found.high is None else _shown(found.high, ratio),
        prompts=found.prompts,
        cells=cells,
    )


def _shown(value: float, ratio: bool) -> float:
    return math.exp(value) if ratio else value
