"""Forwards on a CPU without Python between their operations.

A step of few rows spends more time in the Python code of the model's modules than in arithmetic.
TorchScript traces the operations of one forward, for any number of rows, and runs them by itself;
other threads may run Python meanwhile. They are the operations of the model's own forward, so a
row keeps its bits, which is checked before a traced forward is used.
"""

from __future__ import annotations

import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from playground.engine.attention.kv_slots import KVShape, KVSlots
from playground.engine.attention.placement import (
    BLOCK,
    DecodePlacement,
    PrefillPlacement,
    use_placement,
)
from playground.engine.forward.constant_pooling import share_constants
from playground.engine.forward.eager import Eager
from playground.engine.forward.packed_linear import operands
from playground.engine.forward.path import Decoded, Rows, is_slower
from playground.engine.forward.rebuilt_weight import RebuiltWeight
from playground.models.device import empty_cache
from playground.process import Process

log = logging.getLogger(__name__)

# What a trace takes for constant, such as the number of layers, is constant; the rest is compared.
if _noise := getattr(getattr(torch, "jit", None), "TracerWarning", None):
    warnings.filterwarnings("ignore", category=_noise)
# torch 2.15 begins to warn of TorchScript. Where it is gone, forwards are not traced.
warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)

Forward = Callable[[Tensor, Tensor], Tensor]  # of ids and positions ``[rows, tokens]``
_ROWS = 4  # at most, of the steps that are traced and compared
_LONGEST = BLOCK + 16  # tokens of a row, whose keys are then laid out to more than one length
_POSITIONS = (5, BLOCK + 6, BLOCK + 6, BLOCK - 1)  # of the steps' tokens
_CHUNKS = ((9, 0), (BLOCK + 3, 0), (7, BLOCK + 1), (1, 9), (9, 0))  # so many tokens, after others
_COMPARED = 24  # further steps of each program, each of other tokens and states


class CannotTrace(RuntimeError):
    """A traced forward is wrong or slower; the message says which."""


class TorchScript:
    """The forwards of an eager one, traced one after the other by threads of its own.

    Those that are not traced, or not yet, return None.
    """

    name = "TorchScript"

    def __init__(self, eager: Eager, process: Process) -> None:
        self._device, self._process = eager.device, process
        self.step = Step(eager, eager.logits, process)
        self.chunk = Chunk(eager, eager.logits, process)
        self.layers = Step(eager, eager.layers if eager.head_is_apart else None, process)
        self._each: list[Program] = [self.step, self.chunk, self.layers]
        self._ending, self._threads = threading.Event(), list[threading.Thread]()
        self._layers_begun, self._one = False, threading.Lock()
        weakref.finalize(self, _end, self._ending, self._threads)  # at the exit of Python, too
        self._begin(self.step, self.chunk)

    def prefill(self, slot: int, ids: Sequence[int], start: int) -> Tensor | None:
        return self.chunk.read(slot, ids, start)

    def decode(self, rows: Rows, layers: bool) -> Decoded | None:
        if layers:
            self.trace_layers()
            found = self.layers.read(rows)
            return None if found is None else Decoded(layers=found[:, : len(rows)])
        logits = self.step.read(rows)
        return None if logits is None else Decoded(logits[: len(rows)])

    def trace_layers(self) -> None:
        """Begin to trace the step whose layers are read, as the first such step does: few recipes
        have one.
        """
        if not self._layers_begun:
            self._layers_begun = True
            self._begin(self.layers)

    def join(self) -> None:
        """Wait until every forward that was begun is traced, or cannot be."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Trace no more, and run nothing that was traced."""
        for program in self._each:
            program.close()

    def _begin(self, *programs: Program) -> None:
        thread = threading.Thread(target=self._trace, args=programs, name="trace", daemon=True)
        self._threads.append(thread)
        thread.start()

    @torch.inference_mode()
    def _trace(self, *programs: Program) -> None:
        with self._one:  # what else is traced would take part of the time of what is compared
            for program in programs:
                if not self._ending.is_set():
                    program.trace()
        empty_cache(self._device, self._process)


def _end(ending: threading.Event, threads: list[threading.Thread]) -> None:
    """Trace no further forward, and wait for the one being traced: Python may not end before."""
    ending.set()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()


