"""Stochastic beam search: several different texts, drawn at random without replacement."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .. import base
from ..base import Info, Move, Row, Step, setting
from ..ops.noise import topped
from ..ops.topk import topk


class StochasticBeam(base.Search):
    """A row's score is its log-probability, its state that score plus Gumbel noise.

    The texts with the largest noisy scores are a draw without replacement; no beginning is worth
    more than its best continuation, so a beam search finds them (Kool et al. 2019, Algorithm 1).
    """

    info = Info(
        id="stochastic_beam",
        title="Stochastic beam search",
        summary="Draws num_beams texts with their probability, no two of them equal.",
        formula=r"\operatorname*{arg\,top}_{x}\nolimits^{k} \left( \sum_t \log p(x_t \mid x_{<t}) "
        r"+ g_x \right), \quad g_x \sim \mathrm{Gumbel}(0, 1)",
        source="Kool, van Hoof & Welling 2019",
        url="https://arxiv.org/abs/1903.06059",
        advice="Use it where drawing the same short answer twice would be a waste, as in a list of "
        "what a model may reply. The first text alone is a plain sample, and long texts hardly "
        "ever repeat, so for them sample does the same with fewer rows.",
    )

    class Params(base.Params):
        num_beams: int = setting(
            4, "How many different texts are drawn.", usual=(1, 8), step=1, ge=1, le=16
        )

    chooses = "drawn text"
    weighs_by = "score + luck"

    def width(self) -> int:
        return int(self.params.num_beams)

    def advance(self, step: Step) -> list[Move]:
        held = torch.tensor([row.score for row in step.rows], dtype=torch.float64)
        reached = torch.tensor([_noisy(row) for row in step.rows], dtype=torch.float64)
        noise = torch.stack([step.noise(row) for row in range(len(step.rows))])
        scores = step.logprobs.double() + held.to(noise.device)[:, None]
        # A row's order is that of its noisy scores: only the highest of each can be among the best.
        first, tokens = topk(scores + noise, min(self.width(), noise.shape[-1]))
        noisy = topped(first, reached.to(noise.device)[:, None])
        noisy.masked_fill_(noisy.isnan(), -torch.inf)  # those of a row that has no token left
        best, places = noisy.flatten().topk(min(2 * self.width(), noisy.numel()))
        rivals = [*map(_noisy, step.finished), *best.tolist()]
        least = sorted(rivals, reverse=True)[: self.width()][-1]
        parents, chosen = places // noisy.shape[-1], tokens.flatten()[places]
        moves = []
        for value, parent, token, score in zip(
            best.tolist(),
            parents.tolist(),
            chosen.tolist(),
            scores[parents, chosen].tolist(),
            strict=True,
        ):
            if value >= least and value > -torch.inf:
                moves.append(step.move(parent, token, score=score, state=value))
            elif value > -torch.inf:
                step.passed.append(Move(parent, token, score))
        return moves

    def order(self, rows: Sequence[Row]) -> list[Row]:
        """As drawn, the first a plain sample; behind num_beams come ended texts others overtook."""
        return sorted(rows, key=_noisy, reverse=True)

    def weigh(self, rows: Sequence[Row]) -> list[float]:
        return [_noisy(row) for row in rows]


def _noisy(row: Row) -> float:
    return 0.0 if row.state is None else float(row.state)
