"""Forwards traced with TorchScript: they give the bits of the eager ones, which replace them."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from playground.engine import Request
from playground.engine.attention.placement import BLOCK
from playground.engine.forward import (
    FIXED_ROWS,
    EarlyRow,
    Forward,
    ForwardOutput,
    RowCounts,
    torchscript,
)
from playground.engine.forward.path import Rows
from tests.engine.models import MAKERS, PROCESS, VOCAB, engine, finished, loaded

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
LENGTHS = {0: 3, 2: BLOCK - 1, 3: BLOCK, 7: 2 * BLOCK + 9, 8: 1}  # of texts, by slot
LOST = "forwards are not traced"
ONE = Rows([0], [1], [2])


def served(kind: str = "llama", dtype: Any = FP32, kept: Any = None) -> Forward:
    model = MAKERS[kind](vocab=VOCAB, context=300).to(kept).to(dtype)
    return Forward(model, rows=40, length=300, process=PROCESS)


def settled(forward: Forward) -> Forward:
    if forward.torchscript is None:
        forward.trace()
    assert forward.torchscript is not None
    forward.torchscript.trace_layers()
    forward.join_tracing()
    return forward


def plain(forward: Forward, *step: Any, how: str = "decode", **more: Any) -> ForwardOutput:
    paths, forward.paths = forward.paths, []
    output: ForwardOutput = getattr(forward, how)(*step, **more)
    forward.paths = paths
    return output


def never(*given: Any) -> Any:
    raise AssertionError("the plain step was taken")


@pytest.mark.parametrize(
    ("kind", "dtype", "kept"),
    [
        ("llama", FP32, None),
        ("llama", FP32, FP16),
        ("llama", BF16, None),
        ("gpt2", FP32, None),
        ("gpt2", FP32, FP16),
        ("qwen2", FP32, None),
        ("qwen2", BF16, None),
        ("threes", FP32, FP16),
        ("deep", FP32, None),
    ],
)
def test_a_traced_step_gives_the_bits_of_the_plain_one(
    kind: str, dtype: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = settled(served(kind, dtype, kept))
    for slot, length in LENGTHS.items():
        forward.prefill(slot, [(7 * slot + i) % VOCAB for i in range(length)])
    for count in (1, 2, 5):
        step = [*LENGTHS][:count], [9, 8, 7, 6, 5][:count], [*LENGTHS.values()][:count]
        early = [EarlyRow(count - 1, (1, 2))]
        wanted = plain(forward, *step), plain(forward, *step, states=True, early=early)
        with monkeypatch.context() as patch:
            patch.setattr(forward.eager, "_run", never)
            patch.setattr(forward.eager, "layers", never)
            outputs = forward.decode(*step), forward.decode(*step, states=True, early=early)
        for found, other in zip(outputs, wanted, strict=True):
            assert torch.equal(found.logits, other.logits)
            assert found.logits.dtype == FP32 and found.logits.shape == (count, VOCAB)
        assert outputs[1].states is not None and wanted[1].states is not None
        assert torch.equal(outputs[1].states.layers, wanted[1].states.layers)
        assert outputs[1].early.keys() == wanted[1].early.keys() == {early[0]}
        assert torch.equal(outputs[1].early[early[0]], wanted[1].early[early[0]])


def test_keys_and_values_are_written_to_their_own_slots() -> None:
    forward = settled(served())
    for slot in range(4):
        forward.prefill(slot, [slot + 1] * 5)
    before = forward.slots.keys.clone(), forward.slots.values.clone()
    forward.decode([0, 2], [3, 4], [5, 5])
    for store, was in zip((forward.slots.keys, forward.slots.values), before, strict=True):
        changed = (store != was).any(-1).any(2).any(0).nonzero().tolist()
        assert changed == [[0, 5], [2, 5]]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "threes"])
def test_a_traced_prefill_gives_the_bits_of_the_plain_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = settled(served(kind, FP32, FP16))
    forward.chunk_size = 2 * BLOCK
    ids = [(7 * i) % VOCAB for i in range(2 * BLOCK + 20)]
    wanted = plain(forward, 3, ids, how="prefill")
    kept = forward.slots.read(3, len(ids))
    with monkeypatch.context() as patch:
        patch.setattr(forward.eager, "_run", never)
        outputs = forward.prefill(5, ids), forward.prefill(6, ids[:1])
        again = forward.prefill(5, ids[-1:], len(ids) - 1)
    assert torch.equal(outputs[0].logits, wanted.logits)
    assert torch.equal(outputs[1].logits, plain(forward, 6, ids[:1], how="prefill").logits)
    assert torch.equal(
        again.logits, plain(forward, 3, ids[-1:], len(ids) - 1, how="prefill").logits
    )
    forward.prefill(5, ids)
    found = forward.slots.read(5, len(ids))
    assert torch.equal(found.keys, kept.keys) and torch.equal(found.values, kept.values)


def test_a_comparison_has_the_same_figures_traced_or_not() -> None:
    asked = Request(
        prompt="as before",
        recipes=["greedy", "beam(3)", "dola | greedy", "top_p(0.9) | sample(2)", "contrastive"],
        max_new_tokens=BLOCK + 8,
        seed=4,
    )
    plainly, swiftly = engine("deep"), engine("deep", trace=True)
    settled(swiftly.forward)
    assert swiftly.forward.torchscript and not plainly.forward.torchscript

    def figures(served: Any) -> list[Any]:
        return [
            (lane.token_ids, [s.model_dump(exclude={"times", "at"}) for s in lane.trace.steps])
            for lane in finished(served, asked).lanes
        ]

    assert figures(swiftly) == figures(plainly)


def test_idle_rows_are_traced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = settled(served())
    forward.row_counts = RowCounts.among([FIXED_ROWS])
    for slot, length in LENGTHS.items():
        forward.prefill(slot, [(7 * slot + i) % VOCAB for i in range(length)])
    step = [*LENGTHS], [9, 8, 7, 6, 5], [*LENGTHS.values()]
    wanted = plain(forward, *step), plain(forward, *step, states=True)
    before = forward.slots.keys.clone()
    monkeypatch.setattr(forward.eager, "_run", never)
    monkeypatch.setattr(forward.eager, "layers", never)
    assert torch.equal(forward.decode(*step).logits, wanted[0].logits)
    found = forward.decode(*step, states=True)
    assert found.states is not None and wanted[1].states is not None
    assert torch.equal(found.states.layers, wanted[1].states.layers)
    assert torch.equal(forward.slots.keys, before), "idle rows write nowhere"


def test_the_step_whose_layers_are_read_is_traced_when_one_is_read() -> None:
    forward = served()
    forward.trace()
    forward.join_tracing()
    traces = forward.torchscript
    assert traces is not None and traces.step.is_made and not traces.layers.is_made
    forward.prefill(0, [1, 2, 3])
    for _ in range(2):
        found = forward.decode([0], [4], [3], states=True)
        assert torch.equal(found.logits, plain(forward, [0], [4], [3], states=True).logits)
        forward.join_tracing()
    assert traces.layers.is_made


def fails(*given: Any, **more: Any) -> Any:
    raise RuntimeError("no such thing here")


def lies(trace: Callable[..., Any]) -> Callable[..., Any]:
    def other(*given: Any, **more: Any) -> Any:
        program = trace(*given, **more)
        return lambda *step: program(*step) + 1e-6

    return other


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda trace: fails, "no such thing here"),
        (lies, "differs from the forward itself"),
    ],
)
def test_what_cannot_be_traced_is_logged_and_served_plainly(
    broken: Any, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.jit, "trace", broken(torch.jit.trace))
    forward = settled(served())
    forward.prefill(0, [1, 2, 3])
    assert torch.equal(forward.decode([0], [4], [3]).logits, plain(forward, [0], [4], [3]).logits)
    assert LOST in caplog.text and says in caplog.text


def test_a_traced_step_that_fails_later_is_taken_plainly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forward = settled(served())
    forward.prefill(0, [1, 2, 3])
    wanted = plain(forward, [0], [4], [3])
    assert forward.torchscript is not None
    forward.torchscript.step._program = fails
    for _ in range(2):
        assert torch.equal(forward.decode([0], [4], [3]).logits, wanted.logits)
    assert caplog.text.count(LOST) == 1


def test_a_program_closed_before_it_is_traced_is_not_traced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = []
    forward = served()
    monkeypatch.setattr(torchscript.Program, "_made", lambda self: made.append(self) or never)
    gone = torchscript.Step(forward.eager, never, PROCESS)
    gone.close()
    gone.trace()
    assert not made and gone.read(ONE) is None


def test_models_are_traced_side_by_side_and_leave_nothing_behind() -> None:
    forwards = [served("deep"), served("llama")]
    models = [weakref.ref(forward.model) for forward in forwards]
    for forward in forwards:
        forward.trace()
    for forward in forwards:
        settled(forward)
        forward.close()
        assert forward.torchscript is not None and forward.torchscript.step.read(ONE) is None
    assert torch.jit._trace._trace_module_map is None
    del forward, forwards
    gc.collect()
    assert [model() for model in models] == [None, None]


def test_a_program_that_ends_waits_for_no_trace() -> None:
    forward = served("deep")
    forward.trace()
    traces = forward.torchscript
    assert traces is not None
    torchscript._end(traces._ending, traces._threads)
    assert traces.chunk._program is None
    assert not any(thread.is_alive() for thread in traces._threads)


def test_the_draft_model_s_steps_are_traced_too() -> None:
    served = engine("llama", draft=loaded("llama"), trace=True)
    served.join_tracing()
    assert served.drafters.own is not None and served.drafters.own.forward.torchscript is not None
    served.close()
    assert served.forward.torchscript is not None
    assert served.forward.torchscript.step.read(ONE) is None