class Program:
    """One forward over slots as a TorchScript program, which ``read`` runs once there is one."""

    def __init__(self, eager: Eager, forward: Forward | None, process: Process) -> None:
        self._eager, self._forward, self._process = eager, forward, process
        self._slots, self._grouping = eager.slots, eager.grouping
        self._program: Any = None
        self._closed = forward is None
        self._failed = False
        self._lock = threading.Lock()

    @property
    def is_made(self) -> bool:
        return self._program is not None

    def close(self) -> None:
        with self._lock:
            self._closed, self._program = True, None

    def trace(self) -> None:
        """Make the program; where that cannot be, the log says why."""
        try:
            program = None if self._closed else self._made()
            with self._lock:
                self._program = None if self._closed else program
        except Exception as error:
            self._do_without(error)

    def read(self, *rows: Any) -> Tensor | None:
        """What the forward returns for these rows; None where there is no program, or it fails."""
        program = self._program
        if program is None:
            return None
        try:
            with _as_traced():
                found: Tensor = program(*self.given(self._slots, *rows))
        except RuntimeError as error:  # a lack of memory may pass, so once is no reason
            if self._failed:
                self._do_without(error)
            self._failed = True
            return None
        self._failed = False
        return found

    def given(self, slots: KVSlots, *rows: Any) -> tuple[Tensor, ...]:
        """The program's arguments: ids and positions first, then keys and values."""
        raise NotImplementedError

    def placement(
        self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor
    ) -> DecodePlacement | PrefillPlacement:
        """The placement of the rows of these arguments."""
        raise NotImplementedError

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        """Rows of at most ``length`` tokens: the first are traced, the others compared."""
        raise NotImplementedError

    def _run(self, ids: Tensor, positions: Tensor, *rest: Tensor) -> Tensor:
        assert self._forward is not None
        with use_placement(self.placement(positions, *rest)):
            return self._forward(ids, positions)

    def _made(self) -> Any:
        store = self._slots.keys
        length = min(self._slots.length, _LONGEST)
        shape = KVShape(store.shape[2], store.shape[4], self._slots.values.shape[4])
        scratch = KVSlots([shape] * len(store), _ROWS, length, store.dtype, store.device)
        stores = scratch.keys, scratch.values
        first, *others = self.examples(length)

        def ran(forward: Callable[..., Tensor], rows: tuple[Any, ...]) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            for store in stores:
                store.normal_(generator=generator)
            with _as_traced():
                return forward(*self.given(scratch, *rows))

        step = _module(self._eager.model, self._run)
        given = self.given(scratch, *first)
        with self._process.tracing:
            program: Any = torch.jit.trace(step, given, check_trace=False, _store_inputs=False)  # type: ignore[no-untyped-call]
        share_constants(program)
        for rows in others:
            found = ran(program, rows)
            written = [store.clone() for store in stores]
            wanted = ran(self._run, rows)
            if not all(map(torch.equal, (found, *written), (wanted, *stores))):
                raise CannotTrace("a traced forward differs from the forward itself")
        if is_slower(lambda: ran(program, first), lambda: ran(self._run, first)):
            raise CannotTrace("a traced forward takes longer than the forward itself")
        return program

    def _do_without(self, error: Exception) -> None:
        self.close()
        name = type(self._eager.model).__name__
        log.warning("%s: forwards are not traced and take longer: %s", name, error)


class Step(Program):
    """One token of each row."""

    def given(self, slots: KVSlots, *rows: Any) -> tuple[Tensor, ...]:
        """The arguments for one ``Rows``."""
        (step,) = rows
        p = DecodePlacement.of(step.slots, step.positions, self._grouping, slots.keys[0])
        idle = [0] * step.idle
        ids = torch.tensor([*step.ids, *idle])[:, None]
        positions = torch.tensor([*step.positions, *idle])[:, None]
        return ids, positions, slots.keys, slots.values, p.slots, p.segments, p.mask

    def placement(
        self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor
    ) -> DecodePlacement:
        slots, segments, mask = rest
        queries, stores = self._grouping.queries, (keys, values)
        at, capacity = positions[: slots.shape[0], 0], self._slots.length
        return DecodePlacement(slots, at, segments, mask, capacity, queries, stores=stores)

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        positions = [min(position, length - 1) for position in _POSITIONS]
        found = [(Rows(range(n), range(1, n + 1), positions[:n]),) for n in (3, 4, 1, 3)]
        vocab = self._eager.model.get_input_embeddings().weight.shape[0]
        for turn in range(_COMPARED):
            n = turn % _ROWS + 1
            ids = [(7919 * turn + row) % vocab for row in range(n)]
            found.append((Rows(range(n), ids, positions[:n], idle=turn // _ROWS % 3),))
        return found


class Chunk(Program):
    """Tokens of one row, and the logits after the last."""

    def given(self, slots: KVSlots, *rows: Any) -> tuple[Tensor, ...]:
        """The arguments for a row's slot, its ids, and the position of the first of them."""
        slot, ids, start = rows
        part = PrefillPlacement.of(slot, start, len(ids), slots.keys[0])
        positions = torch.arange(start, start + len(ids))[None]
        stores = slots.keys, slots.values
        return torch.tensor([list(ids)]), positions, *stores, part.origin, part.mask

    def placement(
        self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor
    ) -> PrefillPlacement:
        origin, mask = rest
        capacity = self._slots.length
        return PrefillPlacement(origin, mask, positions[0], capacity, (keys, values))

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        fitting = [(n, start) for n, start in _CHUNKS if n + start <= length]
        return [(1, range(1, n + 1), start) for n, start in fitting]


def _as_traced() -> AbstractContextManager[None]:
    """Inside, programs run as they were traced.

    What torch makes of one in its first runs is no faster here: a step's operations are not fused
    on a CPU. It takes time and, for a program of thousands of nodes, tens of MB.
    """
    jit: Any = torch.jit
    as_traced: AbstractContextManager[None] = jit.optimized_execution(False)
    return as_traced


def _module(model: nn.Module, run: Callable[..., Tensor]) -> nn.Module:
    """A module that calls ``run``, and holds the tensors of ``model`` as its own.

    The model's modules are not part of it: a trace would copy their tree, which takes longer than
    all else.
    """

    class Holder(nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            return run(*given)

    holder = Holder()
    tensors = dict.fromkeys([*model.parameters(), *model.buffers()])
    for index, part in enumerate([*tensors, *operands(model)]):
        if isinstance(part, RebuiltWeight):
            continue  # its packed form is among the operands
        if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
            holder.register_buffer(f"part{index}", part)
        else:
            setattr(holder, f"part{index}", part)
    return holder.eval()
