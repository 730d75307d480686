"""Forwards on a processor without Python between their operations.

Of a step of few rows more time goes to Python's way through the model's modules than to arithmetic.
TorchScript traces the operations of one forward, for any number of rows, and runs them by itself;
other threads have Python to themselves meanwhile. They are the operations of the model's own
forward, so a row keeps its bits, which is checked before a traced forward is used.
"""

from __future__ import annotations

import atexit
import logging
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from playground.engine.attention import BLOCK, Grouping, Part, Placement, place, placed
from playground.engine.packed import operands
from playground.engine.slots import Slots

log = logging.getLogger(__name__)

# What a trace fixes, such as the number of layers, is fixed; the rest is checked.
warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
# Everybody is told so from torch 2.15 on; where it is gone, forwards are not traced.
warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)

Forward = Callable[[Tensor, Tensor], Tensor]  # of ids and positions ``[rows, tokens]``, placed
_ROWS = 4  # at most, of the steps that are traced and compared
_LONGEST = BLOCK + 16  # tokens of a row, whose keys are then laid out to more than one length
_PLACES = (5, BLOCK + 6, BLOCK + 6, BLOCK - 1)  # of the steps' tokens
_PIECES = ((9, 0), (BLOCK + 3, 0), (7, BLOCK + 1), (1, 9), (9, 0))  # tokens read, after so many


_tracing = threading.Lock()  # torch keeps what is being traced for the whole process
_traces: weakref.WeakSet[Traces] = weakref.WeakSet()


class CannotTrace(RuntimeError):
    """A traced forward that says something else than the forward; the message says so."""


class Traces:
    """The forwards of a model over slots, traced one after the other by a thread of its own.

    Those that are not traced, or not yet, answer None.
    """

    def __init__(
        self,
        model: Any,
        slots: Slots,
        grouping: Grouping,
        scores: Forward,
        layers: Forward | None,
    ) -> None:
        """``scores`` and, if it may be read apart, ``layers`` are what the steps are to return."""
        self.scores = Step(model, slots, grouping, scores)
        self.piece = Piece(model, slots, grouping, scores)
        self.layers = Step(model, slots, grouping, layers)
        self._each: list[Traced] = [self.scores, self.piece, self.layers]
        # Nobody waits for it at the end of a program, but for the one forward being traced then.
        self._thread = threading.Thread(target=self._trace, name="trace", daemon=True)
        _traces.add(self)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()

    def leave(self) -> None:
        """Trace no more, and run nothing that was traced."""
        for traced in self._each:
            traced.leave()

    @torch.inference_mode()
    def _trace(self) -> None:
        for traced in self._each:
            traced.trace()


@atexit.register
def _stop() -> None:
    for traces in list(_traces):
        traces.leave()
        traces.wait()


