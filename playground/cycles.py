"""How often Python looks for objects that only refer to each other."""

from __future__ import annotations

import gc

NEW = 10_000  # objects, after which the newest are looked through; Python itself has 700


def look_less() -> None:
    """Have what there is by now left alone, and new objects looked through less often.

    To look through all that was imported would halt every stream for a while. A token's record is
    some sixty objects, which stay as long as their run: looked for after 700 of them, that costs
    more than to send a record and to read it again.
    """
    gc.freeze()
    gc.set_threshold(NEW)
