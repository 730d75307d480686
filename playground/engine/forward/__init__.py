"""A model's two forwards over slots: a prompt at once, and one token of many rows.

``Eager`` is the truth. What is faster on a machine stands behind the protocol of ``path`` and is
used where the self-check of a load finds it right; ``Forward`` is what the engine calls.
"""

from playground.engine.forward.forward import Forward
from playground.engine.forward.output import EarlyLayers, ForwardOutput, HiddenStates
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts

__all__ = [
    "FIXED_ROWS",
    "MOST_ROWS",
    "EarlyLayers",
    "Forward",
    "ForwardOutput",
    "HiddenStates",
    "RowCounts",
]
