"""The choice of how a model is served: the fastest path that agrees with the model itself.

Rows share slots and a forward where that gives the model's own logits; otherwise each row has
transformers' own cache. Linear layers are packed, and steps captured, where that is right and
faster.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from playground.engine.attention.kv_slots import KVSlots, fit_to_budget
from playground.engine.attention.placement import Grouping
from playground.engine.attention.row_caches import RowCaches, fit_rows
from playground.engine.attention.sdpa import ATTENTION
from playground.engine.attention.weigh import find_grouping, noted_uses
from playground.engine.forward.cuda_graph import Capture, CudaGraphs
from playground.engine.forward.eager import Eager
from playground.engine.forward.packed_linear import (
    MAKERS,
    Group,
    PackedLinears,
    grouped_linears,
    pack,
    unpack,
)
from playground.engine.forward.path import Rows, is_slower
from playground.engine.forward.plain import PackedPlain, Plain, PlainFacts, bytes_of_rows, times_one
from playground.engine.forward.recalled import digest, recalled_row_counts
from playground.engine.forward.reference import Reference, key_value_shapes
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.errors import UnsupportedModel, first_line
from playground.models.architecture import needs_own_cache, rounds_together
from playground.transformers_compat import attention_name, expert_counts

if TYPE_CHECKING:
    from playground.engine.forward.forward import Forward

log = logging.getLogger(__name__)

_MOST_FOR_ONE = 4  # rows that are computed for one, where rows are read together
_COLUMNS = 6  # rows of which a step is held against one of a single row


def prepare(
    forward: Forward,
    rows: int,
    length: int,
    budget: int | None,
    pack_weights: bool,
    capture: Capture | None,
) -> None:
    """Set up the slots and the fastest path that agrees with the model itself."""
    model = forward.model
    own = attention_name(model)
    with grouped_linears(model) as groups:
        reference = Reference(model, forward.vocab_size, length, forward.device, forward.dtype)
    packable = groups if pack_weights and forward.device.type == "cpu" else None
    reason = needs_own_cache(model)
    if reason is None:
        try:
            _share_slots(forward, rows, length, budget, packable, reference, 1 if capture else 0)
        except (UnsupportedModel, ValueError, TypeError, RuntimeError, LookupError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = first_line(error)
    if reason is None:
        if capture is not None:
            _capture(forward, capture, reference)
        return
    unpack(model)
    model.set_attn_implementation(own)
    log.warning("%s: each row has a cache of its own: %s", type(model).__name__, reason)
    try:
        plain = _read_plainly(forward, rows, length, budget, packable, reference)
    except UnsupportedModel as error:
        if reference.looks_ahead(model):
            raise UnsupportedModel("it also attends to later tokens") from error
        raise
    forward.plain = PlainFacts(reason, times_one(plain, min(_COLUMNS, forward.slots.count)))


def _share_slots(
    forward: Forward,
    rows: int,
    length: int,
    budget: int | None,
    groups: list[Group] | None,
    reference: Reference,
    spare: int,
) -> None:
    """Keep the keys and values of all rows in slots; raises where that gives other logits."""
    model = forward.model
    weights = digest(model) if forward.process.remembered else ""
    reference.check_own_cache(forward.text)
    shapes = key_value_shapes(model, reference.prompts[0].ids, forward.device)
    model.set_attn_implementation(ATTENTION)
    rows, length = fit_to_budget(shapes, forward.dtype, rows, length, budget, spare)
    forward.slots = slots = KVSlots(shapes, rows, length, forward.dtype, forward.device, spare)
    with noted_uses() as uses:
        Eager(model, slots, Grouping()).prefill(0, [0], 0)
    forward.eager = Eager(model, slots, find_grouping(uses, forward.dtype, forward.device))
    reference.check(forward)
    if groups is not None:
        _pack(forward, groups, reference)
    forward.eager.head_is_apart = reference.head_is_apart(forward.eager)
    counts = recalled_row_counts(forward.eager, forward.process, weights)
    forward.batch_invariant = counts is not None
    if counts is not None:
        forward.row_counts = counts
    if not forward.batch_invariant and expert_counts(model.config) and forward.device.type == "cpu":
        raise UnsupportedModel("its experts change a row's bits with the rows beside it")
    if not forward.batch_invariant:
        log.warning("%s: a row's bits depend on the batch", type(model).__name__)


def _read_plainly(
    forward: Forward,
    rows: int,
    length: int,
    budget: int | None,
    groups: list[Group] | None,
    reference: Reference,
) -> Plain:
    """Have each row read by itself, with transformers' own cache."""
    text = forward.text
    text.probe()
    constant, per_token = bytes_of_rows(text)
    rows = fit_rows(rows, length, budget, constant, per_token)
    forward.slots = slots = RowCaches(rows, length, forward.device, constant, per_token)
    forward.eager = plain = Plain(text, slots)
    forward.row_counts, forward.batch_invariant = RowCounts.among({1}), True
    try:
        reference.check(forward)
    except (UnsupportedModel, ValueError, TypeError, RuntimeError, LookupError):
        if not text.continues:
            raise
        text.continues = False
        reference.check(forward)
    if not text.continues:
        forward.chunk_size = length
    if groups is not None:
        _pack(forward, groups, reference)
    plain = forward.eager if isinstance(forward.eager, Plain) else plain
    _read_together(forward, plain, reference)
    plain.head_is_apart = reference.head_is_apart(plain)
    return plain


