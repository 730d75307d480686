"""The tokens of a run as a table: pandas, and from there CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from playground.trace.lane import LaneResult
from playground.trace.steps import StepRecord

if TYPE_CHECKING:
    import pandas as pd

Samples = Literal["shown", "all"] | Sequence[int]

COLUMNS = [
    "column", "name", "recipe", "sample", "position", "token_id", "token", "text",
    "raw_probability", "probability", "raw_logprob", "logprob", "raw_rank", "rank",
    "raw_entropy", "entropy", "survivors", "score", "forward_ms", "processors_ms",
    "search_ms", "record_ms", "forward_rows", "at_s",
]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A token of a text: ``output`` is the text's index in its lane."""

    lane: int
    output: int
    step: StepRecord


def frame(lanes: Sequence[LaneResult], samples: Samples = "shown") -> pd.DataFrame:
    """A row per token: of every lane's first text, of all its texts, or of these by number.

    Numbers are as on the page: columns are A, B, C …, ``sample`` counts a column's texts from 1 and
    ``position`` a text's tokens from 1. ``name`` is the one that a person gave the column.
    ``token`` is a token by itself, ``text`` what it adds to the readable text.
    """
    import pandas as pd

    rows = [row(lanes, place) for place in places(lanes, samples)]
    return pd.DataFrame(rows, columns=COLUMNS)


def places(lanes: Sequence[LaneResult], samples: Samples = "shown") -> list[Place]:
    """The tokens that ``frame`` has a row of, in its order."""
    return [
        Place(number, output, step)
        for number, lane in enumerate(lanes)
        for output in _samples(samples, number, len(lane.trace.outputs))
        for step in lane.trace.path(output)
    ]


def column_name(lane: int) -> str:
    """The letters of a lane, counted from 0: A to Z, then AA, AB …"""
    name = ""
    while lane >= 0:
        name = chr(ord("A") + lane % 26) + name
        lane = lane // 26 - 1
    return name


def row(lanes: Sequence[LaneResult], place: Place) -> dict[str, Any]:
    """The values of one row, by column."""
    lane, step, times = lanes[place.lane], place.step, place.step.times
    return {
        "column": column_name(place.lane),
        "sample": place.output + 1,
        "name": lane.name,
        "recipe": lane.recipe,
        "position": step.index + 1,
        "token_id": step.token,
        "token": step.piece,
        "text": step.text,
        "raw_probability": step.raw_probability,
        "probability": step.probability,
        "raw_logprob": step.raw_logprob,
        "logprob": step.logprob,
        "raw_rank": step.raw_rank,
        "rank": step.rank,
        "raw_entropy": step.raw_entropy,
        "entropy": step.entropy,
        "survivors": step.stages[-1].survivors if step.stages else lane.trace.vocab_size,
        "score": step.score,
        "forward_ms": times.forward * 1e3,
        "processors_ms": times.processors * 1e3,
        "search_ms": times.search * 1e3,
        "record_ms": times.record * 1e3,
        "forward_rows": times.forward_rows,
        "at_s": step.at,
    }


def _samples(samples: Samples, lane: int, texts: int) -> Sequence[int]:
    """Which of a lane's texts are requested, counted from 0."""
    if samples == "all":
        return range(texts)
    if samples == "shown":
        return [0]
    if isinstance(samples, str):
        raise ValueError(
            f"samples is {samples!r}; it must be 'shown', 'all', or a text's number for each lane."
        )
    return [samples[lane] if lane < len(samples) and samples[lane] < texts else 0]
