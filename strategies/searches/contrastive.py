"""Contrastive search: likely tokens whose hidden state is unlike all that came before."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.nn.functional import normalize

from .. import base
from ..base import Info, LookAhead, LookingAhead, Step, setting
from ..ops.states import TensorState


class Contrastive(base.Search):
    info = Info(
        id="contrastive",
        title="Contrastive search",
        summary="Of the k likeliest tokens takes one that is likely and unlike what came before.",
        formula=r"x_t = \operatorname*{arg\,max}_{v \in V^{(k)}} (1 - \alpha)\,p_v - \alpha "
        r"\max_{j < t} \cos(h_v, h_j)",
        source="Su et al. 2022",
        url="https://arxiv.org/abs/2202.06417",
        advice="Use it for long open text that should neither repeat itself nor be left to chance. "
        "It takes k rows of the batch, as many as a beam search of that width.",
    )

    class Params(base.Params):
        penalty_alpha: float = setting(
            0.6,
            "How much likeness to earlier tokens weighs against probability; 0 is greedy.",
            usual=(0.0, 1.0),
            step=0.05,
            ge=0.0,
            le=1.0,
        )
        top_k: int = setting(
            4, "How many of the likeliest tokens are tried.", usual=(2, 10), step=1, ge=1, le=16
        )

    needs_hidden: ClassVar = True
    chooses = "likeness"

    def width(self) -> int:
        return int(self.params.top_k)

    def advance(self, step: Step) -> LookingAhead:
        alpha, count = self.params.penalty_alpha, min(self.params.top_k, step.scores.shape[-1])
        new = normalize(step.hidden[0].float(), dim=-1)
        before = step.rows[0].state
        earlier = torch.cat([before.tensor, new]) if before else new
        logprobs, ids = step.logprobs[0].topk(count)
        kept = logprobs > -torch.inf
        tried = ids[kept].tolist()
        states = normalize((yield LookAhead(tried)).float(), dim=-1)
        likeness = (states @ earlier.T).amax(-1)
        values = (1 - alpha) * logprobs[kept].exp() - alpha * likeness
        return [step.move(0, tried[int(values.argmax())], state=TensorState(earlier))]
