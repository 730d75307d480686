"""Truncations beside their definitions, written out slowly over a sorted list."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from strategies import Row
from strategies.ops.nucleus import HEAD
from tests.strategies.cases import INF
from tests.strategies.processors.test_processors import after, processor


@pytest.mark.parametrize(
    ("written", "given", "expected"),
    # The first of each kind are llama.cpp's own (tests/test-sampling.cpp).
    [
        ("typical_p(0.5)", [0.97, 0.01, 0.01, 0.01], [1, 0, 0, 0]),
        ("typical_p(0.5)", [0.4, 0.2, 0.2, 0.2], [0, 1 / 3, 1 / 3, 1 / 3]),  # drops the likeliest
        ("typical_p(0)", [0.6, 0.3, 0.1], [0, 1, 0]),
        ("typical_p(0.35)", [0.6, 0.3, 0.1], [2 / 3, 1 / 3, 0]),
        ("typical_p(0.9)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        ("top_n_sigma(1)", [0.1, 0.2, 0.3, 0.4], [0, 0, 3 / 7, 4 / 7]),
        ("top_n_sigma(0)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_n_sigma(3)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_n_sigma(0.9)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),  # removed tokens spread nothing
        ("top_n_sigma(1)", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        # Logits from 0 by drops of ln 2, ln 2, ln 4 (and ln 1.5): over 1, 2, 3 the first is most.
        ("min_k(0)", [0.5, 0.25, 0.125, 0.125], [1, 0, 0, 0]),
        ("min_k(0)", [0.4, 0.4, 0.1, 0.1], [0.5, 0.5, 0, 0]),  # 0, ln 4 over 2, 0
        ("min_k(0)", [0.45, 0.3, 0.2, 0.05], [9 / 19, 6 / 19, 4 / 19, 0]),  # 0.405, 0.203, 0.462
        ("min_k(3)", [0.45, 0.3, 0.2, 0.05], [9 / 19, 6 / 19, 4 / 19, 0]),  # 3 / 2.197 is 1
        ("min_k(9)", [0.45, 0.3, 0.2, 0.05], [0.45, 0.3, 0.2, 0.05]),  # 9 / 2.197 is 4
        ("min_k(3)", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        ("epsilon_cutoff(0.19)", [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]),
        ("epsilon_cutoff(0.9)", [0.1, 0.2, 0.35, 0.35], [0, 0, 0.5, 0.5]),  # the likeliest stay
        ("epsilon_cutoff(0.5)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        # 0.2 of these 4 even tokens: the bar is sqrt(0.2) / 4 = 0.11, below 0.2.
        ("eta_cutoff(0.2)", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        ("eta_cutoff(0.3)", [0.1, 0.1, 0.4, 0.4], [0, 0, 0.5, 0.5]),  # 0.548 · e^−1.194 = 0.166
        ("eta_cutoff(0.1)", [0.97, 0.03, 0, 0], [1, 0, 0, 0]),  # ε itself is the lower
        ("top_h(0)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        # The terms −p log p: 0.367, 0.361, 0.322, 0.230; their sum 1.280.
        ("top_h(0.56)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("top_h(0.58)", [0.1, 0.2, 0.3, 0.4], [0, 0, 3 / 7, 4 / 7]),
        ("top_h(0.83)", [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]),
        ("top_h(0.5)", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),  # ties are kept
        ("top_a(0.5)", [0.5, 0.25, 0.125, 0.125], [0.5, 0.25, 0.125, 0.125]),  # 0.5 · 0.25
        ("top_a(0.51)", [0.5, 0.25, 0.125, 0.125], [2 / 3, 1 / 3, 0, 0]),
        ("top_a(1)", [0.5, 0.3, 0.2, 0], [0.625, 0.375, 0, 0]),
        # Differences −0.25, −0.1, −0.05 bend by 0.15 and 0.05: 75 % and 25 %.
        ("tail_free(0.74)", [0.5, 0.25, 0.15, 0.1], [1, 0, 0, 0]),
        ("tail_free(0.76)", [0.5, 0.25, 0.15, 0.1], [2 / 3, 1 / 3, 0, 0]),
        ("tail_free(0.9)", [0.6, 0.4], [0.6, 0.4]),  # two have no curve
        ("tail_free(0.9)", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        ("p_less", [0.1, 0.2, 0.3, 0.4], [0, 0, 3 / 7, 4 / 7]),  # the squares sum to 0.3
        ("p_less", [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        ("p_less", [0.9, 0.1, 0, 0], [1, 0, 0, 0]),
        ("p_less_norm", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),  # (4 · 0.3 − 1) / 3 = 0.067
        ("p_less_norm", [0.05, 0.15, 0.3, 0.5], [0, 0, 0.375, 0.625]),  # 0.46 / 3 = 0.153
        ("p_less_norm", [0.9, 0.1, 0, 0], [1, 0, 0, 0]),  # of two, (2 · 0.82 − 1) / 1 = 0.64
        ("quadratic(1)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        (
            "dynamic_temperature(0.5, high=0.5)",
            [0.1, 0.2, 0.3, 0.4],
            [1 / 30, 4 / 30, 0.3, 16 / 30],
        ),
        # Two even tokens of two: all the entropy there is.
        ("dynamic_temperature(0, high=2)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        ("dynamic_temperature(0, high=0)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
    ],
)
def test_what_the_distribution_alone_decides(
    written: str, given: list[float], expected: list[float]
) -> None:
    total = sum(given)
    assert after(written, [p / total for p in given]) == pytest.approx(expected, abs=1e-6)


def entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def typical(p: list[float], mass: float) -> set[int]:
    centre = entropy(p)
    reached, kept = 0.0, set()
    for i in sorted(range(len(p)), key=lambda i: abs(-math.log(p[i]) - centre)):
        if reached >= mass:
            break
        reached += p[i]
        kept.add(i)
    return kept


def tail_free(p: list[float], z: float) -> set[int]:
    order = sorted(range(len(p)), key=lambda i: -p[i])
    q = [p[i] for i in order]
    slope = [b - a for a, b in pairwise(q)]
    bend = [abs(b - a) for a, b in pairwise(slope)]
    kept, reached = {order[0]}, 0.0
    for token, b in zip(order[1:-1], bend, strict=True):
        reached += b / sum(bend)
        if reached > z:
            break
        kept.add(token)
    return kept


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("name", "slowly"), [("typical_p", typical), ("tail_free", tail_free)])
def test_rows_flat_and_steep_equal_the_sorted_list(
    name: str, slowly: object, share: float, spread: float
) -> None:
    """Below, within and beyond the head that is sorted; a third of the tokens is removed before."""
    vocab = 3 * HEAD
    scores = torch.randn(1, vocab, generator=torch.Generator().manual_seed(9)) * spread
    scores[0, ::3] = -INF
    out = processor(f"{name}({share})", vocab)(scores, [Row((0,), 1)])
    alive = (scores[0] > -INF).nonzero().flatten().tolist()
    expected = slowly(scores[0, alive].double().softmax(-1).tolist(), share)  # type: ignore[operator]
    assert [i for i, token in enumerate(alive) if out[0, token] > -INF] == sorted(expected)
    assert torch.equal(out[out > -INF], scores[out > -INF])


def test_temperature_follows_the_entropy() -> None:
    given = [0.7, 0.2, 0.1, 0.0]
    share = entropy(given) / math.log(3)
    for low, high, exponent in ((0.5, 1.5, 1.0), (2.0, 0.5, 2.0), (0.0, 4.0, 0.5)):
        heat = low + (high - low) * share**exponent
        expected = torch.tensor(given).log().div(heat).softmax(-1).tolist()
        written = f"dynamic_temperature({low}, high={high}, exponent={exponent})"
        assert after(written, given) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("written", "expected"),
    # Scores 1 3 2 -5, 0 to -8 away from the highest.
    [
        ("quadratic(0.5)", [3 - 0.5 * 4, 3, 3 - 0.5, 3 - 0.5 * 64]),
        ("quadratic(0.5, curve=3.0)", [3 - 0.5 * 8, 3, 3 - 0.5, 3 - 0.5 * 512]),
        ("quadratic(0.2, curve=2.0)", [3 - 0.2 * (2 + 4), 3, 2.8, 3 - 0.2 * (32 + 256)]),
    ],
)
def test_scores_bend_around_the_highest(written: str, expected: list[float]) -> None:
    given = torch.tensor([[1.0, 3.0, 2.0, -5.0, -INF]])
    out = processor(written, 5)(given, [Row((0,), 1)])
    assert out[0].tolist() == pytest.approx([*expected, -INF])
