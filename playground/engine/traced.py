"""The decode step on a processor, without Python between its operations.

Of a step of few rows more time goes to Python's way through the model's modules than to arithmetic.
TorchScript records the operations of one step, for any number of rows, and runs them by itself;
other threads have Python to themselves meanwhile. They are the operations of the model's own
forward, so a row keeps its bits, which is checked before a recorded step is used.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from playground.engine.attention import BLOCK, Grouping, Placement, place, placed
from playground.engine.packed import operands
from playground.engine.slots import Slots

log = logging.getLogger(__name__)

# What a trace fixes, such as the number of layers, is fixed; the rest is checked.
warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]

Forward = Callable[
    [Tensor, Tensor], Tensor
]  # of ids and positions, ``[rows, 1]``, under a placement
_ROWS = 4  # at most, of the steps that are recorded and compared
_PLACES = (5, BLOCK + 6, BLOCK + 6, 2 * BLOCK + 2)  # of their tokens


class CannotTrace(RuntimeError):
    """A recorded step that says something else than the step; the message says so."""


class Traced:
    """A forward over slots of one token for each row, recorded by a thread of its own.

    Until it is recorded, and where it cannot be, ``read`` answers None.
    """

    def __init__(self, model: Any, slots: Slots, grouping: Grouping, forward: Forward) -> None:
        self._slots, self._grouping, self._forward = slots, grouping, forward
        self._model = model
        self._program: Any = None
        self._gone = False
        self._thread = threading.Thread(target=self._record, name="trace")

    def start(self, after: Traced | None = None) -> None:
        self._after = after
        self._thread.start()

    def wait(self) -> bool:
        """Whether it is recorded, once that is known."""
        self._thread.join()
        return self._program is not None

    def leave(self) -> None:
        """Record no more, and run nothing that was recorded."""
        self._gone, self._program = True, None

    def read(
        self, slots: Sequence[int], ids: Sequence[int], positions: Sequence[int]
    ) -> Tensor | None:
        """What the forward returns for these rows, or None."""
        program = self._program
        if program is None:
            return None
        try:
            said: Tensor = program(*self._given(self._slots, slots, ids, positions))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._do_without(error)
            return None
        return said

    def _given(
        self, slots: Slots, rows: Sequence[int], ids: Sequence[int], positions: Sequence[int]
    ) -> tuple[Tensor, ...]:
        p = place(rows, positions, self._grouping, slots.keys[0])
        tokens = torch.tensor(list(ids))[:, None]
        return tokens, slots.keys, slots.values, p.slots, p.positions, p.segments, p.mask

    def _run(
        self,
        ids: Tensor,
        keys: Tensor,
        values: Tensor,
        slots: Tensor,
        positions: Tensor,
        segments: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """The step as it is recorded."""
        queries = self._grouping.queries
        placement = Placement(slots, positions, segments, mask, queries, stores=(keys, values))
        with placed(placement):
            return self._forward(ids, positions[:, None])

    @torch.inference_mode()
    def _record(self) -> None:
        if self._after is not None:
            self._after.wait()
        try:
            if not self._gone:
                program = self._traced()
                if not self._gone:
                    self._program = program
        except Exception as error:
            self._do_without(error)

    def _traced(self) -> Any:
        store = self._slots.keys
        length = min(self._slots.length, 3 * BLOCK)
        shape = (store.shape[2], store.shape[4], self._slots.values.shape[4])
        scratch = Slots([shape] * len(store), _ROWS, length, store.dtype, store.device)
        generator = torch.Generator().manual_seed(0)
        filled = [torch.randn(k.shape, generator=generator) for k in (scratch.keys, scratch.values)]
        positions = [min(position, length - 1) for position in _PLACES]

        def given(rows: int) -> tuple[Tensor, ...]:
            return self._given(scratch, range(rows), range(1, rows + 1), positions[:rows])

        def ran(step: Callable[..., Tensor], rows: int) -> list[Tensor]:
            for kept, value in zip((scratch.keys, scratch.values), filled, strict=True):
                kept.copy_(value)
            said = step(*given(rows))
            return [said, scratch.keys.clone(), scratch.values.clone()]

        step = _module(self._model, self._run)
        program: Any = torch.jit.trace(step, given(_ROWS - 1), check_trace=False)  # type: ignore[no-untyped-call]
        for rows in (_ROWS, 1, _ROWS - 1):  # it is made faster as it runs for the second time
            if not all(map(torch.equal, ran(program, rows), ran(self._run, rows))):
                raise CannotTrace("a recorded step says something else than the step itself")
        return program

    def _do_without(self, error: Exception) -> None:
        self.leave()
        name = type(self._model).__name__
        log.warning("%s: decode steps are not recorded and take longer: %s", name, error)


def _module(model: nn.Module, run: Callable[..., Tensor]) -> nn.Module:
    """A module that does what ``run`` does, and holds what ``model`` holds as its own.

    The model's modules are not its parts: a trace would copy their tree, which takes longer than
    the rest of it.
    """

    class Step(nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            return run(*given)

    step = Step()
    parts = [*model.parameters(), *model.buffers(), *operands(model)]
    for index, part in enumerate({id(part): part for part in parts}.values()):
        if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
            step.register_buffer(f"part{index}", part)
        else:
            setattr(step, f"part{index}", part)
    return step.eval()
