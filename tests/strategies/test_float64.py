"""What reads the whole distribution, beside its definition in float64, on scores of every kind.

A definition gives each token a margin: above 0 it stays, below it goes, and within ``EDGE`` of 0
float32 may say either. Logits of models lie within some hundreds; −inf is what is removed already.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax

from strategies import Processor, Recipe, Row
from tests.strategies.driver import context

INF = float("inf")
EDGE = 2e-4
Floats = NDArray[np.float64]
Margins = Callable[[Floats, float], Floats]  # scores that are left [n], setting -> [n]


def kinds(score: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    """Rows in which some token is left."""
    return st.lists(score, min_size=1, max_size=40).filter(lambda row: max(row) > -INF)


rows = st.one_of(
    kinds(st.floats(-20, 20, width=32)),
    kinds(st.one_of(st.floats(-20, 20, width=32), st.just(-INF))),
    kinds(st.floats(-900, 900, width=32)),
    kinds(st.floats(-3e4, 3e4, width=32)),
    kinds(st.sampled_from([300.0, 0.0, -300.0, -INF])),  # certain, even, and tied
    kinds(st.sampled_from([1.0, 1.0000001, 0.9999999])),  # as good as even
)
SPECIAL: list[list[float]] = [
    [300, 0, 0, 0, 0],
    [90, 0, 0, 0, 0],  # a probability that float32 holds as a denormal number
    [0, 0, 0, 0],
    [7],
    [-INF, 7, -INF],
    [3e4, -3e4, 3e4],
    [-900, -900, -899],
    [104, 0.5, 0, -0.5],  # just below the least that float32 holds
]


def entropy(p: Floats, logp: Floats) -> float:
    return float(-(p * logp).sum())


def reached(distance: Floats, p: Floats, mass: float) -> Floats:
    """What is left of the mass when a token's turn comes, nearer ones having had theirs.

    Where its turn comes before or after that of others as near in float32, the margin is 0.
    """
    near = 1e-4 * (1 + np.abs(distance))
    early = np.array([p[distance < d - e].sum() for d, e in zip(distance, near, strict=True)])
    late = np.array([p[distance < d + e].sum() for d, e in zip(distance, near, strict=True)]) - p
    return np.where(mass - late > 0, mass - late, np.minimum(mass - early, 0))


def together(margin: Floats, z: Floats) -> Floats:
    """Equal scores stay together where one of them does, and nearly equal ones may."""
    out = np.empty_like(margin)
    for i, score in enumerate(z):
        near = np.abs(z - score) < 1e-5 * (1 + np.abs(score))
        even = (z[near] == score).all() or (margin[near] > 0).all() or (margin[near] < 0).all()
        out[i] = margin[z == score].max() if even else 0
    return out


def top_p(z: Floats, mass: float) -> Floats:
    logp = log_softmax(z)
    return reached(-logp, np.exp(logp), mass)


def typical(z: Floats, mass: float) -> Floats:
    logp = log_softmax(z)
    p = np.exp(logp)
    return reached(np.abs(-logp - entropy(p, logp)), p, mass)


def eta(z: Floats, epsilon: float) -> Floats:
    logp = log_softmax(z)
    bar = min(epsilon, math.sqrt(epsilon) * math.exp(-entropy(np.exp(logp), logp)))
    return np.where(z == z.max(), INF, logp - math.log(bar))


def sigma(z: Floats, n: float) -> Floats:
    return z - (z.max() - n * z.std())


def top_h(z: Floats, h: float) -> Floats:
    """The share of the entropy that is left behind a token and those at least as likely.

    No share of an entropy that float32 cannot hold: then the likeliest stay alone.
    """
    logp = log_softmax(z)
    order = np.argsort(-logp, kind="stable")
    terms = (-np.exp(logp) * logp)[order]
    total = terms.sum()
    if total < 1e-30:
        return np.where(z == z.max(), INF, np.where(logp < -104, -INF, 0))
    left = np.empty_like(z)
    left[order] = h - terms.cumsum() / total
    left[logp < -104] = -1  # of no weight in float32
    return np.where(z == z.max(), INF, together(left, z))


def top_a(z: Floats, a: float) -> Floats:
    logp = log_softmax(z)
    return np.maximum(logp, -104) - max(math.log(a) + 2 * logp.max(), -103)


def tail_free(z: Floats, share: float) -> Floats:
    """The share of the bending that is left when a token's turn comes; 0 where there is none."""
    if len(z) < 3:
        return np.full_like(z, INF)
    p = np.exp(log_softmax(z))
    order = np.argsort(-p, kind="stable")
    bends = np.abs(np.diff(p[order], 2))
    if bends.sum() < 1e-3 * p.max():
        return np.where(z == z.max(), INF, 0)
    before = np.concatenate([[0], bends.cumsum() / bends.sum(), [1]])
    left = np.empty_like(z)
    left[order] = share - np.concatenate([[-INF], before[1:-1], [INF]])
    return together(left, z)


def p_less(z: Floats, normalised: float) -> Floats:
    p = np.exp(log_softmax(z))
    n, bar = len(z), float((p**2).sum())
    if normalised:
        bar = (n * bar - 1) / (n - 1) if n > 1 else 0.0
    return np.where(z == z.max(), INF, (p - bar) / p.max())


