"""Linear layers with their weights packed once for oneDNN, used by the engine's forwards on a CPU.

Packing costs a second copy of the weights and saves reordering them at every step. The packed
kernel also gives a row the same bits whatever the number of rows beside it, which the engine's
self-check verifies before relying on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from playground.engine.attention import active

_ROWS = 16  # the batch the layout is chosen for


def can_pack(model: nn.Module) -> bool:
    """Whether this model's linear layers can run on oneDNN's packed weights."""
    weight = next(model.parameters())
    return (
        weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


def pack(model: nn.Module) -> int:
    """Pack every linear layer of ``model``; returns the bytes added.

    Only forwards under an active placement use the packed weights: ``model.generate`` and the
    caller's own forwards run on the original parameters, unchanged.
    """
    packed: dict[tuple[int, bool], Tensor] = {}
    added = 0
    for module in model.modules():
        if type(module) is nn.Linear:
            weight, turned = module.weight, False
        elif type(module) is Conv1D:
            weight, turned = module.weight, True
        else:
            continue
        key = (weight.data_ptr(), turned)
        if key not in packed:
            dense = weight.detach().T.contiguous() if turned else weight.detach()
            packed[key] = torch.ops.mkldnn._reorder_linear_weight(dense, _ROWS)
            added += dense.nbytes
        _replace_forward(module, packed[key])
    return added


def _replace_forward(module: nn.Module, weight: Tensor) -> None:
    dense_forward = module.forward

    def forward(x: Tensor) -> Tensor:
        if active() is None:
            result: Tensor = dense_forward(x)
            return result
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x, weight, module.bias, "none", [], ""
        )

    module.forward = forward
