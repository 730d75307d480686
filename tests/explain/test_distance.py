"""Distances between steps, the same computed together as one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from playground.explain.distance import _alike, _step
from tests.explain.recorded import logits, recorded

RECIPES = st.sampled_from(["sample", "top_k(3) | sample", "temperature(0.4) | top_p(0.6) | sample"])


@given(st.lists(st.tuples(RECIPES, st.integers(0, 9)), min_size=2, max_size=5))
def test_steps_of_one_distribution_are_told_together(asked: list[tuple[str, int]]) -> None:
    same = logits(1)
    token = int(torch.argmax(same))
    steps = [recorded(recipe, same, token, top_n=5 + seed).step for recipe, seed in asked]
    pairs = [pair for pair in pairwise(steps) if pair[0].candidates.ids == pair[1].candidates.ids]
    for found, pair in zip(_alike(pairs), pairs, strict=True):
        wanted = _step(*pair)
        assert found.low == pytest.approx(wanted.low, abs=1e-7)
        assert found.high == pytest.approx(wanted.high, abs=1e-7)
