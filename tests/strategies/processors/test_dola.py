"""DoLa's layer by its authors' formula in float64, where the paper's divergence is undecided."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategies import EarlyLayers, Recipe, Row
from strategies.processors.dola import Dola
from tests.strategies.driver import context

VOCAB, LAYERS = 300, (2, 4)
BITS = torch.finfo(torch.float32).eps * math.log(2)  # one float32 step at log 2


def dola(half: str = "low") -> Dola:
    (made,), _ = Recipe.parse(f'dola("{half}") | greedy').build(context(VOCAB))
    assert isinstance(made, Dola)
    return made


def contrasted(last: Tensor, early: Tensor) -> Tensor:
    return dola()(last[None], [Row((0,), 1, given=early)])[0]


def divergences(last: Tensor, early: Tensor) -> tuple[Tensor, Tensor]:
    """The authors' and the paper's, both ``[layers]`` in nats, written out in float64."""
    p, q = last.double().log_softmax(-1), early.double().log_softmax(-1)
    m = ((p.exp() + q.exp()) / 2).log()
    authors = sum((m.exp() * (m - x)).sum(-1) for x in (p, q))
    papers = sum((x.exp() * (x - m)).sum(-1) for x in (p, q)) / 2
    return torch.as_tensor(authors), torch.as_tensor(papers)


def sure_of_others(seed: int) -> tuple[Tensor, Tensor]:
    """A last layer and twelve early ones that are as good as certain, each of other tokens."""
    generator = torch.Generator().manual_seed(seed)
    last = torch.randn(VOCAB, generator=generator) * 8
    early = torch.randn(12, VOCAB, generator=generator) * torch.linspace(60, 90, 12)[:, None]
    early[:, last.topk(40).indices] -= 120
    return last, early


@pytest.mark.parametrize("seed", range(20))
def test_layers_that_the_papers_divergence_cannot_tell_apart(seed: int) -> None:
    last, early = sure_of_others(seed)
    authors, papers = divergences(last, early)
    assert float(papers.sort().values.diff()[-1]) < BITS, "the paper's is undecided"
    first, second = authors.topk(2).values.tolist()
    assert first > second + 1e-3, "the authors' is not"
    farthest = early[int(authors.argmax())].double().log_softmax(-1)
    wanted = last.double().log_softmax(-1) - farthest
    out = contrasted(last, early)
    assert torch.equal(out > -torch.inf, last >= last.max() + math.log(0.1))
    torch.testing.assert_close(out[out > -torch.inf], wanted[out > -torch.inf].float())


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 300.0])
def test_it_is_the_formula_at_every_scale(scale: float) -> None:
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        last, *early = torch.randn(9, VOCAB, generator=generator).unbind()
        rows = torch.stack(early) * scale
        farthest = int(divergences(last, rows)[0].argmax())
        out = contrasted(last, rows)
        kept = out > -torch.inf
        wanted = (last.log_softmax(-1) - rows[farthest].log_softmax(-1))[kept]
        torch.testing.assert_close(out[kept], wanted)


def test_removed_tokens_have_no_part_in_the_choice() -> None:
    """However far the layers are from the last one in what is removed."""
    for seed in range(20):
        last, early = sure_of_others(seed)
        left = torch.arange(VOCAB) % 3 > 0
        early[0, ~left] += 500 * torch.arange(100)
        out = contrasted(last.masked_fill(~left, -torch.inf), early)
        alone = divergences(last[left], early[:, left])[0].argmax()
        wanted = last.log_softmax(-1) - early[int(alone)].log_softmax(-1)
        kept = out > -torch.inf
        assert not kept[~left].any() and kept.any()
        apart = (out - wanted)[kept]
        torch.testing.assert_close(apart, apart[:1].expand_as(apart), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("layers", "tied", "low", "high"),
    [
        (8, True, (2,), (4, 6)),
        (8, False, (0, 2), (4, 6)),
        (8, None, (2,), (4, 6)),
        (30, True, tuple(range(2, 15, 2)), tuple(range(15, 30, 2))),
        (32, False, tuple(range(0, 16, 2)), tuple(range(16, 32, 2))),
        (48, True, tuple(range(2, 20, 2)), tuple(range(28, 48, 2))),
        (80, False, tuple(range(0, 20, 2)), tuple(range(60, 80, 2))),
    ],
)
def test_its_layers_are_those_of_transformers_4_49(
    layers: int, tied: bool | None, low: tuple[int, ...], high: tuple[int, ...]
) -> None:
    for half, wanted in (("low", low), ("high", high)):
        params = Dola.Params(layers=half)
        made = Dola(params, context(VOCAB, layers=layers, tied=tied))
        assert made.needs((1,)) == EarlyLayers(wanted)
