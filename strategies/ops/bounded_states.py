"""Steps that remember how likely the tokens before were, where only some scores are known.

A text's rows follow each other from its first token, so that what such a step remembers is a number
that lies from one value to another, and is moved by each token between two bounds as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from .bounded import LOOSE, NEAR, Bools, Bounded, Floats, Unknown

# What is remembered after a token of this log-probability; it rises with both.
Observe = Callable[[float, int, float], float]


class _Written(Protocol):
    @property
    def generated(self) -> tuple[int, ...]: ...


def aimed(
    scores: Bounded,
    rows: Sequence[_Written],
    start: float,
    observe: Observe,
    aim: Callable[[float], float],
    bend: Callable[[Floats], Floats],
) -> Bounded:
    """Each score by its probability's distance from an ``aim``, which falls with what the step
    remembers of the probabilities that it was given; ``bend`` falls with the distance.
    """
    tokens, whole = _tokens(rows), _total(scores)
    own_low, own_high, known = _own(scores, tokens)
    states = [(start, start)]
    for at, token in enumerate(tokens):
        least_likely = min(float(own_low[at] - whole[1][at, 0]), 0.0)
        likeliest = min(float(own_high[at] - whole[0][at, 0]), 0.0)
        before = states[-1]
        states.append(
            (observe(before[0], token, least_likely), observe(before[1], token, likeliest))
        )
    nearest = np.array([[aim(state[1]), aim(state[0])] for state in states])
    least, most = nearest[:, :1] - LOOSE, nearest[:, 1:] + LOOSE

    def bounds(low: Floats, high: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore", under="ignore"):
            p, q = np.exp(low - whole[1]), np.exp(np.minimum(high - whole[0], 0.0))
        far = np.maximum(most - p, q - least)
        near = np.maximum(np.maximum(p - most, least - q), 0.0)
        return bend(far) - NEAR, bend(near) + NEAR

    low, high = bounds(scores.low, scores.high)
    bottom, top = bounds(scores.bottom, scores.top)
    # Below the aim the likelier is the nearer, so that what stands for the unknown tokens is still
    # no worse than they; above it they may be as good as can be.
    ceiling = np.where(scores.counts > 0, scores.top, -np.inf).max(-1, keepdims=True)
    with np.errstate(over="ignore"):
        orderly = np.exp(np.minimum(ceiling - whole[0], 0.0)) <= least
    stands = (scores.ids < -1) & scores.may
    unknown = _before(~known) | (stands.any(-1) & ~orderly[:, 0])
    return replace(
        scores,
        low=low,
        high=high,
        bottom=bottom,
        top=top,
        mean_low=bottom,
        mean_high=top,
        lost=scores.lost | unknown,
    )


def steered(
    scores: Bounded,
    rows: Sequence[_Written],
    start: float,
    observe: Observe,
    least: Callable[[float], float],
) -> Bounded:
    """Without the tokens below a log-probability, ``least`` of what the step remembers.

    It remembers how likely each token was among those that it left; ``least`` falls with that.
    """
    tokens, whole = _tokens(rows), _total(scores)
    own_low, own_high, known = _own(scores, tokens)
    low, high, fewest, most = scores.weights()
    base = scores.base[:, 0]
    bars = np.empty((len(rows), 2))
    state = (start, start)
    for at in range(len(rows)):
        bars[at] = least(state[1]) + whole[0][at, 0], least(state[0]) + whole[1][at, 0]
        if at == len(tokens):
            break
        near = NEAR * (1 + np.where(np.isfinite(bars[at]), np.abs(bars[at]), 0.0))
        stays = scores.low[at] >= bars[at, 1] + near[1]
        kept = low[at][stays].sum() + fewest[at][scores.bottom[at] >= bars[at, 1] + near[1]].sum()
        may = scores.high[at] >= bars[at, 0] - near[0]
        held = high[at][may].sum() + most[at][scores.top[at] >= bars[at, 0] - near[0]].sum()
        # The likeliest always stays, and so did this token, without which there is no next one.
        kept = max(kept, low[at].max(initial=0.0), float(np.exp(own_low[at] - base[at])), 1e-300)
        told = (
            min(float(own_low[at] - base[at] - np.log(max(held, kept))) - LOOSE, 0.0),
            min(float(own_high[at] - base[at] - np.log(kept)) + LOOSE, 0.0),
        )
        state = observe(state[0], tokens[at], told[0]), observe(state[1], tokens[at], told[1])
    cut = scores.at_least(bars[:, :1], bars[:, 1:])
    return replace(cut, lost=scores.lost | _before(~known))


def _tokens(rows: Sequence[_Written]) -> tuple[int, ...]:
    """The tokens that were chosen in the rows but the last."""
    if len(rows[0].generated) or len(rows[-1].generated) != len(rows) - 1:
        raise Unknown("what it remembers of the tokens before was not recorded.")
    return rows[-1].generated


def _total(scores: Bounded) -> tuple[Floats, Floats]:
    """The log of the summed exponentials; of what is not surely left at all a small number."""
    low, high = scores.log_total()
    return np.maximum(low, -1e4), np.maximum(high, -1e4)


def _own(scores: Bounded, tokens: Sequence[int]) -> tuple[Floats, Floats, Bools]:
    """The score of each row's token, at least and at most, and whether it is known at all."""
    is_own = scores.ids[: len(tokens)] == np.array(tokens, dtype=np.int64)[:, None]
    low = np.where(is_own, scores.low[: len(tokens)], -np.inf).max(-1, initial=-np.inf)
    high = np.where(is_own, scores.high[: len(tokens)], -np.inf).max(-1, initial=-np.inf)
    known = is_own.any(-1) & ~scores.lost[: len(tokens)]
    return np.where(known, low, -1e4), np.where(known, high, 0.0), known


def _before(fault: Bools) -> Bools:
    """Of each row, and of the one behind, whether it was so in any before."""
    return np.concatenate([[False], np.logical_or.accumulate(fault)]).astype(np.bool_)
