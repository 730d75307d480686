"""The decode step in shapes that do not change, so that a GPU can be handed it whole.

A CUDA graph runs the kernels of one call again, on the memory they had then. The step therefore
finds its rows in one buffer and leaves what was said in others, and there is one graph for each
number of rows and length of text, to which a step's own are rounded up. A row must get the same
bits whichever is taken, for that depends on its company: buckets that give it others are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention.placement import GatheredPlacement, use_placement
from playground.engine.forward.eager import Eager
from playground.engine.forward.path import Decoded, Rows, is_slower
from playground.models import device

Work = Callable[[], None]
Capture = Callable[[Work], Work]  # of one call of the work, what does it again
Bucket = tuple[int, int]  # rows, tokens

_SHORTEST = 128  # tokens of the smallest bucket; each next one is twice as long
_SHORT = 11  # position in a short text, when buckets are compared
_STATES = 24  # different ones with which every bucket is compared, if it is long enough for them
_ROUNDS = 3  # of a bucket's rows over those states, at least


class CannotCapture(RuntimeError):
    """A step that would not run right when it is run again; the message says why."""


class CudaGraphs:
    """The decode step of a model over slots, captured for every bucket that keeps a row's bits.

    Everything is captured before the first row is served: nobody else uses the model then, and no
    step ever waits for it. The slots have a spare one, which idle rows write to.
    """

    name = "CUDA graphs"

    def __init__(self, eager: Eager, capture: Capture, fixed: int, most: int, known: int) -> None:
        """A row's bits are those of a step of ``fixed`` rows; ``most`` rows are one step at most.

        The first slot holds a text of ``known`` tokens, with which the buckets are compared.
        Raises ``CannotCapture``, or what ``capture`` does.
        """
        self._model, self._slots, self._products = eager.model, eager.slots, eager.products
        self._cache_keyword = eager.cache_keyword
        self._queries, slots = eager.grouping.queries, eager.slots
        device = slots.keys.device
        self._pinned = device.type == "cuda"
        self._lengths = [*_doubling(_SHORTEST, slots.length), slots.length]
        self._places = torch.arange(slots.length, device=device)
        self._heads = torch.arange(slots.keys.shape[2], device=device)
        self._given = torch.zeros(most, 3, dtype=torch.int64, device=device)  # id, position, slot
        self._scores = self._states = torch.empty(0, device=device)
        self.steps: dict[Bucket, Work] = {}
        self._allocate(fixed)
        self._text = slots.read(0, known)
        self._settle(fixed, [*_doubling(1, min(most, max(fixed, 2 * slots.count - 1)) + 1)])
        for bucket in sorted(self.steps, reverse=True):  # the largest first: others use its memory
            self._idle()
            self.steps[bucket] = capture(self.steps[bucket])
        if not all(map(self._agrees, self.steps)):
            raise CannotCapture("a captured step differs from the step itself")
        self.most = max(rows for rows, length in self.steps if length == slots.length)
        # Rows that were compared; their slot still holds what they attend to.
        self.compared = [self._row(place) for place in self._wanted]
        del self._text, self._wanted
        row = self.compared[0]
        if is_slower(lambda: self.decode(row, False), lambda: eager.decode(row, False)):
            raise CannotCapture("a captured step takes longer than the step itself")

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> None:
        return None

    def decode(self, rows: Rows, layers: bool) -> Decoded:
        """Of any number of rows; idle ones are the buckets' own."""
        scores, states = [], []
        for i in range(0, len(rows), self.most):
            given = rows.slots, rows.ids, rows.positions
            part = [list(each[i : i + self.most]) for each in given]
            count, length = len(part[0]), max(part[2]) + 1
            bucket = min(b for b in self.steps if b[0] >= count and b[1] >= length)
            found, found_layers = self._run(bucket, *part)
            scores.append(found.clone())  # the next step takes the buffers
            states += [found_layers.clone()] if layers else []
        return Decoded(_whole(scores, 0), _whole(states, 1) if layers else None)

    def _run(
        self, bucket: Bucket, slots: Sequence[int], ids: Sequence[int], positions: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Scores and states of one step, in the buffers."""
        n, rows = len(slots), bucket[0]
        given = [*zip(ids, positions, slots, strict=True)]
        given += [(0, 0, self._slots.count)] * (rows - n)
        self._given[:rows].copy_(torch.tensor(given, pin_memory=self._pinned), non_blocking=True)
        self.steps[bucket]()
        return self._scores[:n], self._states[:, :n]

    def _step(self, rows: int, length: int) -> None:
        """What is captured: from the first rows of one buffer to those of the others."""
        out = self._forward(rows, length)
        self._scores[:rows].copy_(out.logits[:, -1])
        self._states[:, :rows].copy_(torch.stack([layer[:, 0] for layer in out.hidden_states]))

    def _forward(self, rows: int, length: int) -> Any:
        ids, positions, slots = torch.split(self._given[:rows], 1, dim=1)
        first = (slots * len(self._heads) + self._heads) * self._slots.length  # [rows, heads]
        places = self._places[:length]
        # In the place of a token that is not there the row's own is read, which is no NaN of
        # another's, as what was left in storage might be.
        shown = torch.minimum(places, positions)[:, None]
        mask = torch.zeros(rows, length, dtype=self._slots.keys.dtype, device=places.device)
        mask = mask.masked_fill(places > positions, -torch.inf)[:, None, None]
        seen = GatheredPlacement(first + positions, first[..., None] + shown, mask, self._queries)
        with use_placement(seen), self._products():
            return self._model(
                input_ids=ids,
                position_ids=positions,
                **{self._cache_keyword: self._slots.cache},
                use_cache=True,
                logits_to_keep=1,
                output_hidden_states=True,
            )

    def _idle(self) -> None:
        """Rows that stand for nobody, so that a step of them changes nobody's text."""
        self._given[:] = self._given.new_tensor([0, 0, self._slots.count])

    def _allocate(self, rows: int) -> None:
        """Buffers for what is said, as a first step shows them."""
        self._idle()
        out = self._forward(rows, self._lengths[0])
        most, like = len(self._given), out.hidden_states[-1]
        self._scores = like.new_zeros(most, out.logits.shape[-1], dtype=torch.float32)
        self._states = like.new_zeros(len(out.hidden_states), most, like.shape[-1])

    def _settle(self, fixed: int, sizes: Sequence[int]) -> None:
        """Keep the buckets in which a row gets the bits of ``fixed`` rows and the full length."""
        before = list(self._model.buffers())
        full = self._slots.length
        self._reference = (fixed, full)
        self.steps[self._reference] = partial(self._step, fixed, full)
        self._fill()
        if not self._agrees(self._reference):
            raise CannotCapture("a row's bits depend on the place where it stands")
        for rows in sizes:
            for length in reversed(self._lengths):
                if not self._keeps((rows, length)) and length == full:
                    break
        if any(a is not b for a, b in zip(before, self._model.buffers(), strict=True)):
            raise CannotCapture("the model replaces its own tensors as it reads")

    def _keeps(self, bucket: Bucket) -> bool:
        if bucket in self.steps:
            return True
        self.steps[bucket] = partial(self._step, *bucket)
        kept = self._agrees(bucket)
        if not kept:
            del self.steps[bucket]
            self._fill()
        return kept

    def _fill(self) -> None:
        """The text in every slot, over and over, and what follows a token at places in it: the
        same token read there again writes what stands there already.
        """
        known, length = self._text[0].shape[2], self._slots.length
        for store, text in zip((self._slots.keys, self._slots.values), self._text, strict=True):
            for start in range(0, length, known):
                store[:, 0, :, start : start + known] = text[:, :, : length - start]
        self._wanted: dict[int, tuple[Tensor, Tensor]] = {}
        for place in self._compared_places():
            row = self._row(place)
            scores, states = self._run(self._reference, row.slots, row.ids, row.positions)
            self._wanted[place] = scores[0].clone(), states[:, 0].clone()
        self._slots.replicate(0, range(self._slots.count), length)

    def _compared_places(self) -> list[int]:
        """Rising: the last of every bucket's length, and more of them between."""
        between = torch.linspace(0, self._slots.length - 1, _STATES).long().tolist()
        short = torch.linspace(0, self._lengths[0] - 1, _STATES // 2).long().tolist()
        lasts = [length - 1 for length in self._lengths]
        return sorted({min(_SHORT, self._lengths[0] - 1), *between, *short, *lasts})

    def _row(self, place: int) -> Rows:
        """The row of the first slot that stands there, of a token of that place alone."""
        vocab = self._model.get_input_embeddings().weight.shape[0]
        return Rows([0], [7919 * place % vocab], [place])

    def _agrees(self, bucket: Bucket) -> bool:
        """Whether rows of different lengths get what is wanted in every place of a bucket."""
        places = list(takewhile(lambda place: place < bucket[1], self._wanted))
        places = [places[0], *places[1:][-_STATES:]]
        n = min(bucket[0], self._slots.count)
        for turn in range(max(_ROUNDS, -(-len(places) // n))):
            positions = [places[(row + turn * n + turn) % len(places)] for row in range(n)]
            ids = [self._row(position).ids[0] for position in positions]
            found = self._run(bucket, range(n), ids, positions)
            wanted = [self._wanted[place] for place in positions]
            for part, axis, parts in zip(found, (0, 1), zip(*wanted, strict=True), strict=True):
                if not torch.equal(part, torch.stack(parts, axis)):
                    return False
        return True


def _whole(parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)


def _doubling(first: int, end: int) -> Iterator[int]:
    """``first`` and what doubling it gives, below ``end``."""
    while first < end:
        yield first
        first *= 2


def captures(device: torch.device) -> Capture | None:
    """How steps are captured on a device, if they are."""
    return _Graphs(device) if device.type == "cuda" else None


class _Graphs:
    """Captures work as CUDA graphs that share one pool of memory: they never run at once.

    As https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs has it: first run on a side
    stream, so that nothing is set up inside the capture. Other threads may compute and allocate
    meanwhile (``thread_local``), and may wait for their stream, not for the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        with device.CAPTURING, torch.cuda.device(self._device):
            here = torch.cuda.current_stream()
            with torch.cuda.stream(here):  # a capture that fails leaves its own stream in place
                self._stream.wait_stream(here)
                with torch.cuda.stream(self._stream):
                    work()
                here.wait_stream(self._stream)
                with torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                ):
                    work()
        return graph.replay
