"""Rows with caches of their own share a forward, and have what each has by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from playground.bench.tiny import VOCAB, tiny_config, tiny_model
from playground.engine.attention.row_caches import RowCaches
from playground.engine.attention.stacked import Unlike, stack
from playground.engine.forward import Forward, plain
from playground.engine.forward.path import Rows
from playground.engine.forward.plain import Plain, PlainText
from playground.engine.forward.reference import Reference
from playground.engine.forward.row_counts import RowCounts
from playground.errors import UnsupportedModel

LENGTHS = (5, 30, 30, 5, 30)  # tokens of each row


@torch.inference_mode()
def read(text: PlainText, counts: RowCounts | None) -> tuple[list[Tensor], int]:
    """Logits and states of three steps of five rows, and how many forwards they took."""
    plain = Plain(text, RowCaches(5, 64, torch.device("cpu"), 0, 0))
    plain.counts = counts
    for slot, length in enumerate(LENGTHS):
        plain.prefill(slot, [(3 + 7 * i + slot) % VOCAB for i in range(length)], 0)
    calls: list[int] = []
    hook = text.model.register_forward_hook(lambda *_: calls.append(1))
    found: list[Tensor] = []
    for step in range(3):
        at = [length + step for length in LENGTHS]
        out = plain.decode(Rows(range(5), [9, 8, 7, 6, 5], at), step == 2)
        found += [part for part in (out.logits, out.layers) if part is not None]
    hook.remove()
    return found, len(calls)


@pytest.mark.parametrize(
    "model_type",
    ["falcon", "bloom", "qwen3_5_text", "bamba", "falcon_h1", "axk2"],
)
def test_rows_of_one_length_share_a_forward(model_type: str) -> None:
    text = PlainText(tiny_model(tiny_config(model_type)))
    (alone, many), (together, few) = read(text, None), read(text, RowCounts.among([2, 4]))
    assert (many, few) == (15, 6)
    for found, wanted in zip(together, alone, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)


def test_a_cache_that_is_no_row_s_alone_is_not_stacked() -> None:
    with pytest.raises(Unlike, match="a list is no cache of layers"):
        stack([[torch.zeros(1)], [torch.zeros(1)]])


def test_a_row_that_gets_another_s_cache_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(tiny_config("falcon"))
    forward = Forward(model, rows=16, length=64)
    assert isinstance(forward.eager, Plain)
    forward.eager.counts = forward.row_counts = RowCounts.among(range(1, 17))
    with torch.inference_mode():
        reference = Reference(model, VOCAB, 64, forward.device, forward.dtype)
        reference.check(forward, one_length=True)
        monkeypatch.setattr(plain, "stack", lambda caches: stack([caches[0]] * len(caches)))
        with pytest.raises(UnsupportedModel, match="differ from its own"):
            reference.check(forward, one_length=True)
