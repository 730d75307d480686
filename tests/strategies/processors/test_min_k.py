"""Min-k against the paper's algorithm, and what it is for: no temperature moves its cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.strategies.processors.test_processors import processor


def kept(scores: Tensor, tau: float) -> int:
    """Algorithm 1 of the paper, in a loop."""
    z = sorted((v for v in scores.tolist() if v > -torch.inf), reverse=True)
    spread = max(z[0] - z[-1], 1e-8)
    weights = [(z[i] - z[i + 1]) / (spread * (i + 1)) for i in range(len(z) - 1)]
    cliff = 1 + max(range(len(weights)), key=weights.__getitem__) if weights else 1
    return min(len(z), max(cliff, int(tau / spread)))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spread", [0.001, 1, 20])
def test_it_is_the_papers(seed: int, spread: float) -> None:
    scores = torch.randn(3000, generator=torch.Generator().manual_seed(seed)) * spread
    scores[seed * 7 :: 13] = -torch.inf
    if seed % 3 == 0:  # a cliff far down, which only a look at all scores finds
        scores = torch.where(scores > scores.quantile(0.8), 5 + scores / 1e4, scores / 1e4)
    for tau in (0.0, 3.0):
        out = processor(f"min_k({tau})", 3000)(scores[None], [])
        assert int((out > -torch.inf).sum()) == kept(scores, tau)


@pytest.mark.parametrize(
    ("scores", "tau", "left"),
    [
        ([4.0, 3.5, 3.25, 3.0], 3, 3),  # a range of 1 has three of them kept, to the last
        ([4.0, 3.5, 3.25, 3.0], 2.9, 2),
        ([1.0, 1.0, 0.0, 0.0], 0, 2),  # the first drop by rank 2, which is the only one
        ([2.0, 1.0, 1.0, 0.0], 4, 3),  # those that tie with the last kept stay
        ([3.0, 2.0, 0.0], 0, 1),  # of equal drops, 1/1 and 2/2, the first
        ([7.0, 7.0, 7.0], 0, 3),  # no drop at all: the first, and what ties with it
    ],
)
def test_bounds_and_ties(scores: list[float], tau: float, left: int) -> None:
    out = processor(f"min_k({tau})", len(scores))(torch.tensor([scores]), [])
    assert int((out > -torch.inf).sum()) == left


@pytest.mark.parametrize("temperature", [0.1, 3, 10])
def test_no_temperature_moves_the_cut(temperature: float) -> None:
    scores = torch.randn(1, 500, generator=torch.Generator().manual_seed(4))
    cut = processor("min_k(0)", 500)
    same = cut(scores, []) > -torch.inf
    assert torch.equal(cut(scores / temperature, []) > -torch.inf, same)
