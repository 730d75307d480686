"""What goes wrong outside the strategies: memory, a prompt, the loop itself, runs given up."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from playground.engine import Engine, FieldError, Request, Run
from tests.engine.models import driven, engine

RECIPES = ["greedy", "sample(2)", "temperature(0.7) | top_k(9) | sample", "beam(3)"]


def ask(served: Engine, prompt: str = "abc", recipe: str = "greedy", tokens: int = 12) -> Run:
    return served.submit(Request(prompt=prompt, recipes=[recipe], max_new_tokens=tokens))


def reason(run: Run) -> str | None:
    return run.comparison().lanes[0].finish_reason


@pytest.mark.parametrize("error", [MemoryError("none left"), torch.OutOfMemoryError("CUDA")])
def test_too_little_memory_ends_the_largest_run_alone(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = engine()
    small, large = ask(served), ask(served, "x" * 40, "beam(4)")
    while not large.lanes[0].view.steps:
        served.step()
    own, failed = served.forward.decode, []

    def decode(*args: Any, **kwargs: Any) -> Any:
        if not failed:
            failed.append(True)
            raise error
        return own(*args, **kwargs)

    monkeypatch.setattr(served.forward, "decode", decode)
    served.drive(small)
    assert reason(small) == "length" and len(small.comparison().lanes[0].token_ids) == 12
    assert large.done and large.error is not None
    assert large.error.startswith("The memory was not enough") and reason(large) == "error"
    assert reason(driven(served, large.request)) == "length" and served.rows_in_use == 0


def test_a_prompt_that_cannot_be_read_ends_its_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    other = ask(served, "other")
    served.step()
    own = served.forward.prefill

    def prefill(slot: int, ids: Any, start: int = 0, **kwargs: Any) -> Any:
        if len(ids) == 7:
            raise RuntimeError("seven")
        return own(slot, ids, start, **kwargs)

    monkeypatch.setattr(served.forward, "prefill", prefill)
    broken = ask(served, "x" * 7)
    served.drive(other)
    assert reason(other) == "length"
    assert broken.done and broken.error == "The model failed: seven."
    assert served.rows_in_use == 0


def test_what_a_failed_lane_left_reaches_no_other() -> None:
    other = engine()
    wanted = driven(other, ask(other, "next").request).comparison().lanes[0].token_ids
    served = engine()
    run = ask(served)
    served.step()
    (slot,) = run.lanes[0].slots.owned
    with torch.inference_mode():
        for store in (served.forward.slots.keys, served.forward.slots.values):
            store[:, slot, :, 3 : run.lanes[0].reach] = torch.nan
    served.drive(run)
    assert reason(run) == "error"
    again = ask(served, "next")
    served.step()
    assert again.lanes[0].slots.owned == [slot]
    served.drive(again)
    assert again.comparison().lanes[0].token_ids == wanted


def test_a_lane_whose_logits_are_nan_ends_alone() -> None:
    served = engine()
    run, other = ask(served, recipe="sample"), ask(served, "other", "sample")
    served.step()
    served.step()
    (slot,) = run.lanes[0].slots.owned
    with torch.inference_mode():
        for store in (served.forward.slots.keys, served.forward.slots.values):
            store[:, slot, :, 3 : run.lanes[0].reach] = torch.nan
    served.drive(other)
    assert reason(run) == "error" and run.error is None
    assert run.comparison().lanes[0].error == "the model gave scores that are no numbers."
    assert reason(other) == "length"


def test_a_prompt_with_nan_logits_is_not_cached_and_leaves_nothing() -> None:
    other = engine()
    wanted = driven(other, ask(other, "next").request).comparison().lanes[0].token_ids
    served = engine()
    prefill, store = served.forward.prefill, served.forward.slots

    def overflowing(slot: int, ids: Any, *rest: Any, **more: Any) -> Any:
        output = prefill(slot, ids, *rest, **more)
        store.keys[:, slot, :, : len(ids)] = torch.nan
        return replace(output, logits=output.logits * torch.nan)

    served.forward.prefill = overflowing  # type: ignore[method-assign]
    served.prefetch("before", chat=False)  # as for a preview
    served.step()
    assert reason(driven(served, ask(served, "same").request)) == "error"
    assert not store.keys.isnan().any() and not served.prompts.nbytes
    served.forward.prefill = prefill  # type: ignore[method-assign]
    assert driven(served, ask(served, "next").request).comparison().lanes[0].token_ids == wanted


def test_a_lack_of_memory_ends_no_loop_even_while_it_is_cleared_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop goes on: nothing of the clearing up asks for memory again."""
    served = engine()
    run = ask(served)
    served.step()

    def lacks(*given: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(served.forward, "decode", lacks)
        for name in ("isfinite", "isnan", "clone"):
            patch.setattr(torch.Tensor, name, lacks)
        served.step()
        served.step()
    assert reason(run) == "error" and run.error == "The memory was not enough: no more."
    assert served.forward.slots.free_count == served.forward.slots.count

    monkeypatch.setattr(served.loop, "_step", lacks)
    served.step()  # with no run left to end


@pytest.mark.parametrize("recipe", ["top_k(1) | manual([5])", "no_repeat_ngram(2) | greedy"])
def test_only_what_was_written_is_wiped(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    wiped = []
    free = served.forward.slots.free
    monkeypatch.setattr(
        served.forward.slots, "free", lambda slots, wipe=0: (wiped.append(wipe), free(slots))
    )
    run = driven(served, Request(prompt="abcd", recipes=[recipe], max_new_tokens=100))
    assert max(wiped) <= len(run.prompt_ids) + len(run.lanes[0].view.steps) + 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_ends_leaves_no_thread_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()

    def die() -> None:
        raise SystemExit

    monkeypatch.setattr(served.loop, "step", die)
    served.start()
    run = ask(served)
    assert run.join(30) and run.error == "The decode loop stopped." and reason(run) == "error"
    served.close()
    assert not served.alive


def taken(served: Engine) -> int:
    """Slots that the runs and the prompt being read own."""
    task = served.loop.scheduler.task
    owned = [slot for run in served.loop.runs for lane in run.lanes for slot in lane.slots.owned]
    owned += task.slots if task else []
    assert len(owned) == len(set(owned))
    return len(owned)


def test_a_thousand_runs_come_and_are_cancelled_at_any_step() -> None:
    chance = random.Random(7)
    served = engine(rows=12)
    served.forward.chunk_size = 5
    present: list[Run] = []
    for _ in range(1_000):
        if len(present) < 12:
            present.append(
                ask(
                    served,
                    "p" * chance.randint(1, 14),
                    chance.choice(RECIPES),
                    chance.randint(1, 9),
                )
            )
        if chance.random() < 0.4:
            chance.choice(present).cancel()
        served.step()
        assert taken(served) == served.rows_in_use
        present = [run for run in present if not run.done]
    for run in present:
        run.cancel()
    served.step()
    assert served.rows_in_use == 0 and not served.loop.runs


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_hundreds_of_runs_leave_the_memory_flat() -> None:
    served = engine()
    served.prompts.budget = 1 << 20
    for number in range(350):
        if number == 100:
            gc.collect()
            before = resident()
        driven(served, Request(prompt=f"run {number}", recipes=RECIPES[:2], max_new_tokens=4))
    gc.collect()
    assert resident() - before < 8 << 20


@pytest.mark.parametrize("field", ["prompt", "stop"])
def test_half_a_character_is_refused_where_it_enters(field: str) -> None:
    served, asked = engine(), {"prompt": "a", "recipes": ["greedy"]}
    with pytest.raises(FieldError, match=r"half a character in it \(\\ud83d\)") as caught:
        served.submit(Request(**asked | {field: "a\ud83d"}))
    assert caught.value.field == field
    with pytest.raises(FieldError, match="half a character"):
        served.tokens("a\ud83d")


def test_one_stop_string_is_not_its_letters() -> None:
    assert Request(prompt="a", recipes=["greedy"], stop="ab").stop == ["ab"]
