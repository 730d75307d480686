"""Weights of packed layers that are kept in their packed form alone, and made again where needed.

A packed weight holds every bit of its layer's own, in another order. Once the packed products are
in use, little reads the layers' own copy: a ``RebuiltWeight`` takes its place, which has its shape
and dtype, and no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only


class RebuiltWeight(Tensor):
    """A parameter that is rebuilt for each operation on it, and dropped after."""

    rebuild: Callable[[], Tensor]

    @staticmethod
    def of(weight: Tensor, rebuild: Callable[[], Tensor]) -> RebuiltWeight:
        """``rebuild`` returns a new tensor that equals ``weight``."""
        made = torch.Tensor._make_wrapper_subclass(
            RebuiltWeight, weight.shape, dtype=weight.dtype, device=weight.device
        )
        made.rebuild, made._is_param = rebuild, True  # modules take it for a parameter
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.is_mutable:
            raise RuntimeError("a weight that is kept packed alone cannot be written to")
        args, kwargs = tree_map_only(RebuiltWeight, lambda w: w.rebuild(), (args, kwargs or {}))
        return func(*args, **kwargs)

    def __deepcopy__(self, known: Any) -> nn.Parameter:
        return nn.Parameter(self.rebuild(), requires_grad=False)

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return f"RebuiltWeight({tuple(self.shape)}, {self.dtype})"


def restore_weight(module: nn.Module) -> None:
    """Give a layer its own weight again, where it has been given up."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, RebuiltWeight):
        with torch.inference_mode(False):
            module.weight = nn.Parameter(weight.rebuild(), requires_grad=False)
