"""Whole decode steps: in which numbers of rows they change a row's bits."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from playground.engine.attention.kv_slots import KVSlots
from playground.engine.attention.placement import BLOCK
from playground.engine.attention.row_caches import RowCaches
from playground.engine.forward.eager import Eager
from playground.engine.forward.path import Rows
from playground.engine.forward.plain import Plain
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts

_LENGTHS = (20, 2 * BLOCK + 5)  # of texts that are read with caches of their own
_POSITIONS = (3, BLOCK - 2, 17, BLOCK - 1, BLOCK, 40, BLOCK + 9, 2 * BLOCK + 5, 30, 2 * BLOCK)


def steps_of(eager: Eager | Plain, turns: int) -> Steps:
    """Steps of this way of computing them."""
    return PlainSteps(eager, turns) if isinstance(eager, Plain) else Steps(eager, turns)


class Steps:
    """Decode steps of rows with different states, compared with the same rows in ``FIXED_ROWS``."""

    most = MOST_ROWS

    def __init__(self, eager: Eager, turns: int) -> None:
        """Every slot holds a text, which has another next token in each of ``turns`` turns."""
        self._eager: Eager | Plain = eager
        self._count, self._turns = min(eager.slots.count, self.most), turns
        self._generator = torch.Generator().manual_seed(1)
        longest = min(max(_POSITIONS), eager.slots.length - 1)
        self._positions = [
            min(_POSITIONS[slot % len(_POSITIONS)], longest) for slot in range(self._count)
        ]
        eager.prefill(0, self._tokens(longest).tolist(), 0)
        eager.slots.replicate(0, range(self._count), longest)
        self.with_other_tokens()

    def with_other_tokens(self) -> Steps:
        """The same rows with other tokens, so that nothing compared before is compared again."""
        self._ids = self._tokens(self._turns, self._count)
        self._wanted: dict[tuple[int, int], list[Tensor]] = {}  # by turn and slot
        return self

    def differing(
        self, sizes: Iterable[int], states: int = 1, counts: RowCounts | None = None
    ) -> set[int]:
        """Those of ``sizes`` in which a row differs, of ``states`` rows or one whole step at least.

        ``counts`` gives the number of rows that is computed for each size; the size itself without.
        """
        computed = (counts or RowCounts.every()).computed
        most = min(self._count, len(computed) - 1)
        return {n for n in sizes if n <= most and self._differs(n, computed[n], states)}

    def _differs(self, n: int, computed: int, states: int) -> bool:
        per_turn = max(1, self._count // n)
        for step in range(-(-states // n)):
            turn, first = step // per_turn, step % per_turn * n
            rows = range(first, first + n)
            wanted = [self._usual(turn, slot) for slot in rows]
            found = self._run(turn, rows, computed)
            for part, usual in zip(found, zip(*wanted, strict=True), strict=True):
                if not torch.equal(part, torch.stack(usual)):
                    return True
        return False

    def _usual(self, turn: int, slot: int) -> list[Tensor]:
        """What the row of a slot gets among ``FIXED_ROWS``."""
        if (turn, slot) not in self._wanted:
            first = min(slot, max(0, self._count - FIXED_ROWS))
            rows = range(first, min(first + FIXED_ROWS, self._count))
            found = self._run(turn, rows, FIXED_ROWS)
            for row, parts in zip(rows, zip(*found, strict=True), strict=True):
                self._wanted.setdefault((turn, row), [part.clone() for part in parts])
        return self._wanted[turn, slot]

    def _run(self, turn: int, slots: range, computed: int) -> list[Tensor]:
        """Logits, keys and values of one step, each ``[rows, ...]``."""
        positions = [self._positions[slot] for slot in slots]
        ids = self._ids[turn, slots.start : slots.stop].tolist()
        step = Rows(slots, ids, positions, idle=computed - len(slots))
        logits, store = self._eager.decode(step, layers=False).logits, self._eager.slots
        assert logits is not None and isinstance(store, KVSlots)
        at, rows = torch.tensor(positions), torch.tensor([*slots])
        return [logits, store.keys[:, rows, :, at], store.values[:, rows, :, at]]

    def _tokens(self, *shape: int) -> Tensor:
        vocab = self._eager.model.get_input_embeddings().weight.shape[0]
        return torch.randint(0, vocab, shape, generator=self._generator)


class PlainSteps(Steps):
    """The same of rows with caches of their own, all of one length; what these hold is compared."""

    most = FIXED_ROWS

    def __init__(self, plain: Plain, turns: int) -> None:
        """Every other turn has a longer text."""
        self._eager, self._turns = plain, turns
        self._count = min(plain.slots.count, self.most)
        self._generator = torch.Generator().manual_seed(1)
        self._texts = []
        for length in _LENGTHS:
            length = min(length, plain.slots.length - 1)
            plain.slots.restart(0)
            plain.prefill(0, self._tokens(length).tolist(), 0)
            self._texts.append((length, plain.slots.read(0, length)))
        self.with_other_tokens()

    def _run(self, turn: int, slots: range, computed: int) -> list[Tensor]:
        store = self._eager.slots
        length, cache = self._texts[turn % len(self._texts)]
        for slot in slots:
            store.write(slot, cache)
        ids = self._ids[turn, slots.start : slots.stop].tolist()
        step = Rows(slots, ids, [length] * len(slots), idle=computed - len(slots))
        logits = self._eager.decode(step, layers=False).logits
        assert logits is not None and isinstance(store, RowCaches)
        return [logits, torch.stack([store.numbers(slot) for slot in slots])]