def _read_together(forward: Forward, plain: Plain, reference: Reference) -> None:
    """Have rows of one length share a forward, where each keeps its bits in it.

    Not those of a mixture, nor of layers that round a row by those beside it.
    """
    model = forward.model
    if plain.text.keyword is None or expert_counts(model.config) or rounds_together(model):
        return
    weights = digest(model) if forward.process.remembered else ""
    plain.counts, reason = RowCounts.every(), "no number of rows leaves each its bits"
    try:
        counts = recalled_row_counts(plain, forward.process, weights)
        if counts is not None and counts.lone <= _MOST_FOR_ONE:
            plain.counts = forward.row_counts = counts
            reference.check(forward, one_length=True)
            return
    except torch.OutOfMemoryError:
        raise
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        reason = first_line(error)
    finally:
        for slot in range(forward.slots.count):
            plain.slots.restart(slot)
    plain.counts, forward.row_counts = None, RowCounts.among({1})
    log.info("%s: rows are read one after the other: %s", type(model).__name__, reason)


def _pack(forward: Forward, groups: list[Group], reference: Reference) -> None:
    """Pack the linear layers by every kernel that is right here, if that is faster."""
    eager = forward.eager
    packed: Eager | Plain
    if isinstance(eager, Plain):
        packed = PackedPlain(eager.text, eager.slots)
    else:
        packed = PackedLinears(forward.model, eager.slots, eager.grouping)
    rows = Rows([0, 1], [0, 0], [0, 0])
    reason: object = "torch has no kernel for them here"
    for makers in (MAKERS, MAKERS[1:]):
        try:
            forward.packed_bytes = pack(forward.model, groups, makers, forward.process.kernels)
            forward.eager = packed
            if forward.packed_bytes:
                reference.check(forward)
                if not is_slower(
                    lambda: packed.decode(rows, False), lambda: eager.decode(rows, False)
                ):
                    return
                reason = "they take longer than the model's own"
        except (UnsupportedModel, RuntimeError) as error:
            reason = error
        unpack(forward.model)
        forward.eager, forward.packed_bytes = eager, 0
    warn_without(forward.model, packed.name, reason)


def _capture(forward: Forward, capture: Capture, reference: Reference) -> None:
    """Capture decode steps, where those of every length of text agree with the eager ones."""
    known = min(forward.chunk_size, forward.slots.length)
    generator = torch.Generator().manual_seed(1)
    forward.prefill(0, torch.randint(forward.vocab_size, (known,), generator=generator).tolist())
    try:
        assert isinstance(forward.eager, Eager)
        graphs = CudaGraphs(forward.eager, capture, FIXED_ROWS, MOST_ROWS, known)
        for row in graphs.compared:
            found, eager = graphs.decode(row, False), forward.eager.decode(row, False)
            assert found.logits is not None and eager.logits is not None
            reference.compare(found.logits, eager.logits)
        forward.paths = [graphs]
        reference.check(forward)
        forward.batch_invariant = True  # which its buckets were chosen for
    except Exception as error:
        forward.paths = []
        warn_without(forward.model, CudaGraphs.name, error)


def warn_without(model: Any, way: str, error: object) -> None:
    """Log that a faster path is not used, and why."""
    name = type(model).__name__
    log.warning("%s: %s are not used, and forwards take longer: %s", name, way, error)
