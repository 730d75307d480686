"""Rows are independent on the CPU at hand, and with the instructions of weaker ones.

The widths are those of the built-in model, whose down projection is where a lone row of bfloat16
differs on CPUs with AVX512-BF16, for one input in ten.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from playground.engine.forward import Forward
from tests.forking import Forking, forking
from tests.tiny import tiny_llama

ROWS, STEPS, VOCAB = 20, 6, 300


def wide(dtype: Any) -> Forward:
    model = tiny_llama(
        VOCAB,
        context=160,
        layers=3,
        hidden_size=576,
        intermediate_size=1536,
        num_attention_heads=9,
        num_key_value_heads=3,
        initializer_range=0.02,
    )
    return Forward(model.to(dtype), rows=ROWS, length=160)


def check(dtype: Any) -> None:
    """Each of many rows with different texts, alone, beside one or two, and among all."""
    forward = wide(dtype)
    assert forward.batch_invariant
    generator = torch.Generator().manual_seed(5)
    texts = torch.randint(VOCAB, (ROWS, 90 + STEPS), generator=generator).tolist()
    starts = [5 + 4 * slot for slot in range(ROWS)]  # before and beyond a block of keys
    for slot, (text, start) in enumerate(zip(texts, starts, strict=True)):
        forward.prefill(slot, text[:start])
    for step in range(STEPS):
        at = [start + step for start in starts]
        ids = [text[position] for text, position in zip(texts, at, strict=True)]
        together = forward.decode(range(ROWS), ids, at).logits
        for first in range(ROWS):
            last = first + 1 + step % 3
            some = range(first, min(last, ROWS))
            found = forward.decode(some, [ids[s] for s in some], [at[s] for s in some]).logits
            assert torch.equal(found, together[some.start : some.stop]), (dtype, step, first)


@pytest.fixture(scope="module")
def libraries() -> Iterator[Forking]:
    """A process that has not computed anything yet: torch looks for instructions when it does."""
    with forking("transformers.models.llama.modeling_llama") as process:
        yield process


@pytest.mark.parametrize(
    "onednn, aten", [(None, None), ("AVX512_CORE", "avx512"), ("AVX2", "avx2")]
)
def test_rows_are_independent(onednn: str | None, aten: str | None, libraries: Forking) -> None:
    names = {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    chosen = {name: value for name, value in names.items() if value}
    done = libraries.run("tests.engine.test_cpu_instructions", **chosen)
    assert done.status == 0, done.output[-3000:]
    if aten and platform.machine() == "x86_64":
        assert done.output.split()[-1].lower() == aten


if __name__ == "__main__":
    for each in (torch.float32, torch.bfloat16):
        check(each)
    print(torch.backends.cpu.get_cpu_capability())
