"""Captured decode steps give the logits of eager ones; what cannot be captured is run eagerly.

On a CPU the capture is replaced by the plain call, and everything else is what a GPU runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from playground.engine import Request
from playground.engine.attention import placement, sdpa
from playground.engine.attention.kv_slots import KVShape, KVSlots, fit_to_budget
from playground.engine.forward import FIXED_ROWS, Forward, ForwardOutput
from playground.engine.forward.cuda_graph import Capture, CudaGraphs, Work
from playground.trace import Comparison
from tests.engine.models import MAKERS, PROCESS, VOCAB, engine, finished, loaded

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
FP32, BF16 = torch.float32, torch.bfloat16
TOLERANCE = {FP32: 1e-4, BF16: 5e-2}
LENGTHS = {0: 3, 2: 40, 3: 40, 7: 140, 8: 1}  # of texts, by slot
LOST = "CUDA graphs are not used"


def plain(work: Work) -> Work:
    work()  # as before a real capture
    return work


def served(
    kind: str = "llama",
    dtype: torch.dtype = FP32,
    device: str = "cpu",
    rows: int = 40,
    length: int = 300,
    capture: Capture = plain,
    change: Callable[[Any], Any] = lambda model: None,
) -> Forward:
    model = MAKERS[kind](vocab=VOCAB, context=length).to(device, dtype)
    change(model)
    chosen = None if device == "cuda" and capture is plain else capture
    return Forward(model, rows=rows, length=length, capture=chosen, process=PROCESS)


def written(forward: Forward) -> tuple[list[int], list[int], list[int]]:
    """Texts of different lengths in slots with gaps: what a step of them all is given."""
    for slot, length in LENGTHS.items():
        forward.prefill(slot, [(7 * slot + i) % VOCAB for i in range(length)])
    return [*LENGTHS], [slot + 1 for slot in LENGTHS], [*LENGTHS.values()]


def eager(forward: Forward, *step: Any) -> ForwardOutput:
    paths, forward.paths = forward.paths, []
    output = forward.decode(*step, states=True)
    forward.paths = paths
    return output


def graphs(forward: Forward) -> CudaGraphs:
    (path,) = forward.paths
    assert isinstance(path, CudaGraphs)
    return path


def last(output: ForwardOutput) -> Tensor:
    assert output.states is not None
    return output.states.layers


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [FP32, BF16])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "threes"])
def test_a_captured_step_gives_what_a_plain_one_does(kind: str, dtype: Any, device: str) -> None:
    forward = served(kind, dtype, device)
    assert graphs(forward)
    step = written(forward)
    wanted, output = eager(forward, *step), forward.decode(*step, states=True)
    for found, other in ((output.logits, wanted.logits), (last(output), last(wanted))):
        assert found.shape == other.shape and found.dtype == other.dtype
        torch.testing.assert_close(found, other, rtol=0, atol=TOLERANCE[dtype] * other.abs().max())
    assert forward.decode(*step).states is None


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kind", "dtype"), [("llama", FP32), ("threes", BF16), ("gpt2", BF16)])
def test_a_row_keeps_its_bits_in_every_batch(kind: str, dtype: Any, device: str) -> None:
    """Alone, beside longer texts, and in as many steps as all slots need."""
    forward = served(kind, dtype, device, rows=70)
    slots, ids, positions = written(forward)
    alone = [
        forward.decode([slot], [id], [position], states=True)
        for slot, id, position in zip(slots, ids, positions, strict=True)
    ]
    others = [slot for slot in range(forward.slots.count) if slot not in LENGTHS]
    for more in (0, 2, 11, 30, len(others)):
        given = {slot: (9, 250) for slot in others[:more]}
        given |= {slot: (id, n) for slot, id, n in zip(slots, ids, positions, strict=True)}
        order = sorted(given)
        output = forward.decode(order, *zip(*(given[s] for s in order), strict=True), states=True)
        for slot, wanted in zip(slots, alone, strict=True):
            at = order.index(slot)
            assert torch.equal(output.logits[at], wanted.logits[0])
            assert torch.equal(last(output)[:, at], last(wanted)[:, 0])


def test_every_bucket_that_keeps_the_bits_is_used() -> None:
    captured = graphs(served(length=300))
    assert captured.most == 64
    assert {rows for rows, _ in captured.steps} == {1, 2, 4, 8, 16, 32, 64}
    assert {length for _, length in captured.steps} == {128, 256, 300}
    few = graphs(served(rows=3, length=100))
    assert {rows for rows, _ in few.steps} == {1, 2, 4, 8, FIXED_ROWS}


def test_a_bucket_that_changes_the_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_in_some(module: Any, given: Any, out: Tensor) -> Tensor:
        return out + 1e-3 if len(out) in (4, 64) else out

    attend = sdpa.attend

    def other_in_short(query: Any, key: Tensor, *rest: Any) -> Tensor:
        return attend(query, key, *rest) * (1 + 1e-3 * (key.shape[2] == 128))

    monkeypatch.setattr(sdpa, "attend", other_in_short)
    captured = graphs(served(change=lambda m: m.lm_head.register_forward_hook(other_in_some)))
    assert sorted({rows for rows, _ in captured.steps}) == [1, 2, 8, 16, 32]
    assert sorted({length for _, length in captured.steps}) == [256, 300]


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_rows_touch_their_own_tokens_only(device: str) -> None:
    """What other rows left in storage is not read, not even NaN, and idle rows write nowhere."""
    forward = served(device=device)
    slots, ids, positions = written(forward)
    wanted = forward.decode(slots, ids, positions, states=True)
    for store in (forward.slots.keys, forward.slots.values):
        for slot in range(forward.slots.count + 1):
            store[:, slot, :, LENGTHS.get(slot, 0) :] = torch.nan
    before = forward.slots.keys.clone()
    output = forward.decode(slots, ids, positions, states=True)
    assert torch.equal(output.logits, wanted.logits) and torch.equal(last(output), last(wanted))
    changed = (before != forward.slots.keys) & ~forward.slots.keys.isnan()
    assert {
        (slot, position)
        for _, slot, _, position, _ in changed.nonzero().tolist()
        if slot < forward.slots.count
    } == {*LENGTHS.items()}


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_a_fork_goes_on_as_its_source_does(device: str) -> None:
    forward = served(device=device)
    written(forward)
    forward.slots.copy([2], [5], 0, 40)
    a, b = forward.decode([2, 5], [4, 4], [40, 40]).logits
    assert torch.equal(a, b)
    c, d = forward.decode([2, 5], [4, 5], [41, 41]).logits
    assert not torch.equal(c, d)


def refuses(work: Work) -> Work:
    raise RuntimeError("operation not permitted when stream is capturing")


def forgets(work: Work) -> Work:
    return lambda: None


def replaces_its_own(model: Any) -> None:
    rotary = model.model.rotary_emb
    rotary.register_forward_hook(
        lambda *_: rotary.register_buffer("inv_freq", rotary.inv_freq.clone(), persistent=False)
    )


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"capture": refuses}, "not permitted when stream is capturing"),
        ({"capture": forgets}, "differs from the step itself"),
        ({"change": replaces_its_own}, "replaces its own tensors"),
    ],
)
def test_what_cannot_be_captured_runs_as_it_is(
    how: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    forward = served(**how)
    assert not forward.paths
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and LOST in record.message and why in record.message
    assert torch.equal(
        forward.decode(*written(forward)).logits, eager(forward, *written(forward)).logits
    )


def test_a_step_that_is_wrong_for_long_texts_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attend = sdpa.attend

    def long_in_half(query: Tensor, key: Any, value: Any, mask: Tensor, *how: Any) -> Tensor:
        long = (mask == 0).sum(-1, keepdim=True) > 200
        wrong = long & isinstance(placement.current_placement(), placement.GatheredPlacement)
        return attend(query, key, value, mask, *how) * (1 - 0.5 * wrong)

    monkeypatch.setattr(sdpa, "attend", long_in_half)
    assert not served().paths
    assert LOST in caplog.text and "differ from its own" in caplog.text


@pytest.mark.parametrize(("rows", "budget"), [(64, 200_000), (64, 3_000_000), (8, 10**9)])
def test_the_slot_of_idle_rows_is_within_the_budget(rows: int, budget: int) -> None:
    shapes = [KVShape(2, 8, 4)] * 3
    count, length = fit_to_budget(shapes, FP32, rows, 128, budget, spare=1)
    slots = KVSlots(shapes, count, length, FP32, torch.device("cpu"), spare=1)
    assert slots.keys.shape[1] == count + 1 and slots.allocate(count + 1) is None
    assert slots.keys.nbytes + slots.values.nbytes <= max(budget, 17 * 64 * 3 * 2 * 12 * 4)


def test_a_replay_that_fails_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    error: list[RuntimeError] = []

    def breaks(work: Work) -> Work:
        def replay() -> None:
            if error:
                raise error[0]
            work()

        return replay

    forward = served(capture=breaks)
    step = written(forward)
    error.append(torch.OutOfMemoryError("no memory"))
    with pytest.raises(torch.OutOfMemoryError):
        forward.decode(*step)
    assert graphs(forward) and not caplog.records
    error[0] = RuntimeError("the graph is gone")
    for _ in range(2):
        assert torch.equal(forward.decode(*step).logits, eager(forward, *step).logits)
    (record,) = caplog.records
    assert LOST in record.message and "the graph is gone" in record.message


def tokens(comparison: Comparison) -> list[list[int]]:
    return [lane.token_ids for lane in comparison.lanes]


@pytest.mark.parametrize(("kind", "draft"), [("deep", "llama"), ("gpt2", None)])
def test_an_engine_writes_the_same(
    kind: str, draft: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = ["greedy", "beam(3)", "temperature(1.3) | top_p(0.9) | sample(2)", "contrastive"]
    recipes += ["dola | sample", "speculative"] if draft else []
    request = Request(prompt="one prompt", recipes=recipes, max_new_tokens=24, seed=3)
    wanted = finished(engine(kind, draft=loaded(draft) if draft else None), request)
    monkeypatch.setattr("playground.engine.forward.forward.captures", lambda *where: plain)
    other = engine(kind, draft=loaded(draft) if draft else None)
    assert graphs(other.forward) and all(graphs(one.forward) for one in other.drafters)
    assert tokens(finished(other, request)) == tokens(wanted)
