"""Prompts are prefilled in chunks, cached, and previewed before any run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from playground.engine import Engine, Request
from playground.engine.attention.kv_slots import KeptTokens
from playground.engine.forward import ForwardOutput
from playground.engine.scheduler.prompt_cache import CachedPrompt, PromptCache
from tests.engine.models import driven, engine, finished

RECIPES = ["greedy", "temperature(0.8) | top_p(0.9) | sample", "beam(3)"]
ASKED = Request(prompt="a prompt seen twice", recipes=RECIPES, max_new_tokens=8, seed=4)


def ids(served: Engine, request: Request) -> list[list[int]]:
    return [lane.token_ids for lane in finished(served, request).lanes]


class Seen(list[int]):
    """The tokens of every chunk that an engine read."""

    def __init__(self, served: Engine, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        own = served.forward.prefill

        def prefill(slot: int, chunk: Any, start: int = 0, **kwargs: Any) -> Any:
            self.append(len(chunk))
            return own(slot, chunk, start, **kwargs)

        patch.setattr(served.forward, "prefill", prefill)


def test_a_cached_prompt_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    seen = Seen(served, monkeypatch)
    first, second = finished(served, ASKED), finished(served, ASKED)
    assert seen == [len(ASKED.prompt)]
    assert [lane.token_ids for lane in first.lanes] == [lane.token_ids for lane in second.lanes]
    assert (first.timings.prompt_known, second.timings.prompt_known) == (False, True)


def test_a_lane_measured_alone_reads_its_prompt_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    ids(served, ASKED)
    seen = Seen(served, monkeypatch)
    alone = ids(served, ASKED.model_copy(update={"alone": True}))
    assert seen == [19, 19, 19] and alone == ids(served, ASKED)


def reading_for(seconds: float, served: Engine, patch: pytest.MonkeyPatch) -> None:
    """Have prompts read for so long between two steps, however long a step takes."""
    own = served.loop.scheduler.prefill
    patch.setattr(
        served.loop.scheduler, "prefill", lambda runs, admit, _: own(runs, admit, seconds)
    )


@pytest.mark.parametrize("chunk", [1, 2, 7, 19])
def test_a_long_prompt_is_read_in_chunks_while_others_write(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ids(engine(), ASKED)
    served = engine()
    served.forward.chunk_size = chunk
    reading_for(0.0, served, monkeypatch)
    other = served.submit(Request(prompt="other", recipes=["greedy"], max_new_tokens=40))
    while not other.lanes[0].view.steps:
        served.step()
    before = len(other.lanes[0].view.steps)
    run = served.submit(ASKED)
    while not run.lanes[0].view.steps:
        served.step()
    assert len(other.lanes[0].view.steps) - before >= -(-19 // chunk)
    served.drive(run)
    assert [lane.token_ids for lane in run.comparison().lanes] == wanted


@pytest.mark.parametrize("seconds, begun", [(0.0, 1), (1e9, 3)])
def test_prompts_are_read_for_as_long_as_a_step(
    seconds: float, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = engine()
    reading_for(seconds, served, monkeypatch)
    runs = [
        served.submit(Request(prompt=prompt, recipes=["greedy"], max_new_tokens=4))
        for prompt in ("one", "two", "three")
    ]
    served.step()
    assert sum(bool(run.lanes[0].view.steps) for run in runs) == begun
    for run in runs:
        served.drive(run)
    assert [len(run.lanes[0].view.steps) for run in runs] == [4, 4, 4]


def test_a_run_given_up_while_its_prompt_is_read_leaves_nothing() -> None:
    served = engine()
    served.forward.chunk_size = 2
    run = served.submit(ASKED)
    served.step()
    run.cancel()
    served.step()
    served.step()
    assert run.done and served.rows_in_use == 0


def test_a_preview_is_the_first_step_of_the_run() -> None:
    served = engine()
    assert served.preview(ASKED) is None
    served.prefetch(ASKED.prompt)
    served.step()
    shown = served.preview(ASKED)
    assert shown is not None and served.rows_in_use == 0
    views = driven(served, ASKED).views
    for step, lane in zip(shown, views, strict=True):
        assert not isinstance(step, str)
        first = lane.steps[0]
        assert (step.token, step.stages, step.candidates) == (
            first.token,
            first.stages,
            first.candidates,
        )


def test_the_prompts_used_longest_ago_make_room() -> None:
    def made(n: int) -> CachedPrompt:
        part = torch.zeros(1, 1, n, 1)
        return CachedPrompt(KeptTokens(part, part), ForwardOutput(torch.zeros(1, 2)))

    known = PromptCache(budget=3 * made(4).nbytes)
    for first in range(4):
        known.put([first], made(4))
        known.get([1])
    assert [first for first in range(4) if known.get([first])] == [1, 2, 3]
    known.put([9], made(400))
    assert known.get([9]) is None and len(known) == 3 and known.nbytes <= known.budget
