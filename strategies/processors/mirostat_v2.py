"""Mirostat 2: steers the surprise of a text towards a target, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import base
from ..base import Info, Row, Strategy, setting
from ..ops.bounded import Bounded
from ..ops.bounded_states import steered

BIT = math.log(2)  # nats


class MirostatV2(base.Processor):
    info = Info(
        id="mirostat_v2",
        title="Mirostat 2",
        summary="Drops tokens above a surprise that each written token moves, so that the text's "
        "surprise stays near tau.",
        formula=r"-\log_2 p_i \le \mu_t, \quad \mu_1 = 2\tau, \quad \mu_{t+1} = \mu_t - \eta \, "
        r"(-\log_2 p'_{x_t} - \tau)",
        source="Basu et al. 2020",
        url="https://arxiv.org/abs/2007.14966",
        advice="Use it, followed by sample, for long texts that should drift neither into loops "
        "nor into nonsense. It is a truncation of its own: other truncations before it leave it "
        "little to steer.",
    )

    class Params(base.Params):
        tau: float = setting(
            5.0,
            "The surprise aimed at, in bits per token.",
            usual=(0.0, 10.0),
            step=0.1,
            ge=0.0,
            le=30.0,
        )
        eta: float = setting(
            0.1,
            "How far one token moves the limit, per bit of its error.",
            usual=(0.0, 1.0),
            step=0.01,
            ge=0.0,
            le=1.0,
        )

    stateful = True
    keeps_by = "probability"

    def refuse(self, chain: Sequence[Strategy]) -> None:
        if chain.index(self) != len(chain) - 2:
            raise ValueError(
                "it comes last of the processors, since it steers by the probability the token is "
                "drawn with; move it to the end."
            )

    def initial_state(self) -> float:
        """The highest surprise kept, in bits."""
        return 2.0 * float(self.params.tau)

    def observe(self, state: Any, token: int, logprob: float) -> float:
        return float(state - self.params.eta * (-logprob / BIT - self.params.tau))

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        least = torch.tensor([-row.state * BIT for row in rows], device=scores.device)
        kept = scores.log_softmax(-1) >= least[:, None]
        return torch.where(kept | (scores >= scores.amax(-1, True)), scores, -torch.inf)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return steered(scores, rows, self.initial_state(), self.observe, lambda state: -state * BIT)
