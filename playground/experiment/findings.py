"""The findings of an experiment: means with intervals, pairs, a verdict, a frontier."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from playground.experiment.experiment import Experiment
from playground.experiment.frontier import Point, frontier
from playground.experiment.metric import Metric
from playground.experiment.registry import metrics
from playground.experiment.statistics.interval import RESAMPLES, Array, Interval, alike, intervals
from playground.experiment.statistics.pairs import Difference, differences
from playground.experiment.statistics.words import sentence

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Summary:
    """A recipe's mean of a metric over prompts, as it is shown: a ratio, not its logarithm."""

    recipe: int
    metric: str
    mean: float
    low: float | None
    high: float | None
    prompts: int
    cells: int


@dataclass(frozen=True)
class Compared:
    """A pair of recipes by one metric, and the sentence about it."""

    metric: str
    difference: Difference
    sentence: str


class Findings:
    """What the numbers of an experiment tell; it holds no texts.

    ``values`` are, by metric, as they are compared: ``[recipes, prompts, seeds]``, NaN where there
    is none. ``written`` counts the texts that there are; what is missing is left out. ``notes``
    are, by metric, what must be known to read its numbers.
    """

    def __init__(
        self,
        experiment: Experiment,
        values: Mapping[str, Array],
        written: int,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.experiment, self.written, self.notes = experiment, written, dict(notes)
        self._values = dict(values)
        self._by_prompt: dict[tuple[str, int | None, int], dict[tuple[int, int], Summary]] = {}
        self._computing = threading.Lock()

    @property
    def complete(self) -> bool:
        return self.written == self.experiment.cells

    def values(self, metric: str) -> Array:
        """A metric's values as compared, ``[recipes, prompts, seeds]``, NaN where missing."""
        return self._values[str(self.metric(metric))]

    def summary(self, metric: str, resamples: int = RESAMPLES) -> list[Summary]:
        """Each recipe's mean over prompts, with its interval; those without one are left out."""
        asked, values = self.metric(metric), self.values(metric)
        means = _means(values)
        there = [recipe for recipe, own in enumerate(means) if not np.isnan(own).all()]
        known = [means[recipe][~np.isnan(means[recipe])] for recipe in there]
        found = alike(lambda some: intervals(some, resamples), known)
        return [
            _summary(recipe, asked, one, int((~np.isnan(values[recipe])).sum()), asked.info.bounds)
            for recipe, one in zip(there, found, strict=True)
        ]

    def by_prompt(
        self, metric: str, most: int | None = None, resamples: int = RESAMPLES
    ) -> dict[tuple[int, int], Summary]:
        """The mean over seeds, with its interval, by prompt and recipe.

        Of the first ``most`` prompts, or of all. Results are cached.
        """
        with self._computing:
            key = (str(self.metric(metric)), most, resamples)
            if key not in self._by_prompt:
                self._by_prompt[key] = self._prompt_by_prompt(*key)
            return self._by_prompt[key]

    def _prompt_by_prompt(
        self, metric: str, most: int | None, resamples: int
    ) -> dict[tuple[int, int], Summary]:
        asked, values = self.metric(metric), self.values(metric)[:, :most]
        there = [
            place for place in np.ndindex(values.shape[:2]) if not np.isnan(values[place]).all()
        ]
        known = [values[place][~np.isnan(values[place])] for place in there]
        found = alike(lambda some: intervals(some, resamples), known)
        return {
            (prompt, recipe): _summary(recipe, asked, one, one.prompts)
            for (recipe, prompt), one in zip(there, found, strict=True)
        }

    @cached_property
    def compared(self) -> list[Compared]:
        """Every pair of recipes by every metric, Holm's correction over the pairs of a metric."""
        found = []
        for metric in self.experiment.measured:
            for difference in differences(self.values(str(metric))):
                words = sentence(
                    difference,
                    metric,
                    self.experiment.name(difference.first),
                    self.experiment.name(difference.second),
                    len(self.experiment.seeds),
                )
                found.append(Compared(str(metric), difference, words))
        return found

    def verdict(self) -> list[str]:
        """One sentence for each pair and metric: first the settled differences, then the others."""
        settled = [f"{one.sentence}." for one in self.compared if one.difference.settled]
        return settled + [f"{one.sentence}." for one in self.compared if not one.difference.settled]

    def frontier(
        self, quality: str | None = None, diversity: str | None = None
    ) -> tuple[str, str, list[Point]]:
        """The two metrics, and a point for each recipe: diversity on x, quality on y.

        By default quality is the first check that the experiment measures, or perplexity, and
        diversity self-BLEU, or distinct n-grams. Raises ``ValueError`` for an unmeasured metric.
        """
        y = quality or self._first("exact", "contains", "json_schema", "json_valid", "perplexity")
        x = diversity or self._first("self_bleu", "distinct_n", "entropy")
        down, across = self.metric(y), self.metric(x)
        means = [_means(self.values(str(metric))) for metric in (across, down)]
        points = frontier(
            means[0],
            means[1],
            self.experiment.recipes,
            across.info.better or "more",
            down.info.better or "less",  # a lower perplexity
        )
        return str(across), str(down), points

    def table(self) -> pd.DataFrame:
        """A row for each recipe and metric: the mean, the bounds of its interval, and counts."""
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
        """A row for each pair of recipes and metric; differences of ratios are factors."""
        import pandas as pd

        rows = []
        for one in self.compared:
            found = one.difference
            ratio = self.metric(one.metric).info.ratio
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

    def metric(self, written: str) -> Metric:
        """The measured metric with this written form."""
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


def _means(values: Array) -> Array:
    """The means over seeds, ``[recipes, prompts]``, NaN where there is none."""
    there = ~np.isnan(values)
    count = there.sum(axis=2)
    total = np.where(there, values, 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _summary(
    recipe: int,
    metric: Metric,
    found: Interval,
    cells: int,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Summary:
    ratio, (least, most) = metric.info.ratio, bounds
    return Summary(
        recipe=recipe,
        metric=str(metric),
        mean=_shown(found.mean, ratio),
        low=None if found.low is None else max(least, _shown(found.low, ratio)),
        high=None if found.high is None else min(most, _shown(found.high, ratio)),
        prompts=found.prompts,
        cells=cells,
    )


def _shown(value: float, ratio: bool) -> float:
    return math.exp(value) if ratio else value
