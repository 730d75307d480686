"""A row's figures are those of the row alone, in the last bit, for vocabularies of any size."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from playground.engine.lanes.row_figures import RowFigures, Wanted, _shares_are_whole
from playground.engine.lanes.stages import ScoreBatch, Stage


def figures(scores: Tensor, rows: Sequence[int]) -> list[tuple[float, list[float]]]:
    """Entropy and the highest log-probabilities of each of these rows, found together."""
    batch = ScoreBatch(scores[list(rows)])
    found = RowFigures([Wanted(batch, range(len(rows)), True, True)], 3)
    numbers = [found.row(Stage(batch, [row]), 0) for row in range(len(rows))]
    ids = found.indices[torch.tensor(numbers)]
    logprobs = found.logprobs(numbers, found.scores(numbers, ids)).tolist()
    return [(found.entropy[n], own) for n, own in zip(numbers, logprobs, strict=True)]


@pytest.mark.parametrize("vocab", [259, 5003, 8192])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_is_alone_in_company(vocab: int, threads: int) -> None:
    torch.set_num_threads(threads)
    scores = torch.randn(21, vocab, generator=torch.Generator().manual_seed(vocab)) * 3
    scores[::3] = torch.where(scores[::3] > 0, scores[::3], -torch.inf)
    alone = [figures(scores, [row])[0] for row in range(len(scores))]
    for count in range(2, len(scores) + 1):
        assert figures(scores, range(count)) == alone[:count], count


@pytest.mark.parametrize(
    ("vocab", "threads", "whole"),
    [(49152, 1, True), (49152, 2, True), (50257, 1, False), (259, 1, False), (128256, 8, False)],
)
def test_where_threads_share_whole_vectors(vocab: int, threads: int, whole: bool) -> None:
    assert _shares_are_whole(vocab, threads) == whole
