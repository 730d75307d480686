"""The noise is the same everywhere, bit for bit, and has the Gumbel distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import gumbel_r, kstest, pearsonr
from scipy.stats import uniform as flat

from strategies.ops.noise import Noise, draw, draw_each, gumbel, gumbel_at, noisiest, uniform


@pytest.mark.parametrize(
    ("seed", "sample", "position", "expected"),
    [
        (0, 0, 0, ["-0x1.ccfe80p-1", "-0x1.705a24p-2", "-0x1.0e16d6p-6", "-0x1.c2ae14p-3"]),
        (7, 0, 0, ["-0x1.32acb4p+0", "0x1.ff1fa4p-9", "0x1.716554p-2", "0x1.a46d4ap-1"]),
        (7, 1, 0, ["-0x1.5d58cap+0", "-0x1.178572p-1", "0x1.64cd9ep-1", "0x1.e35ecap-4"]),
        (7, 0, 1, ["0x1.734f0ep+1", "0x1.70d09ep+0", "0x1.66725ap-2", "0x1.c427eap-1"]),
        (-1, 3, 5, ["-0x1.6378aep-1", "0x1.dc3190p+0", "-0x1.1843bep+0", "0x1.700384p+0"]),
    ],
)
def test_known_values(seed: int, sample: int, position: int, expected: list[str]) -> None:
    found = gumbel(seed, sample, position, 4)
    assert found.dtype == torch.float32
    assert found.tolist() == [float.fromhex(value) for value in expected]


def splitmix(value: int) -> int:
    value &= 2**64 - 1
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    value = (value ^ value >> 27) * 0x94D049BB133111EB & 2**64 - 1
    return value ^ value >> 31


def by_hand(seed: int, sample: int, position: int, token: int) -> float:
    """The same number from Python's own integers, one token at a time."""
    golden, key = 0x9E3779B97F4A7C15, 0x9E3779B97F4A7C15
    for part in (seed, sample, position, int.from_bytes(b"token", "big")):
        key = splitmix(key + splitmix(part + golden))
    bits = splitmix(golden * (token + 1) + key) >> 11
    return -math.log(-math.log((bits + 0.5) * 2.0**-53))


@pytest.mark.parametrize("at", [(0, 0, 0), (123456789, 5, 77), (2**63 - 1, 63, 4095), (-3, 0, 1)])
def test_the_hash_is_the_one_described(at: tuple[int, int, int]) -> None:
    expected = [by_hand(*at, token) for token in range(500)]
    assert torch.allclose(gumbel(*at, 500).double(), torch.tensor(expected).double(), rtol=1e-6)


def test_a_tokens_noise_does_not_depend_on_the_vocabulary() -> None:
    assert torch.equal(gumbel(1, 2, 3, 50_000)[:100], gumbel(1, 2, 3, 100))


@pytest.mark.parametrize("count", [0, 1, 5, 777, 12_345, 50_000])
def test_noise_for_some_tokens_is_theirs_among_all(count: int) -> None:
    tokens = torch.randperm(50_000, generator=torch.Generator().manual_seed(count))[:count]
    every = gumbel(1, 2, 3, 50_000)
    assert torch.equal(gumbel_at(1, 2, 3, tokens), every[tokens])
    noise = Noise(1, 3, 50_000)
    assert torch.equal(noise.at(2, tokens), every[tokens])
    assert torch.equal(noise(2), every) and noise(2) is noise(2)
    assert torch.equal(noise.at(2, tokens), every[tokens])


@pytest.mark.parametrize("left", [0, 1, 3, 60, 200, 400])
def test_a_draw_is_the_largest_of_all_however_few_are_left(left: int) -> None:
    """Tokens of equal score included, and a row of which nothing is left."""
    for seed in range(20):
        order = torch.randperm(400, generator=torch.Generator().manual_seed(seed))
        scores = (torch.randn(400, generator=torch.Generator().manual_seed(seed)) * 2).round()
        scores[order[left:]] = -torch.inf
        wanted = int((scores + gumbel(seed, 1, 2, 400)).argmax())
        assert draw(scores, Noise(seed, 2, 400), 1) == wanted
        assert draw(scores, lambda sample, seed=seed: gumbel(seed, sample, 2, 400), 1) == wanted


def test_it_is_gumbel_noise() -> None:
    noise = torch.cat([gumbel(seed, 0, 0, 5000) for seed in range(10)]).numpy()
    assert np.isfinite(noise).all()
    assert kstest(noise, gumbel_r.cdf).pvalue > 1e-3


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32, 0, 0)])
def test_neighbours_are_unrelated(other: tuple[int, int, int]) -> None:
    assert pearsonr(gumbel(0, 0, 0, 50_000), gumbel(*other, 50_000)).pvalue > 1e-3


