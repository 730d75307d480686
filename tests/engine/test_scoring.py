"""The log-probabilities of a prompt are the model's own."""

from __future__ import annotations

import pytest
import torch

from playground.engine import Engine, Request
from tests.engine.models import MAKERS, engine


def own(served: Engine, ids: list[int]) -> torch.Tensor:
    """What the model itself gives each of ``ids`` but the first, in one forward."""
    with torch.inference_mode():
        logits = served.model.model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("piece", [256, 7])
def test_they_are_those_of_the_models_own_forward(kind: str, piece: int) -> None:
    served = engine(kind)
    served.forward.piece = piece
    ids = [token.id for token in served.tokens("A prompt of more tokens than one piece has.")]
    first, *found = served.prompt_logprobs(ids)
    assert first is None and len(found) == len(ids) - 1
    torch.testing.assert_close(torch.tensor(found), own(served, ids), rtol=1e-4, atol=1e-4)
    assert served.prompt_logprobs(ids[:1]) == [None]


def test_they_are_read_beside_a_run_without_a_slot_and_change_nothing_in_it() -> None:
    request = Request(prompt="b", recipes=["greedy", "sample"], max_new_tokens=12)
    alone, beside = engine(rows=2), engine(rows=2)
    expected = alone.submit(request)
    alone.drive(expected)
    run = beside.submit(request)
    ids = list(range(3, 40))
    found = []
    while not run.done:
        beside.step()
        found.append(beside.prompt_logprobs(ids))
    assert all(scores == found[0] for scores in found)
    assert [lane.text for lane in run.lanes] == [lane.text for lane in expected.lanes]


def test_they_end_where_nobody_waits_for_them() -> None:
    served = engine()
    served.forward.piece = 4
    looks = iter([False, False, True])
    assert len(served.prompt_logprobs(range(3, 40), lambda: next(looks))) == 1 + 2 * 4
