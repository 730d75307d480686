"""A lane's scores at each stage of its recipe: some rows of a tensor that several lanes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ScoreBatch:
    """Scores of rows of several lanes, float32 ``[rows, vocab]``, as one call returned them."""

    scores: Tensor


@dataclass(frozen=True)
class Stage:
    """A lane's scores at one point of its recipe: these ``rows`` of ``batch``, in order."""

    batch: ScoreBatch
    rows: Sequence[int]

    @property
    def scores(self) -> Tensor:
        """Float32 ``[len(rows), vocab]``."""
        return take_rows(self.batch.scores, self.rows)


def concatenated(stages: Sequence[Stage]) -> Tensor:
    """The scores of all stages as one tensor; a view where their rows are evenly spaced."""
    batch = stages[0].batch
    if all(stage.batch is batch for stage in stages):
        return take_rows(batch.scores, [row for stage in stages for row in stage.rows])
    return torch.cat([stage.scores for stage in stages])


def divided(scores: Tensor, counts: Sequence[int]) -> list[Stage]:
    """The reverse of ``concatenated``: a stage for each of ``counts``, of so many rows in order."""
    batch, first, stages = ScoreBatch(scores), 0, []
    for count in counts:
        stages.append(Stage(batch, range(first, first + count)))
        first += count
    return stages


def take_rows(scores: Tensor, rows: Sequence[int]) -> Tensor:
    """These rows of ``scores``: a view where they are evenly spaced, else a copy."""
    view = rows_view(scores, rows)
    if view is None:
        return scores.index_select(0, torch.tensor(rows, device=scores.device))
    return view


def rows_view(scores: Tensor, rows: Sequence[int]) -> Tensor | None:
    """These rows as a view of ``scores``; None where they are not evenly spaced."""
    first, last = rows[0], rows[-1]
    step = rows[1] - first if len(rows) > 1 else 1
    if step > 0 and list(rows) == list(range(first, last + 1, step)):
        return scores[first : last + 1 : step]
    return None
