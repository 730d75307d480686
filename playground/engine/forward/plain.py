"""The plain path: a cache of transformers' own for each row, as ``generate`` computes it.

For models whose layers keep more than keys and values of tokens, or attend by code of their own.
Rows of one length share a forward where that leaves each of them its bits; else a row is read by
itself, which is slower.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention.row_caches import RowCache, RowCaches
from playground.engine.attention.stacked import apart, stack
from playground.engine.forward.packed_linear import packed_products
from playground.engine.forward.path import Decoded, Rows
from playground.engine.forward.row_counts import RowCounts
from playground.transformers_compat import new_cache, state_keyword


@dataclass(frozen=True)
class PlainFacts:
    """Why each row has a cache of its own, and how many times as long six take as one."""

    reason: str
    times: float


class PlainText:
    """Reads texts into caches of transformers' own form.

    ``continues`` says whether several tokens may follow others in one forward: some models with a
    state take only the next one. ``keyword`` is None where the model has no cache at all, so that a
    text is read from its beginning for every token.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.keyword = state_keyword(model)
        self.continues = self.keyword is not None
        known = inspect.signature(type(model).forward).parameters
        self._known = {*known}
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
            self._known.add("output_hidden_states")  # which the modules inside take
        self._device = model.get_input_embeddings().weight.device

    def read(self, row: RowCache, ids: Sequence[int], **wanted: Any) -> Any:
        """What the model returns for tokens that follow those of ``row``, which then holds them.

        ``wanted`` are arguments of its forward. Raises what the model does; ``row`` may then hold
        some layers of a token and not others, and must be dropped.
        """
        if self.keyword is None:
            tokens = [*row.ids, *ids]
            if "logits_to_keep" in wanted:
                wanted["logits_to_keep"] = min(wanted["logits_to_keep"], len(ids))
            out = self._forward([tokens], 0, None, wanted)
        else:
            if row.cache is None:
                row.cache = new_cache(self.model)
            out = self._forward([list(ids)], len(row.ids), row.cache, wanted)
            row.cache = out[self.keyword]
        row.ids += ids
        return out

    def states(self, tokens: Tensor) -> Tensor:
        """The states after the last layer, normalised, ``[rows, length, width]``, of ``tokens``.

        Rows of tokens are read from their beginning, without a cache.
        """
        at = torch.arange(tokens.shape[1], device=self._device)
        given: dict[str, Any] = {
            "position_ids": at.expand(tokens.shape),
            "use_cache": False,
            "output_hidden_states": True,
            "logits_to_keep": 1,
        }
        given = {name: value for name, value in given.items() if name in self._known}
        found: Tensor = self.model(tokens, return_dict=True, **given).hidden_states[-1]
        return found

    def read_together(
        self, rows: Sequence[RowCache], ids: Sequence[int], computed: int, **wanted: Any
    ) -> Any:
        """As ``read``, for one token of each of several rows that hold equally many.

        ``computed`` rows are computed, the first one again for those beyond them. Where this
        raises, the rows are as they were.
        """
        assert self.keyword is not None
        idle = computed - len(rows)
        caches = [row.cache for row in [*rows, *[rows[0]] * idle]]
        cache = new_cache(self.model) if caches[0] is None else stack(caches)
        tokens = [[id] for id in [*ids, *[ids[0]] * idle]]
        out = self._forward(tokens, len(rows[0].ids), cache, wanted)
        parts = apart(out[self.keyword], len(rows), computed)
        for row, id, part in zip(rows, ids, parts, strict=True):
            row.cache = part
            row.ids.append(id)
        return out

    def _forward(
        self, tokens: list[list[int]], start: int, cache: Any, wanted: dict[str, Any]
    ) -> Any:
        at = torch.arange(start, start + len(tokens[0]), device=self._device)
        given = {
            "position_ids": at.expand(len(tokens), -1),
            "use_cache": self.keyword is not None,
            **wanted,
        }
        if self.keyword is not None:
            given[self.keyword] = cache
        given = {name: value for name, value in given.items() if name in self._known}
        return self.model(torch.tensor(tokens, device=self._device), return_dict=True, **given)

    @torch.inference_mode()
    def probe(self) -> None:
        """Find out whether the model returns what it keeps; raises what its forward does."""
        if self.keyword is None:
            return
        try:
            self.read(RowCache(), [0, 0])
        except KeyError:  # it takes a cache, and returns none
            self.keyword, self.continues = None, False


