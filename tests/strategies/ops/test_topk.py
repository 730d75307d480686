"""``topk``, ``argmax`` and ``GroupMaxima`` find what a comparison of all tokens finds."""

from __future__ import annotations

import pytest
import torch

from strategies.ops.topk import GroupMaxima, argmax, topk


@pytest.mark.parametrize("vocab", [5, 63, 300, 4096, 4099])
@pytest.mark.parametrize("count", [1, 4, 50])
@pytest.mark.parametrize("left", [3, 4099])
def test_topk_finds_what_a_sort_finds(vocab: int, count: int, left: int) -> None:
    scores = torch.stack(
        [torch.randperm(vocab, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    ).float()
    scores[scores < vocab - left] = -torch.inf
    count = min(count, vocab)
    for rows in (scores, scores[1::3], scores[:1].expand(2, -1)):
        order = rows.sort(descending=True)
        values, tokens = topk(rows, count)
        assert torch.equal(values, order.values[:, :count])
        alive = values > -torch.inf
        assert torch.equal(tokens[alive], order.indices[:, :count][alive])
        assert torch.equal(rows.gather(-1, tokens), values)
        assert all(len(set(row)) == count for row in tokens.tolist())


@pytest.mark.parametrize("vocab", [5, 4096, 4099, 6016])
def test_argmax_is_that_of_torch(vocab: int) -> None:
    """The first of equal ones too."""
    for highest_score in (1, 3, 1000):
        chance = torch.Generator().manual_seed(vocab)
        scores = torch.randint(highest_score, (40, vocab), generator=chance).float()
        scores[0] = -torch.inf
        scores[1, -1] = 2000.0
        for rows in (scores, scores[1::3], scores[:1]):
            assert torch.equal(argmax(rows), rows.argmax(-1))


@pytest.mark.parametrize("vocab", [5, 4096, 4099])
@pytest.mark.parametrize("count", [0, 1, 9, 4099])
def test_survivors_are_all_that_is_left_or_nothing(vocab: int, count: int) -> None:
    scores = torch.randn(vocab, generator=torch.Generator().manual_seed(count))
    scores[torch.randperm(vocab, generator=torch.Generator().manual_seed(1))[count:]] = -torch.inf
    three = GroupMaxima(torch.stack([scores, -scores, scores]))
    rows, tokens = three.survivors(vocab // 4, [True, True, False])
    own, wanted = tokens[rows == 0].tolist(), (scores > -torch.inf).nonzero().flatten().tolist()
    if not set(wanted) <= set(own):
        assert own == [] and len(wanted) * 16 > vocab // 4
    _, alone = GroupMaxima(scores[None]).survivors(vocab // 4, [True])
    assert own == sorted(set(own)) == alone.tolist()
    assert not (rows == 2).any()  # it was not able


@pytest.mark.parametrize("vocab", [5, 4096, 4099])
def test_tokens_of_at_least_a_score_are_found_by_their_groups(vocab: int) -> None:
    scores = torch.randn(9, vocab, generator=torch.Generator().manual_seed(vocab)).round()
    scores[0] = -torch.inf
    bars = torch.tensor([[-torch.inf], [9.0], *([float(bar)] for bar in range(-3, 4))])
    rows, tokens = GroupMaxima(scores).at_least(bars)
    found = sorted(zip(rows.tolist(), tokens.tolist(), strict=True))
    assert found == [tuple(place) for place in (scores >= bars).nonzero().tolist()]


@pytest.mark.parametrize("vocab", [5, 4096, 4099])
def test_the_best_group_holds_the_best_token(vocab: int) -> None:
    scores = torch.randn(40, vocab, generator=torch.Generator().manual_seed(vocab))
    scores[0, -1] = 9.0
    top, tokens = GroupMaxima(scores).best()
    assert torch.equal(top, scores.amax(-1))
    assert (tokens == scores.argmax(-1)[:, None]).any(-1).all()
    assert torch.equal(scores.gather(-1, tokens).amax(-1), top)
