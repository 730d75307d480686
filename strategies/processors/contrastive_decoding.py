"""Contrastive decoding: what an expert says beyond what an amateur says as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .. import base
from ..base import DraftScores, EarlyLayers, Info, Refusal, Row, Strategy, setting
from ..ops.drafts import MODEL, check_draft


class ContrastiveDecoding(base.Processor):
    info = Info(
        id="contrastive_decoding",
        title="Contrastive decoding",
        summary="Favours what the model says and a weaker one does not, among likely tokens.",
        formula=r"z'_i = (1 + \beta)\, z_i - \beta\, z^{\mathrm{amateur}}_i \;\text{ where } p_i "
        r"\ge \alpha \max_j p_j",
        source="Li et al. 2022; in the form of O'Brien & Lewis 2023",
        url="https://arxiv.org/abs/2210.15097",
        advice="Use it for long texts and for reasoning, with an amateur far weaker than the "
        "model: the draft model if there is one. The model at a higher temperature says nothing "
        "else than the model, so that this only sharpens it.",
    )

    class Params(base.Params):
        beta: float = setting(
            0.5, "How much of the amateur is taken off.", usual=(0, 2), step=0.1, ge=0, le=20
        )
        alpha: float = setting(
            0.1,
            "The least probability of a token, as a share of the likeliest's.",
            usual=(0.01, 0.5), step=0.01, ge=0.0001, le=1.0,
        )  # fmt: skip
        amateur: Literal["layer", "draft", "temperature"] = setting(
            "layer", "The model ended early, the draft model, or the model at a temperature."
        )
        layer: int = setting(
            0, "The layer it is ended after; 0 is the middle.", usual=(0, 32), step=1, ge=0, le=1000
        )
        temperature: float = setting(
            1.0, "The amateur's temperature.", usual=(0.5, 3.0), step=0.1, ge=0.01, le=100.0
        )
        model: str = MODEL

    neutral: ClassVar = {"beta": 0.0}
    beside: ClassVar = "guidance"

    def refuse(self, chain: Sequence[Strategy]) -> None:
        count, layer = self.context.layers, self.params.layer
        amateur = self.params.amateur if self.params.beta else ""
        if amateur == "draft":
            check_draft(self.context, self.params.model, "amateur can be layer or temperature")
        if amateur == "temperature" and self.params.temperature == 1.0:
            raise ValueError("temperature is 1, at which the amateur says what the model says.")
        if amateur == "layer" and count is not None and layer >= count:
            raise ValueError(f"layer is {layer}; of this model's {count} the last is the expert.")

    def needs(self, prompt: Sequence[int]) -> EarlyLayers | DraftScores | None:
        if self.params.beta == 0.0 or self.params.amateur == "temperature":
            return None
        if self.params.amateur == "draft":
            return DraftScores(self.params.model)
        return EarlyLayers((self.params.layer or (self.context.layers or 2) // 2,))

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if (beta := self.params.beta) == 0.0:
            return scores
        expert = scores.log_softmax(-1)
        amateur = torch.where(expert > -torch.inf, self._amateur(scores, rows), -torch.inf)
        amateur = (amateur / self.params.temperature).log_softmax(-1)
        kept = expert >= expert.amax(-1, True) + math.log(self.params.alpha)
        # Where the amateur has no score at all, the most that it may be taken for is no surprise.
        known = torch.where(amateur > -torch.inf, amateur, expert)
        return torch.where(kept, (1 + beta) * expert - beta * known, -torch.inf)

    def _amateur(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        """Its scores, float32 ``[rows, vocab]``."""
        if self.params.amateur == "temperature":
            return scores
        given = [row.given for row in rows if row.given is not None]
        if len(given) < len(rows):
            raise Refusal("what the amateur says is not read here; run the recipe to see.")
        return torch.stack([one[0] if one.ndim == 2 else one for one in given])
