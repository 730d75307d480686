"""Figures of a text, from its step records: how likely, varied, repetitive and fast. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from playground.trace import LaneTimings, Metrics, StepRecord, Trace


def measure(trace: Trace) -> Metrics:
    """The figures of a trace's first text."""
    return measure_path(trace.path(), trace.outputs[0].found if trace.outputs else {})


def measure_path(path: Sequence[StepRecord], found: Mapping[str, float] | None = None) -> Metrics:
    """The figures of one text, with those its recipe ``found``; one it is too short for is None.

    Perplexity is exp of the mean negative log-probability (nats) of its tokens under the raw
    model; entropy and rank are means over the raw distributions its tokens were chosen from.
    """
    tokens = [step.token for step in path]
    return Metrics(
        tokens=len(path),
        perplexity=perplexity([step.raw_logprob for step in path]),
        mean_entropy=mean([step.raw_entropy for step in path]),
        mean_rank=mean([step.raw_rank for step in path]),
        distinct_2=distinct(tokens, 2),
        repeated_4=repeated(tokens, 4),
        acceptance=acceptance(path),
        timings=timings(path),
        found=dict(found or {}),
    )


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of no values."""
    return math.fsum(values) / len(values) if values else None


def perplexity(logprobs: Sequence[float]) -> float | None:
    """exp(−mean) of log-probabilities in nats; None of none, inf past what a float holds."""
    average = mean(logprobs)
    if average is None:
        return None
    try:
        return math.exp(-average)
    except OverflowError:
        return math.inf


def distinct(tokens: Sequence[int], n: int) -> float | None:
    """Distinct n-grams over all n-grams of the token ids, 1 where none recurs; None below n tokens.

    Distinct-n of Li et al. 2016 (1510.03055), who divide by the number of tokens. Divided by the
    number of n-grams, as is usual since, a text without repetition has exactly 1.
    """
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def repeated(tokens: Sequence[int], n: int) -> float | None:
    """Share of the n-grams of the token ids that occurred before; 0 where none recurs.

    Seq-rep-n of Welleck et al. 2019 (1908.04319), 1 − distinct / all n-grams; None below n tokens.
    """
    share = distinct(tokens, n)
    return None if share is None else 1.0 - share


def acceptance(path: Sequence[StepRecord]) -> float | None:
    """Share of the drafted tokens that were accepted; None where none was drafted.

    Tokens drafted after a rejected one were never compared with the model, and do not count.
    """
    return mean([float(step.draft == step.token) for step in path if step.draft is not None])


def timings(path: Sequence[StepRecord]) -> LaneTimings:
    """When a text's tokens were chosen: seconds since the run's submission, and between tokens."""
    if not path:
        return LaneTimings()
    first = path[0].at
    if len(path) == 1:
        return LaneTimings(first_token=first)
    decode = path[-1].at - first
    per_token = decode / (len(path) - 1)
    return LaneTimings(
        first_token=first,
        decode=decode,
        per_token=per_token,
        tokens_per_second=1.0 / per_token if per_token > 0 else None,
    )