TRUNCATIONS: list[tuple[str, Margins, list[float]]] = [
    ("top_p({})", top_p, [0.05, 0.5, 0.9, 0.999]),
    ("typical_p({})", typical, [0.05, 0.5, 0.9, 0.999]),
    ("min_p({})", lambda z, p: z - (z.max() + math.log(p)), [1e-4, 0.1, 0.9]),
    (
        "epsilon_cutoff({})",
        lambda z, e: np.where(z == z.max(), INF, log_softmax(z) - math.log(e)),
        [3e-4, 0.1, 0.9],
    ),
    ("eta_cutoff({})", eta, [3e-4, 0.1, 0.9]),
    ("top_n_sigma({})", sigma, [0.1, 1.0, 3.0]),
    ("top_h({})", top_h, [0.05, 0.4, 0.9]),
    ("top_a({})", top_a, [0.01, 0.3, 1.0]),
    ("tail_free({})", tail_free, [0.1, 0.5, 0.95]),
    ("p_less", lambda z, _: p_less(z, 0), [0]),
    ("p_less_norm", lambda z, _: p_less(z, 1), [0]),
]


def made(written: str, vocab: int) -> Processor:
    (processor,), _ = Recipe.parse(f"{written} | greedy").build(context(vocab))
    return processor


def shaped(written: str, row: list[float], state: float | None = None) -> Floats:
    out = made(written, len(row))(torch.tensor([row]), [Row((0,), 1, state=state)])[0]
    return out.double().numpy()


def special(test: Callable[..., None]) -> Callable[..., None]:
    for row in SPECIAL:
        test = example([float(score) for score in row])(test)
    return test


@pytest.mark.parametrize(("written", "margins", "values"), TRUNCATIONS, ids=lambda v: str(v)[:12])
@special
@given(rows)
def test_what_stays(written: str, margins: Margins, values: list[float], row: list[float]) -> None:
    z = np.array(torch.tensor(row).tolist())
    left = z > -INF
    for value in values:
        out = shaped(written.format(value), row)
        kept = out > -INF
        assert not kept[~left].any() and (out[kept] == z[kept]).all()
        margin = margins(z[left], value)
        slack = EDGE * (1 + np.abs(z[left]) / 30)
        wrong = (kept[left] & (margin < -slack)) | (~kept[left] & (margin > slack))
        assert not wrong.any(), (value, z[left], kept[left], margin)


@special
@given(rows)
def test_mirostat_keeps_what_is_no_more_surprising(row: list[float]) -> None:
    z = np.array(torch.tensor(row).tolist())
    left = z > -INF
    surprise = -log_softmax(z[left]) / math.log(2)
    for limit in (-1.0, 0.5, 6.0):
        kept = shaped("mirostat_v2", row, state=limit)[left] > -INF
        slack = EDGE * (1 + surprise)
        assert (kept[surprise < limit - slack]).all() and kept[z[left].argmax()]
        assert not kept[(surprise > limit + slack) & (z[left] < z[left].max())].any()


@special
@given(rows)
def test_xtc_takes_the_likely_but_for_the_least(row: list[float]) -> None:
    z = np.array(torch.tensor(row).tolist())
    left = z > -INF
    p = np.zeros_like(z)
    p[left] = np.exp(log_softmax(z[left]))
    kept = shaped("xtc(0.1, probability=1.0)", row) > -INF
    if np.abs(p - 0.1).min() < EDGE:
        return
    good = left & (p > 0.1)
    least = p[good].min() if good.any() else INF
    assert not kept[good & (p > least + EDGE)].any()
    assert kept[left & ~(good & (p > least))].all()


@special
@given(rows)
def test_dynamic_temperature_divides_by_the_heat_of_the_entropy(row: list[float]) -> None:
    z = np.array(torch.tensor(row).tolist())
    left = z > -INF
    logp = log_softmax(z[left])
    count = int(left.sum())
    share = entropy(np.exp(logp), logp) / math.log(count) if count > 1 else 0.0
    for low, high, exponent in ((0.5, 2.0, 1.0), (2.0, 0.25, 1.0), (1.0, 3.0, 2.0)):
        heat = low + (high - low) * min(share, 1.0) ** exponent
        out = shaped(f"dynamic_temperature({low}, high={high}, exponent={exponent})", row)
        assert (out[~left] == -INF).all()
        np.testing.assert_allclose(out[left], z[left] / heat, rtol=2e-4, atol=1e-5)


@special
@given(rows)
def test_quadratic_bends_by_the_distance(row: list[float]) -> None:
    z = np.array(torch.tensor(row).tolist())
    left = z > -INF
    away = z[left] - z.max()
    for factor, curve in ((0.3, 1.0), (0.3, 3.0), (2.0, 2.0)):
        k, s = (3 - curve) / 2, (curve - 1) / 2
        out = shaped(f"quadratic({factor}, curve={curve})", row)
        assert (out[~left] == -INF).all()
        wanted = z.max() - factor * (k * away**2 - s * away**3)
        np.testing.assert_allclose(out[left], wanted, rtol=1e-4, atol=1e-3)
