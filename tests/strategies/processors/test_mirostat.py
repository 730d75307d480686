"""Mirostat 2: its limit moves with every token, on the row, and stands last in the chain."""

from __future__ import annotations

import math

import pytest
import torch

from strategies import Recipe, RecipeError, Row
from tests.strategies.cases import INF
from tests.strategies.driver import context, run, transitions
from tests.strategies.processors.test_processors import processor


def test_mirostat_steers_the_surprise() -> None:
    made = processor("mirostat_v2(2.0, eta=0.5)", 4)
    assert made.initial_state() == 4.0
    assert made.observe(4.0, 1, -3 * math.log(2)) == 3.5  # a bit more surprising than the target
    assert made.observe(3.5, 1, 0.0) == 4.5
    scores = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    for limit, kept in ((3.01, 4), (2.99, 2), (1.5, 1), (0.5, 1), (-9.0, 1)):
        out = made(scores, [Row((0,), 1, state=limit)])
        assert int((out > -INF).sum()) == kept and out[0, 0] == scores[0, 0]


def test_mirostat_holds_a_text_near_its_target() -> None:
    generator = torch.Generator().manual_seed(0)
    table = (torch.randn(300, 300, generator=generator) * 1.5).softmax(-1)
    for tau in (2.0, 4.0):
        recipe = f"mirostat_v2({tau}, eta=0.2) | sample"
        row = run(transitions(table), recipe, (0,), max_new_tokens=300)[0]
        made = processor(recipe.removesuffix(" | sample"), 300)
        state, total = made.initial_state(), 0.0
        for place, token in enumerate(row.generated, start=1):
            before = Row(row.tokens[:place], 1, state=state)
            logprobs = made(table[row.tokens[place - 1]].log()[None], [before]).log_softmax(-1)
            state = made.observe(state, token, float(logprobs[0, token]))
            total -= float(logprobs[0, token]) / math.log(2)
        assert total / len(row.generated) == pytest.approx(tau, abs=0.25)


def test_mirostat_comes_last() -> None:
    Recipe.parse("top_k(50) | mirostat_v2 | ~top_p(0.5) | sample").build(context(9))
    for written in ("mirostat_v2 | top_p(0.5) | sample", "mirostat_v2 | mirostat_v2 | sample"):
        with pytest.raises(RecipeError, match=r"Step 1 \(mirostat_v2\): it comes last of the") as e:
            Recipe.parse(written).build(context(9))
        assert e.value.step == 0
