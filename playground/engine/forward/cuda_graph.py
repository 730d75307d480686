"""The decode step in shapes that do not change, captured as CUDA graphs.

A CUDA graph runs the kernels of one call again, on the memory they had then. The step therefore
reads its rows from one buffer and writes logits and states to others, and there is one graph for
each bucket: a number of rows and a length of text, to which those of a step are rounded up. Which
bucket a row gets depends on the batch, and its bits may not: buckets that change them are not used.
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
from playground.process import Process

Work = Callable[[], None]
Capture = Callable[[Work], Work]  # runs the work once, and returns what repeats it
Bucket = tuple[int, int]  # rows, tokens

_SHORTEST = 128  # tokens of the smallest bucket; each next one is twice as long
_SHORT = 11  # a position in a short text at which buckets are compared
_STATES = 24  # positions at which every bucket is compared, if it is long enough for them
_ROUNDS = 3  # steps in which every bucket is compared, at least


class CannotCapture(RuntimeError):
    """A step that would not be right when it is repeated; the message says why."""


class CudaGraphs:
    """The decode step of a model over slots, captured for every bucket that keeps a row's bits.

    Everything is captured before the first row is served: the model computes nothing else then, and
    no step ever waits for a capture. The slots have a spare one, which idle rows write to.
    """

    name = "CUDA graphs"

    def __init__(self, eager: Eager, capture: Capture, fixed: int, most: int, known: int) -> None:
        """A row's bits are those of a step of ``fixed`` rows; a step has at most ``most`` rows.

        The first slot holds a text of ``known`` tokens, with which the buckets are compared.
        Raises ``CannotCapture``, or what ``capture`` does.
        """
        self._model, self._slots, self._products = eager.model, eager.slots, eager.products
        self._cache_keyword = eager.cache_keyword
        self._queries, slots = eager.grouping.queries, eager.slots
        device = slots.keys.device
        self._pinned = device.type == "cuda"
        self._lengths = [*_doubling(_SHORTEST, slots.length), slots.length]
        self._every_position = torch.arange(slots.length, device=device)
        self._heads = torch.arange(slots.keys.shape[2], device=device)
        self._inputs = torch.zeros(most, 3, dtype=torch.int64, device=device)  # id, position, slot
        self._logits = self._states = torch.empty(0, device=device)
        self.steps: dict[Bucket, Work] = {}
        self._allocate(fixed)
        self._text = slots.read(0, known)
        self._choose_buckets(fixed, [*_doubling(1, min(most, max(fixed, 2 * slots.count - 1)) + 1)])
        for bucket in sorted(self.steps, reverse=True):  # the largest first: others use its memory
            self._idle()
            self.steps[bucket] = capture(self.steps[bucket])
        if not all(map(self._agrees, self.steps)):
            raise CannotCapture("a captured step differs from the step itself")
        self.most = max(rows for rows, length in self.steps if length == slots.length)
        # Rows that were compared; their slot still holds what they attend to.
        self.compared = [self._row(position) for position in self._wanted]
        del self._text, self._wanted
        row = self.compared[0]
        if is_slower(lambda: self.decode(row, False), lambda: eager.decode(row, False)):
            raise CannotCapture("a captured step takes longer than the step itself")

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> None:
        return None

    def decode(self, rows: Rows, layers: bool) -> Decoded:
        """For any number of rows; each bucket has idle rows of its own."""
        logits, states = [], []
        for i in range(0, len(rows), self.most):
            inputs = rows.slots, rows.ids, rows.positions
            part = [list(each[i : i + self.most]) for each in inputs]
            count, length = len(part[0]), max(part[2]) + 1
            bucket = min(b for b in self.steps if b[0] >= count and b[1] >= length)
            found, found_layers = self._run(bucket, *part)
            logits.append(found.clone())  # the next step overwrites the buffers
            states += [found_layers.clone()] if layers else []
        return Decoded(_joined(logits, 0), _joined(states, 1) if layers else None)

    def _run(
        self, bucket: Bucket, slots: Sequence[int], ids: Sequence[int], positions: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Logits and states of one step, as views of the buffers."""
        n, rows = len(slots), bucket[0]
        inputs = [*zip(ids, positions, slots, strict=True)]
        inputs += [(0, 0, self._slots.count)] * (rows - n)
        self._inputs[:rows].copy_(torch.tensor(inputs, pin_memory=self._pinned), non_blocking=True)
        self.steps[bucket]()
        return self._logits[:n], self._states[:, :n]

    def _step(self, rows: int, length: int) -> None:
        """The work that is captured: from the first rows of the inputs to those of the outputs."""
        out = self._forward(rows, length)
        self._logits[:rows].copy_(out.logits[:, -1])
        self._states[:, :rows].copy_(torch.stack([layer[:, 0] for layer in out.hidden_states]))

    def _forward(self, rows: int, length: int) -> Any:
        ids, positions, slots = torch.split(self._inputs[:rows], 1, dim=1)
        first = (slots * len(self._heads) + self._heads) * self._slots.length  # [rows, heads]
        every = self._every_position[:length]
        # Beyond its last token a row reads that token again, masked: what another row left in
        # storage might be NaN, which no mask keeps out.
        read = torch.minimum(every, positions)[:, None]
        mask = torch.zeros(rows, length, dtype=self._slots.keys.dtype, device=every.device)
        mask = mask.masked_fill(every > positions, -torch.inf)[:, None, None]
        write, read = first + positions, first[..., None] + read
        at, capacity = positions[:, 0], self._slots.length
        placed = GatheredPlacement(write, read, mask, at, capacity, self._queries)
        with use_placement(placed), self._products():
            return self._model(
                input_ids=ids,
                position_ids=positions,
                **{self._cache_keyword: self._slots.cache},
                use_cache=True,
                logits_to_keep=1,
                output_hidden_states=True,
            )

    def _idle(self) -> None:
        """Make all rows idle, so that a step of them changes no text."""
        self._inputs[:] = self._inputs.new_tensor([0, 0, self._slots.count])

    def _allocate(self, rows: int) -> None:
        """Allocate the output buffers, of the shapes that a first step has."""
        self._idle()
        out = self._forward(rows, self._lengths[0])
        most, like = len(self._inputs), out.hidden_states[-1]
        self._logits = like.new_zeros(most, out.logits.shape[-1], dtype=torch.float32)
        self._states = like.new_zeros(len(out.hidden_states), most, like.shape[-1])

    def _choose_buckets(self, fixed: int, sizes: Sequence[int]) -> None:
        """Keep the buckets in which a row gets the bits of ``fixed`` rows at the full length."""
        before = list(self._model.buffers())
        full = self._slots.length
        self._reference = (fixed, full)
        self.steps[self._reference] = partial(self._step, fixed, full)
        self._fill()
        if not self._agrees(self._reference):
            raise CannotCapture("a row's bits depend on its slot")
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
        """Fill every slot with the text, repeated, and keep what a token at each compared position
        gives: the same token read there again writes what is there already.
        """
        known, length = self._text.keys.shape[2], self._slots.length
        stores = self._slots.keys, self._slots.values
        for store, text in zip(stores, (self._text.keys, self._text.values), strict=True):
            for start in range(0, length, known):
                store[:, 0, :, start : start + known] = text[:, :, : length - start]
        self._wanted: dict[int, tuple[Tensor, Tensor]] = {}
        for position in self._compared_positions():
            row = self._row(position)
            logits, states = self._run(self._reference, row.slots, row.ids, row.positions)
            self._wanted[position] = logits[0].clone(), states[:, 0].clone()
        self._slots.replicate(0, range(self._slots.count), length)

    def _compared_positions(self) -> list[int]:
        """Rising: the last of every bucket's length, and more of them between."""
        between = torch.linspace(0, self._slots.length - 1, _STATES).long().tolist()
        short = torch.linspace(0, self._lengths[0] - 1, _STATES // 2).long().tolist()
        lasts = [length - 1 for length in self._lengths]
        return sorted({min(_SHORT, self._lengths[0] - 1), *between, *short, *lasts})

    def _row(self, position: int) -> Rows:
        """The row of the first slot at a position, with a token that depends on it alone."""
        vocab = self._model.get_input_embeddings().weight.shape[0]
        return Rows([0], [7919 * position % vocab], [position])

    def _agrees(self, bucket: Bucket) -> bool:
        """Whether rows of different lengths get the wanted bits in every row of a bucket."""
        compared = list(takewhile(lambda position: position < bucket[1], self._wanted))
        compared = [compared[0], *compared[1:][-_STATES:]]
        n = min(bucket[0], self._slots.count)
        for turn in range(max(_ROUNDS, -(-len(compared) // n))):
            positions = [compared[(row + turn * n + turn) % len(compared)] for row in range(n)]
            ids = [self._row(position).ids[0] for position in positions]
            found = self._run(bucket, range(n), ids, positions)
            wanted = [self._wanted[position] for position in positions]
            for part, axis, parts in zip(found, (0, 1), zip(*wanted, strict=True), strict=True):
                if not torch.equal(part, torch.stack(parts, axis)):
                    return False
        return True


def _joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)


def _doubling(first: int, end: int) -> Iterator[int]:
    """``first``, its double, and so on, below ``end``."""
    while first < end:
        yield first
        first *= 2


def captures(device: torch.device, process: Process) -> Capture | None:
    """How steps are captured on a device, or None where they cannot be."""
    return _Graphs(device, process) if device.type == "cuda" else None


class _Graphs:
    """Captures work as CUDA graphs that share one pool of memory: they never run at once.

    As in https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs, the work first runs on a
    side stream, so that nothing is set up inside the capture. Other threads may compute and
    allocate meanwhile (``thread_local``), and may wait for their stream, but not for the device.
    """

    def __init__(self, device: torch.device, process: Process) -> None:
        self._device, self._capturing = device, process.capturing
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        with self._capturing, torch.cuda.device(self._device):
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
