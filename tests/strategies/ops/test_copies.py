"""A copy of scores has the same bits, and writing to it leaves them."""

import pytest
import torch

from strategies.ops.copies import copied


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("across", [False, True])
def test_copies_are_the_same_and_apart(rows, kind, across):
    scores = torch.randn(40, rows).to(kind).T if across else torch.randn(rows, 40).to(kind)
    scores[0, 3] = -torch.inf
    was = scores.clone()
    with torch.inference_mode():
        own = copied(scores)
    assert own.dtype == kind and own.shape == scores.shape and torch.equal(own, scores)
    with torch.inference_mode():
        own[0] = 7.0
    assert torch.equal(scores, was) and bool((own[0] == 7.0).all())


def test_scores_with_gradients_and_of_inference_are_copied():
    with torch.inference_mode():
        inside = torch.randn(1, 8)
        assert torch.equal(copied(inside), inside)
    following = torch.randn(1, 8, requires_grad=True)
    own = copied(following)
    own.data[0, 0] = 5.0
    assert following[0, 0] != 5.0 and torch.equal(own[0, 1:], following[0, 1:])