class Traced:
    """One forward over slots as a program, which ``read`` runs where there is one."""

    def __init__(
        self, model: Any, slots: Slots, grouping: Grouping, forward: Forward | None
    ) -> None:
        self._model, self._slots, self._grouping, self._forward = model, slots, grouping, forward
        self._program: Any = None
        self._gone = forward is None
        self._failed = False
        self._lock = threading.Lock()

    def leave(self) -> None:
        with self._lock:
            self._gone, self._program = True, None

    def trace(self) -> None:
        """Make the program; a word in the log where that cannot be."""
        try:
            program = None if self._gone else self._made()
            with self._lock:
                self._program = None if self._gone else program
        except Exception as error:
            self._do_without(error)

    def read(self, *rows: Any) -> Tensor | None:
        """What the forward returns for these rows, or None."""
        program = self._program
        if program is None:
            return None
        try:
            said: Tensor = program(*self.given(self._slots, *rows))
        except RuntimeError as error:  # of memory, too, whose lack may pass
            if self._failed:
                self._do_without(error)
            self._failed = True
            return None
        self._failed = False
        return said

    def given(self, slots: Slots, *rows: Any) -> tuple[Tensor, ...]:
        """What the program is called with: ids and positions first, then keys and values."""
        raise NotImplementedError

    def placement(
        self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor
    ) -> Placement | Part:
        """Where that has its rows stand."""
        raise NotImplementedError

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        """Rows of ``length`` tokens at most: the first are traced, the others compared."""
        raise NotImplementedError

    def _run(self, ids: Tensor, positions: Tensor, *rest: Tensor) -> Tensor:
        assert self._forward is not None
        with placed(self.placement(positions, *rest)):
            return self._forward(ids, positions)

    def _made(self) -> Any:
        store = self._slots.keys
        length = min(self._slots.length, _LONGEST)
        shape = (store.shape[2], store.shape[4], self._slots.values.shape[4])
        scratch = Slots([shape] * len(store), _ROWS, length, store.dtype, store.device)
        stores = scratch.keys, scratch.values
        first, *others = self.examples(length)

        def ran(forward: Callable[..., Tensor], rows: tuple[Any, ...]) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            for store in stores:
                store.normal_(generator=generator)
            return forward(*self.given(scratch, *rows))

        step = _module(self._model, self._run)
        given = self.given(scratch, *first)
        with _tracing:
            program: Any = torch.jit.trace(step, given, check_trace=False, _store_inputs=False)  # type: ignore[no-untyped-call]
        for rows in others:  # it is made faster as it runs for the second time
            said = ran(program, rows)
            written = [store.clone() for store in stores]
            wanted = ran(self._run, rows)
            if not all(map(torch.equal, (said, *written), (wanted, *stores))):
                raise CannotTrace("a traced forward says something else than the forward itself")
        return program

    def _do_without(self, error: Exception) -> None:
        self.leave()
        name = type(self._model).__name__
        log.warning("%s: forwards are not traced and take longer: %s", name, error)


class Step(Traced):
    """One token of each row."""

    def given(self, slots: Slots, *rows: Any) -> tuple[Tensor, ...]:
        """Of ``rows``' slots, ids and positions."""
        where, ids, positions = rows
        p = place(where, positions, self._grouping, slots.keys[0])
        tokens = torch.tensor(list(ids))[:, None]
        stores = slots.keys, slots.values
        return tokens, p.positions[:, None], *stores, p.slots, p.segments, p.mask

    def placement(
        self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor
    ) -> Placement:
        slots, segments, mask = rest
        queries, stores = self._grouping.queries, (keys, values)
        return Placement(slots, positions[:, 0], segments, mask, queries, stores=stores)

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        places = [min(place, length - 1) for place in _PLACES]
        return [
            (range(rows), range(1, rows + 1), places[:rows])
            for rows in (_ROWS - 1, _ROWS, 1, _ROWS - 1)
        ]


class Piece(Traced):
    """Tokens of one row, of which the last is answered."""

    def given(self, slots: Slots, *rows: Any) -> tuple[Tensor, ...]:
        """Of one row's slot, its ids, and the position of the first of them."""
        slot, ids, start = rows
        part = Part.of(slot, start, len(ids), slots.keys.device)
        positions = torch.arange(start, start + len(ids))[None]
        stores = slots.keys, slots.values
        return torch.tensor([list(ids)]), positions, *stores, part.where, part.mask

    def placement(self, positions: Tensor, keys: Tensor, values: Tensor, *rest: Tensor) -> Part:
        where, mask = rest
        return Part(where, mask, (keys, values))

    def examples(self, length: int) -> list[tuple[Any, ...]]:
        fitting = [(n, start) for n, start in _PIECES if n + start <= length]
        return [(1, range(1, n + 1), start) for n, start in fitting]


def _module(model: nn.Module, run: Callable[..., Tensor]) -> nn.Module:
    """A module that does what ``run`` does, and holds what ``model`` holds as its own.

    The model's modules are not its parts: a trace would copy their tree, which takes longer than
    the rest of it.
    """

    class Holder(nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            return run(*given)

    holder = Holder()
    parts = [*model.parameters(), *model.buffers(), *operands(model)]
    for index, part in enumerate({id(part): part for part in parts}.values()):
        if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
            holder.register_buffer(f"part{index}", part)
        else:
            setattr(holder, f"part{index}", part)
    return holder.eval()
