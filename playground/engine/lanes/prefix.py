"""What a lane's processors remember of a text that it goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strategies import Processor

Logprobs = Sequence[Sequence[float]]


def states_after(
    processors: Sequence[Processor], prefix: Sequence[int], logprobs: Logprobs
) -> tuple[Any, ...]:
    """Each processor's state, as if it had seen the tokens of ``prefix`` chosen.

    ``logprobs`` are of each token those with which it was chosen: the model's own, and then after
    each processor, or the model's alone where other processors were at work. Of a token whose are
    not known, as of words that a person put there, it is the mean of the others.
    """
    return tuple(
        _state(processor, depth, len(processors), prefix, logprobs)
        for depth, processor in enumerate(processors)
    )


def _state(
    processor: Processor, depth: int, count: int, prefix: Sequence[int], logprobs: Logprobs
) -> Any:
    state = processor.initial_state()
    if not processor.stateful:
        return state
    stage = depth if processor.observes == "given" else count
    told = [_at(known, stage - count) for known in logprobs[: len(prefix)]]
    told += [None] * (len(prefix) - len(told))
    sure = [logprob for logprob in told if logprob is not None]
    mean = sum(sure) / len(sure) if sure else 0.0
    for token, logprob in zip(prefix, told, strict=True):
        state = processor.observe(state, token, mean if logprob is None else logprob)
    return state


def _at(known: Sequence[float], before_last: int) -> float | None:
    """The log-probability so many stages from the last, or the model's where it has fewer."""
    return known[max(0, len(known) - 1 + before_last)] if known else None
