"""Model: a column is written by another model than the one that is chosen for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from .. import base
from ..base import Info, Row, setting
from ..ops.bounded import Bounded


class Model(base.Processor):
    info = Info(
        id="model",
        title="Model",
        summary="Has this column written by another model of the same vocabulary.",
        formula=r"z' = z_{\text{other model}}(\text{text})",
        source="this playground",
        url="https://arxiv.org/abs/2203.02155",
        advice="Use it to see one recipe on two models with the same luck: base and instruct, "
        "small and large. A model is first taken at the top of the page, which shows its cost.",
    )

    class Params(base.Params):
        id: str = setting(
            "",
            "The model's id or title; empty is the one of all columns.",
            names="model",
            max_length=200,
        )

    neutral: ClassVar = {"id": ""}
    each_alone: ClassVar = True
    leads: ClassVar = True

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        return scores  # which are the other model's: a run's columns go to the models they name

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        return scores