def test_roles_do_not_mix() -> None:
    """Seed 1 sample 0 is not seed 0 sample 1, nor a position, and streams are apart."""
    found = [gumbel(*at, 3).tolist() for at in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0))]
    assert len({tuple(values) for values in found}) == 4
    assert uniform(0, 0, 0, "xtc") != uniform(0, 0, 0, "token")


def test_a_stream_of_its_own_is_uniform() -> None:
    drawn = [uniform(seed, 0, position, "xtc") for seed in range(50) for position in range(100)]
    assert 0 < min(drawn) < max(drawn) < 1
    assert kstest(drawn, flat.cdf).pvalue > 1e-3


@pytest.mark.parametrize("vocab", [5, 400, 407, 49_152])
def test_draws_at_once_are_those_one_by_one(vocab: int) -> None:
    """However much is left of each row: equal scores, no numbers, and nothing at all included."""
    generator = torch.Generator().manual_seed(vocab)
    scores = (torch.randn(40, vocab, generator=generator) * 2).round()
    for row, own in enumerate(scores[:36]):
        own[torch.randperm(vocab, generator=generator)[vocab * row // 140 :]] = -torch.inf
    scores[36, :2], scores[37] = torch.nan, torch.nan
    scores[3, scores[3] > -torch.inf] = torch.nan
    samples = [row % 3 for row in range(40)]

    def noises() -> list[Noise]:
        made = [Noise(row // 2, 7, vocab) for row in range(40)]
        made[5](samples[5])  # all of its noise is drawn already
        return made

    alone = [draw(*what) for what in zip(scores, noises(), samples, strict=True)]
    assert draw_each(scores, noises(), samples) == alone
    assert draw_each(scores[::3], noises()[::3], samples[::3]) == alone[::3]


@pytest.mark.parametrize("vocab", [1, 7, 300, 5_000, 50_000])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0, 300.0])
def test_a_draw_is_the_largest_sum_by_a_hair(vocab: int, spread: float) -> None:
    torch.manual_seed(vocab)
    for position in range(20):
        scores = torch.randn(vocab) * spread
        scores = scores.bfloat16().float() if position % 2 else scores
        noise = gumbel(3, position % 3, position, vocab)
        expected = int((scores + noise).argmax())
        assert draw(scores, Noise(3, position, vocab), position % 3) == expected
        # The best of the others would do by a hair, or by no more than rounding.
        for lead in (1e-6, 1e-3):
            close = scores.clone()
            close[noise.argmin()] = (scores + noise).max() - noise.min() + lead
            expected = int((close + noise).argmax())
            assert draw(close, Noise(3, position, vocab), position % 3) == expected


@pytest.mark.parametrize("vocab", [10, 257, 50_000])
def test_no_other_has_more_noise_than_the_noisiest(vocab: int) -> None:
    noise = Noise(1, 2, vocab)
    tokens, bits = noise.noisiest(5)
    found = torch.from_numpy(tokens.copy())
    assert (noise(5)[found].diff() <= 0).all() and (bits[1:] < bits[:-1]).all()
    rest = torch.ones(vocab, dtype=torch.bool)
    rest[found] = False
    assert not rest.any() or noise(5)[rest].max() <= noise(5)[found].min()
    assert not rest.any() or noise(5)[rest].max() < noise.most_of_others
    assert vocab < 5_000 or 180 < len(found) < 340
    known = Noise(1, 2, vocab)
    known(5)  # of which they are found another way
    assert all(map(np.array_equal, known.noisiest(5), (tokens, bits)))
    both = noisiest([noise, Noise(1, 3, vocab)], [5, 0])
    for row, (own, _) in enumerate((noise.noisiest(5), Noise(1, 3, vocab).noisiest(0))):
        assert both[0][row, : len(own)].tolist() == own.tolist()
        assert {*both[0][row].tolist()} == {*own.tolist()}


@pytest.mark.parametrize("vocab", [12, 407, 50_257])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_rows_of_which_much_is_left_are_drawn_from_as_from_all(vocab: int, spread: float) -> None:
    """Scores as a model in bfloat16 gives them, many of them equal, and others."""
    scores = torch.randn(24, vocab, generator=torch.Generator().manual_seed(vocab)) * spread
    scores[::2] = scores[::2].bfloat16().float()
    scores[3, : vocab // 2], scores[5, 3] = -torch.inf, torch.nan
    noises, samples = (
        [Noise(9, row // 4, vocab) for row in range(24)],
        [row % 4 for row in range(24)],
    )
    wanted = [
        int((own + noise(sample)).argmax())
        for own, noise, sample in zip(scores, noises, samples, strict=True)
    ]
    fresh = [Noise(9, row // 4, vocab) for row in range(24)]
    assert draw_each(scores, fresh, samples) == wanted
    assert draw_each(scores, noises, samples) == wanted  # of all of which the noise is known


def test_what_is_no_number_is_drawn_as_from_all() -> None:
    for bad in (torch.nan, torch.inf):
        scores = torch.zeros(1_000)
        scores[700] = bad
        assert draw(scores, Noise(0, 0, 1_000), 0) == 700
