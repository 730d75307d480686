"""The first step of recipes on logits that are known already, without a forward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from playground.engine.decode.lane_step import LaneStep
from playground.engine.decode.sample import choose, process, record
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.stages import ScoreBatch, Stage
from playground.engine.run import Run
from playground.trace import StepRecord
from strategies.ops.noise import Noise

UNSEEN = "It reads more than the scores after the prompt: press Run to see."


class _NoStore:
    """A store that holds nothing: no token is read after a preview."""

    def copy(self, sources: Sequence[int], targets: Sequence[int], first: int, last: int) -> None:
        return None


@torch.inference_mode()
def preview(run: Run, logits: Tensor, detokenizer: Detokenizer) -> list[StepRecord | str]:
    """Each lane's first step on ``logits``, float32 ``[1, vocab]``; or the sentence of its error.

    The sentence is ``UNSEEN`` where the logits are not all that a recipe reads. ``run`` was made
    for this and is not in the queue. Safe on any thread.
    """
    steps = []
    stage = Stage(ScoreBatch(logits), [0])

    def noise_at(position: int) -> Noise:
        return run.noise(position, logits.shape[-1], logits.device)

    for lane in run.lanes:
        lane.start(list(range(lane.width)), run.submitted)
        if lane.needs_hidden or lane.second_prompts or lane.reads_draft:
            lane.end("error", UNSEEN)
        else:
            steps.append(LaneStep(lane, noise_at, stage))
    process(steps)
    choose(steps)
    record(steps, detokenizer, _NoStore())
    views = [lane.view for lane in run.lanes]
    return [view.steps[0] if view.steps else view.offer or str(view.error) for view in views]
