"""The keys and values of prompts, and of texts generated after them, so that none is read twice.

A prompt is read many tokens at once, and a text a token at a time, which gives other last bits than
the same tokens read as a prompt. So the two are kept apart, and a text is found by the prompt that
it follows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from playground.engine.attention.slots import Kept
from playground.engine.forward import ForwardOutput

_Ids = tuple[int, ...]


@dataclass(frozen=True)
class CachedPrompt:
    """A prompt as it was prefilled.

    ``kept`` is what a slot held of it; ``output`` is that of its last token, with the hidden states
    of all tokens where they were requested.
    """

    kept: Kept
    output: ForwardOutput

    @property
    def nbytes(self) -> int:
        states = self.output.states
        more = states.layers.nbytes + states.top.nbytes if states else 0
        return self.kept.nbytes + self.output.logits.nbytes + more


@dataclass(frozen=True)
class CachedText:
    """The first tokens of a text as they were read after its prompt.

    ``keys`` and ``values`` are ``[layers, heads, tokens, size]``; ``states``, ``[tokens, width]``,
    are those after the last layer, where the lane had them.
    """

    keys: Tensor
    values: Tensor
    states: Tensor | None = None

    def __len__(self) -> int:
        return int(self.keys.shape[2])

    @property
    def nbytes(self) -> int:
        more = 0 if self.states is None else self.states.nbytes
        return self.keys.nbytes + self.values.nbytes + more

    def first(self, count: int) -> CachedText:
        """The first ``count`` tokens alone, as views of the same tensors."""
        states = None if self.states is None else self.states[:count]
        return CachedText(self.keys[:, :, :count], self.values[:, :, :count], states)


class PromptCache:
    """The prompts and texts used last, in at most ``budget`` bytes. Any thread may call it.

    Texts take half of them at most, so that much writing drops no prompt.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._prompts: OrderedDict[_Ids, CachedPrompt] = OrderedDict()
        self._texts: OrderedDict[tuple[_Ids, _Ids], CachedText] = OrderedDict()
        self._prompt_bytes = self._text_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._prompts)

    @property
    def nbytes(self) -> int:
        return self._prompt_bytes + self._text_bytes

    def latest(self, count: int) -> list[tuple[int, ...]]:
        """The ``count`` prompts that were kept or looked up last, the last one first."""
        with self._lock:
            return list(self._prompts)[: -count - 1 : -1]

    def get(self, ids: Sequence[int], *, states: bool = False) -> CachedPrompt | None:
        """The prompt of these ids; None where it is not kept, or with ``states`` its hidden states
        are not.
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
            self._prompt_bytes += prompt.nbytes - (before.nbytes if before else 0)
            self._prompts[tuple(ids)] = prompt
            while self.nbytes > self.budget and self._texts:
                self._drop_text()
            while self.nbytes > self.budget:
                self._prompt_bytes -= self._prompts.popitem(last=False)[1].nbytes

    def longest(
        self, prompt: Sequence[int], text: Sequence[int], *, states: bool = False
    ) -> CachedText | None:
        """The longest beginning of ``text`` that is kept of any text after this prompt, if any."""
        key, wanted = tuple(prompt), tuple(text)
        with self._lock:
            found = {
                (known, ids): _common(ids, wanted)
                for (known, ids), kept in self._texts.items()
                if known == key and (kept.states is not None or not states)
            }
            best = max(found, key=lambda each: found[each], default=None)
            if best is None or not found[best]:
                return None
            self._texts.move_to_end(best)
            return self._texts[best].first(found[best])

    def put_text(self, prompt: Sequence[int], text: Sequence[int], kept: CachedText) -> None:
        """Keep the keys and values of ``text``, unless a text that begins with it is kept."""
        key, ids, most = tuple(prompt), tuple(text), self.budget // 2
        if not ids or kept.nbytes > most:
            return
        with self._lock:
            for known, other in list(self._texts):
                held = self._texts[known, other]
                if known != key or (held.states is None) != (kept.states is None):
                    continue
                if other[: len(ids)] == ids:
                    self._texts.move_to_end((known, other))
                    return
                if ids[: len(other)] == other:
                    self._text_bytes -= self._texts.pop((known, other)).nbytes
            self._texts[key, ids] = kept
            self._text_bytes += kept.nbytes
            while self._texts and (self._text_bytes > most or self.nbytes > self.budget):
                self._drop_text()

    def clear(self) -> None:
        """Drop everything, so that the next run's prompt is prefilled."""
        with self._lock:
            self._prompts.clear()
            self._texts.clear()
            self._prompt_bytes = self._text_bytes = 0

    def _drop_text(self) -> None:
        self._text_bytes -= self._texts.popitem(last=False)[1].nbytes


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    most = min(len(a), len(b))
    return next((at for at in range(most) if a[at] != b[at]), most)
