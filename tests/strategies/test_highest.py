"""The highest of a row are those a sort finds, however few tokens are looked into."""

from __future__ import annotations

import pytest
import torch

from strategies.highest import highest


@pytest.mark.parametrize("vocab", [5, 63, 300, 4096, 4099])
@pytest.mark.parametrize("count", [1, 4, 50])
@pytest.mark.parametrize("left", [3, 4099])
def test_they_are_those_of_a_sort(vocab: int, count: int, left: int) -> None:
    scores = torch.stack(
        [torch.randperm(vocab, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    ).float()
    scores[scores < vocab - left] = -torch.inf
    count = min(count, vocab)
    for rows in (scores, scores[1::3], scores[:1].expand(2, -1)):
        order = rows.sort(descending=True)
        values, tokens = highest(rows, count)
        assert torch.equal(values, order.values[:, :count])
        alive = values > -torch.inf
        assert torch.equal(tokens[alive], order.indices[:, :count][alive])
        assert torch.equal(rows.gather(-1, tokens), values)
        assert all(len(set(row)) == count for row in tokens.tolist())
