"""A lane's text and figures do not depend on what else is in the batch, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from playground.engine import Engine, FieldError, Request, Run
from playground.engine.attention.placement import BLOCK
from playground.engine.forward import FIXED_ROWS, RowCounts
from playground.trace import Comparison
from strategies import Recipe, RecipeStep
from tests.engine.models import driven, engine, finished, loaded
from tests.strategies.cases import PROCESSORS, SEARCHES, settings

RECIPES = ["greedy", "temperature(1.3) | top_p(0.9) | sample(2)", "beam(3)"]
MINE = Request(prompt="one prompt", recipes=RECIPES, max_new_tokens=20, seed=3)


def figures(comparison: Comparison) -> list[Any]:
    """Everything recorded but the times."""
    return [
        (lane.token_ids, [s.model_dump(exclude={"times", "at"}) for s in lane.trace.steps])
        for lane in comparison.lanes
    ]


FP32, BF16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize(
    ("kind", "dtype", "how", "threads"),
    [
        ("llama", FP32, "as measured", 1),
        ("llama", FP32, "padded", 1),
        ("llama", FP32, "fp16", 1),
        ("llama", FP32, "torchscript", 1),
        ("threes", BF16, "torchscript", 2),
        ("llama", FP32, "not packed", 1),
        ("llama", BF16, "as measured", 1),
        ("gpt2", FP32, "as measured", 1),
        ("gpt2", FP32, "not packed", 1),
        ("gpt2", BF16, "padded", 1),
        ("qwen2", FP32, "as measured", 1),
        ("qwen2", BF16, "not packed", 1),
        ("threes", FP32, "as measured", 1),
        ("threes", FP32, "padded", 1),
        ("threes", BF16, "as measured", 1),
        ("threes", FP32, "as measured", 2),
        ("threes", FP32, "fp16", 2),
        ("gpt2", FP32, "fp16", 1),
        ("qwen2", FP32, "fp16", 1),
        ("threes", FP32, "not packed", 2),
        ("gpt2", BF16, "as measured", 2),
    ],
)
def test_the_batch_changes_nothing(kind: str, dtype: Any, how: str, threads: int) -> None:
    """Runs that join before, with and after each other, one leaving early, in one batch or more."""
    torch.set_num_threads(threads)
    kept = torch.float16 if how == "fp16" else None
    served = engine(kind, pack_weights=how != "not packed", dtype=dtype, kept=kept)
    if how == "torchscript":
        served.forward.trace()
        served.join_tracing()
    if how == "padded":
        served.forward.row_counts = RowCounts.among([FIXED_ROWS])
    count = 20 if threads == 1 else 8
    mine = MINE.model_copy(update={"max_new_tokens": count})
    others = [
        Request(prompt="x" * n, recipes=["sample", "greedy"], max_new_tokens=n, seed=n)
        for n in (3, 9, 17)
    ]
    others.append(others[0].model_copy(update={"prompt": "y" * (BLOCK - 5), "max_new_tokens": 12}))
    wide = Request(prompt="one prompt", recipes=["beam(8)", "sample(6)"], max_new_tokens=count)
    wanted = [figures(driven(served, request).comparison()) for request in [mine, *others, wide]]

    runs = [served.submit(others[0])]
    served.step()
    runs.insert(0, served.submit(mine))
    served.step()
    leaver = served.submit(Request(prompt="leaves", recipes=["sample(4)"], max_new_tokens=90))
    runs += [served.submit(request) for request in (*others[1:], wide)]
    for _ in range(count // 2):
        served.step()
    leaver.cancel()
    for run in runs:
        served.drive(run)
    assert [figures(run.comparison()) for run in runs] == wanted
    rows = {s.times.forward_rows for s in runs[0].comparison().lanes[0].trace.steps[1:]}
    assert len(rows) > 2 and max(rows) > FIXED_ROWS, "the batch must have grown and shrunk"


def recipes(served: Engine) -> list[str]:
    """Every strategy there is, at a setting that does something, in a recipe that may run here."""
    found = []
    for strategy in (*PROCESSORS, *SEARCHES):
        if strategy.info.id == "model":  # which is for an engine of its own
            continue
        for params in [*settings(strategy)][1:]:
            step = str(RecipeStep(strategy.info.id, params))
            searches = ("sample(2)", "sample") if strategy in PROCESSORS else ()
            ways = [f"{step} | {search}" for search in searches] or [step]
            ways = [way for way in ways if may_run(served, way)]
            if ways and not strategy.is_neutral(params):
                found.append(ways[0])
                break
        else:
            raise AssertionError(f"{strategy.info.id} was left out")
    return found


def may_run(served: Engine, recipe: str) -> bool:
    try:
        served.builder.run(MINE.model_copy(update={"recipes": [Recipe.of(recipe)]}))
    except FieldError:
        return False
    return True


def test_every_strategy_writes_in_a_batch_what_it_writes_alone() -> None:
    """Its rows fork and end beside those of all others, and keep a state of their own."""
    served = engine("deep", eos=(0,), rows=200, draft=loaded("llama"))
    every = recipes(served)
    asked = MINE.model_copy(update={"max_new_tokens": 12})
    alone = {
        recipe: figures(finished(served, asked.model_copy(update={"recipes": [Recipe.of(recipe)]})))
        for recipe in every
    }
    runs = []
    for first in range(0, len(every), 6):
        some = [Recipe.of(recipe) for recipe in every[first : first + 6]]
        runs.append(served.submit(asked.model_copy(update={"recipes": some})))
        served.step()
    for run in runs:
        served.drive(run)
    together = [lane for run in runs for lane in figures(run.comparison())]
    for recipe, lane in zip(every, together, strict=True):
        assert [lane] == alone[recipe], recipe
    assert served.rows_in_use == 0


def test_a_second_run_joins_between_two_steps() -> None:
    served = engine()
    first = served.submit(Request(prompt="first", recipes=["greedy"], max_new_tokens=30))
    for _ in range(5):
        served.step()
    second = served.submit(Request(prompt="second", recipes=["greedy"], max_new_tokens=5))
    served.step()
    assert second.lanes[0].view.path() and not first.done
    rows = first.lanes[0].view.path()[-1].times.forward_rows
    served.drive(second)
    assert rows == 2 and not first.done
    served.drive(first)
    assert len(first.lanes[0].view.path()) == 30


def test_slots_stay_whole_through_admissions_and_cancels() -> None:
    served = engine(rows=24)
    chance = random.Random(5)
    runs: list[Run] = []
    for _ in range(400):
        if chance.random() < 0.3:
            recipes = chance.choices(["greedy", "sample(3)", "beam(4)"], k=chance.randint(1, 3))
            runs.append(
                served.submit(
                    Request(
                        prompt="p" * chance.randint(1, 20),
                        recipes=recipes,
                        max_new_tokens=chance.randint(1, 12),
                        alone=chance.random() < 0.3,
                    )
                )
            )
        if runs and chance.random() < 0.1:
            chance.choice(runs).cancel()
        served.step()
        held = [slot for run in runs for lane in run.lanes for slot in lane.slots.owned]
        assert len(held) == len(set(held)) == served.rows_in_use
        for run in runs:
            for lane in run.live:
                rows = [row.slot for row in lane.running]
                assert len(set(rows)) == len(rows) and set(rows) <= set(lane.slots.owned)
    for run in runs:
        served.drive(run)
    assert served.rows_in_use == 0 and served.people == 0


def test_one_seed_is_one_noise() -> None:
    served = engine()
    neutral = "temperature(1) | top_p(1) | top_k(0) | sample"
    run = served.submit(Request(prompt="luck", recipes=["sample", neutral], seed=11))
    served.drive(run)
    a, b = run.comparison().lanes
    assert a.token_ids == b.token_ids
    other = served.submit(Request(prompt="luck", recipes=["sample"], seed=12))
    served.drive(other)
    assert other.comparison().lanes[0].token_ids != a.token_ids


def test_measured_alone_the_lanes_write_the_same() -> None:
    served = engine()
    together = served.submit(MINE)
    served.drive(together)
    one_by_one = served.submit(MINE.model_copy(update={"alone": True}))
    served.drive(one_by_one)
    result = one_by_one.comparison()
    assert figures(result) == figures(together.comparison())
    assert result.timings.alone and len(one_by_one.prefills) == len(RECIPES)
    assert {s.times.forward_rows for s in result.lanes[0].trace.steps} == {1}
