"""The values of one decoding step: the rows it starts from, their scores, and the chosen moves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .ops.noise import draw
from .ops.topk import argmax


@dataclass(frozen=True)
class Row:
    """One sequence of a lane, as it is passed to a strategy.

    ``state`` is an immutable value of the strategy it is passed to; ``score`` belongs to the search
    (a beam's summed log-probability); ``sample`` numbers the noise this row draws with; ``given``
    is what the processor that it is passed to ``needs``.

    ``tokens`` are the prompt's, then the generated ones, of which the first ``fixed`` were given,
    as those of a text that is gone on with, and are never taken back. Some models have embeddings
    for more tokens than they have scores for, so ids of the prompt may lie beyond the scores: leave
    them out before indexing.
    """

    tokens: tuple[int, ...]
    prompt_length: int
    score: float = 0.0
    state: Any = None
    sample: int = 0
    seed: int = 0
    done: bool = False
    given: Tensor | None = None
    fixed: int = 0

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.tokens[: self.prompt_length]

    @property
    def generated(self) -> tuple[int, ...]:
        return self.tokens[self.prompt_length :]


@dataclass(frozen=True)
class Move:
    """One next row: row ``parent`` of the step, continued by ``token``.

    A ``done`` row is kept as a finished text and runs no further. ``sample`` None keeps the
    parent's.
    """

    parent: int
    token: int
    score: float = 0.0
    state: Any = None
    done: bool = False
    sample: int | None = None


@dataclass(frozen=True)
class Rewind:
    """One next row: row ``parent`` of the step without its last ``count`` generated tokens.

    The model then reads what is left anew, so that the next step has the scores after it. What the
    strategies kept of the row is again what it was there, but for the ``state`` of the one that
    asks for this. ``why``, a sentence, is shown beside what was taken back. ``score`` and
    ``sample`` are for a search, as in a ``Move``.
    """

    count: int
    why: str = ""
    state: Any = None
    parent: int = 0
    score: float = 0.0
    sample: int | None = None


@dataclass(frozen=True)
class Step:
    """What a search is given to choose its next rows from.

    ``index`` counts the steps from 0, which is how many tokens each row has generated, unless some
    were taken back; a lane that goes on with a text begins behind it, with one row that has these
    tokens as its own. ``scores`` is float32 ``[len(rows), vocab]`` after every processor, and
    ``logits`` what the model gave them. ``noise(sample)`` is float32 ``[vocab]`` Gumbel noise for
    the position of the first row; ``draw`` is the cheap way to a token drawn with it, and has each
    row's own from ``noises`` where rows differ in length. ``batch_draws`` holds tokens that the
    engine computed for several lanes in one operation: under (row, sample) the result of ``draw``,
    under (row, None) that of ``likeliest``.

    ``ends(row, token)`` says whether the token would finish that row: end of sequence, a stop
    string, or a length limit. ``finished`` holds the rows this lane completed at earlier steps, and
    ``waiting``, of a search whose rows are independent, those that have begun and wait for one of
    ``rows`` to end.

    ``passed`` is for a search that keeps several texts at once: continuations that it weighed and
    did not take may be left there, to be shown beside those it took.

    Where the search ``needs_hidden``, ``hidden`` holds for each row the last layer's states of the
    tokens since the last step, ``[tokens, width]``; at the first step those of the whole prompt.
    """

    index: int
    rows: Sequence[Row]
    scores: Tensor
    noise: Callable[[int], Tensor]
    ends: Callable[[int, int], bool]
    finished: Sequence[Row] = ()
    waiting: Sequence[Row] = ()
    hidden: Sequence[Tensor] = ()
    noises: Sequence[Callable[[int], Tensor]] = ()
    logits: Tensor | None = None
    batch_draws: dict[tuple[int, int | None], int] = field(default_factory=dict, init=False)
    passed: list[Move] = field(default_factory=list, init=False)

    @cached_property
    def logprobs(self) -> Tensor:
        """Log-softmax of ``scores``, float32 ``[len(rows), vocab]``, in nats."""
        return torch.log_softmax(self.scores, dim=-1)

    @property
    def luck(self) -> Callable[[int], Tensor]:
        """``noise``, by the name that searches of other packages know: it stays for them."""
        return self.noise

    def draw(self, row: int, sample: int) -> int:
        """The token that is drawn from a row's scores by the noise of ``sample``."""
        token = self.batch_draws.get((row, sample))
        noise = self.noises[row] if self.noises else self.noise
        return draw(self.scores[row], noise, sample) if token is None else token

    def likeliest(self, row: int) -> int:
        """The token of a row's highest score, the first of equal ones."""
        token = self.batch_draws.get((row, None))
        return int(argmax(self.scores[row][None])) if token is None else token

    def move(
        self,
        parent: int,
        token: int,
        *,
        score: float = 0.0,
        state: Any = None,
        sample: int | None = None,
    ) -> Move:
        """A ``Move`` that is ``done`` where ``ends`` says so."""
        return Move(parent, token, score, state, self.ends(parent, token), sample)


@dataclass(frozen=True)
class LookAhead:
    """A request for the hidden states of next tokens before one of them is chosen.

    Yielded by ``Search.advance``, which is then sent a tensor ``[len(tokens), width]``, float32 or
    narrower: the last layer's state of each of ``tokens``, as if it followed the row.
    """

    tokens: Sequence[int]


# What an ``advance`` that looks ahead returns: a generator of requests, which returns the moves.
LookingAhead = Generator[LookAhead, Tensor, list[Move]]


@dataclass(frozen=True)
class SecondPrompt:
    """A request for the scores of the same text after another prompt.

    ``row.given`` is then float32 ``[vocab]``: raw scores after ``tokens`` and the generated tokens.
    """

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class DraftScores:
    """A request for the scores of a draft model after the same tokens.

    ``model`` is its id or title; empty is the host's own. ``row.given`` is then float32
    ``[vocab]``; tokens that it does not have are at −inf.
    """

    model: str = ""


@dataclass(frozen=True)
class EarlyLayers:
    """A request for the scores after each of these layers, counted from 1; 0 is the embeddings.

    ``row.given`` is then float32 ``[len(layers), vocab]``: the vocabulary head applied to the
    hidden state after each of ``layers``.
    """

    layers: tuple[int, ...]
