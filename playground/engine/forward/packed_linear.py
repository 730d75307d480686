"""Linear layers with their weights packed once, one optional way of a forward on a CPU.

In 16 bits for FBGEMM where that loses nothing, for oneDNN otherwise. Packing costs a second copy of
the weights and saves reordering them at every step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from playground.engine.forward.eager import Eager
from playground.engine.forward.fp16_linear import fp16_linear
from playground.engine.scripted import scripted

_ROWS = 16  # the batch the layout is chosen for
_PACKERS = 4  # threads, at most
_FORWARD = "forward"

Group = list[nn.Module]  # linear layers that are given the same tensor, in the order of their calls


class Product(Protocol):
    """``x @ weight.T + bias`` with what it multiplies by laid out for its kernel."""

    packed: Any
    nbytes: int
    shape: tuple[int, int, bool]  # outputs, inputs, and whether there is a bias

    def __call__(self, x: Tensor, /) -> Tensor: ...


MakeProduct = Callable[[Tensor, Tensor | None], Product | None]

_in_use: ContextVar[bool] = ContextVar("packed_linear", default=False)


@contextmanager
def packed_products() -> Iterator[None]:
    """Packed layers multiply by what was packed inside, and by their own weights elsewhere."""
    token = _in_use.set(True)
    try:
        yield
    finally:
        _in_use.reset(token)


class PackedLinears(Eager):
    """The eager forward, whose packed layers multiply by what was packed."""

    name = "packed linear layers"

    def products(self) -> AbstractContextManager[None]:
        return packed_products()


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


def pack(
    model: nn.Module,
    groups: Sequence[Group] = (),
    makers: Sequence[MakeProduct] | None = None,
) -> int:
    """Pack every linear layer of ``model`` that can be; returns the bytes added.

    Each of ``groups`` becomes one product, made by the first of ``makers`` that can. Only forwards
    inside ``packed_products`` use the packed weights: ``model.generate`` and the caller's own
    forwards run on the original parameters.
    """
    if makers is None:
        makers = MAKERS
    if next(model.parameters()).device.type != "cpu":
        return 0
    grouped = {id(module): group for group in groups for module in group if len(group) > 1}
    found: dict[int, Group] = {}
    for module in model.modules():
        if _is_linear(module) and not isinstance(getattr(module, _FORWARD), _PackedForward):
            group = grouped.get(id(module), [module])
            found[id(group[0])] = group
    alike: dict[tuple[int, ...], list[Group]] = {}  # which share their weights
    for group in found.values():
        own = tuple(part.data_ptr() for m in group for part in m.parameters(recurse=False))
        alike.setdefault(own, []).append(group)
    # The kernels that pack use one thread, and memory for a few copies of a weight.
    with ThreadPoolExecutor(min(_PACKERS, torch.get_num_threads())) as threads:
        firsts = [groups[0] for groups in alike.values()]
        products = list(threads.map(_packed_group, firsts, [makers] * len(firsts)))
    for product, same in zip(products, alike.values(), strict=True):
        if product is None:
            continue
        for group in same:
            parted = _Parted(product, [len(_outputs_first(m)) for m in group])
            for place, member in enumerate(group):
                setattr(member, _FORWARD, _PackedForward(parted, place, getattr(member, _FORWARD)))
    return sum(product.nbytes for product in products if product is not None)


@torch.inference_mode()
def _packed_group(group: Group, makers: Sequence[MakeProduct]) -> Product | None:
    weights = [_outputs_first(m) for m in group]
    weight, bias = weights[0] if len(group) == 1 else torch.cat(weights), _bias(group)
    made = (make(weight, bias) for make in makers)
    return next((product for product in made if product is not None), None)


def unpack(model: nn.Module) -> None:
    """Undo ``pack``."""
    for module in model.modules():
        ours = getattr(module, _FORWARD)
        if isinstance(ours, _PackedForward):
            setattr(module, _FORWARD, ours.dense)


def product_of(module: nn.Module) -> Product | None:
    """The product that a packed layer begins; None of another's part, and of a layer that is not
    packed.
    """
    ours = getattr(module, _FORWARD)
    first = isinstance(ours, _PackedForward) and ours.place == 0
    return ours.product.product if first else None


def is_packed(module: nn.Module) -> bool:
    return isinstance(getattr(module, _FORWARD), _PackedForward)


def operands(model: nn.Module) -> list[Any]:
    """What the packed layers of ``model`` multiply by."""
    products = (product_of(module) for module in model.modules())
    return [product.packed for product in products if product is not None]


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


class _Reordered:
    """``x @ weight.T + bias`` by oneDNN, for ``x`` of the weight's dtype."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        self._bias = bias
        self.nbytes = weight.nbytes
        self.shape = (*weight.shape, bias is not None)

    def __call__(self, x: Tensor) -> Tensor:
        return _product(x, self.packed, self._bias)


@scripted
def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    none: list[int | float | complex | None] = []
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", none, "")
    return product


def onednn_linear(weight: Tensor, bias: Tensor | None) -> Product | None:
    """None where torch has no such kernel, or the processor not what it asks for a dtype."""
    if weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    try:
        return _Reordered(weight, bias)
    except (AttributeError, RuntimeError):
        return None


MAKERS: tuple[MakeProduct, ...] = (fp16_linear, onednn_linear)


class _Parted:
    """One packed product and its parts, kept until the last of them was asked for."""

    def __init__(self, product: Product, sizes: list[int]) -> None:
        self.product, self.sizes = product, sizes
        self._now = _Now()

    def part(self, x: Tensor, place: int) -> Tensor:
        if len(self.sizes) == 1:
            return self.product(x)
        now = self._now
        if now.of is not x:
            now.of, now.parts = x, torch.split(self.product(x), self.sizes, -1)
        part = now.parts[place]
        if place == len(self.sizes) - 1:
            now.of, now.parts = None, ()
        return part


class _Now(threading.local):
    """What a thread was given last, and its parts."""

    of: Tensor | None = None
    parts: tuple[Tensor, ...] = ()


class _PackedForward:
    """A layer's ``forward``: its part of a product in ``packed_products``, its own elsewhere."""

    def __init__(self, product: _Parted, place: int, dense: Callable[[Tensor], Tensor]) -> None:
        self.product, self.place, self.dense = product, place, dense

    def __call__(self, x: Tensor) -> Tensor:
        return self.product.part(x, self.place) if _in_use.get() else self.dense(x)
