"""Why a recipe could not have chosen a token, in a sentence with what it had and needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from playground.trace.scores import Impossible
from strategies import Processor, Recipe, Search
from strategies.ops.topk import argmax


@dataclass(frozen=True)
class Faults:
    """Why a text is impossible under a recipe; the fields are those of ``RecipeLikelihood``."""

    recipe: Recipe
    processors: Sequence[Processor]
    search: Search
    text: tuple[int, ...]
    pieces: Sequence[str]
    eos: frozenset[int]
    hidden_steps: int

    def ended(self, index: int) -> Impossible | None:
        """The fault that the text had ended before this token; None where it had not."""
        if index == 0 or self.text[index - 1] not in self.eos:
            return None
        end = self.pieces[index - 1]
        return Impossible(
            index=index,
            token=self.text[index],
            text=self.pieces[index],
            by=end,
            reason=f"{end} ends a text: nothing is written after it.",
        )

    def fault(self, index: int, levels: Sequence[Tensor]) -> Impossible | None:
        """The fault that a step removed the token, or that the search takes another; else None."""
        token = self.text[index]
        for stage, (before, after) in enumerate(pairwise(levels)):
            if before[token] > -torch.inf and not after[token] > -torch.inf:
                return self._removed(index, stage, before, after)
        if not levels[0][token] > -torch.inf:
            return Impossible(
                index=index,
                token=token,
                text=self.pieces[index],
                by="the model",
                reason="The model itself gives it no probability.",
            )
        if self.search.chooses == "likeliest":
            best = int(argmax(levels[-1][None]))
            if best != token:
                return self._passed_over(index, levels[-1], best)
        return None

    def _removed(self, index: int, stage: int, before: Tensor, after: Tensor) -> Impossible:
        token = self.text[index]
        had, rank = logprob(before, token), rank_of(before, token)
        kept = before[after > -torch.inf]
        needed = margin = None
        if len(kept) and float(kept.min()) > float(before[token]):
            margin = float(kept.min()) - float(before[token])
            needed = math.exp(had + margin)
        step = str(self.processors[stage].info.id)
        written = step
        if stage >= self.hidden_steps:
            written = str(self.recipe.processors[stage - self.hidden_steps])
        had_text = f"rank {rank:,}, {_percent(math.exp(had))}"
        reason = f"{had_text}: removed by {written}"
        if needed is not None:
            reason += f", whose least likely token kept has {_percent(needed)}"
        return Impossible(
            index=index,
            token=token,
            text=self.pieces[index],
            stage=stage - self.hidden_steps if stage >= self.hidden_steps else None,
            by=written,
            probability=math.exp(had),
            rank=rank,
            needed=needed,
            margin=margin,
            reason=reason + ".",
        )

    def _passed_over(self, index: int, scores: Tensor, best: int) -> Impossible:
        token = self.text[index]
        had, took = logprob(scores, token), logprob(scores, best)
        rank = rank_of(scores, token)
        return Impossible(
            index=index,
            token=token,
            text=self.pieces[index],
            by=str(self.recipe.search),
            probability=math.exp(had),
            rank=rank,
            needed=math.exp(took),
            margin=took - had,
            reason=f"rank {rank:,}, {_percent(math.exp(had))}: {self.recipe.search} takes the "
            f"likeliest, which has {_percent(math.exp(took))}.",
        )


def logprob(scores: Tensor, token: int) -> float:
    """A token's log-probability in a row of scores ``[vocab]``; −inf where it was removed."""
    if not scores[token] > -torch.inf:
        return -math.inf
    return float(scores[token] - scores.logsumexp(-1))


def rank_of(scores: Tensor, token: int) -> int:
    return int((scores > scores[token]).sum()) + 1


def _percent(p: float) -> str:
    return f"{p:.1%}" if p >= 0.001 else f"{p:.2g}"
