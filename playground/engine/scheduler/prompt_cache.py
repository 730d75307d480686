"""Prompts that were read before: their keys, values and last scores, so none is read twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from playground.engine.forward import ForwardOutput


@dataclass(frozen=True)
class CachedPrompt:
    """``keys`` and ``values`` ``[layers, heads, tokens, size]``, and the last ``output``."""

    keys: Tensor
    values: Tensor
    output: ForwardOutput

    @property
    def nbytes(self) -> int:
        states = self.output.states
        more = states.layers.nbytes + states.top.nbytes if states else 0
        return self.keys.nbytes + self.values.nbytes + self.output.logits.nbytes + more


class PromptCache:
    """The most recently used ones, in at most ``budget`` bytes. Any thread may call it."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._known: OrderedDict[tuple[int, ...], CachedPrompt] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, ids: Sequence[int], *, states: bool = False) -> CachedPrompt | None:
        """What is known of a prompt; None where its hidden ``states`` are asked for and are not."""
        key = tuple(ids)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            known = self._known.get(key)
        return None if known and states and known.output.states is None else known

    def put(self, ids: Sequence[int], prefilled: CachedPrompt) -> None:
        """Keep it, unless it is larger than everything that may be kept."""
        if prefilled.nbytes > self.budget:
            return
        with self._lock:
            before = self._known.pop(tuple(ids), None)
            self.nbytes += prefilled.nbytes - (before.nbytes if before else 0)
            self._known[tuple(ids)] = prefilled
            while self.nbytes > self.budget:
                self.nbytes -= self._known.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self.nbytes = 0
