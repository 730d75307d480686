"""Sequential Monte Carlo: of several texts those that lose are replaced by those that win."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from .. import base
from ..base import Info, Move, Row, Step, setting
from ..ops.noise import uniform
from ..ops.resampling import resampled


class SequentialMonteCarlo(base.Search):
    """A row's state is the logarithm of its weight: how much likelier the model finds its text
    than the recipe that proposed it.
    """

    info = Info(
        id="smc",
        title="Sequential Monte Carlo",
        summary="Writes n texts by the recipe, and copies those that the model finds likelier.",
        formula=r"w_t = w_{t-1} \frac{p(x_t \mid x_{<t})}{q(x_t \mid x_{<t})}, \quad "
        r"\text{resample where } \frac{(\sum w)^2}{\sum w^2} < \tau n",
        source="Lew et al. 2023; Loula et al. 2025 (GenLM)",
        url="https://arxiv.org/abs/2504.13139",
        advice="Use it behind a step that keeps a text to a form: masking alone leads into corners "
        "where only unlikely words fit, and this gives up the texts that went there. What is drawn "
        "follows the model among the texts that fit, so that a temperature before it only steers "
        "what is proposed.",
    )

    class Params(base.Params):
        n: int = setting(8, "How many texts are written.", usual=(2, 16), step=1, ge=2, le=32)
        threshold: float = setting(
            0.5,
            "Below which share of n that still counts they are drawn again; 0 never does.",
            usual=(0.0, 1.0),
            step=0.05,
            ge=0.0,
            le=1.0,
        )

    chooses = "drawn text"
    weighs_by = "log weight"

    def width(self) -> int:
        return int(self.params.n)

    def advance(self, step: Step) -> list[Move]:
        first = step.rows[0].state is None
        model = (step.scores if step.logits is None else step.logits).log_softmax(-1)
        proposed: list[tuple[int, int, float]] = []  # parent, token, log weight
        for number in range(self.width() if first else len(step.rows)):
            parent = 0 if first else number
            if bool(torch.isneginf(step.scores[parent]).all()):
                continue  # nothing goes on with this text
            row = step.rows[parent]
            token = step.draw(parent, number if first else row.sample)
            gain = float(model[parent, token]) - float(step.logprobs[parent, token])
            proposed.append((parent, token, (row.state or 0.0) + gain))
        kept = self._resampled(step, proposed)
        used = {row.sample for row in step.finished}
        free = [sample for sample in range(2 * self.width()) if sample not in used]
        return [
            step.move(parent, token, score=weight, state=weight, sample=sample)
            for (parent, token, weight), sample in zip(kept, free, strict=False)
        ]

    def _resampled(
        self, step: Step, proposed: list[tuple[int, int, float]]
    ) -> list[tuple[int, int, float]]:
        """As they are, or as many drawn by their weights, which they then share evenly."""
        row = step.rows[0]
        at = uniform(row.seed, 0, len(row.generated), "smc")
        weights = [weight for _, _, weight in proposed]
        drawn = resampled(weights, self.params.threshold, at)
        return [(*proposed[place][:2], weight) for place, weight in drawn]

    def order(self, rows: Sequence[Row]) -> list[Row]:
        """The heaviest first."""
        return sorted(rows, key=lambda row: (-row.score, row.sample))

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        """Its share of all weight."""
        top = max(other.score for other in rows)
        total = sum(math.exp(other.score - top) for other in rows)
        return {"weight": math.exp(row.score - top) / total}
