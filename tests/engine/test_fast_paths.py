"""Where a fast path is missing, the same figures are computed, by the eager forward if need be."""

from __future__ import annotations

import logging

import pytest
import torch

from playground.engine import Request
from tests.engine.models import engine, finished


def has(owner: object, *names: str) -> bool:
    return all(hasattr(owner, name) for name in names)


@pytest.mark.parametrize("kept", [None, torch.float16])
def test_every_path_there_is_writes_what_the_eager_one_does(
    kept: torch.dtype | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    asked = Request(
        prompt="as before",
        recipes=["greedy", "beam(3)", "dola | greedy", "top_p(0.9) | sample(2)", "contrastive"],
        max_new_tokens=24,
        seed=4,
    )
    served, plain = (
        engine("deep", kept=kept, pack_weights=fast, trace=fast) for fast in (True, False)
    )
    served.join_tracing()
    traced = has(torch.jit, "trace", "script")
    kernels = [
        has(torch.ops.quantized, "linear_prepack_fp16", "linear_dynamic_fp16") and bool(kept),
        has(torch.ops.mkldnn, "_reorder_linear_weight", "_linear_pointwise"),
    ]
    assert (served.forward.packed_bytes > 0) == any(kernels)
    assert served.forward.torchscript is not None
    assert (served.forward.torchscript.step._program is not None) == traced
    lost = [record.getMessage() for record in caplog.records]
    assert any("not traced" in line for line in lost) == (not traced)
    assert any("packed linear layers" in line for line in lost) == (not any(kernels))
    for mine, other in zip(
        finished(served, asked).lanes, finished(plain, asked).lanes, strict=True
    ):
        assert mine.token_ids == other.token_ids
