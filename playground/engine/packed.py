"""Linear layers with their weights packed once for oneDNN, used by the engine's forwards on a CPU.

Packing costs a second copy of the weights and saves reordering them at every step. The packed
kernel also gives a row the same bits whatever the number of rows beside it, which the engine's
self-check verifies before relying on it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from playground.engine.attention import active

_ROWS = 16  # the batch the layout is chosen for
_FORWARD = "forward"


def can_pack(model: nn.Module) -> bool:
    """Whether this model's linear layers can run on oneDNN's packed weights."""
    weight = next(model.parameters())
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    try:  # oneDNN asks more of a processor for some dtypes than for others
        _reorder(torch.zeros(_ROWS, _ROWS, dtype=weight.dtype))
    except (AttributeError, RuntimeError):
        return False
    return True


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
            packed[key] = _reorder(dense)
            added += dense.nbytes
        setattr(module, _FORWARD, _PackedForward(module, packed[key]))
    return added


def unpack(model: nn.Module) -> None:
    """Undo ``pack``."""
    for module in model.modules():
        ours = getattr(module, _FORWARD)
        if isinstance(ours, _PackedForward):
            setattr(module, _FORWARD, ours.dense)


def _reorder(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return packed


class _PackedForward:
    """A linear layer's ``forward``: its packed weight under a placement, its own otherwise."""

    def __init__(self, module: nn.Linear | Conv1D, weight: Tensor) -> None:
        self.module, self.weight = module, weight
        own = getattr(module, _FORWARD)
        self.dense: Callable[[Tensor], Tensor] = own.dense if type(own) is type(self) else own

    def __call__(self, x: Tensor) -> Tensor:
        module = self.module
        if active() is None:
            return self.dense(x)
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x, self.weight, module.bias, "none", [], ""
        )
