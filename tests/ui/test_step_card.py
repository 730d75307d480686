"""A step's card draws what it does to the next token, from the distribution at hand."""

from __future__ import annotations

from typing import Any

import pytest

from playground.engine import Request
from playground.engine.lanes.chain import chain
from playground.trace import StepRecord, Trace
from playground.ui import step_card
from strategies import Recipe
from tests.engine.models import engine, finished


@pytest.fixture(scope="module")
def served() -> Any:
    return engine()


def drawn(served: Any, written: str, least: int = 0) -> tuple[StepRecord, dict[str, Any]]:
    recipe = Recipe.parse(written)
    request = Request(
        prompt="one two", recipes=[recipe], max_new_tokens=1, min_new_tokens=least, top_n=24
    )
    finished(served, request)
    (step,) = served.preview(request)
    whole = recipe.at_least(least)
    trace = Trace(chain=chain(whole), vocab_size=259)
    return step, step_card.cards(step, trace, whole, len(whole.steps) - len(recipe.steps))


def test_each_step_is_drawn_from_what_it_was_given(served: Any) -> None:
    step, cards = drawn(served, "temperature(0.5) | ~top_k(2) | min_p(0.5) | sample")
    assert list(cards) == ["0", "2", "3"]  # one that is switched off does nothing
    known = step.candidates
    first, second, choice = cards.values()
    assert first["given"] == pytest.approx(sorted(known.raw, reverse=True)[:24], rel=1e-3)
    assert second["given"][0] == pytest.approx(max(known.stages[0]), rel=1e-3)
    assert first["given"] == sorted(first["given"], reverse=True) and first["lines"] == []
    (line,) = second["lines"]
    bar = 0.5 * max(known.stages[0])
    assert line["y"] == pytest.approx(bar, rel=1e-3)
    kept = [p > 0 for p in second["left"]]
    assert kept == [p >= line["y"] * 0.999 for p in second["given"]] and 0 < sum(kept) < len(kept)
    assert sum(p > 0 for p in choice["left"]) == 1 and step.piece in choice["told"]


@pytest.mark.parametrize(
    ("step", "label"),
    [("top_k(3)", "rank 3"), ("top_p(0.2)", "20\u00a0%"), ("typical_p(0.2)", None)],
)
def test_where_it_cuts(served: Any, step: str, label: str | None) -> None:
    _, cards = drawn(served, f"{step} | greedy")
    card = cards["0"]
    if label is None:  # two probabilities, between which tokens stay
        assert len(card["lines"]) == 2
        low, high = sorted(line["y"] for line in card["lines"])
        pairs = zip(card["given"], card["left"], strict=True)
        assert all((low * 0.99 <= p <= high * 1.01) >= (left > 0) for p, left in pairs)
        return
    (line,) = card["lines"]
    assert line["label"] == label
    kept = [p > 0 for p in card["left"]]
    assert kept == [at < line["x"] for at in range(len(kept))]


def test_steps_that_a_person_did_not_write_are_not_counted(served: Any) -> None:
    _, cards = drawn(served, "top_k(3) | greedy", least=1)
    assert list(cards) == ["0", "1"] and cards["0"]["lines"][0]["label"] == "rank 3"
