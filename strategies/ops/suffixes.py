"""Where the end of a text stood in it before, and which tokens followed it there."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad


def followed(
    text: Sequence[int], breaks: Callable[[Sequence[int]], Sequence[bool]], longest: int
) -> tuple[Tensor, Tensor]:
    """The distinct tokens ``[any]`` that followed an end of ``text``, and the longest such end.

    The lengths of the ends, int64 ``[any]``, are in tokens and ``longest`` at most. No end holds a
    token that ``breaks`` finds in the text, which has at least one token.
    """
    ids = torch.frombuffer(array("q", text), dtype=torch.int64)
    broken = torch.tensor(breaks(text))
    places = ((ids[:-1] == ids[-1]) & ~broken[1:]).nonzero().flatten()
    # Before the beginning, and where it breaks, the text equals nothing.
    end = pad(ids.masked_fill(broken, -1), (longest, 0), value=-1)[-longest:]
    before = pad(ids, (longest - 1, 0), value=-2).unfold(0, longest, 1)[places]
    lengths = (before == end).flip(-1).cumprod(-1).sum(-1)
    tokens, which = torch.unique(ids[places + 1], return_inverse=True)
    return tokens, torch.zeros_like(tokens).scatter_reduce(0, which, lengths, "amax")
