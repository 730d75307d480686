"""The model's own modules over slots, one operation after another: what every path must equal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention.kv_slots import KVSlots
from playground.engine.attention.placement import (
    DecodePlacement,
    Grouping,
    PrefillPlacement,
    use_placement,
)
from playground.engine.forward.path import Decoded, Rows
from playground.transformers_compat import cache_keyword


class Eager:
    """Every forward, by the model's own modules.

    ``head_is_apart`` says that the logits are the vocabulary head of the top states and nothing
    more, so that the layers can be computed without it.
    """

    name = "the eager forward"

    def __init__(self, model: Any, slots: KVSlots, grouping: Grouping) -> None:
        self.model, self.slots, self.grouping = model, slots, grouping
        self.device = slots.keys.device
        self.head_is_apart = False
        self.cache_keyword = cache_keyword(model)
        self._base_cache_keyword = cache_keyword(model.base_model)

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        return self.read(slot, ids, start, 1, False)[0]

    def decode(self, rows: Rows, layers: bool) -> Decoded:
        n, idle = len(rows), rows.idle
        ids = torch.tensor([*rows.ids, *[0] * idle], device=self.device)[:, None]
        positions = torch.tensor([*rows.positions, *[0] * idle], device=self.device)[:, None]
        store = self.slots.keys[0]
        placement = DecodePlacement.of(rows.slots, rows.positions, self.grouping, store, idle)
        with use_placement(placement):
            if layers and self.head_is_apart:
                return Decoded(layers=self.layers(ids, positions)[:, :n])
            out = self._run(ids, positions, 1, layers)
        states = torch.stack([layer[:n, 0] for layer in out.hidden_states]) if layers else None
        return Decoded(out.logits[:n, -1].float(), states)

    def read(
        self, slot: int, ids: Sequence[int], start: int, keep: int, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens of one row: the logits ``[keep, vocab]`` after the last of them, and with
        ``states`` the hidden states ``[layers + 1, tokens, width]`` of all.
        """
        tokens = torch.tensor([list(ids)], device=self.device)
        positions = torch.arange(start, start + len(ids), device=self.device)[None]
        with use_placement(PrefillPlacement.of(slot, start, len(ids), self.slots.keys[0])):
            out = self._run(tokens, positions, keep, states)
        layers = torch.stack([layer[0] for layer in out.hidden_states]) if states else None
        return out.logits[0, -keep:].float(), layers

    def head(self, states: Tensor) -> Tensor:
        """The vocabulary head of ``[rows, width]``, float32 ``[rows, vocab]``."""
        with self.products():
            logits: Tensor = self.model.get_output_embeddings()(states[:, None])[:, 0].float()
        return logits

    def products(self) -> AbstractContextManager[None]:
        """The context in which linear layers are computed."""
        return nullcontext()

    def logits(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Float32 ``[rows, vocab]`` after the last token of each row, inside a placement."""
        logits: Tensor = self._run(ids, positions, 1, False).logits[:, -1].float()
        return logits

    def layers(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Hidden states of one token of each row, ``[layers + 1, rows, width]``, in a placement."""
        with self.products():
            out = self.model.base_model(
                input_ids=ids,
                position_ids=positions,
                **{self._base_cache_keyword: self.slots.cache},
                use_cache=True,
                output_hidden_states=True,
            )
        return torch.stack([layer[:, 0] for layer in out.hidden_states])

    def _run(self, ids: Tensor, positions: Tensor, keep: int, states: bool) -> Any:
        with self.products():
            return self.model(
                input_ids=ids,
                position_ids=positions,
                **{self.cache_keyword: self.slots.cache},
                use_cache=True,
                logits_to_keep=keep,
                output_hidden_states=states,
            )
