"""A search that looks ahead sees the states of next tokens before it chooses one of them."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from playground.engine import Engine, Request
from playground.trace import LaneResult
from strategies import Info, LookAhead, Move, Search, Step
from tests.engine.models import engine, finished

Advance = Callable[[Step], Any]


@pytest.fixture
def looking(plugin: Callable[[type[Search]], None]) -> Callable[[Advance], None]:
    """Registers a search ``looking`` of three rows that advances as the test says."""

    def register(advance: Advance) -> None:
        class Looking(Search):
            info = Info("looking", "Looking", "Looks.", "x", "this test")
            needs_hidden = True

            def width(self) -> int:
                return 3

            def advance(self, step: Step) -> Any:
                return advance(step)

        plugin(Looking)

    return register


def lanes(served: Engine, *recipes: str, tokens: int = 9) -> list[LaneResult]:
    """What these recipes wrote together; nothing is left in the slots."""
    asked = Request(prompt="abc", recipes=list(recipes), max_new_tokens=tokens, seed=2)
    found = finished(served, asked).lanes
    assert served.rows_in_use == 0
    return found


def best(step: Step, count: int) -> list[int]:
    return step.scores[0].topk(count).indices.tolist()


def test_states_are_those_of_each_token_after_the_row(looking: Any) -> None:
    seen: list[tuple[tuple[int, ...], Tensor]] = []

    def advance(step: Step) -> Any:
        tokens = best(step, 3)
        states = yield LookAhead(tokens)
        seen.extend(((*step.rows[0].tokens, t), s) for t, s in zip(tokens, states, strict=True))
        return [step.move(0, tokens[1])]

    looking(advance)
    served = engine()
    lanes(served, "looking", "greedy", tokens=6)
    assert len(seen) == 3 * 6
    for tokens, state in seen:
        with torch.no_grad():
            found = served.model.model(torch.tensor([tokens]), output_hidden_states=True)
        assert torch.allclose(found.hidden_states[-1][0, -1], state, atol=1e-4)


def test_it_may_look_as_often_as_it_likes(looking: Any) -> None:
    """The text is greedy's, however many tokens it looked at before it chose."""

    def advance(step: Step) -> Any:
        first = yield LookAhead(best(step, 3)[1:])
        second = yield LookAhead(best(step, 2))
        assert torch.equal(first[0], second[1])  # the runner-up's, in another row of the batch
        return [step.move(0, best(step, 1)[0])]

    looking(advance)
    looked, plain, _ = lanes(engine(), "looking", "greedy", "sample")
    assert looked.token_ids == plain.token_ids and looked.error is None


def test_it_may_choose_without_looking(looking: Any) -> None:
    def advance(step: Step) -> Any:
        if step.index % 2:
            yield LookAhead(best(step, 2))
        return [step.move(0, best(step, 1)[0])]

    looking(advance)
    looked, plain = lanes(engine(), "looking", "greedy")
    assert looked.token_ids == plain.token_ids and looked.error is None


def looks_at(tokens: list[int]) -> Advance:
    def advance(step: Step) -> Any:
        yield LookAhead(tokens)

    return advance


def yields_moves(step: Step) -> Any:
    yield step.move(0, 5)


def chooses_another(step: Step) -> Any:
    yield LookAhead(best(step, 2))
    return [step.move(0, best(step, 3)[2])]


def forks(step: Step) -> Any:
    yield LookAhead(best(step, 2))
    return [Move(0, token) for token in best(step, 2)]


def fails(step: Step) -> Any:
    yield LookAhead(best(step, 2))
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("advance", "sentence"),
    [
        (looks_at([]), "the search looked at 0 next tokens and owns 3"),
        (looks_at([4, 4]), "the search looked at 2 next tokens and owns 3"),
        (looks_at([4, 5, 6, 7]), "the search looked at 4 next tokens and owns 3"),
        (looks_at([10**6]), r"the search looked at \[1000000\]"),
        (looks_at([-1]), r"the search looked at \[-1\]"),
        (yields_moves, r"looking yielded Move\(.*\), which is no LookAhead"),
        (chooses_another, "the search chose a token that it had not looked at"),
        (forks, "the search looked ahead and returned 2 rows"),
        (fails, "KeyError: 'lost'"),
    ],
)
def test_what_breaks_the_contract_ends_its_lane_alone(
    looking: Any, advance: Advance, sentence: str
) -> None:
    looking(advance)
    broken, other = lanes(engine(), "looking", "greedy")
    assert broken.finish_reason == "error" and re.search(sentence, str(broken.error))
    assert other.finish_reason == "length" and len(other.token_ids) == 9


def test_a_search_that_did_not_ask_for_states_may_not_look(
    plugin: Callable[[type[Search]], None],
) -> None:
    class Blind(Search):
        info = Info("blind", "Blind", "Looks.", "x", "this test")

        def advance(self, step: Step) -> Any:
            yield LookAhead([3])

    plugin(Blind)
    (lane,) = lanes(engine(), "blind")
    assert lane.error == "only a search that needs_hidden and has one row may look ahead."


def test_a_run_that_is_cancelled_while_it_looks_leaves_nothing(looking: Any) -> None:
    closed = []

    def advance(step: Step) -> Any:
        try:
            while True:
                yield LookAhead(best(step, 2))
        finally:
            closed.append(step.index)

    looking(advance)
    served = engine()
    run = served.submit(Request(prompt="abc", recipes=["looking"]))
    served.step()
    run.cancel()
    served.drive(run)
    served.step()
    gc.collect()
    assert run.comparison().lanes[0].finish_reason == "cancelled"
    assert served.rows_in_use == 0 and closed == [0]
