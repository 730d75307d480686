"""What recipes would do to the next token, from scores that are already there: no forward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from playground.engine.decode.turn import Turn, take
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.run import Run
from playground.trace import StepRecord

UNSEEN = "It reads more than the scores after the prompt: press Run to see."


class _NoStore:
    """Rows without keys and values: nothing is written after a preview."""

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        return None


@torch.inference_mode()
def preview(run: Run, scores: Tensor, detokenizer: Detokenizer) -> list[StepRecord | str]:
    """Each lane's first step on ``scores``, float32 ``[1, vocab]``; or the sentence of its error.

    The sentence is ``UNSEEN`` where the scores are not all that a recipe reads.

    ``run`` was made for this and is in no line. Safe on any thread.
    """
    turns = []
    for lane in run.lanes:
        lane.start(list(range(lane.width)), run.submitted)
        noise = run.noise(0, scores.shape[-1], scores.device)
        if not (lane.reads_states or lane.seconds):
            turns.append(Turn(lane, [0], noise))
        else:
            lane.end("error", UNSEEN)
    take(turns, scores, detokenizer, _NoStore())
    return [lane.steps[0] if lane.steps else lane.offer or str(lane.error) for lane in run.lanes]
