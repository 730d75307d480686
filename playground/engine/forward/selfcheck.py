"""In which numbers of rows a row keeps its bits: found out when a model is loaded.

A kernel may sum a lone row in another order than several, and in 16 bits most inputs round to the
same all the same: one number of rows may differ for one input in dozens. So each number is tried
with many different inputs, in two ways:

- Each product and norm by itself, on states of the model's own forward (``operation_check``):
  ``INPUTS`` of each kind of operation as a lone row, and ``BATCHES`` of every number of rows up to
  ``FIXED_ROWS`` (fewer of a large one), each with another input as its last row, which a kernel may
  treat apart. What differs for a share s of n inputs is missed with a chance of (1 - s) ** n: as a
  lone row for one input in fifty 3e-5, for one in two hundred 8 %; in the last of n rows for one in
  fifty 52 % for a single number of rows, and 1 % for a kernel that treats every other number so. A
  kind of one module, as the vocabulary head, shows as many inputs as the text has tokens: one in
  fifty, 0.6 %.
- Whole decode steps (``step_check``), ``STATES`` of rows for the smallest numbers and one step for
  some larger ones, at positions before and beyond a block of keys, in which every layer's keys and
  values are compared beside the logits. What differs in one operation of each layer for one input
  in fifty differs in about every other step of a model of 30 layers: missed with a chance of 1e-7.

Kernels work by blocks of rows. Where some number from two on differs, however rarely, all are
rounded up to multiples of 2, 4, 8 or 16, whichever is the first that showed no difference. The
choice is verified on ``AGAIN`` other states.
"""

from __future__ import annotations

from playground.engine.forward.eager import Eager
from playground.engine.forward.operation_check import differing, operations
from playground.engine.forward.plain import Plain
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.engine.forward.step_check import steps_of
from playground.process import Measurements

STATES, AGAIN = 24, 12
_SMALL = 4  # rows, up to which so many states are tried in whole steps
_STEPS = (5, 8, 9, 13, 16, 17, 33)  # rows of one step each
_CHOSEN = (1, 2, 3, 7, 13, FIXED_ROWS)  # rows with which a choice is tried again


def row_counts(eager: Eager | Plain, kernels: Measurements) -> RowCounts | None:
    """The numbers of rows in which a row keeps its bits, those between rounded up to them.

    None where no choice of them was right on other states.
    """
    checked = operations(eager)
    with eager.products():
        bad = set().union(*(differing(operation, kernels) for operation in checked.operations))
    steps = steps_of(eager, max(STATES, MOST_ROWS))
    bad |= steps.differing(_STEPS if checked.complete else range(_SMALL + 1, MOST_ROWS + 1))
    bad |= steps.differing(range(1, _SMALL + 1), STATES)
    for good in ({n for n in _without(bad) if n <= steps.most}, {FIXED_ROWS}):
        if max(good, default=0) >= FIXED_ROWS:
            counts = RowCounts.among(good)
            if not steps.with_other_tokens().differing(_CHOSEN, AGAIN, counts):
                return counts
    return None


def _without(bad: set[int]) -> set[int]:
    """The numbers of rows to round up to, where those of ``bad`` change some row's bits."""
    blocks = (1, 2, 4, 8, FIXED_ROWS)
    few = {n for n in bad if 1 < n <= FIXED_ROWS}
    block = next((b for b in blocks if not any(n % b == 0 for n in few)), FIXED_ROWS)
    return {*range(block, MOST_ROWS + 1, block)} - bad
