"""The state of an experiment with its findings so far, as the page and the HTTP route show it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.experiment.experiment import Experiment
from playground.experiment.findings import Compared, Findings, Summary
from playground.experiment.metric import Metric
from playground.experiment.report.content import plus_minus, size_of, title, verdict
from playground.experiment.statistics.interval import RESAMPLES

Stage = Literal["waiting", "running", "concluding", "done", "stopped", "failed"]
OVER: frozenset[Stage] = frozenset({"done", "stopped", "failed"})
MOST_PAIRS = 500  # in a state; the report's tables and the CSV have all
LIVE_RESAMPLES = 999  # of an interval that the next texts change


class Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedRecipe(Closed):
    written: str = Field(description="In its one-line form.")
    name: str = Field(description="What it is called in tables and sentences.")


class NamedMetric(Closed):
    written: str = Field(description="The metric as it is written.")
    title: str = Field(description="Its name, with its settings and its unit.")
    summary: str = Field(description="What it is, in one sentence.")
    better: Literal["more", "less"] | None = Field(description="Where people agree which it is.")
    note: str = Field("", description="What must be known to read its numbers, once it ended.")


class Mean(Closed):
    """A recipe's mean of a metric: each prompt counts as the mean of its texts."""

    mean: float
    low: float | None = Field(description="Lower bound of its 95 % interval; null for too few.")
    high: float | None
    prompts: int = Field(description="Over how many.")
    texts: int
    shown: str = Field(description="In words: the mean and its interval, in the metric's unit.")

    @classmethod
    def of(cls, one: Summary, metric: Metric) -> Mean:
        return cls(
            mean=one.mean, low=one.low, high=one.high, prompts=one.prompts, texts=one.cells,
            shown=plus_minus(one, metric),
        )  # fmt: skip


class Pair(Closed):
    """The paired difference of two recipes by one metric."""

    metric: int = Field(description="An index into `metrics`.")
    first: int = Field(description="An index into `recipes`; it has so much more than `second`.")
    second: int
    difference: float = Field(description="For metrics that are compared by factors, a factor.")
    low: float | None
    high: float | None
    p: float = Field(description="Of the sign-flip test, after Holm's correction.")
    settled: bool = Field(description="Whether the difference is significant.")
    further: int | None = Field(description="Further prompts that would probably settle it.")
    shown: str = Field(description="The difference and its interval, in the metric's unit.")
    sentence: str

    @classmethod
    def of(cls, one: Compared, number: int, metric: Metric) -> Pair:
        found, ratio = one.difference, metric.info.ratio
        ends = (found.interval.mean, found.interval.low, found.interval.high)
        mean, low, high = (math.exp(x) if ratio and x is not None else x for x in ends)
        assert mean is not None
        return cls(
            metric=number, first=found.first, second=found.second, difference=mean, low=low,
            high=high, p=found.corrected, settled=found.settled, further=found.further,
            shown=size_of(found.interval, metric), sentence=f"{one.sentence}.",
        )  # fmt: skip


class Failed(Closed):
    recipe: int
    texts: int
    reason: str = Field(description="Why the first of them failed.")


class State(Closed):
    """One experiment of this server."""

    id: str = Field(description="Whoever knows it may read, stop and delete this experiment.")
    stage: Stage
    note: str = Field(description="Why it waits or failed; empty else.")
    question: str
    model: str = Field(description="The model that writes.")
    prompts: int
    seeds: int
    max_new_tokens: int
    total: int = Field(description="Texts, all together.")
    done: int = Field(description="Texts that are written.")
    seconds_left: float | None = Field(description="By the pace so far; null until there is one.")
    recipes: list[NamedRecipe]
    metrics: list[NamedMetric]
    means: list[list[Mean | None]] = Field(description="Of each recipe, one for each metric.")
    measured: int = Field(description="Of how many texts `means` are.")
    failed: list[Failed] = Field(description="Texts without numbers, by recipe.")
    verdict: list[str] = Field(description="In plain sentences, once it has ended.")
    pairs: list[Pair] = Field(description="Every pair of recipes by every metric, once it ended.")
    pairs_left_out: int = Field(0, description="Pairs beyond those; the CSV of pairs has all.")


def means(findings: Findings, *, live: bool) -> list[list[Mean | None]]:
    """The means by recipe and metric; ``live`` ones have their intervals from fewer resamples."""
    experiment = findings.experiment
    found: list[list[Mean | None]] = [[None] * len(experiment.metrics) for _ in experiment.recipes]
    for number, metric in enumerate(experiment.measured):
        resamples = LIVE_RESAMPLES if live else RESAMPLES
        for one in findings.summary(str(metric), resamples):
            found[one.recipe][number] = Mean.of(one, metric)
    return found


def pairs(findings: Findings) -> list[Pair]:
    """The pairs by metric, the settled ones first."""
    metrics = findings.experiment.measured
    numbers = {str(metric): number for number, metric in enumerate(metrics)}
    found = [
        Pair.of(one, numbers[one.metric], metrics[numbers[one.metric]]) for one in findings.compared
    ]
    return sorted(found, key=lambda pair: (pair.metric, not pair.settled))


def blank(id: str, experiment: Experiment, model: str) -> State:
    """The state of an experiment before its first text."""
    return State(
        id=id,
        stage="waiting",
        note="",
        question=experiment.question,
        model=model,
        prompts=len(experiment.prompts),
        seeds=len(experiment.seeds),
        max_new_tokens=experiment.max_new_tokens,
        total=experiment.cells,
        done=0,
        seconds_left=None,
        recipes=[
            NamedRecipe(written=str(recipe), name=experiment.name(number))
            for number, recipe in enumerate(experiment.recipes)
        ],
        metrics=[
            NamedMetric(
                written=str(metric),
                title=title(metric),
                summary=metric.info.summary,
                better=metric.info.better,
            )
            for metric in experiment.measured
        ],
        means=[[None] * len(experiment.metrics) for _ in experiment.recipes],
        measured=0,
        failed=[],
        verdict=[],
        pairs=[],
    )


def concluded(state: State, findings: Findings) -> State:
    """``state`` after the end: with the final intervals, all pairs and the verdict."""
    found = pairs(findings)
    notes = findings.notes
    noted = [one.model_copy(update={"note": notes.get(one.written, "")}) for one in state.metrics]
    return state.model_copy(
        update={
            "metrics": noted,
            "means": means(findings, live=False),
            "done": findings.written,
            "measured": findings.written,
            "verdict": verdict(findings),
            "pairs": found[:MOST_PAIRS],
            "pairs_left_out": max(0, len(found) - MOST_PAIRS),
        }
    )
