"""Begin with: the text starts with words of yours, cut into tokens as the model likes best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Observed, Row, setting
from ..grammars import Matching, begins, exactly


class PrefixForced(base.Processor):
    info = Info(
        id="prefix_forced",
        title="Begin with",
        summary="Removes every token with which the text would not begin as you say.",
        formula=r"z'_i = -\infty \quad \text{if neither } x_{\text{new}} \, i \text{ begins with } "
        r"s \text{ nor } s \text{ with it}",
        source="prefix forcing: Wuebker et al. 2016",
        url="https://aclanthology.org/P16-1007/",
        advice="Use it to set a model on its way, as with the first words of an answer or of a "
        "list. It counts as what the model wrote, so penalties see it, and a beginning the model "
        "would not have chosen may lead nowhere.",
    )

    class Params(base.Params):
        text: str = setting(
            "",
            "What the text begins with, as it stands, a space before it included; empty asks for "
            "nothing.",
            max_length=1_000,
        )

    neutral: ClassVar = {"text": ""}
    leads: ClassVar = True
    stateful = True
    observes: ClassVar[Observed] = "token"
    each_alone: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._start: Matching | None = None  # the empty text
        if not self.is_neutral(params):
            exact = begins(exactly(params.text))
            self._start = context.grammars.begin(context.vocabulary, exact)

    def initial_state(self) -> Matching | None:
        return self._start

    def observe(self, state: Matching | None, token: int, logprob: float) -> Matching | None:
        """None once the beginning is written."""
        after = state.after(token) if state else None
        return None if after is None or after.accepted else after

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        bound = [i for i, row in enumerate(rows) if row.state is not None]
        if not bound:
            return scores
        out = scores.clone()
        for i in bound:
            kept = rows[i].state.allowed().to(scores.device)
            out[i] = torch.where(kept, scores[i], -torch.inf)
        return out

    def dead_end(self, row: Row) -> str:
        return "no token that goes on with what the text begins with is left here."
