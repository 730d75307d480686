"""Diverse beam search: groups of beams, each kept off the tokens of the groups before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import ValidationInfo, field_validator

from ..base import Info, Move, Row, Step, setting
from .beams import BeamParams, Beams, accumulated, best_candidates


class DiverseBeam(Beams):
    """A row's state is the number of its group; its score is less by the penalties it met.
    An end of sequence counts for no group, as in transformers' former group beam search.
    """

    info = Info(
        id="diverse_beam",
        title="Diverse beam search",
        summary="Divides the beams into groups, which search in turn and avoid the tokens that "
        "earlier groups chose at the same step.",
        formula=r"\log p(x_t \mid x_{<t}) - \lambda \sum_{h < g} \sum_{b} "
        r"\mathbf{1}\left[ x_t^{(h, b)} = x_t \right]",
        source="Vijayakumar et al. 2016",
        url="https://arxiv.org/abs/1610.02424",
        advice="Use it for several answers that truly differ, where plain beams differ in a word. "
        "It looks at one position at a time, so a text that says the same a token later passes as "
        "different, and a high penalty makes the later groups write badly.",
    )

    class Params(BeamParams):
        num_beam_groups: int = setting(
            2,
            "Into how many equal groups the beams are divided.",
            usual=(1, 8),
            step=1,
            ge=1,
            le=16,
            validate_default=True,
        )
        diversity_penalty: float = setting(
            0.5,
            "What is taken off a token's score for each time an earlier group chose it.",
            usual=(0.0, 2.0),
            step=0.1,
            ge=0.0,
            le=100.0,
        )

        @field_validator("num_beam_groups")
        @classmethod
        def _divides(cls, groups: int, info: ValidationInfo) -> int:
            beams = info.data.get("num_beams", groups)
            if beams % groups:
                what = f"{beams} beams cannot be divided into {groups} equal groups"
                sizes = [str(size) for size in range(1, beams + 1) if beams % size == 0]
                raise ValueError(f"{what}; allowed are {', '.join(sizes)}.")
            return groups

    def advance(self, step: Step) -> list[Move]:
        size, penalty = self.width() // self.params.num_beam_groups, self.params.diversity_penalty
        totals = accumulated(step)
        chosen = torch.zeros_like(totals[0])
        moves: list[Move] = []
        for group in range(self.params.num_beam_groups):
            places = [i for i, row in enumerate(step.rows) if row.state in (None, group)]
            if not places:
                continue
            found = best_candidates(totals[places] - penalty * chosen, self.looked_at(size))
            candidates = ((score, places[row], token) for score, row, token in found)
            kept = self.kept(step, candidates, size, [r for r in step.finished if r.state == group])
            moves += [replace(move, state=group) for move in kept]
            for move in kept:
                chosen[move.token] += move.token not in self.context.eos_token_ids
        return moves

    def group(self, row: Row) -> int | None:
        return row.state if isinstance(row.state, int) else None

    def order(self, rows: Sequence[Row]) -> list[Row]:
        """The best of each group by score, then what they left behind."""
        size = self.width() // self.params.num_beam_groups
        first, rest = list[Row](), list[Row]()
        for group in dict.fromkeys(row.state for row in rows):
            ranked = super().order([row for row in rows if row.state == group])
            first, rest = [*first, *ranked[:size]], [*rest, *ranked[size:]]
        return [*super().order(first), *super().order(rest)]
