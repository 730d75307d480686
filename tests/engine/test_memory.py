"""What memory a run took, and what it holds on to."""

import gc
import sys
import weakref

import psutil
import pytest
import torch

from playground.charts.memory import held
from playground.engine import Request
from playground.engine.attention.kv_slots import KVShape, KVSlots
from tests.engine.models import driven, engine, finished


def test_a_run_knows_its_keys_and_values_and_what_the_process_holds() -> None:
    served = engine()
    request = Request(prompt="abc", recipes=["greedy", "beam(3)"], max_new_tokens=4)
    done = finished(served, request)
    slots = served.forward.slots
    one = slots.keys[:, 0, :, 0].nbytes + slots.values[:, 0, :, 0].nbytes
    assert done.model.cache_bytes_per_token == one
    prompt = len(done.prompt_tokens)
    assert held(done, 0) == [prompt + i for i in range(4)]
    assert held(done, 1) == [3 * (prompt + i) for i in range(4)]
    assert done.timings.memory is not None and done.timings.memory.gpu is None
    assert (done.timings.memory.process or 0) > one


def test_second_prompts_and_candidates_are_counted() -> None:
    request = Request(
        prompt="abc",
        recipes=["contrastive(top_k=5)", 'guidance(2, negative_prompt="seven!!") | beam(2)'],
        max_new_tokens=4,
    )
    done = finished(engine(), request)
    assert held(done, 0) == [5 * (3 + i) for i in range(4)]
    assert held(done, 1) == [2 * (3 + i + 7 + i) for i in range(4)]


def test_memory_is_known_once_a_run_ended() -> None:
    served = engine()
    run = served.submit(Request(prompt="abc", recipes=["greedy"], max_new_tokens=4))
    served.step()
    assert run.comparison().timings.memory is None
    served.drive(run)
    assert run.comparison().timings.memory is not None


def test_a_run_that_is_kept_keeps_no_model() -> None:
    served = engine()
    recipes = ["sample", "guidance(2) | sample", "contrastive(top_k=2)", "beam(2)"]
    run = driven(served, Request(prompt="abc", recipes=recipes, max_new_tokens=4))
    gone = weakref.ref(served.model.model)
    served.close()
    del served
    gc.collect()
    assert gone() is None
    assert [lane.error for lane in run.comparison().lanes] == [None] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps the pages")
def test_slots_give_back_what_was_written_to_them() -> None:
    slots = KVSlots([KVShape(4, 64, 64)] * 8, 16, 512, torch.float32, torch.device("cpu"))
    both = slots.keys.nbytes + slots.values.nbytes
    slots.keys.fill_(1.0)
    slots.values.fill_(1.0)
    full = psutil.Process().memory_info().rss
    slots.forget()
    assert psutil.Process().memory_info().rss < full - both // 2
    assert not slots.keys.any() and not slots.values.any()
    slots.keys[:, 3] = 2.0
    assert slots.keys[:, 3].eq(2.0).all() and not slots.keys[:, 4].any()
