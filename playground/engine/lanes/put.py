"""The records of tokens that a person put into a text: the model's own distribution at each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.record import Entry, choices
from playground.engine.lanes.stages import ScoreBatch, Stage
from playground.trace import PromptToken, StepRecord, Times
from strategies import Move


def put_records(
    detokenizer: Detokenizer, tokens: Sequence[PromptToken], logits: Tensor, top_n: int
) -> list[StepRecord]:
    """A record of each token without stages, since no recipe chose it.

    ``logits``, float32 ``[tokens, vocab]``, are those from which each would have been chosen;
    ``top_n`` candidates are recorded.
    """
    moves = [Move(row, token.id) for row, token in enumerate(tokens)]
    stage = Stage(ScoreBatch(logits), range(len(tokens)))
    [found] = choices(detokenizer, [Entry(stage, [], moves, top_n, [])])
    none = Times(forward=0, processors=0, search=0, record=0, forward_rows=1)
    return [
        StepRecord(
            index=at,
            parent=at - 1 if at else None,
            token=token.id,
            text="" if token.control else token.text,
            special=token.control,
            raw_logprob=one.raw_logprob,
            logprob=one.logprob,
            raw_rank=one.raw_rank,
            rank=one.rank,
            raw_entropy=one.raw_entropy,
            stages=[],
            candidates=one.candidates,
            times=none,
            at=0.0,
        )
        for at, (token, one) in enumerate(zip(tokens, found, strict=True))
    ]
