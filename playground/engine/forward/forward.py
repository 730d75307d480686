"""The forwards that the engine calls: a prompt at once, and one token of many rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from playground.engine.attention.kv_slots import KVSlots, fit_to_budget
from playground.engine.attention.placement import Grouping
from playground.engine.attention.row_caches import RowCaches, fit_rows
from playground.engine.attention.sdpa import ATTENTION
from playground.engine.attention.weigh import find_grouping, noted_uses
from playground.engine.forward.cuda_graph import Capture, CudaGraphs, captures
from playground.engine.forward.eager import Eager
from playground.engine.forward.output import EarlyRow, ForwardOutput, HiddenStates, early_rows
from playground.engine.forward.packed_linear import (
    MAKERS,
    Group,
    PackedLinears,
    grouped_linears,
    pack,
    unpack,
)
from playground.engine.forward.path import ForwardPath, Rows, is_slower
from playground.engine.forward.plain import (
    PackedPlain,
    Plain,
    PlainFacts,
    PlainText,
    bytes_of_rows,
    times_one,
)
from playground.engine.forward.recalled import digest, recalled_row_counts
from playground.engine.forward.reference import Reference, key_value_shapes
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.engine.forward.torchscript import TorchScript
from playground.errors import UnsupportedModel, first_line
from playground.models.architecture import needs_own_cache
from playground.process import Process
from playground.transformers_compat import attention_name, expert_counts, independent_experts

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_COLUMNS = 6  # rows of which a step is held against one of a single row

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
                self._prepare(rows, length, budget, pack_weights, capture)
                self.state_layers = self._count_state_layers()
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
        most ``chunk_size`` tokens are read in one forward, however many are asked for at once, so
        that a prompt's bits do not depend on how it was cut.
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
        asked = [layers[list(wanted), row] for row, wanted in early]  # in one product with the top
        all_logits = self.head(torch.cat([layers[-1], *asked]))
        n = len(rows)
        answers = torch.split(all_logits[n:], [len(wanted) for _, wanted in early])
        return ForwardOutput(all_logits[:n], hidden, dict(zip(early, answers, strict=True)))

    def _by_path(self, ask: Callable[[ForwardPath], Answer | None]) -> Answer | None:
        """The answer of the first path that has one; a path that fails is not used again."""
        for path in [*self.paths]:
            try:
                answer = ask(path)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._warn_without(path.name, error)
                self.paths.remove(path)
                continue
            if answer is not None:
                return answer
        return None

    def _prepare(
        self,
        rows: int,
        length: int,
        budget: int | None,
        pack_weights: bool,
        capture: Capture | None,
    ) -> None:
        """Set up the slots and the fastest way that agrees with the model itself."""
        model = self.model
        own = attention_name(model)
        with grouped_linears(model) as groups:
            reference = Reference(model, self.vocab_size, length, self.device, self.dtype)
        packable = groups if pack_weights and self.device.type == "cpu" else None
        reason = needs_own_cache(model)
        if reason is None:
            try:
                self._share_slots(rows, length, budget, packable, reference, 1 if capture else 0)
            except (UnsupportedModel, ValueError, TypeError, RuntimeError, LookupError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                reason = first_line(error)
        if reason is None:
            if capture is not None:
                self._capture(capture, reference)
            return
        unpack(model)
        model.set_attn_implementation(own)
        log.warning("%s: rows share no forward: %s", type(model).__name__, reason)
        try:
            plain = self._read_plainly(rows, length, budget, packable, reference)
        except UnsupportedModel as error:
            if reference.looks_ahead(model):
                raise UnsupportedModel("it also attends to later tokens") from error
            raise
        self.plain = PlainFacts(reason, times_one(plain, min(_COLUMNS, self.slots.count)))

    def _count_state_layers(self) -> int | None:
        """The layers whose hidden states the model returns, as wide as its head reads them."""
        try:
            states = self.prefill(0, [0], states=True).states
            if states is None or self.head(states.top).shape[-1] < 1:
                return None
            return len(states.layers) - 1
        except (RuntimeError, TypeError, AttributeError, IndexError):
            return None

    def _share_slots(
        self,
        rows: int,
        length: int,
        budget: int | None,
        groups: list[Group] | None,
        reference: Reference,
        spare: int,
    ) -> None:
        """Keep the keys and values of all rows in slots; raises where that is not right."""
        model = self.model
        weights = digest(model) if self.process.remembered else ""
        reference.check_own_cache(self.text)
        shapes = key_value_shapes(model, reference.prompts[0].ids, self.device)
        model.set_attn_implementation(ATTENTION)
        rows, length = fit_to_budget(shapes, self.dtype, rows, length, budget, spare)
        self.slots = slots = KVSlots(shapes, rows, length, self.dtype, self.device, spare)
        with noted_uses() as uses:
            Eager(model, slots, Grouping()).prefill(0, [0], 0)
        self.eager = Eager(model, slots, find_grouping(uses, self.dtype, self.device))
        reference.check(self)
        if groups is not None:
            self._pack(groups, reference)
        self.eager.head_is_apart = reference.head_is_apart(self.eager)
        counts = recalled_row_counts(self.eager, self.process, weights)
        self.batch_invariant = counts is not None
        if counts is not None:
            self.row_counts = counts
        if not self.batch_invariant and expert_counts(model.config) and self.device.type == "cpu":
            raise UnsupportedModel("its experts change a row's bits with the rows beside it")
        if not self.batch_invariant:
            log.warning("%s: a row's bits depend on the batch", type(model).__name__)

    def _read_plainly(
        self,
        rows: int,
        length: int,
        budget: int | None,
        groups: list[Group] | None,
        reference: Reference,
    ) -> Plain:
        """Have each row read by itself, with transformers' own cache."""
        text = self.text
        text.probe()
        constant, per_token = bytes_of_rows(text)
        rows = fit_rows(rows, length, budget, constant, per_token)
        self.slots = slots = RowCaches(rows, length, self.device, constant, per_token)
        self.eager = plain = Plain(text, slots)
        self.row_counts, self.batch_invariant = RowCounts.among({1}), True
        try:
            reference.check(self)
        except (UnsupportedModel, ValueError, TypeError, RuntimeError, LookupError):
            if not text.continues:
                raise
            text.continues = False
            reference.check(self)
        if not text.continues:
            self.chunk_size = length
        if groups is not None:
            self._pack(groups, reference)
        self.eager.head_is_apart = reference.head_is_apart(self.eager)
        return self.eager if isinstance(self.eager, Plain) else plain

    def _pack(self, groups: list[Group], reference: Reference) -> None:
        """Pack the linear layers by every kernel that is right here, if that is faster."""
        eager = self.eager
        packed: Eager | Plain
        if isinstance(eager, Plain):
            packed = PackedPlain(eager.text, eager.slots)
        else:
            packed = PackedLinears(self.model, eager.slots, eager.grouping)
        rows = Rows([0, 1], [0, 0], [0, 0])
        reason: object = "torch has no kernel for them here"
        for makers in (MAKERS, MAKERS[1:]):
            try:
                self.packed_bytes = pack(self.model, groups, makers, self.process.kernels)
                self.eager = packed
                if self.packed_bytes:
                    reference.check(self)
                    if not is_slower(
                        lambda: packed.decode(rows, False), lambda: eager.decode(rows, False)
                    ):
                        return
                    reason = "they take longer than the model's own"
            except (UnsupportedModel, RuntimeError) as error:
                reason = error
            unpack(self.model)
            self.eager, self.packed_bytes = eager, 0
        self._warn_without(packed.name, reason)

    def _capture(self, capture: Capture, reference: Reference) -> None:
        """Capture decode steps, where those of every length of text agree with the eager ones."""
        known = min(self.chunk_size, self.slots.length)
        generator = torch.Generator().manual_seed(1)
        self.prefill(0, torch.randint(self.vocab_size, (known,), generator=generator).tolist())
        try:
            assert isinstance(self.eager, Eager)
            graphs = CudaGraphs(self.eager, capture, FIXED_ROWS, MOST_ROWS, known)
            for row in graphs.compared:
                found, eager = graphs.decode(row, False), self.eager.decode(row, False)
                assert found.logits is not None and eager.logits is not None
                reference.compare(found.logits, eager.logits)
            self.paths = [graphs]
            reference.check(self)
            self.batch_invariant = True  # which its buckets were chosen for
        except Exception as error:
            self.paths = []
            self._warn_without(CudaGraphs.name, error)

    def _warn_without(self, way: str, error: object) -> None:
        name = type(self.model).__name__
        log.warning("%s: %s are not used, and forwards take longer: %s", name, way, error)
