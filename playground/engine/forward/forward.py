"""The forwards that the engine calls: a prompt at once, and one token of many rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from playground.engine.attention.kv_slots import KVSlots
from playground.engine.attention.row_caches import RowCaches
from playground.engine.forward.cuda_graph import Capture, captures
from playground.engine.forward.eager import Eager
from playground.engine.forward.output import EarlyRow, ForwardOutput, HiddenStates, early_rows
from playground.engine.forward.packed_linear import give_up_weights, unpack
from playground.engine.forward.path import ForwardPath, Rows
from playground.engine.forward.plain import Plain, PlainFacts, PlainText
from playground.engine.forward.preparation import prepare, warn_without
from playground.engine.forward.row_counts import RowCounts
from playground.engine.forward.torchscript import TorchScript
from playground.errors import UnsupportedModel
from playground.models.device import empty_cache
from playground.process import Process
from playground.transformers_compat import attention_name, independent_experts

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Prompt tokens of one forward, for which the rows at work wait.
CHUNK_TOKENS = {"cpu": 256, "mps": 512, "cuda": 2048}


class Forward:
    """A causal language model that reads and writes rows of ``KVSlots``.

    ``batch_invariant`` says whether a row's bits are the same in every batch; on a machine where no
    number of rows keeps them, they are not. Raises ``UnsupportedModel`` where the model's logits
    over slots differ from its own.
    """

    def __init__(
        self,
        model: Any,
        *,
        rows: int,
        length: int,
        budget: int | None = None,
        pack_weights: bool = True,
        capture: Capture | None = None,
        process: Process | None = None,
    ) -> None:
        """``rows`` slots of ``length`` tokens, two at least, or what ``budget`` bytes hold.

        ``capture`` is how decode steps are captured, if not as is usual for the device.
        ``process`` is what the models of this process share.
        """
        self.model = model
        self.process = process or Process()
        weight = model.get_input_embeddings().weight
        self.device: torch.device = weight.device
        self.dtype: torch.dtype = weight.dtype
        self.vocab_size = int(weight.shape[0])
        self.chunk_size = CHUNK_TOKENS[self.device.type]
        self.paths: list[ForwardPath] = []  # the fastest first; the eager forward comes after them
        self.row_counts = RowCounts.every()
        self.batch_invariant = False
        self.packed_bytes = 0
        self.torchscript: TorchScript | None = None
        self.plain: PlainFacts | None = None
        self.state_layers: int | None = None  # whose hidden states can be read
        self.text = PlainText(model)
        self.eager: Eager | Plain
        self.slots: KVSlots | RowCaches
        own = attention_name(model)
        restore_experts = independent_experts(model)
        try:
            with torch.inference_mode():
                capture = capture or captures(self.device, self.process)
                prepare(self, rows, length, budget, pack_weights, capture)
                self.state_layers = self._count_state_layers()
                self._free_memory()
        except Exception as error:
            unpack(model)
            model.set_attn_implementation(own)
            restore_experts()
            if isinstance(error, UnsupportedModel | MemoryError | torch.OutOfMemoryError):
                raise
            raise UnsupportedModel(f"it does not run over shared slots: {error}") from error

    @torch.inference_mode()
    def prefill(
        self, slot: int, ids: Sequence[int], start: int = 0, *, states: bool = False
    ) -> ForwardOutput:
        """Write the keys and values of a prompt to ``slot``; the logits after its last token.

        ``ids`` may be a later chunk of it, after ``start`` tokens that the slot holds already. At
        most ``chunk_size`` tokens are read in one forward, however many are given at once, so that
        a prompt's bits do not depend on how it was cut.
        """
        states_read = []
        for first in range(0, len(ids), self.chunk_size):
            chunk = ids[first : first + self.chunk_size]
            output = self._prefill(slot, chunk, start + first, states)
            if output.states is not None:
                states_read.append(output.states.top)
        if len(states_read) > 1 and output.states is not None:
            output = replace(output, states=replace(output.states, top=torch.cat(states_read)))
        return output

    @torch.inference_mode()
    def verify(
        self, slot: int, ids: Sequence[int], start: int, *, states: bool = False
    ) -> ForwardOutput:
        """The logits after each of ``ids``, as many rows; ``slot`` holds ``start`` tokens."""
        return self._read(slot, ids, start, len(ids), states)

    @torch.inference_mode()
    def decode(
        self,
        slots: Sequence[int],
        ids: Sequence[int],
        positions: Sequence[int],
        *,
        states: bool = False,
        early: Sequence[EarlyRow] = (),
    ) -> ForwardOutput:
        """One token of each row, in rising order of ``slots``, at its position.

        The logits of ``early`` layers, of which the states are needed, are computed here only where
        that saves time.
        """
        most, n = self.row_counts.most, len(slots)
        if len(slots) + early_rows(early) > most:
            early = ()
        outputs = []
        for first in range(0, n, most):
            end = min(n, first + most)
            idle = self.row_counts.computed[end - first] - (end - first)
            rows = Rows(slots[first:end], ids[first:end], positions[first:end], idle)
            outputs.append(self._decode(rows, states, early))
        if len(outputs) == 1:
            return outputs[0]
        found = [output.states for output in outputs if output.states is not None]
        return ForwardOutput(
            torch.cat([output.logits for output in outputs]),
            HiddenStates(
                torch.cat([part.layers for part in found], 1),
                torch.cat([part.top for part in found]),
            )
            if found
            else None,
        )

    @torch.inference_mode()
    def head(self, states: Tensor) -> Tensor:
        """The vocabulary head of states ``[n, width]``, float32 ``[n, vocab]``."""
        parts = []
        for part in torch.split(states, self.row_counts.most):
            n = len(part)
            idle = self.row_counts.computed[n] - n
            if idle:
                part = torch.cat([part, part.new_zeros(idle, part.shape[-1])])
            parts.append(self.eager.head(part)[:n])
        return torch.cat(parts)

    def trace(self) -> None:
        """Begin to trace the forwards on a CPU, by a thread that computes beside this one."""
        if self.device.type == "cpu" and not self.paths and isinstance(self.eager, Eager):
            self.torchscript = TorchScript(self.eager, self.process)
            self.paths = [self.torchscript]

    def join_tracing(self) -> None:
        """Wait until the forwards are traced, or cannot be."""
        if self.torchscript is not None:
            self.torchscript.join()

    def close(self) -> None:
        """Trace no more."""
        if self.torchscript is not None:
            self.torchscript.close()

    def _prefill(self, slot: int, ids: Sequence[int], start: int, states: bool) -> ForwardOutput:
        if not states:
            logits = self._by_path(lambda path: path.prefill(slot, ids, start))
            if logits is not None:
                return ForwardOutput(logits)
        return self._read(slot, ids, start, 1, states)

    def _read(
        self, slot: int, ids: Sequence[int], start: int, keep: int, states: bool
    ) -> ForwardOutput:
        """Read tokens of one row; the logits after the last ``keep`` of them."""
        logits, layers = self.eager.read(slot, ids, start, keep, states)
        if layers is None:
            return ForwardOutput(logits)
        return ForwardOutput(logits, HiddenStates(layers[:, -keep:].clone(), layers[-1].clone()))

    def _decode(self, rows: Rows, states: bool, early: Sequence[EarlyRow]) -> ForwardOutput:
        found = self._by_path(lambda path: path.decode(rows, states))
        if found is None:
            found = self.eager.decode(rows, states)
        logits, layers = found.logits, found.layers
        if layers is None:
            assert logits is not None
            return ForwardOutput(logits)
        hidden = HiddenStates(layers, layers[-1])
        if logits is not None:
            return ForwardOutput(logits, hidden)
        of_early = [layers[list(wanted), row] for row, wanted in early]
        all_logits = self.head(torch.cat([layers[-1], *of_early]))  # in one product with the top
        n = len(rows)
        by_row = torch.split(all_logits[n:], [len(wanted) for _, wanted in early])
        return ForwardOutput(all_logits[:n], hidden, dict(zip(early, by_row, strict=True)))

    def _by_path(self, compute: Callable[[ForwardPath], Result | None]) -> Result | None:
        """The result of the first path that has one; a path that fails is not used again."""
        for path in [*self.paths]:
            try:
                result = compute(path)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                warn_without(self.model, path.name, error)
                self.paths.remove(path)
                continue
            if result is not None:
                return result
        return None

    def _free_memory(self) -> None:
        """Give back what only the checks needed: their texts in slots, and weights packed twice."""
        if isinstance(self.slots, KVSlots):
            self.slots.forget()
        give_up_weights(self.model)
        empty_cache(self.device, self.process)

    def _count_state_layers(self) -> int | None:
        """The layers whose hidden states the model returns, as wide as its head reads them."""
        try:
            states = self.prefill(0, [0], states=True).states
            if states is None or self.head(states.top).shape[-1] < 1:
                return None
            return len(states.layers) - 1
        except (RuntimeError, TypeError, AttributeError, IndexError):
            return None
