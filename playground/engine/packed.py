"""Linear layers with their weights packed once for oneDNN, used by the engine's forwards on a CPU.

Packing costs a second copy of the weights and saves reordering them at every step. The packed
kernel also gives a row the same bits whatever the number of rows beside it, which the engine's
self-check verifies before relying on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from playground.engine.attention import active

_ROWS = 16  # the batch the layout is chosen for
_FORWARD = "forward"

Group = list[nn.Module]  # linear layers that are given the same tensor, in the order of their calls


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


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Group]]:
    """The groups of linear layers seen in the forwards inside, as queries, keys and values are."""
    groups: list[Group] = []
    last: list[Tensor | None] = [None]

    def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        known = any(module in group for group in groups)
        if not known and groups and inputs[0] is last[0]:
            groups[-1].append(module)
        elif not known:
            groups.append([module])
        last[0] = inputs[0]

    hooks = [m.register_forward_pre_hook(see) for m in model.modules() if _is_linear(m)]
    try:
        yield groups
    finally:
        for hook in hooks:
            hook.remove()


def pack(model: nn.Module, groups: Sequence[Group] = ()) -> int:
    """Pack every linear layer of ``model``; returns the bytes added.

    Each of ``groups`` becomes one product. Only forwards under an active placement use the packed
    weights: ``model.generate`` and the caller's own forwards run on the original parameters.
    """
    packed: dict[int, Tensor] = {}
    added = 0
    grouped = {id(module): group for group in groups for module in group if len(group) > 1}
    for module in model.modules():
        if not _is_linear(module) or isinstance(getattr(module, _FORWARD), _PackedForward):
            continue
        group = grouped.get(id(module), [module])
        weights = [_outputs_first(m) for m in group]
        key = weights[0].data_ptr() if len(group) == 1 else id(group)
        if key not in packed:
            whole = weights[0] if len(group) == 1 else torch.cat(weights)
            packed[key] = _reorder(whole.contiguous())
            added += whole.nbytes
        product = _Product(packed[key], _bias(group), [len(weight) for weight in weights])
        for place, member in enumerate(group):
            setattr(member, _FORWARD, _PackedForward(product, place, getattr(member, _FORWARD)))
    return added


def unpack(model: nn.Module) -> None:
    """Undo ``pack``."""
    for module in model.modules():
        ours = getattr(module, _FORWARD)
        if isinstance(ours, _PackedForward):
            setattr(module, _FORWARD, ours.dense)


def _is_linear(module: nn.Module) -> bool:
    return type(module) is nn.Linear or type(module) is Conv1D


def _outputs_first(module: nn.Module) -> Tensor:
    """A layer's weight ``[outputs, inputs]``; GPT-2 keeps its own the other way round."""
    weight: Tensor = module.weight.detach()  # type: ignore[operator]
    return weight.T if type(module) is Conv1D else weight


def _bias(group: Group) -> Tensor | None:
    parts = [module.bias for module in group]
    if all(part is None for part in parts):
        return None
    return torch.cat(
        [
            _outputs_first(m).new_zeros(len(_outputs_first(m))) if part is None else part.detach()  # type: ignore[operator]
            for m, part in zip(group, parts, strict=True)
        ]
    )


def _reorder(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return packed


class _Product:
    """One packed product and its parts, kept until the last of them was asked for."""

    def __init__(self, weight: Tensor, bias: Tensor | None, sizes: list[int]) -> None:
        self.weight, self.bias, self.sizes = weight, bias, sizes
        self.of: Tensor | None = None
        self.parts: tuple[Tensor, ...] = ()

    def part(self, x: Tensor, place: int) -> Tensor:
        if len(self.sizes) == 1:
            return self._whole(x)
        if self.of is not x:
            self.of, self.parts = x, torch.split(self._whole(x), self.sizes, -1)
        part = self.parts[place]
        if place == len(self.sizes) - 1:
            self.of, self.parts = None, ()
        return part

    def _whole(self, x: Tensor) -> Tensor:
        whole: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return whole


class _PackedForward:
    """A linear layer's ``forward``: its part of a product under a placement, its own otherwise."""

    def __init__(self, product: _Product, place: int, dense: Callable[[Tensor], Tensor]) -> None:
        self.product, self.place, self.dense = product, place, dense

    def __call__(self, x: Tensor) -> Tensor:
        return self.dense(x) if active() is None else self.product.part(x, self.place)
