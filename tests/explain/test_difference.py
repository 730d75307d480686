"""The steps that two recipes do not share."""

import pytest

from playground.explain.difference import differences
from tests.traces import chain


@pytest.mark.parametrize(
    "left, right, found",
    [
        ([], ["a"], [(None, 0)]),
        (["a(1)"], ["a(2)"], [(0, 0)]),
        (["a", "b"], ["b"], [(0, None)]),
        (["a", "b", "c"], ["c", "a", "b"], [(2, 0)]),
        (["a(1)", "a(2)"], ["a(1)", "a(3)"], [(1, 1)]),
        (["a(1)", "b", "a(2)"], ["a(1)", "b"], [(2, None)]),
        (["a", "b(x=1)"], ["a", "b(x=1)"], []),
    ],
)
def test_differences_stand_by_strategy_then_place(left, right, found):
    recipes = [chain(" | ".join([*steps, "greedy"])).processors for steps in (left, right)]
    assert [(d.left, d.right) for d in differences(*recipes)] == found
