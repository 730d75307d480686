"""Small distributions and the answer worked out by hand, one line each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from strategies import Processor, Recipe, Row
from strategies.ops.nucleus import HEAD, least_in_nucleus
from tests.strategies.cases import INF
from tests.strategies.driver import context


def processor(written: str, vocab: int, eos: tuple[int, ...] = ()) -> Processor:
    (made,), _ = Recipe.parse(f"{written} | greedy").build(context(vocab, eos))
    return made


def after(written: str, probabilities: list[float]) -> list[float]:
    """The distribution one processor makes of another."""
    scores = torch.tensor([probabilities]).log()
    row = Row((0,), 1)
    return processor(written, len(probabilities))(scores, [row]).softmax(-1)[0].tolist()


@pytest.mark.parametrize(
    ("written", "given", "expected"),
    [
        ("temperature(1)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("temperature(0.5)", [0.1, 0.2, 0.3, 0.4], [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        ("temperature(2)", [0.04, 0.16, 0.8 - 0.16, 0.16], [1 / 9, 2 / 9, 4 / 9, 2 / 9]),
        ("temperature(0)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("temperature(0)", [0.1, 0.4, 0.4, 0.1], [0, 1, 0, 0]),  # a tie goes to the first
        ("temperature(0.000001)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("temperature(0.00002)", [0.1, 0.4, 0.4, 0.1], [0, 0.5, 0.5, 0]),
        ("temperature(5)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        ("top_k(1)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("top_k(3)", [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]),
        ("top_k(4)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_k(400)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_k(0)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_k(2)", [0.4, 0.2, 0.2, 0.2], [0.4, 0.2, 0.2, 0.2]),  # ties with the last are kept
        ("top_k(3)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        ("top_p(0)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("top_p(0.3)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("top_p(0.41)", [0.1, 0.2, 0.3, 0.4], [0, 0, 3 / 7, 4 / 7]),
        ("top_p(0.8)", [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]),
        ("top_p(0.95)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_p(1)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("top_p(0.5)", [0.25, 0.125, 0.5, 0.125], [0, 0, 1, 0]),  # reached exactly
        ("top_p(0.75)", [0.25, 0.125, 0.5, 0.125], [1 / 3, 0, 2 / 3, 0]),
        ("top_p(0.8)", [0.25, 0.125, 0.5, 0.125], [0.25, 0.125, 0.5, 0.125]),  # a tie is kept
        ("top_p(0.9)", [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]),
        ("top_p(0.9)", [0.7, 0.2, 0.1], [7 / 9, 2 / 9, 0]),  # reached but for float32's rounding
        ("min_p(0)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("min_p(0.24)", [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
        ("min_p(0.26)", [0.1, 0.2, 0.3, 0.4], [0, 2 / 9, 3 / 9, 4 / 9]),
        ("min_p(0.76)", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("min_p(1)", [0.1, 0.4, 0.1, 0.4], [0, 0.5, 0, 0.5]),
        ("min_p(0.5)", [0.25, 0.125, 0.5, 0.125], [1 / 3, 0, 2 / 3, 0]),  # a tie is kept
    ],
)
def test_what_the_distribution_alone_decides(
    written: str, given: list[float], expected: list[float]
) -> None:
    assert after(written, given) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("written", "given", "expected"),
    # The text is 1 1 2 | 2 3 3 3, of which 1 1 2 is the prompt; scores are for tokens 0 to 4.
    [
        ("repetition_penalty(2)", [4, 4, -4, 0, -4], [4, 2, -8, 0, -4]),
        ("repetition_penalty(0.5)", [4, 4, -4, 3, -4], [4, 8, -2, 6, -4]),
        ("repetition_penalty(2, prompt=False)", [4, 4, -4, 3, -4], [4, 4, -8, 1.5, -4]),
        ("repetition_penalty(2)", [4, -INF, 4, 4, 4], [4, -INF, 2, 2, 4]),
        ("presence_penalty(0.5)", [1, 1, 1, 1, 1], [1, 1, 0.5, 0.5, 1]),
        ("presence_penalty(0.5, prompt=True)", [1, 1, 1, 1, 1], [1, 0.5, 0.5, 0.5, 1]),
        ("presence_penalty(-2)", [1, 1, 1, -INF, 1], [1, 1, 3, -INF, 1]),
        ("frequency_penalty(0.5)", [1, 1, 1, 1, 1], [1, 1, 0.5, -0.5, 1]),
        ("frequency_penalty(0.5, prompt=True)", [1, 1, 1, 1, 1], [1, 0, 0, -0.5, 1]),
        ("frequency_penalty(-1)", [1, 1, 1, -INF, 1], [1, 1, 2, -INF, 1]),
        ("repetition_penalty(2, window=4)", [4, 4, 4, 4, -4], [4, 4, 2, 2, -4]),
        ("repetition_penalty(2, window=3)", [4, 4, 4, 4, -4], [4, 4, 4, 2, -4]),
        ("repetition_penalty(2, window=7)", [4, 4, 4, 4, -4], [4, 2, 2, 2, -4]),
        ("repetition_penalty(2, prompt=False, window=9)", [4, 4, 4, 4, -4], [4, 4, 2, 2, -4]),
        ("presence_penalty(0.5, window=3)", [1, 1, 1, 1, 1], [1, 1, 1, 0.5, 1]),
        ("presence_penalty(0.5, prompt=True, window=6)", [1] * 5, [1, 0.5, 0.5, 0.5, 1]),
        ("frequency_penalty(0.5, window=2)", [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]),
        ("frequency_penalty(0.5, prompt=True, window=6)", [1] * 5, [1, 0.5, 0, -0.5, 1]),
        ("no_repeat_ngram(0)", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ("no_repeat_ngram(1)", [1, 1, 1, 1, 1], [1, -INF, -INF, -INF, 1]),
        ("no_repeat_ngram(2)", [1, 1, 1, 1, 1], [1, 1, 1, -INF, 1]),  # 3 3 is there
        ("no_repeat_ngram(3)", [1, 1, 1, 1, 1], [1, 1, 1, -INF, 1]),  # 3 3 3 is there
        ("no_repeat_ngram(4)", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ("no_repeat_ngram(8)", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ("no_repeat_ngram(2)", [-INF, -INF, -INF, 1, -INF], [-INF] * 5),  # though it is the last
        ("min_new_tokens(4)", [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ("min_new_tokens(5)", [1, 1, 1, 1, 1], [-INF, 1, 1, 1, -INF]),
        ("min_new_tokens(5)", [1, -INF, -INF, -INF, 1], [-INF] * 5),  # though it has no others
    ],
)
def test_what_the_text_decides(written: str, given: list[float], expected: list[float]) -> None:
    row = Row((1, 1, 2, 2, 3, 3, 3), 3)
    out = processor(written, 5, eos=(0, 4, 7))(torch.tensor([given], dtype=torch.float32), [row])
    assert out[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_an_ngram_that_the_prompt_holds_is_banned() -> None:
    row = Row((7, 8, 9, 7, 8, 1, 7, 8), 5)
    out = processor("no_repeat_ngram(3)", 12)(torch.zeros(1, 12), [row])
    assert [token for token in range(12) if out[0, token] == -INF] == [1, 9]


def nucleus(probabilities: torch.Tensor, p: float) -> set[int]:
    """Top-p by its definition: down the sorted list until the mass, in float32, is there."""
    falling = sorted(enumerate(probabilities.double().tolist()), key=lambda pair: -pair[1])
    mass, kept, last = 0.0, set(), math.inf
    for token, probability in falling:
        if np.float32(mass) >= np.float32(p) and probability < last:
            break
        mass, last = mass + probability, probability
        kept.add(token)
    return kept


@pytest.mark.parametrize("spread", [0.1, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.95, 0.999, 0.99999, 0.9999999])
def test_a_nucleus_wider_than_the_head_is_exact(spread: float, p: float) -> None:
    vocab = 20 * HEAD
    scores = torch.randn(1, vocab, generator=torch.Generator().manual_seed(7)) * spread
    out = processor(f"top_p({p})", vocab)(scores, [Row((0,), 1)])
    kept = set((out[0] > -INF).nonzero().flatten().tolist())
    assert kept == nucleus(scores[0].softmax(-1), p)
    assert torch.equal(out[out > -INF], scores[out > -INF])


def test_the_nuclei_above_fall_on_both_sides_of_the_head() -> None:
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(20 * HEAD, generator=generator)
    assert len(nucleus((noise * 4).softmax(-1), 0.5)) < HEAD
    assert len(nucleus((noise * 1).softmax(-1), 0.95)) > HEAD


@pytest.mark.parametrize("vocab", [9, 5000])
def test_a_mass_that_rounding_never_reaches_keeps_every_token(vocab: int) -> None:
    """These probabilities add up to a little less than 1 in float32."""
    probs = torch.full((1, vocab), 1 / vocab).nextafter(torch.tensor(0.0)) * (1 - 1e-6)
    assert least_in_nucleus(probs, 0.9999999).item() <= probs.min()
