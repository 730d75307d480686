"""A model is served where its logits over slots are its own, up to what rounding does to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from playground.engine.forward import Forward
from playground.errors import UnsupportedModel
from tests.engine.models import MAKERS, VOCAB

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def half_rounded_otherwise(model: Any) -> None:
    """Another kernel than the model's own for a few rows: rounding differs, which is no fault."""

    def move(module: Any, given: Any, out: Tensor) -> Tensor:
        if out.shape[0] == 1:  # a prompt as the model reads it by itself
            return out
        generator = torch.Generator().manual_seed(5)
        share = torch.rand(out.shape, generator=generator) * 2 - 1
        return (out.float() * (1 + torch.finfo(out.dtype).eps / 2 * share)).to(out.dtype)

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(move)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_other_roundings_of_a_deep_model_are_no_fault(dtype: torch.dtype) -> None:
    model = MAKERS["deep"](vocab=VOCAB, context=160).to(dtype)
    half_rounded_otherwise(model)
    Forward(model, rows=8, length=160)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_layer_that_is_otherwise_among_several_rows_has_rows_read_by_themselves(
    dtype: torch.dtype,
) -> None:
    model = MAKERS["deep"](vocab=VOCAB, context=160).to(dtype)
    model.model.layers[4].self_attn.o_proj.register_forward_hook(
        lambda module, given, out: out * 0.5 if out.shape[0] > 1 else out
    )
    plain = Forward(model, rows=8, length=160).plain
    assert plain is not None and "differ from its own" in plain.reason and plain.times > 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_layer_that_is_otherwise_with_a_text_before_it_is_a_fault(dtype: torch.dtype) -> None:
    model = MAKERS["deep"](vocab=VOCAB, context=160).to(dtype)
    model.model.layers[4].self_attn.o_proj.register_forward_hook(
        lambda module, given, out: out * 0.5 if out.shape[1] == 1 else out
    )
    with pytest.raises(UnsupportedModel, match="differ from its own"):
        Forward(model, rows=8, length=160)


def test_weights_that_are_not_numbers_are_a_fault() -> None:
    model = MAKERS["llama"](vocab=VOCAB, context=160)
    model.model.layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    with pytest.raises(UnsupportedModel, match="not numbers"):
        Forward(model, rows=8, length=160)
