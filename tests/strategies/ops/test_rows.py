"""A row's result is the same alone as among others, to the last bit, for every operation on rows.

On the processor at hand and the weaker ones it can pretend to be, with one thread and several.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import platform
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from strategies import Row, ops
from strategies.ops import (
    bounded_cuts,
    bounded_each,
    bounded_heads,
    bounded_states,
    bounded_whole,
)
from strategies.ops.answers import answers
from strategies.ops.attempts import Attempts, lower
from strategies.ops.contexts import contexts, first_met, last_context, met_before
from strategies.ops.copies import copied
from strategies.ops.divergence import from_mixture
from strategies.ops.drafts import check_draft
from strategies.ops.expressions import read
from strategies.ops.likeness import chrf, overlap
from strategies.ops.noise import (
    Noise,
    draw,
    draw_each,
    gumbel,
    gumbel_at,
    gumbel_of_steps,
    keyed,
    keys_of,
    noise_bits,
    noisiest,
    topped,
    uniform,
)
from strategies.ops.nucleus import farthest_in_nucleus, least_in_nucleus
from strategies.ops.phrases import token_at
from strategies.ops.reduce import collision, deviation, entropy, logsumexp, row_sums
from strategies.ops.resampling import resampled
from strategies.ops.spellings import spellings
from strategies.ops.suffixes import followed
from strategies.ops.thinking import tags, thinking
from strategies.ops.tokens import ban, completes, seen
from strategies.ops.topk import GroupMaxima, argmax, topk
from strategies.ops.tournament import secret_bits, table, tournament
from strategies.ops.truncation import keep_likely
from tests.forking import Forking, forking

TRIED = Row((0,), 1, state=Attempts((((0, 5), 2),)))
ROWS = 24


def left(scores: Tensor) -> Tensor:
    """What ``GroupMaxima.survivors`` finds, as a mask ``[n, vocab]``."""
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask[GroupMaxima(scores).survivors(scores.shape[-1] // 4, [True] * len(scores))] = True
    return mask


def draws(scores: Tensor, first: int) -> Tensor:
    """A token for each row, the first of which is number ``first`` among all."""
    noises = [Noise(7, 1, scores.shape[-1]) for _ in scores]
    return torch.tensor(draw_each(scores, noises, range(first, first + len(scores))))


# What each finds in rows of scores; ``torch``'s two, since strategies rely on them.
OPERATIONS: dict[Callable[..., object], Callable[[Tensor, int], Tensor]] = {
    torch.softmax: lambda scores, first: scores.softmax(-1),
    torch.log_softmax: lambda scores, first: scores.log_softmax(-1),
    row_sums: lambda scores, first: row_sums(scores.softmax(-1)),
    logsumexp: lambda scores, first: logsumexp(scores),
    entropy: lambda scores, first: entropy(scores.softmax(-1), scores.log_softmax(-1)),
    collision: lambda scores, first: collision(scores.softmax(-1)),
    deviation: lambda scores, first: deviation(scores),
    topk: lambda scores, first: topk(scores, 20)[0],
    copied: lambda scores, first: copied(scores),
    argmax: lambda scores, first: argmax(scores),
    GroupMaxima.survivors: lambda scores, first: left(scores),
    least_in_nucleus: lambda scores, first: least_in_nucleus(scores.softmax(-1), 0.95),
    farthest_in_nucleus: lambda scores, first: farthest_in_nucleus(
        (scores.log_softmax(-1) + 3).abs(), scores.softmax(-1), 0.9
    ),
    keep_likely: lambda scores, first: keep_likely(scores, scores.softmax(-1), 1e-4),
    topped: lambda scores, first: topped(scores, scores.amax(-1, keepdim=True) + 1),
    ban: lambda scores, first: ban(scores, [(3, 4)] * len(scores)),
    draw_each: draws,
    lower: lambda scores, first: lower(scores, [TRIED] * len(scores), 3.0),
}
# And those that are given one row, one text or one token at a time.
SINGLE = {
    gumbel,
    gumbel_at,
    gumbel_of_steps,
    noise_bits,
    noisiest,
    draw,
    uniform,
    spellings,
    seen,
    completes,
    followed,
    from_mixture,
    token_at,
    check_draft,
    contexts,
    last_context,
    first_met,
    met_before,
    keyed,
    keys_of,
    tags,
    thinking,
    answers,
    chrf,
    overlap,
    read,
    resampled,
    secret_bits,
    table,
    tournament,
    bounded_cuts.deviation,
    bounded_cuts.typical,
    bounded_cuts.without_top,
    bounded_cuts.likely_entropy,
    bounded_cuts.without,
    bounded_each.changed_rows,
    bounded_heads.by_bends,
    bounded_heads.by_drop,
    bounded_states.aimed,
    bounded_states.steered,
    bounded_whole.known_whole,
    bounded_whole.where_whole,
    bounded_whole.bent,
    bounded_whole.gathered,
}


def drawn(vocab: int) -> Tensor:
    """Rows from sharp to flat, every third with most of its tokens removed."""
    chance = torch.Generator().manual_seed(vocab)
    scores = torch.randn(ROWS, vocab, generator=chance) * torch.linspace(4, 0.01, ROWS)[:, None]
    scores[::3, vocab // 50 + 1 :] = -torch.inf
    return scores


def check(vocab: int) -> None:
    """Every row alone, with one more, and among all."""
    scores = drawn(vocab)
    for operation, found in OPERATIONS.items():
        every = found(scores, 0)
        for first in range(ROWS):
            for last in (first + 1, min(first + 2, ROWS)):
                some = found(scores[first:last], first)
                assert torch.equal(some, every[first:last]), (operation.__name__, vocab, first)


def test_no_operation_on_rows_is_forgotten() -> None:
    for module in pkgutil.iter_modules(ops.__path__):
        found = importlib.import_module(f"{ops.__name__}.{module.name}")
        for name, value in vars(found).items():
            if inspect.isfunction(value) and value.__module__ == found.__name__ and name[0] != "_":
                assert value in OPERATIONS or value in SINGLE, name


@pytest.fixture(scope="module")
def libraries() -> Iterator[Forking]:
    """A process that has not computed anything yet: torch looks for instructions when it does."""
    with forking("torch") as process:
        yield process


@pytest.mark.parametrize("aten", [None, "avx2", "default"])
def test_a_row_alone_is_the_same_row_among_others(aten: str | None, libraries: Forking) -> None:
    chosen = {"ATEN_CPU_CAPABILITY": aten} if aten else {}
    done = libraries.run("tests.strategies.ops.test_rows", **chosen)
    assert done.status == 0, done.output[-3000:]
    if aten and platform.machine() == "x86_64":
        assert done.output.split()[-1].lower() == aten


if __name__ == "__main__":
    for threads in (1, 4):
        torch.set_num_threads(threads)
        for each in (300, 50_257):
            check(each)
    print(torch.backends.cpu.get_cpu_capability())
