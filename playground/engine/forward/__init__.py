"""A model's two forwards over slots: a prompt at once, and one token of many rows.

``Forward`` is what the engine calls. ``Eager`` runs the model's own modules; whatever is faster on
a machine keeps the protocol of ``path``, and is used where the self-check at load finds it right.
"""

from playground.engine.forward.forward import Forward
from playground.engine.forward.output import EarlyRow, ForwardOutput, HiddenStates
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts

__all__ = [
    "FIXED_ROWS",
    "MOST_ROWS",
    "EarlyRow",
    "Forward",
    "ForwardOutput",
    "HiddenStates",
    "RowCounts",
]
