"""The units of an experiment: a prompt, and the text that one recipe wrote with one seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from playground.trace import FinishReason, LaneResult


class Prompt(BaseModel):
    """A text to continue, and what is expected of its continuation, for metrics that check it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1, description="The text to continue.")
    expected: str | None = Field(None, description="What the answer is held against.")
    name: str = Field("", max_length=80, description="What the prompt is called in tables.")

    @classmethod
    def of(cls, value: Any) -> Any:
        """A prompt written as its text alone; anything else is left to validation."""
        return {"text": value} if isinstance(value, str) else value


class Sample(BaseModel):
    """The text of one cell, and the numbers that metrics are computed from.

    ``logprobs`` and ``entropies`` (nats) have one number for each token, under the raw model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    token_ids: list[int]
    logprobs: list[float]
    entropies: list[float]
    finish_reason: FinishReason | None
    error: str | None = None
    tokens_per_second: float | None = None  # in a batch with others; None where it was paused

    @classmethod
    def of(cls, lane: LaneResult, *, paused: bool = False) -> Sample:
        """The sample of a lane; a ``paused`` one has no speed, since it did not run throughout."""
        path = lane.trace.path()
        return cls(
            text=lane.text,
            token_ids=lane.token_ids,
            logprobs=[_short(step.raw_logprob) for step in path],
            entropies=[_short(step.raw_entropy) for step in path],
            finish_reason=lane.finish_reason,
            error=lane.error,
            tokens_per_second=None if paused else lane.metrics.timings.tokens_per_second,
        )


Numbers = Mapping[str, float | None]  # a sample's metrics, by the metric as it is written


def _short(value: float) -> float:
    """``value`` with the digits of float32, in which it was computed."""
    return float(f"{value:.7g}")
