"""Power sampling draws from a power of p(y), which a small table lets one write down."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from scipy.stats import chisquare

from strategies import Move, Recipe, Rewind, Row
from strategies.ops.walk import Token, Walk
from strategies.searches.power_sample import PowerSample
from tests.strategies.driver import context, run, transitions

# The likeliest first token leads into a wide choice, the other to a sure one.
TABLE = torch.tensor([[0.05, 0.55, 0.4], [0.34, 0.33, 0.33], [0.02, 0.03, 0.95]])


def texts(recipe: str, seeds: int, tokens: int, eos: tuple[int, ...] = ()) -> Counter[tuple]:
    model = transitions(TABLE)
    return Counter(
        run(model, recipe, (0,), max_new_tokens=tokens, eos=eos, seed=seed)[0].generated
        for seed in range(seeds)
    )


def powers(tokens: int, alpha: float, eos: tuple[int, ...] = ()) -> dict[tuple[int, ...], float]:
    found = {}
    for length in range(1, tokens + 1):
        for text in product(range(3), repeat=length):
            ended = text[-1] in eos or length == tokens
            if ended and not any(token in eos for token in text[:-1]):
                p = 1.0
                for before, token in zip((0, *text), text, strict=False):
                    p *= float(TABLE[before, token])
                found[text] = p**alpha
    total = sum(found.values())
    return {text: weight / total for text, weight in found.items()}


@pytest.mark.parametrize(("alpha", "eos"), [(2, ()), (3, (0,))])
def test_texts_come_with_a_power_of_their_probability(alpha: int, eos: tuple[int, ...]) -> None:
    """Texts of several lengths, too: the walk is reversible where it changes a length."""
    seeds = 400
    found = texts(f"power_sample({alpha}, block=3, steps=12)", seeds, 3, eos)
    wanted = powers(3, alpha, eos)
    common = [text for text, p in wanted.items() if p * seeds > 5]
    rest = seeds - sum(found[text] for text in common)
    observed = [*(found[text] for text in common), rest]
    expected = [*(wanted[text] * seeds for text in common)]
    expected.append(seeds - sum(expected))
    assert chisquare(observed, expected).pvalue > 0.01
    # A low temperature goes where the first token is likely; the power goes where the text is.
    cold = texts(f"temperature({1 / alpha}) | sample", seeds, 3, eos)
    sure = (2, 2, 2)
    assert found[sure] > 1.2 * cold[sure]


def test_alone_it_is_a_sample_with_the_columns_luck() -> None:
    for seed in range(5):
        model = transitions(TABLE)
        (mine,) = run(model, "power_sample(1, steps=0)", (0,), seed=seed)
        assert mine.generated == run(model, "sample", (0,), seed=seed)[0].generated


def test_blocks_end_at_the_limit_and_the_moves_are_counted() -> None:
    (row,) = run(transitions(TABLE), "power_sample(4, block=4, steps=3)", (0,), max_new_tokens=10)
    assert len(row.generated) == 10
    (_, search) = Recipe.parse("power_sample").build(context(3))
    figures = search.measure(row, [row])
    assert figures["endings tried"] == 9 and 0 <= figures["endings taken"] <= 9


def test_what_is_written_again_is_drafted() -> None:
    search = PowerSample(PowerSample.Params(), context(3))
    text = tuple(Token(id, -1.0, -1.0) for id in (1, 2, 2, 0))
    walk = Walk(text, start=4)
    assert list(search.draft(Row((0, 1), 1, state=walk))) == [2, 2, 0]
    assert list(search.draft(Row((0,), 1))) == []
    assert isinstance(Rewind(1), Rewind) and not isinstance(Move(0, 1), Rewind)
