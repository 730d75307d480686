"""How many rows are computed in one step, so that a row's bits do not depend on the batch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

FIXED_ROWS = 16  # the batch whose bits every other number of rows is compared with
MOST_ROWS = 96  # of one decode step; more are computed in several


@dataclass(frozen=True)
class RowCounts:
    """For each number of rows the number that is computed: ``computed[n]`` is ``n`` or more.

    The rows beyond ``n`` are idle. A kernel that sums a lone row in another order costs a lone row
    an idle one beside it, and no other step anything.
    """

    computed: tuple[int, ...]

    @classmethod
    def among(cls, counts: Collection[int]) -> RowCounts:
        """Every number of rows rounded up to one of ``counts``, of which there is at least one."""
        most = max(counts)
        allowed = sorted(counts)
        return cls((0, *(next(c for c in allowed if c >= n) for n in range(1, most + 1))))

    @classmethod
    def every(cls) -> RowCounts:
        """As many rows computed as a step has."""
        return cls(tuple(range(MOST_ROWS + 1)))

    @property
    def most(self) -> int:
        """Rows of one step, at most."""
        return len(self.computed) - 1

    @property
    def lone(self) -> int:
        """How many rows are computed for one."""
        return self.computed[1]
