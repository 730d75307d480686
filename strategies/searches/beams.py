"""What every beam search shares: which candidates run on, which finish, and when to stop."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .. import base
from ..base import Choosing, Move, Row, Step, setting
from ..ops.topk import topk


class BeamParams(base.Params):
    num_beams: int = setting(
        4, "How many beginnings are kept at once.", usual=(1, 8), step=1, ge=1, le=16
    )
    length_penalty: float = setting(
        1.0,
        "The power of its length that a text's score is divided by: above 0 favours long texts.",
        usual=(-2.0, 2.0),
        step=0.1,
        ge=-5.0,
        le=5.0,
    )
    early_stopping: Literal[False, True, "never"] = setting(
        False,
        "When to stop: True at num_beams finished texts, False once a better one is unlikely,"
        ' "never" once no better one is possible.',
    )


def accumulated(step: Step) -> Tensor:
    """The score of each continuation: its row's and its own, ``[len(rows), vocab]``."""
    held = torch.tensor([row.score for row in step.rows], device=step.scores.device)
    return step.scores + held[:, None]


def best_candidates(totals: Tensor, count: int) -> Iterator[tuple[float, int, int]]:
    """The ``count`` largest of ``[rows, vocab]`` as (score, row, token), the best first."""
    first, tokens = topk(totals, min(count, totals.shape[-1]))
    best, places = first.flatten().topk(min(count, first.numel()))
    parents = places // first.shape[-1]
    chosen = tokens.flatten()[places]
    yield from zip(best.tolist(), parents.tolist(), chosen.tolist(), strict=True)


class Beams(base.Search, ABC):
    """A search over whole texts, by the rules of transformers' ``_beam_search``.

    A row's score is its summed log-probability. A subclass only says which
    ``candidates`` it looks at.
    """

    Params = BeamParams
    reads_logprobs = True
    chooses: ClassVar[Choosing | None] = "text"
    weighs_by = "score / length ^ length_penalty"

    def candidates(self, step: Step, count: int) -> Iterable[tuple[float, int, int]]:
        """Up to ``count`` continuations as (score, row, token), in the order they were chosen."""
        raise NotImplementedError

    def width(self) -> int:
        return int(self.params.num_beams)

    def advance(self, step: Step) -> list[Move]:
        candidates = self.candidates(step, self.looked_at(self.width()))
        return self.kept(step, candidates, self.width(), step.finished)

    def looked_at(self, beams: int) -> int:
        """So many candidates that ``beams`` run on even where every beam may end in every way."""
        return max(2, 1 + len(self.context.eos_token_ids)) * beams

    def kept(
        self,
        step: Step,
        candidates: Iterable[tuple[float, int, int]],
        beams: int,
        finished: Sequence[Row],
    ) -> list[Move]:
        """The best of the candidates that run on, and those that end among the first ``beams``."""
        running: list[Move] = []
        done: list[Move] = []
        weighed: list[Move] = []
        for rank, (score, row, token) in enumerate(candidates):
            if score == -math.inf:
                continue
            weighed.append(Move(row, token, score))
            if rank >= beams and len(running) == beams and score <= running[-1].score:
                continue
            move = step.move(row, token, score=score)
            if not move.done:
                running = sorted([*running, move], key=lambda m: m.score, reverse=True)[:beams]
            elif rank < beams:
                done.append(move)
        taken = self._worthwhile(step, running, done, beams, finished)
        known = {(move.parent, move.token) for move in taken}
        step.passed.extend(m for m in weighed if (m.parent, m.token) not in known)
        return taken

    def _worthwhile(
        self,
        step: Step,
        running: list[Move],
        done: list[Move],
        beams: int,
        finished: Sequence[Row],
    ) -> list[Move]:
        """Finished moves that rank among the best so far, and running ones while any may."""
        length = step.index + 1
        new = self._penalised([move.score for move in done], [length] * len(done))
        ranked = sorted(new + self.weigh(finished), reverse=True)[:beams]
        if len(ranked) < beams:
            return done + running
        done = [move for move, rank in zip(done, new, strict=True) if rank >= ranked[-1]]
        if self.params.early_stopping is True or not running:
            return done
        if self.params.early_stopping == "never" and self.params.length_penalty > 0:
            length = self.context.max_new_tokens
        hope = self._penalised([running[0].score], [length])[0]
        return done + running if hope > ranked[-1] else done

    def _penalised(self, scores: Sequence[float], lengths: Sequence[int]) -> list[float]:
        """Scores over length^length_penalty, rounded to float32 as transformers rounds them."""
        powers = [max(length, 1) ** self.params.length_penalty for length in lengths]
        divided: list[float] = (torch.tensor(scores) / torch.tensor(powers)).tolist()
        return divided

    def weigh(self, rows: Sequence[Row]) -> list[float]:
        return self._penalised(
            [row.score for row in rows], [len(row.tokens) - row.prompt_length for row in rows]
        )

    def order(self, rows: Sequence[Row]) -> list[Row]:
        ranked = sorted(zip(self.weigh(rows), rows, strict=True), key=lambda pair: -pair[0])
        return sorted((row for _, row in ranked), key=lambda row: not row.done)
