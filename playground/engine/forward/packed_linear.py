"""Linear layers whose weights are packed once for their kernel: a faster forward on a CPU.

In 16 bits for FBGEMM where that loses nothing, for oneDNN otherwise, which saves reordering them at
every step. Once that is in use, the model's own copy of a weight is given up, and made again of the
packed one for whatever still reads it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import Conv1D

from playground.engine.forward.eager import Eager
from playground.engine.forward.fp16_linear import fp16_linear
from playground.engine.forward.rebuilt_weight import RebuiltWeight, restore_weight
from playground.engine.scripted import scripted
from playground.process import Measurements

_ROWS = 16  # the batch size that the layout is chosen for
_PACKERS = 4  # threads, at most
_FORWARD = "forward"

Group = list[nn.Module]  # linear layers of the same input, in the order of their calls


class Product(Protocol):
    """``x @ weight.T + bias`` with a weight that is laid out for its kernel, ``packed``."""

    packed: Any
    nbytes: int
    shape: tuple[int, int, bool]  # outputs, inputs, and whether there is a bias

    def __call__(self, x: Tensor, /) -> Tensor: ...

    def weight(self) -> Tensor:
        """A copy of the weight ``[outputs, inputs]`` as it was before, to the last bit."""


MakeProduct = Callable[[Tensor, Tensor | None, Measurements], Product | None]

# The model's own modules are between a forward and its linear layers. A context variable says to
# these, on this thread alone, which weights to multiply by.
_in_use: ContextVar[bool] = ContextVar("packed_linear", default=False)


@contextmanager
def packed_products() -> Iterator[None]:
    """Inside, packed layers multiply by what was packed; elsewhere by their own weights."""
    token = _in_use.set(True)
    try:
        yield
    finally:
        _in_use.reset(token)


class PackedLinears(Eager):
    """The eager forward with packed linear layers."""

    name = "packed linear layers"

    def products(self) -> AbstractContextManager[None]:
        return packed_products()


@contextmanager
def grouped_linears(model: nn.Module) -> Iterator[list[Group]]:
    """The groups of linear layers seen in the forwards inside, as of queries, keys and values."""
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
    kernels: Measurements | None = None,
) -> int:
    """Pack every linear layer of ``model`` that can be; returns the bytes added.

    Each of ``groups`` becomes one product, made by the first of ``makers`` that can, by what is
    known of ``kernels``. Only forwards inside ``packed_products`` use the packed weights:
    ``model.generate`` and the caller's own forwards run on the original parameters.
    """
    if makers is None:
        makers = MAKERS
    kernels = kernels or Measurements()
    if next(model.parameters()).device.type != "cpu":
        return 0
    grouped = {module: group for group in groups for module in group if len(group) > 1}
    found: dict[nn.Module, Group] = {}  # by its first layer
    for module in model.modules():
        if _is_linear(module) and not isinstance(getattr(module, _FORWARD), _PackedForward):
            group = grouped.get(module, [module])
            found[group[0]] = group
    alike: dict[tuple[int, ...], list[Group]] = {}  # by where their weights lie: some share them
    for group in found.values():
        own = tuple(part.data_ptr() for m in group for part in m.parameters(recurse=False))
        alike.setdefault(own, []).append(group)
    # The kernels that pack use one thread, and memory for a few copies of a weight.
    with ThreadPoolExecutor(min(_PACKERS, torch.get_num_threads())) as threads:
        firsts = [groups[0] for groups in alike.values()]
        products = list(threads.map(lambda group: _packed_group(group, makers, kernels), firsts))
    for product, same in zip(products, alike.values(), strict=True):
        if product is None:
            continue
        for group in same:
            shared = _SharedProduct(product, [len(_outputs_first(m)) for m in group])
            for index, member in enumerate(group):
                setattr(member, _FORWARD, _PackedForward(shared, index, member))
    return sum(product.nbytes for product in products if product is not None)


@torch.inference_mode()
def _packed_group(
    group: Group, makers: Sequence[MakeProduct], kernels: Measurements
) -> Product | None:
    weights = [_outputs_first(m) for m in group]
    weight, bias = weights[0] if len(group) == 1 else torch.cat(weights), _bias(group)
    made = (make(weight, bias, kernels) for make in makers)
    return next((product for product in made if product is not None), None)


def unpack(model: nn.Module) -> None:
    """Undo ``pack``."""
    for module in model.modules():
        ours = getattr(module, _FORWARD)
        if isinstance(ours, _PackedForward):
            restore_weight(module)
            setattr(module, _FORWARD, ours.dense)


@torch.inference_mode()
def give_up_weights(model: nn.Module) -> int:
    """Keep the weights of packed layers in their packed form alone; returns the bytes freed.

    ``RebuiltWeight`` stands for each. A layer whose own forward is called has its weight again from
    then on. A weight that something else reads, such as an embedding, is left as it is.
    """
    owners: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(parameter, []).append((module, name))
    freed = 0
    for weight, held in owners.items():
        packed = [getattr(module, _FORWARD) for module, _ in held]
        if type(weight) is not nn.Parameter or not all(
            name == "weight" and isinstance(ours, _PackedForward)
            for (_, name), ours in zip(held, packed, strict=True)
        ):
            continue
        is_transposed = type(held[0][0]) is Conv1D
        rebuild = partial(_own_weight, packed[0].shared, packed[0].index, is_transposed)
        if not torch.equal(rebuild(), weight):
            continue
        made = RebuiltWeight.of(weight, rebuild)
        for module, name in held:
            module._parameters[name] = made  # type: ignore[assignment]
        freed += weight.nbytes
    return freed


def _own_weight(shared: _SharedProduct, index: int, is_transposed: bool) -> Tensor:
    """The weight of one layer of a group, as the layer has it."""
    weight = torch.split(shared.product.weight(), shared.sizes)[index]
    return weight.T.contiguous() if is_transposed else weight.clone()


def product_of(module: nn.Module) -> Product | None:
    """The product of a packed layer that is the first of its group; None for any other layer."""
    ours = getattr(module, _FORWARD)
    first = isinstance(ours, _PackedForward) and ours.index == 0
    return ours.shared.product if first else None


def is_packed(module: nn.Module) -> bool:
    return isinstance(getattr(module, _FORWARD), _PackedForward)


def operands(model: nn.Module) -> list[Any]:
    """The packed weights of ``model``, each once."""
    products = dict.fromkeys(product_of(module) for module in model.modules())
    return [product.packed for product in products if product is not None]


def _is_linear(module: nn.Module) -> bool:
    return type(module) is nn.Linear or type(module) is Conv1D


def _outputs_first(module: nn.Module) -> Tensor:
    """A layer's weight ``[outputs, inputs]``; GPT-2 keeps it transposed."""
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

    def weight(self) -> Tensor:
        return self.packed.to_dense()


