"""XTC: now and then takes the likeliest tokens away and leaves the least likely good one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..distribution import Distribution
from ..ops.bounded import Bounded
from ..ops.bounded_cuts import without_top
from ..ops.noise import uniform


class Xtc(base.Processor):
    info = Info(
        id="xtc",
        title="XTC (exclude top choices)",
        summary="With a chance, removes all but the least likely of the tokens that reach a "
        "threshold.",
        formula=r"z'_i = -\infty \quad \text{if } p_i > \min \{ p_j : p_j \ge t \} \text{ and } "
        r"u < \text{probability}",
        source="text-generation-webui (p-e-w 2024)",
        url="https://github.com/oobabooga/text-generation-webui/pull/6335",
        advice="Use it in stories to get past the phrase every model writes, with a min-p or top-p "
        "before it to keep nonsense out. It picks lesser words on purpose, so never use it for "
        "facts or code.",
    )

    class Params(base.Params):
        threshold: float = setting(
            0.1,
            "The probability from which a token counts as a good choice; above 0.5 there are "
            "never two.",
            usual=(0.0, 0.5),
            step=0.01,
            ge=0.0,
            le=1.0,
        )
        probability: float = setting(
            0.0,
            "The chance that it acts at a token; 0 changes nothing.",
            usual=(0.0, 1.0),
            step=0.05,
            ge=0.0,
            le=1.0,
        )

    neutral: ClassVar = {"probability": 0.0}
    keeps_by: ClassVar = "ceiling"

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        spared = {*context.encode("\n")[-1:], *context.eos_token_ids}
        self._spared = sorted(token for token in spared if token < context.vocab_size)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        acting = [i for i, row in enumerate(rows) if self._acts(row)]
        if not acting:
            return scores
        out = scores.clone()
        for i in acting:
            probs = scores[i].softmax(-1)
            good = (probs >= self.params.threshold) & (scores[i] > -torch.inf)
            least = probs[good].amin() if good.any() else torch.inf
            removed = probs > least
            # A text must be able to end, and a paragraph too: then nothing is taken away.
            if not removed[self._spared].any():
                out[i, removed] = -torch.inf
        return out

    def _acts(self, row: Row) -> bool:
        """Whether it acts at this token, by a number that every column with the same seed draws."""
        position = len(row.tokens) - row.prompt_length
        chance: float = self.params.probability
        return uniform(row.seed, row.sample, position, "xtc") < chance

    def threshold(self, given: Distribution) -> float:
        return float(self.params.threshold)

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        acting = np.array([self._acts(row) for row in rows])
        return without_top(scores, self.params.threshold, self._spared, acting)
