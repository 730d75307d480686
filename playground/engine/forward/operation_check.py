"""Each product and norm of a model by itself: in which numbers of rows it changes a row's bits."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from playground.engine.forward.eager import Eager
from playground.engine.forward.packed_linear import Product, is_packed, product_of
from playground.engine.forward.plain import Plain
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS
from playground.process import Measurements

INPUTS, BATCHES = 512, 32
_OF_EXPERTS = 2048  # inputs of a mixture's experts as a lone row, and half as many of up to four
_BATCHES_OF_LARGE = 8
_LARGE_WEIGHT = 8_000_000  # numbers
_TOKENS = 256  # of the text whose states are tried
_LARGE_EXPERTS = 500_000  # numbers, from which on whole steps alone try a mixture's experts
_LARGE_MODEL = 1_000_000_000  # parameters, from which on it reads a quarter of them


@dataclass(frozen=True, eq=False)
class Module:
    """A product or norm over ``[rows, 1, width]``, and inputs ``[inputs, 1, width]`` it was given.

    Without the middle dimension where the model gives it none. The inputs of a mixture's experts
    are also which of them compute each row, and by what weights.
    """

    call: nn.Module | Product
    inputs: tuple[Tensor, ...]

    @property
    def count(self) -> int:
        return len(self.inputs[0])

    def of(self, rows: Tensor) -> Tensor:
        """The outputs of these inputs, computed in one batch, ``[rows, ...]``."""
        return _flat(self.call(*(part[rows] for part in self.inputs)), len(rows))


@dataclass(frozen=True, eq=False)
class Operation:
    """Modules that one kernel computes; ``kind`` is what decides which, None where unknown."""

    kind: Hashable | None
    modules: list[Module]


@dataclass(frozen=True, eq=False)
class Operations:
    """``complete`` is whether these are all modules with weights: large experts are left out."""

    operations: list[Operation]
    complete: bool


def operations(eager: Eager | Plain) -> Operations:
    """The products and norms of a model, with states of its own forward over a random text."""
    model, kinds = eager.model, dict[Hashable, list[nn.Module]]()
    leaves = _leaves(model)
    for module in leaves:
        if _is_small_experts(module):
            continue
        if product_of(module) or not is_packed(module) or _is_changed(module):
            kinds.setdefault(_kind(module) or module, []).append(module)
    share = {m: -(-INPUTS // len(modules)) for modules in kinds.values() for m in modules}
    count = sum(p.numel() for p in model.parameters())
    length = min(eager.slots.length, _TOKENS // (4 if count > _LARGE_MODEL else 1))
    vocab = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, vocab, (1, length), generator=generator)
    with _recorded(share) as inputs:
        model(input_ids=ids.to(eager.device), use_cache=False)
    experts = [m for m in leaves if _is_small_experts(m)]
    if experts:
        given = _inputs_of_experts(eager, experts, length, generator)
        inputs |= given
        for module in given:
            kinds.setdefault(_kind(module) or module, []).append(module)
    found = [
        Operation(
            None if isinstance(kind, nn.Module) else kind,
            [Module(_call(m), inputs[m]) for m in modules if m in inputs],
        )
        for kind, modules in kinds.items()
    ]
    seen = {p for m in leaves if m in inputs or is_packed(m) for p in m.parameters()}
    seen |= {p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return Operations(
        [operation for operation in found if operation.modules],
        all(p in seen for p in model.parameters()),
    )


def differing(operation: Operation, kernels: Measurements) -> frozenset[int]:
    """The numbers of rows in which an operation gives some row other bits than ``FIXED_ROWS`` do.

    Measured once for each kind that ``kernels`` knows.
    """
    if operation.kind is None:
        return _differing(operation.modules)
    return kernels.once(operation.kind, lambda: _differing(operation.modules))


def _differing(modules: list[Module]) -> frozenset[int]:
    usual = [_usual(module) for module in modules]

    def differs(n: int) -> bool:
        for batch in range(_batches(n, modules)):
            which, first = batch % len(modules), batch // len(modules)
            module = modules[which]
            rows = (torch.arange(n, device=module.inputs[0].device) + first) % module.count
            if not torch.equal(module.of(rows), usual[which][rows]):
                return True
        return False

    return frozenset(n for n in range(1, MOST_ROWS + 1) if differs(n))


def _usual(module: Module) -> Tensor:
    """The output of each input among ``FIXED_ROWS``, ``[inputs, ...]``."""
    count, device = module.count, module.inputs[0].device
    order = torch.arange(-(-count // FIXED_ROWS) * FIXED_ROWS, device=device) % count
    return torch.cat([module.of(rows) for rows in torch.split(order, FIXED_ROWS)])[:count]


def _batches(n: int, modules: list[Module]) -> int:
    """How many batches of ``n`` rows are tried."""
    inputs = sum(module.count for module in modules)
    if len(modules[0].inputs) > 1 and modules[0].inputs[0].dtype.itemsize < 4 and n <= 4:
        return min(_OF_EXPERTS if n == 1 else _OF_EXPERTS // 2, inputs)
    if n == 1:
        return min(INPUTS, inputs)
    if n > FIXED_ROWS:
        return 1
    call = modules[0].call
    weight = (
        sum(p.numel() for p in call.parameters())
        if isinstance(call, nn.Module)
        else math.prod(call.shape[:2])
    )
    large = weight > _LARGE_WEIGHT
    return min(_BATCHES_OF_LARGE if large else BATCHES, inputs)


def _flat(out: Any, rows: int) -> Tensor:
    """``[rows, ...]`` of a tensor, or of several, such as a router returns."""
    parts = [out] if isinstance(out, Tensor) else [p for p in out if isinstance(p, Tensor)]
    return torch.cat([part.reshape(rows, -1) for part in parts], 1)


def _call(module: nn.Module) -> nn.Module | Product:
    product = None if _is_changed(module) else product_of(module)
    return product or module


def _kind(module: nn.Module) -> Hashable | None:
    """What decides which kernel computes a module; None where that cannot be known."""
    if _is_changed(module):
        return None
    weights = [(tuple(p.shape), p.dtype, p.device.type) for p in module.parameters()]
    product = product_of(module)
    packed = product and (type(product), product.shape)
    return type(module), type(module).forward, packed, *weights, torch.get_num_threads()


def _is_changed(module: nn.Module) -> bool:
    """Whether a module has hooks, or a ``forward`` that is neither its class's nor a packed one."""
    own = module.__dict__.get("forward")
    return bool(module._forward_hooks or module._forward_pre_hooks) or (
        own is not None and not is_packed(module)
    )


