"""Prompts that were read before: their keys, values and last logits, so that none is read twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from playground.engine.forward import ForwardOutput


@dataclass(frozen=True)
class CachedPrompt:
    """A prompt as it was prefilled.

    ``keys`` and ``values`` are ``[layers, heads, tokens, size]``; ``output`` is that of its last
    token, with the hidden states of all where they were asked for.
    """

    keys: Tensor
    values: Tensor
    output: ForwardOutput

    @property
    def nbytes(self) -> int:
        states = self.output.states
        more = states.layers.nbytes + states.top.nbytes if states else 0
        return self.keys.nbytes + self.values.nbytes + self.output.logits.nbytes + more


class PromptCache:
    """The prompts used last, in at most ``budget`` bytes. Any thread may call it."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._prompts: OrderedDict[tuple[int, ...], CachedPrompt] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._prompts)

    def get(self, ids: Sequence[int], *, states: bool = False) -> CachedPrompt | None:
        """The prompt of these ids; None where it, or its hidden ``states`` if asked for, are not
        kept.
        """
        key = tuple(ids)
        with self._lock:
            if key in self._prompts:
                self._prompts.move_to_end(key)
            found = self._prompts.get(key)
        return None if found and states and found.output.states is None else found

    def put(self, ids: Sequence[int], prompt: CachedPrompt) -> None:
        """Keep a prompt, unless it exceeds the budget alone, and drop those used longest ago."""
        if prompt.nbytes > self.budget:
            return
        with self._lock:
            before = self._prompts.pop(tuple(ids), None)
            self.nbytes += prompt.nbytes - (before.nbytes if before else 0)
            self._prompts[tuple(ids)] = prompt
            while self.nbytes > self.budget:
                self.nbytes -= self._prompts.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Keep no prompt any longer, so that the next run's is prefilled."""
        with self._lock:
            self._prompts.clear()
            self.nbytes = 0