@scripted
def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    none: list[int | float | complex | None] = []
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", none, "")
    return product


def onednn_linear(weight: Tensor, bias: Tensor | None, kernels: Measurements) -> Product | None:
    """The product by oneDNN; None where torch has no such kernel, or the CPU lacks the instructions
    that it needs for the dtype.
    """
    if weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    try:
        return _Reordered(weight, bias)
    except (AttributeError, RuntimeError):
        return None


MAKERS: tuple[MakeProduct, ...] = (fp16_linear, onednn_linear)


class _SharedProduct:
    """One product of a group of layers, whose outputs are kept until the last layer is called."""

    def __init__(self, product: Product, sizes: list[int]) -> None:
        self.product, self.sizes = product, sizes
        self._latest = _Latest()

    def output(self, x: Tensor, index: int) -> Tensor:
        """The output of the layer of this index; ``x`` is the same tensor for all of the group."""
        if len(self.sizes) == 1:
            return self.product(x)
        latest = self._latest
        if latest.input is not x:
            latest.input, latest.outputs = x, torch.split(self.product(x), self.sizes, -1)
        output = latest.outputs[index]
        if index == len(self.sizes) - 1:
            latest.input, latest.outputs = None, ()
        return output


class _Latest(threading.local):
    """The latest input of a thread, and the outputs of each layer for it."""

    input: Tensor | None = None
    outputs: tuple[Tensor, ...] = ()


class _PackedForward:
    """A layer's ``forward``: of the group's product in ``packed_products``, its own elsewhere."""

    def __init__(self, shared: _SharedProduct, index: int, module: nn.Module) -> None:
        self.shared, self.index, self._module = shared, index, module
        self.dense: Callable[[Tensor], Tensor] = getattr(module, _FORWARD)

    def __call__(self, x: Tensor) -> Tensor:
        if _in_use.get():
            return self.shared.output(x, self.index)
        restore_weight(self._module)
        return self.dense(x)