def _leaves(model: nn.Module) -> list[nn.Module]:
    """Modules with weights of their own and no children that have any, but for embeddings."""
    return [
        module
        for module in model.modules()
        if not isinstance(module, nn.Embedding)
        and all(next(child.parameters(), None) is None for child in module.children())
        and next(module.parameters(recurse=False), None) is not None
    ]


def _is_small_experts(module: nn.Module) -> bool:
    """Whether these are all experts of a layer, small enough to be tried with many inputs.

    Torch multiplies few numbers by another kernel than many, so that only small ones depend on how
    many rows there are.
    """
    weights = [*module.parameters()]
    return (
        hasattr(module, "num_experts")
        and all(p.ndim > 1 for p in weights)
        and any(p.ndim == 3 for p in weights)
        and sum(p.numel() for p in weights) <= _LARGE_EXPERTS
    )


def _inputs_of_experts(
    eager: Eager | Plain, experts: list[nn.Module], length: int, generator: torch.Generator
) -> dict[nn.Module, tuple[Tensor, ...]]:
    """The inputs of these modules in the model's own forwards over some random texts."""
    parts: dict[nn.Module, list[tuple[Tensor, ...]]] = {module: [] for module in experts}

    def keep(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if len(given) > 1 and not named and all(isinstance(part, Tensor) for part in given):
            parts[module].append(tuple(part.clone() for part in given))

    hooks = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in experts]
    vocab = eager.model.get_input_embeddings().weight.shape[0]
    try:
        for _ in range(-(-_OF_EXPERTS // (len(experts) * length))):
            ids = torch.randint(0, vocab, (1, length), generator=generator)
            eager.model(input_ids=ids.to(eager.device), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        module: tuple(map(torch.cat, zip(*found, strict=True)))
        for module, found in parts.items()
        if found and len({len(part) for each in found for part in each}) == 1
    }


@contextmanager
def _recorded(share: dict[nn.Module, int]) -> Iterator[dict[nn.Module, tuple[Tensor, ...]]]:
    """Some inputs of each module in the forwards inside, its ``share``, as ``Module`` has them."""
    inputs: dict[nn.Module, tuple[Tensor, ...]] = {}
    generator = torch.Generator().manual_seed(4)

    def keep(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if len(given) != 1 or named:  # as experts, which have the routing as another argument
            return
        if isinstance(given[0], Tensor) and given[0].is_floating_point():
            flat = given[0].reshape(-1, given[0].shape[-1])
            some = torch.randperm(len(flat), generator=generator)[: share[module]]
            chosen = flat[some.to(flat.device)].clone()
            inputs[module] = (chosen if given[0].ndim == 2 else chosen[:, None],)

    hooks = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in share]
    try:
        yield inputs
    finally:
        for hook in hooks:
            hook.remove()
