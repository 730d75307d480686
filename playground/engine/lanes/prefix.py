"""The states of a lane's processors after a text that it continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strategies import Processor

Logprobs = Sequence[Sequence[float]]


def states_after(
    processors: Sequence[Processor], prefix: Sequence[int], logprobs: Logprobs
) -> tuple[Any, ...]:
    """Each processor's state, as if it had observed the tokens of ``prefix``.

    ``logprobs`` are those with which each token was chosen: the model's own and then after each
    processor, or the model's alone where another recipe chose it. For a token without any, such as
    one that a person put there, the mean of the others is observed.
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
    observed = [_at(known, stage - count) for known in logprobs[: len(prefix)]]
    observed += [None] * (len(prefix) - len(observed))
    sure = [logprob for logprob in observed if logprob is not None]
    mean = sum(sure) / len(sure) if sure else 0.0
    for token, logprob in zip(prefix, observed, strict=True):
        state = processor.observe(state, token, mean if logprob is None else logprob)
    return state


def _at(known: Sequence[float], before_last: int) -> float | None:
    """The log-probability so many stages from the last, or the model's where it has fewer."""
    return known[max(0, len(known) - 1 + before_last)] if known else None
