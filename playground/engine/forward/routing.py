"""The experts that a mixture's routers chose, so that two paths are compared with the same ones.

In 16 bits two experts are often so close that rounding decides between them. The logits of two
correct paths then differ as much as those of a wrong one would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass
class Routing:
    """The choices of each router in turn, ``[tokens, experts]``, over some tokens."""

    choices: list[Tensor] = field(default_factory=list)

    def of(self, first: int, last: int) -> Routing:
        """Those of tokens ``first`` to ``last``."""
        return Routing([each[first:last] for each in self.choices])

    @classmethod
    def joined(cls, parts: Sequence[Routing]) -> Routing:
        """Those of tokens that are read together."""
        each = zip(*(part.choices for part in parts), strict=True)
        return cls([torch.cat(choices) for choices in each])


class _WatchedRouting(TorchFunctionMode):
    """Inside, what ``torch.topk`` returns for tensors of these ``sizes`` is passed to ``chosen``.

    ``sizes`` are numbers of experts.
    """

    def __init__(self, sizes: Collection[int]) -> None:
        super().__init__()
        self._sizes = sizes

    def chosen(self, weights: Tensor, found: Any) -> Any:
        """What the router gets in place of what was ``found`` in its ``weights``."""
        raise NotImplementedError

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        watched = getattr(func, "__name__", "") == "topk" and args[0].shape[-1] in self._sizes
        return self.chosen(args[0], found) if watched else found


class RecordedRouting(_WatchedRouting):
    """Inside, the experts that routers choose are written to ``routing``."""

    def __init__(self, sizes: Collection[int]) -> None:
        super().__init__(sizes)
        self.routing = Routing()

    def chosen(self, weights: Tensor, found: Any) -> Any:
        self.routing.choices.append(found.indices.reshape(-1, found.indices.shape[-1]))
        return found


class ForcedRouting(_WatchedRouting):
    """Inside, routers choose the experts of ``routing``, as long as their numbers fit."""

    def __init__(self, sizes: Collection[int], routing: Routing) -> None:
        super().__init__(sizes)
        self._left = list(routing.choices)

    def chosen(self, weights: Tensor, found: Any) -> Any:
        forced = self._left.pop(0) if self._left else None
        if forced is None or forced.numel() != found.indices.numel():
            return found
        forced = forced.reshape(found.indices.shape)
        return type(found)((weights.gather(-1, forced), forced))
