"""DoLa: the log-probabilities of the last layer minus those of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .. import base
from ..base import EarlyLayers, Info, Row, Strategy, setting
from ..distribution import Distribution
from ..ops.divergence import from_mixture

RELATIVE_TOP = math.log(0.1)  # a token this far below the likeliest is not weighed
FEWEST = 6  # layers of a model that has an earlier half to choose from
SPAN = 20  # layers considered of a model with more than twice as many


class Dola(base.Processor):
    info = Info(
        id="dola",
        title="DoLa",
        summary="Contrasts the last layer with the earlier one that differs from it most.",
        formula=r"z'_i = \log p_i - \log q_i \;\text{ where } p_i \ge 0.1 \max_j p_j, \quad "
        r"q = \operatorname*{arg\,max}_{q^{(j)}} \mathrm{KL}(m \Vert p) + \mathrm{KL}(m \Vert "
        r"q^{(j)}), \quad m = \tfrac{p + q^{(j)}}{2}",
        source="Chuang et al. 2023, as in its authors' code and transformers 4.49",
        url="https://arxiv.org/abs/2309.03883",
        advice="Use high for short factual answers and low for reasoning, with a repetition "
        "penalty of about 1.2 behind it, and know that small models gain little. The layer is "
        "chosen as the authors' code chooses it: the paper's divergence has the terms the other "
        "way round, and cannot tell layers apart that share no likely token with the last.",
    )

    class Params(base.Params):
        layers: Literal["off", "low", "high"] = setting(
            "off", "Which half of the layers the earlier one is chosen from."
        )

    neutral: ClassVar = {"layers": "off"}
    beside: ClassVar = "guidance"
    keeps_by: ClassVar = "probability"

    def refuse(self, chain: Sequence[Strategy]) -> None:
        count = self.context.layers
        if self.params.layers != "off" and count is not None and count < FEWEST:
            raise ValueError(
                f"dola contrasts early layers with the last; of this model's {count} none is early "
                f"enough, it needs {FEWEST}."
            )

    def needs(self, prompt: Sequence[int]) -> EarlyLayers | None:
        count = self.context.layers or 0
        half = count // 2 if count <= 2 * SPAN else (SPAN if self._low else count - SPAN)
        if self.params.layers == "off":
            return None
        # Every second one. Embeddings that are the vocabulary head's own weights only say the last
        # token again.
        first = 0 if self.context.tied is False else 2
        return EarlyLayers(tuple(range(first, half, 2) if self._low else range(half, count, 2)))

    @property
    def _low(self) -> bool:
        return bool(self.params.layers == "low")

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.layers == "off":
            return scores
        pairs = zip(rows, torch.split(scores, 1), strict=True)
        return torch.cat([self._contrast(own, row.given) for row, own in pairs])

    def threshold(self, given: Distribution) -> float:
        return math.exp(given.best + RELATIVE_TOP)

    def _contrast(self, scores: Tensor, early: Tensor | None) -> Tensor:
        """``scores`` ``[1, vocab]`` against the farthest of ``early`` ``[layers, vocab]``."""
        assert early is not None, "an engine gives what ``needs`` asks for"
        last = scores.log_softmax(-1)
        left = last[0] > -torch.inf
        whole = bool(left.all())  # a step before may have removed some: they have no part in it
        far = from_mixture(*(last, early) if whole else (last[:, left], early[:, left])).argmax()
        kept = last >= last.amax(-1, True) + RELATIVE_TOP
        return torch.where(kept, last - early[int(far)].log_softmax(-1), -torch.inf)
