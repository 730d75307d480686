"""Beam sampling: beam search whose candidates are drawn with their probability, not by rank."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..base import Info, Step
from .beams import Beams, accumulated


class BeamSample(Beams):
    """Equals ``generate(do_sample=True)`` of transformers 5.24 for the same draws.

    The largest of scores plus Gumbel noise are a draw without replacement from their softmax
    (Vieira 2014). What was drawn comes sorted by score, so that those among the likeliest
    ``num_beams`` of it may end; before 5.24 they were the first ``num_beams`` drawn.
    """

    info = Info(
        id="beam_sample",
        title="Beam sampling",
        summary="Draws what num_beams beginnings go on with, keeps the likelier of what was drawn, "
        "and shows the best finished text.",
        formula=r"\operatorname*{arg\,top}_{2B} \left( \sum_{s \le t} \log p(x_s \mid x_{<s}) "
        r"+ g_x \right), \quad g_x \sim \mathrm{Gumbel}(0, 1)",
        source="transformers (beam search, do_sample)",
        url="https://huggingface.co/docs/transformers/main_classes/text_generation",
        advice="Use it for likely texts that differ from seed to seed, as in paraphrases. It is "
        "neither a fair draw from the model nor the likeliest text, so for the one take sample "
        "and for the other beam.",
    )

    chooses = "drawn text"

    def candidates(self, step: Step, count: int) -> Iterable[tuple[float, int, int]]:
        totals = accumulated(step)
        noise = torch.stack([step.noise(row) for row in range(len(step.rows))])
        # One beam is plain sampling: the better of several draws has another distribution.
        drawn = min(count, totals.numel()) if self.width() > 1 else 1
        places = (totals + noise).flatten().topk(drawn).indices
        vocab = totals.shape[-1]
        scores, order = totals.flatten()[places].sort(descending=True, stable=True)
        for score, place in zip(scores.tolist(), places[order].tolist(), strict=True):
            yield score, place // vocab, place % vocab
