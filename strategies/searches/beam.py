"""Beam search: the likeliest whole text found by keeping several beginnings at once."""

from __future__ import annotations

from collections.abc import Iterable

from ..base import Info, Step
from .beams import Beams, accumulated, best_candidates


class Beam(Beams):
    """Equals ``generate`` of transformers 5.23 and 5.24 token for token."""

    info = Info(
        id="beam",
        title="Beam search",
        summary="Keeps the num_beams likeliest beginnings and shows the best finished text.",
        formula=r"\operatorname*{arg\,max}_{x} \; \frac{1}{|x|^{\alpha}} "
        r"\sum_t \log p(x_t \mid x_{<t})",
        source="transformers (beam search)",
        url="https://huggingface.co/docs/transformers/generation_strategies",
        advice="Use it for short texts with one right reading, as in translation. In open-ended "
        "text the likeliest whole is bland and repeats itself, and more beams make it worse.",
    )

    def candidates(self, step: Step, count: int) -> Iterable[tuple[float, int, int]]:
        return best_candidates(accumulated(step), count)
