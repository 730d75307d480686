"""Tokens drawn for several lanes at once are those that each lane would draw by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from playground.engine import Request, Run
from playground.engine.decode import sample
from strategies import Move, Step, step
from strategies.searches.greedy import Greedy
from strategies.searches.sample import Sample
from tests.engine.models import driven, engine

ALL = ["greedy", "sample", "top_k(9) | sample(2)", "greedy", "sample", "top_k(9) | sample"]
REQUEST = Request(prompt="foresight", recipes=ALL, max_new_tokens=12, seed=4)


def ids(run: Run) -> list[list[list[int]]]:
    outputs = [lane.trace.outputs for lane in run.comparison().lanes]
    return [[output.token_ids for output in lane] for lane in outputs]


def alone() -> list[list[list[int]]]:
    served = engine()
    requests = [REQUEST.model_copy(update={"recipes": [recipe]}) for recipe in REQUEST.recipes]
    return [ids(driven(served, request))[0] for request in requests]


def never(*_: Any) -> int:
    raise RuntimeError("asked one by one")


def test_lanes_that_share_scores_do_not_draw_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = alone()
    monkeypatch.setattr(step, "argmax", never)
    several = step.draw
    texts = []
    # The first step of several texts, which all draw from one row, is the only one by itself.
    monkeypatch.setattr(step, "draw", lambda *what: texts.append(what[2]) or several(*what))
    assert ids(driven(engine(), REQUEST)) == expected
    assert texts == [1]


def test_where_they_cannot_be_drawn_at_once_each_lane_draws_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = alone()
    monkeypatch.setattr(sample, "draw_each", never)
    monkeypatch.setattr(sample, "argmax", never)
    assert ids(driven(engine(), REQUEST)) == expected
    assert "asked one by one" in caplog.text


@pytest.mark.parametrize("search", [Greedy, Sample])
def test_a_search_that_draws_from_other_scores_gets_theirs(
    search: type[Greedy] | type[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a plugin may that extends one of the searches here."""
    own = search.advance

    def otherwise(self: Any, step: Step) -> list[Move]:
        return own(self, replace(step, scores=-step.scores))

    monkeypatch.setattr(search, "advance", otherwise)
    assert ids(driven(engine(), REQUEST)) == alone()