class Plain:
    """The forwards over ``RowCaches``; what ``Eager`` is over slots of keys and values."""

    name = "the plain forward"

    def __init__(self, text: PlainText, slots: RowCaches) -> None:
        self.model, self.text, self.slots = text.model, text, slots
        self.counts: RowCounts | None = None  # of rows that are read together; None where none are
        self.device = slots.device
        self.head_is_apart = False

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        return self.read(slot, ids, start, 1, False)[0]

    def decode(self, rows: Rows, layers: bool) -> Decoded:
        found: list[tuple[Tensor, Tensor | None]] = []
        places: list[int] = []
        for position in dict.fromkeys(rows.positions):
            group = [i for i, at in enumerate(rows.positions) if at == position]
            if self.counts is None:
                computed = 1
            else:
                whole = len(group) == len(rows)
                computed = len(group) + rows.idle if whole else self.counts.computed[len(group)]
            places += group
            slots, ids = [rows.slots[i] for i in group], [rows.ids[i] for i in group]
            if computed > 1:
                found.append(self._read_together(slots, ids, position, computed, layers))
            else:
                found += [
                    self.read(slot, [id], position, 1, layers)
                    for slot, id in zip(slots, ids, strict=True)
                ]
        back = torch.tensor(places, device=self.device).argsort()
        logits = torch.cat([each for each, _ in found])[back]
        states = [each for _, each in found if each is not None]
        return Decoded(logits, torch.cat(states, 1)[:, back] if layers else None)

    def read(
        self, slot: int, ids: Sequence[int], start: int, keep: int, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """As ``Eager.read``."""
        row = self.slots.at(slot, start, self._read_again)
        at_once = len(ids) if self.text.continues or not row.ids else 1
        logits, layers = [], []
        try:
            for first in range(0, len(ids), at_once):
                part = ids[first : first + at_once]
                with self.products():
                    out = self.text.read(
                        row, part, logits_to_keep=keep, output_hidden_states=states
                    )
                logits.append(out.logits[0, -min(keep, len(part)) :].float())
                if states:
                    layers.append(
                        torch.stack([layer[0, -len(part) :] for layer in out.hidden_states])
                    )
        except BaseException:
            self.slots.restart(slot)
            raise
        return torch.cat(logits)[-keep:], torch.cat(layers, 1) if states else None

    def _read_together(
        self, slots: Sequence[int], ids: Sequence[int], start: int, computed: int, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """One token of each of several rows of one length, in a forward of ``computed`` rows."""
        caches = [self.slots.at(slot, start, self._read_again) for slot in slots]
        with self.products():
            out = self.text.read_together(
                caches, ids, computed, logits_to_keep=1, output_hidden_states=states
            )
        n = len(slots)
        layers = torch.stack([layer[:n, -1] for layer in out.hidden_states]) if states else None
        return out.logits[:n, -1].float(), layers

    def head(self, states: Tensor) -> Tensor:
        """The vocabulary head of ``[rows, width]``, float32 ``[rows, vocab]``."""
        with self.products():
            logits: Tensor = self.model.get_output_embeddings()(states[:, None])[:, 0].float()
        return logits

    def products(self) -> AbstractContextManager[None]:
        """The context in which linear layers are computed."""
        return nullcontext()

    def _read_again(self, row: RowCache, ids: list[int]) -> None:
        with self.products():
            self.text.read(row, ids, logits_to_keep=1)


class PackedPlain(Plain):
    """The plain forward with packed linear layers."""

    name = "packed linear layers"

    def products(self) -> AbstractContextManager[None]:
        return packed_products()


def bytes_of_rows(text: PlainText, lengths: tuple[int, int] = (8, 16)) -> tuple[int, int]:
    """The bytes that a row's cache takes however long it is, and those of each of its tokens."""
    sizes = []
    for length in lengths:
        row = RowCache()
        text.read(row, [0] * length, logits_to_keep=1)
        sizes.append(row.nbytes)
    per_token = max(0, sizes[1] - sizes[0]) // (lengths[1] - lengths[0])
    return max(0, sizes[0] - per_token * lengths[0]), per_token


def times_one(plain: Plain, rows: int, repeats: int = 3) -> float:
    """How many times as long a step of so many rows takes as one of a single row."""
    seconds: dict[int, float] = {}
    for count in (1, rows):
        step = Rows(range(count), [0] * count, [0] * count)
        plain.decode(step, False)
        for _ in range(repeats):
            clock = perf_counter()
            plain.decode(step, False)
            took = perf_counter() - clock
            seconds[count] = min(took, seconds.get(count, took))
    return seconds[rows] / seconds[1]
