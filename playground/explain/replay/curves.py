"""The log-probability of a given text over temperature and over top-p, from one pass of logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from playground.trace.scores import LikelihoodCurve, LikelihoodPoint

_HOTTEST = 5.0  # the largest temperature
_PER_DECADE = 16
# From 0.1 to 4.9, each a sixteenth of a decade above the last, and 1 among them.
_TEMPERATURES = (*(10 ** (k / _PER_DECADE) for k in range(-_PER_DECADE, 12)), _HOTTEST)
_MASSES = (*(k / 20 for k in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
_KEPT = 4096  # likeliest tokens of a step whose cumulative mass is kept
_DEEP = -80.0  # scores this far below the best weigh nothing in float32


class TemperatureCurve:
    """Log-likelihood of ``temperature(T) | sample``, which is concave in 1/T.

    With the slope at each point, the maximum between two is found to a few parts in a million
    without reading the logits again.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * len(_TEMPERATURES)
        self._slopes = [0.0] * len(_TEMPERATURES)  # by 1/T
        self._greedy: float | None = 0.0  # log-probability at temperature 0

    def take(self, below: Tensor, tokens: Tensor) -> None:
        """Logits less the highest of their row, float32 ``[n, vocab]``, and the tokens ``[n]``."""
        own = below.gather(1, tokens[:, None])[:, 0].double()
        space = torch.empty_like(below)
        for number, temperature in enumerate(_TEMPERATURES):
            weights = torch.div(below, temperature, out=space).clamp_(min=_DEEP).exp_()
            total = weights.sum(-1).double()
            mean = weights.mul_(below).sum(-1).double() / total
            self._sums[number] += float((own / temperature - total.log()).sum())
            self._slopes[number] += float((own - mean).sum())
        if self._greedy is not None:  # temperature 0 leaves the first of the highest
            first = below.argmax(-1)
            self._greedy = 0.0 if bool((first == tokens).all()) else None

    def result(self) -> LikelihoodCurve:
        points = [LikelihoodPoint(value=0.0, logprob=self._greedy)]
        points += [
            LikelihoodPoint(value=value, logprob=logprob)
            for value, logprob in zip(_TEMPERATURES, self._sums, strict=True)
        ]
        best, logprob = self._best()
        return LikelihoodCurve(
            setting="temperature.temperature",
            points=points,
            best=best,
            best_logprob=logprob,
            at_limit=best == _HOTTEST and self._slopes[-1] < 0,
        )

    def _best(self) -> tuple[float, float]:
        if self._greedy is not None:
            return 0.0, self._greedy
        if self._slopes[-1] <= 0:  # it rises up to the highest temperature
            return _HOTTEST, self._sums[-1]
        if self._slopes[0] >= 0:  # it rises down to the lowest temperature
            return _TEMPERATURES[0], self._sums[0]
        at = next(n for n, slope in enumerate(self._slopes) if slope >= 0)
        x0, x1 = 1 / _TEMPERATURES[at], 1 / _TEMPERATURES[at - 1]
        y0, y1 = self._sums[at], self._sums[at - 1]
        s0, s1 = self._slopes[at] * (x1 - x0), self._slopes[at - 1] * (x1 - x0)
        # The cubic through both points with both slopes, over t from 0 to 1.
        a, b = 2 * (y0 - y1) + s0 + s1, 3 * (y1 - y0) - 2 * s0 - s1
        t = _falling_root(3 * a, 2 * b, s0)
        return 1 / (x0 + t * (x1 - x0)), ((a * t + b) * t + s0) * t + y0


def _falling_root(a: float, b: float, c: float) -> float:
    """Where a·t² + b·t + c falls through 0 between 0 and 1; c is 0 or more there."""
    if c == 0:
        return 0.0
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    t = 2 * c / (root - b) if root != b else 1.0  # stable where a is near 0
    return min(max(t, 0.0), 1.0)


class TopPCurve:
    """Log-likelihood of ``top_p(p) | sample``: none below the p that leaves every token possible.

    Above that p the likelihood falls, since removing more tokens makes the kept ones likelier: the
    best p is the smallest. Where a token lies beyond the ``_KEPT`` likeliest, the mass kept at the
    best p is taken as p itself, which is short by less than that token's probability.
    """

    def __init__(self) -> None:
        self._logprob = 0.0
        self._kept = [0.0] * len(_MASSES)  # summed log of the mass that each p keeps
        self._least = 0.0  # the greatest mass of tokens likelier than one of the text
        self._masses: list[Tensor] = []  # of each step, cumulative, ties together

    def take(self, below: Tensor, tokens: Tensor) -> None:
        """Logits less the highest of their row, float32 ``[n, vocab]``, and the tokens ``[n]``."""
        probs = below.softmax(-1)
        for row, token in zip(probs.cpu(), tokens.tolist(), strict=True):
            falling = row.sort(descending=True).values
            cumulative = falling.double().cumsum(0)
            # A p keeps all tokens as likely as the crossing one, so ties share their last sum.
            last = torch.searchsorted(-falling, -falling, right=True) - 1
            cumulative = cumulative[last]
            higher = int((falling > row[token]).sum())
            before = float(cumulative[higher - 1]) if higher else 0.0
            self._least = max(self._least, before)
            self._logprob += math.log(max(float(row[token]), 1e-300))
            for number, p in enumerate(_MASSES):
                self._kept[number] += _log_mass(cumulative, p)
            self._masses.append(cumulative[:_KEPT].clone())

    def result(self) -> LikelihoodCurve:
        points = [
            LikelihoodPoint(value=p, logprob=self._logprob - kept if p > self._least else None)
            for p, kept in zip(_MASSES, self._kept, strict=True)
        ]
        best = min(1.0, self._least + 1e-6)  # more than that mass, despite the rounding of top_p
        logprob = self._logprob - math.fsum(_log_mass(masses, best) for masses in self._masses)
        if best < 1.0:
            points.append(LikelihoodPoint(value=best, logprob=logprob))
        points.sort(key=lambda point: point.value)
        return LikelihoodCurve(
            setting="top_p.top_p", points=points, best=best, best_logprob=logprob
        )


def _log_mass(cumulative: Tensor, p: float) -> float:
    """Log of the mass that ``p`` keeps; 0 where it keeps all."""
    if p >= 1.0:
        return 0.0
    at = int(torch.searchsorted(cumulative, p))
    return math.log(min(float(cumulative[at]), 1.0) if at < len(cumulative) else p)
