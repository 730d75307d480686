"""What is packed keeps the weights; the model's own copies come back where they are read."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from playground.engine.forward import Forward
from playground.engine.forward.packed_linear import (
    give_up_weights,
    is_packed,
    pack,
    packed_products,
    unpack,
)
from playground.engine.forward.rebuilt_weight import RebuiltWeight
from tests.engine.models import MAKERS, PROCESS, VOCAB

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
IDS = torch.tensor([[3, 1, 4, 1, 5]])


def made(kind: str, dtype: Any, kept: Any = None) -> Any:
    return MAKERS[kind](vocab=VOCAB, context=300).to(kept).to(dtype).requires_grad_(False)


def given_up(model: nn.Module) -> dict[str, Tensor]:
    return {name: w for name, w in model.named_parameters() if isinstance(w, RebuiltWeight)}


KINDS = [("llama", BF16, None), ("llama", FP32, None), ("gpt2", FP32, FP16), ("threes", FP32, FP16)]


@pytest.mark.parametrize(("kind", "dtype", "kept"), KINDS)
def test_a_weight_that_is_given_up_is_rebuilt_to_the_last_bit(
    kind: str, dtype: Any, kept: Any
) -> None:
    model = made(kind, dtype, kept)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    own = model(IDS).logits
    pack(model)
    with packed_products():
        packed = model(IDS).logits
    freed = give_up_weights(model)
    names = given_up(model)
    assert names and freed == sum(before[name].nbytes for name in names)
    assert not any("embed" in name or "wte" in name for name in names), "it is read by its rows"
    for name, weight in model.named_parameters():
        was = before[name]
        assert (
            weight.shape == was.shape and weight.dtype == was.dtype and weight.device == was.device
        )
        assert isinstance(weight, nn.Parameter) and torch.equal(weight, was)
    for name, weight in model.state_dict().items():
        assert type(weight) is Tensor and (name not in before or torch.equal(weight, before[name]))
    assert given_up(model).keys() == names.keys(), "reading one brings none back"
    with packed_products():
        assert torch.equal(model(IDS).logits, packed)
    assert given_up(model).keys() == names.keys()
    assert torch.equal(model(IDS).logits, own)
    assert not given_up(model), "a forward of the model's own needs them again and again"


def test_unpacked_layers_have_their_own_weights() -> None:
    model = made("llama", BF16)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    pack(model)
    give_up_weights(model)
    unpack(model)
    assert not any(map(is_packed, model.modules()))
    for name, weight in model.named_parameters():
        assert type(weight) is nn.Parameter and torch.equal(weight, before[name])


def test_a_weight_that_is_packed_with_other_bits_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rounded:
        shape, nbytes, packed = (0, 0, False), 1, None

        def __init__(self, weight: Tensor) -> None:
            self.kept = weight.half().float()

        def __call__(self, x: Tensor) -> Tensor:
            return x @ self.kept.T

        def weight(self) -> Tensor:
            return self.kept

    model = made("llama", FP32)
    pack(model, makers=[lambda weight, bias, kernels: Rounded(weight)])
    assert give_up_weights(model) == 0 and not given_up(model)


def test_a_weight_that_is_not_there_cannot_be_written_to() -> None:
    model = made("llama", BF16)
    pack(model)
    give_up_weights(model)
    weight = next(iter(given_up(model).values()))
    with pytest.raises(RuntimeError, match="cannot be written to"):
        weight.mul_(2)
    assert "RebuiltWeight" in repr(weight)
    other = copy.deepcopy(weight)
    assert torch.equal(other, weight)


def test_a_served_model_keeps_its_weights_once_and_no_texts_of_its_checks() -> None:
    model = made("llama", BF16)
    own = model(IDS).logits
    forward = Forward(model, rows=8, length=300, process=PROCESS)
    if forward.packed_bytes:
        assert given_up(model)
    if sys.platform == "linux":
        assert not forward.slots.keys.any() and not forward.slots.values.any()
    first = forward.prefill(0, IDS[0].tolist()).logits
    assert torch.equal(model(IDS).logits, own)
    assert torch.equal(forward.prefill(0, IDS[0].tolist()).logits, first)
