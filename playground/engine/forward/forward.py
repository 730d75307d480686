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
from playground.engine.attention.sdpa import ATTENTION, find_grouping
from playground.engine.forward.cuda_graph import Capture, CudaGraphs, captures
from playground.engine.forward.eager import Eager
from playground.engine.forward.output import EarlyLayers, ForwardOutput, HiddenStates, early_rows
from playground.engine.forward.packed_linear import (
    MAKERS,
    Group,
    PackedLinears,
    pack,
    unpack,
    watched,
)
from playground.engine.forward.path import Decoded, ForwardPath, Rows, is_slower
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.engine.forward.selfcheck import own_scores, prompts, row_counts
from playground.engine.forward.torchscript import TorchScript
from playground.engine.transformers_compat import attention_name, independent_experts
from playground.errors import UnsupportedModel

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Prompt tokens of one forward, for which the rows at work wait.
CHUNK_TOKENS = {"cpu": 256, "mps": 512, "cuda": 2048}
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 2e-2}


class Forward:
    """A causal language model reading and writing rows of a ``KVSlots``.

    ``batch_invariant`` says whether a row's bits are the same in every batch; where that could not
    be had, they are not. Raises ``UnsupportedModel`` where the model's scores over slots differ
    from its own.
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
    ) -> None:
        """``rows`` slots of ``length`` tokens, two at least, or what ``budget`` bytes hold.

        ``capture`` is how decode steps are captured, if not as is usual for the device.
        """
        self.model = model
        weight = model.get_input_embeddings().weight
        self.device: torch.device = weight.device
        self.dtype: torch.dtype = weight.dtype
        self.vocab_size = int(weight.shape[0])
        self.chunk_size = CHUNK_TOKENS[self.device.type]
        own = attention_name(model)
        restore_experts = independent_experts(model)
        try:
            with torch.inference_mode():
                capture = capture or captures(self.device)
                self._prepare(rows, length, budget, pack_weights, capture)
        except Exception as error:
            unpack(model)
            model.set_attn_implementation(own)
            restore_experts()
            if isinstance(error, UnsupportedModel | MemoryError | torch.OutOfMemoryError):
                raise
            raise UnsupportedModel(f"it does not run over shared slots: {error}") from error

    def _prepare(
        self,
        rows: int,
        length: int,
        budget: int | None,
        pack_weights: bool,
        capture: Capture | None,
    ) -> None:
        """Storage, the fastest way that is right, and proof that it is the model itself."""
        model, probe = self.model, prompts(self.vocab_size)
        with watched(model) as groups:
            wanted, shapes = own_scores(model, probe, self.device)
        model.set_attn_implementation(ATTENTION)
        spare = 1 if capture else 0
        rows, length = fit_to_budget(shapes, self.dtype, rows, length, budget, spare)
        self.slots = KVSlots(shapes, rows, length, self.dtype, self.device, spare)
        heads = model.config.get_text_config().num_attention_heads
        grouping: Grouping = find_grouping(heads, shapes[0], self.dtype, self.device)
        self.eager = Eager(model, self.slots, grouping)
        self.paths: list[ForwardPath] = []  # the fastest first, before the eager one
        self.row_counts = RowCounts.every()
        self.packed_bytes = 0
        self.torchscript: TorchScript | None = None
        self._check(probe, wanted)
        if pack_weights and self.device.type == "cpu":
            self._pack(groups, probe, wanted)
        self.eager.head_is_apart = self._head_is_apart(probe)
        counts = row_counts(self.eager)
        self.batch_invariant = counts is not None
        if counts is not None:
            self.row_counts = counts
        if not self.batch_invariant:
            log.warning("%s: a row's bits depend on the batch", type(model).__name__)
        if capture is not None:
            self._capture(capture, probe, wanted)

    @torch.inference_mode()
    def prefill(
        self, slot: int, ids: Sequence[int], start: int = 0, *, states: bool = False
    ) -> ForwardOutput:
        """Write a prompt's keys and values to ``slot``; what follows its last token.

        ``ids`` may be a later piece of it, after ``start`` tokens that the slot holds already. At
        most ``piece`` tokens are read in one forward, whoever asks, so that a prompt's bits do not
        depend on how it was cut.
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
        """What follows each of ``ids``, as many rows; ``slot`` holds ``start`` tokens."""
        return self._read(slot, ids, start, len(ids), states)

    @torch.inference_mode()
    def decode(
        self,
        slots: Sequence[int],
        ids: Sequence[int],
        positions: Sequence[int],
        *,
        states: bool = False,
        early: Sequence[EarlyLayers] = (),
    ) -> ForwardOutput:
        """One token of each row. ``slots`` rise; ``positions`` are where each token stands.

        ``early``, of which states are needed, is answered here only where that saves time.
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
        """What the vocabulary head makes of states ``[n, width]``, float32 ``[n, vocab]``."""
        parts = []
        for part in torch.split(states, self.row_counts.most):
            n = len(part)
            idle = self.row_counts.computed[n] - n
            if idle:
                part = torch.cat([part, part.new_zeros(idle, part.shape[-1])])
            parts.append(self.eager.head(part)[:n])
        return torch.cat(parts)

    def trace(self) -> None:
        """Have the forwards traced meanwhile, on a CPU."""
        if self.device.type == "cpu" and not self.paths:
            self.torchscript = TorchScript(self.eager)
            self.paths = [self.torchscript]

    def join_tracing(self) -> None:
        """Wait until that is done."""
        if self.torchscript is not None:
            self.torchscript.wait()

    def close(self) -> None:
        """Trace no more."""
        if self.torchscript is not None:
            self.torchscript.close()

    def _prefill(self, slot: int, ids: Sequence[int], start: int, states: bool) -> ForwardOutput:
        if not states:
            scores = self._by_path(lambda path: path.prefill(slot, ids, start))
            if scores is not None:
                return ForwardOutput(scores)
        return self._read(slot, ids, start, 1, states)

    def _read(
        self, slot: int, ids: Sequence[int], start: int, keep: int, states: bool
    ) -> ForwardOutput:
        """Tokens of one row, of which the last ``keep`` are answered."""
        scores, layers = self.eager.read(slot, ids, start, keep, states)
        if layers is None:
            return ForwardOutput(scores)
        return ForwardOutput(scores, HiddenStates(layers[:, -keep:].clone(), layers[-1].clone()))

    def _decode(self, rows: Rows, states: bool, early: Sequence[EarlyLayers]) -> ForwardOutput:
        found = self._by_path(lambda path: path.decode(rows, states))
        if found is None:
            found = self.eager.decode(rows, states)
        scores, layers = found.logits, found.layers
        if layers is None:
            assert scores is not None
            return ForwardOutput(scores)
        hidden = HiddenStates(layers, layers[-1])
        if scores is not None:
            return ForwardOutput(scores, hidden)
        asked = [layers[list(wanted), row] for row, wanted in early]  # in one product with the top
        all_scores = self.head(torch.cat([layers[-1], *asked]))
        n = len(rows)
        answers = torch.split(all_scores[n:], [len(wanted) for _, wanted in early])
        return ForwardOutput(all_scores[:n], hidden, dict(zip(early, answers, strict=True)))

    def _by_path(self, ask: Callable[[ForwardPath], Answer | None]) -> Answer | None:
        """The answer of the first way that has one; a way that fails is not taken again."""
        for path in [*self.paths]:
            try:
                answer = ask(path)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._do_without(path.name, error)
                self.paths.remove(path)
                continue
            if answer is not None:
                return answer
        return None

    def _do_without(self, way: str, error: object) -> None:
        name = type(self.model).__name__
        log.warning("%s: %s are not used, and forwards take longer: %s", name, way, error)

    def _pack(self, groups: list[Group], probe: list[list[int]], wanted: list[Tensor]) -> None:
        """Linear layers packed by every kernel that is right here, if that is faster."""
        eager = self.eager
        packed = PackedLinears(self.model, self.slots, eager.grouping)
        rows = Rows([0, 1], [0, 0], [0, 0])
        reason: object = "torch has no kernel for them here"
        for makers in (MAKERS, MAKERS[1:]):
            try:
                self.packed_bytes = pack(self.model, groups, makers)
                self.eager = packed
                if self.packed_bytes:
                    self._check(probe, wanted)
                    if not is_slower(
                        lambda: packed.decode(rows, False), lambda: eager.decode(rows, False)
                    ):
                        return
                    reason = "they take longer than the model's own"
            except (UnsupportedModel, RuntimeError) as error:
                reason = error
            unpack(self.model)
            self.eager, self.packed_bytes = eager, 0
        self._do_without(packed.name, reason)

    def _check(self, probe: list[list[int]], wanted: list[Tensor]) -> None:
        """Two rows of different lengths over slots against the model's own scores."""
        start = [len(ids) - 3 for ids in probe]
        for slot, (ids, first) in enumerate(zip(probe, start, strict=True)):
            self._compare(self.prefill(slot, ids[:first]).logits[0], wanted[slot][first - 1])
        for step in range(3):
            places = [first + step for first in start]
            fed = [ids[place] for ids, place in zip(probe, places, strict=True)]
            for slot, scores in enumerate(self.decode([0, 1], fed, places).logits):
                self._compare(scores, wanted[slot][places[slot]])

    def _capture(self, capture: Capture, probe: list[list[int]], wanted: list[Tensor]) -> None:
        """Captured steps, where they give in every length of text what the eager ones do."""
        known = min(self.chunk_size, self.slots.length)
        generator = torch.Generator().manual_seed(1)
        self.prefill(0, torch.randint(self.vocab_size, (known,), generator=generator).tolist())
        try:
            graphs = CudaGraphs(self.eager, capture, FIXED_ROWS, MOST_ROWS, known)
            for row in graphs.compared:
                found, eager = graphs.decode(row, False), self.eager.decode(row, False)
                assert found.logits is not None and eager.logits is not None
                self._compare(found.logits, eager.logits)
            self.paths = [graphs]
            self._check(probe, wanted)
            self.batch_invariant = True  # which its buckets were chosen for
        except Exception as error:
            self.paths = []
            self._do_without(CudaGraphs.name, error)

    def _compare(self, scores: Tensor, wanted: Tensor) -> None:
        difference = float((scores - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))
        if not difference <= _TOLERANCE.get(self.dtype, 1e-3):
            raise UnsupportedModel(
                f"its scores over shared slots differ from its own by {difference:.1%}"
            )

    def _head_is_apart(self, probe: list[list[int]]) -> bool:
        """Whether the head on the top states is all that makes the scores of them."""
        rows = Rows([0, 1], [ids[-1] for ids in probe], [len(ids) - 1 for ids in probe])
        for slot, ids in enumerate(probe):
            self.prefill(slot, ids)
        scores = self.eager.decode(rows, False).logits
        self.eager.head_is_apart = True
        try:
            layers: Decoded = self.eager.decode(rows, True)
            apart = layers.layers is not None and self.eager.head(layers.layers[-1])
        except (AttributeError, TypeError, RuntimeError):
            return False
        finally:
            self.eager.head_is_apart = False
        return isinstance(apart, Tensor) and scores is not None and torch.equal(apart, scores)
