"""DRY: makes a repeated passage the harder to go on with, the longer it already is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..ops.breakers import Breakers
from ..ops.copies import copied
from ..ops.spellings import Text
from ..ops.suffixes import followed

LONGEST = 50  # matched tokens, as in text-generation-webui: beyond that the power overflows


class Dry(base.Processor):
    info = Info(
        id="dry",
        title="DRY (don't repeat yourself)",
        summary="Penalises the token that would go on with a passage the text already holds, more "
        "with each repeated token.",
        formula=r"z'_i = z_i - m \cdot b^{\,L_i - \ell} \quad \text{if } L_i \ge \ell, \quad L_i "
        r"= \text{longest end of the text that } i \text{ has followed before}",
        source="text-generation-webui (p-e-w 2024)",
        url="https://github.com/oobabooga/text-generation-webui/pull/5677",
        advice="Use it (0.8) against loops in stories and chats, where it leaves single words "
        "alone, unlike a repetition penalty. Turn it off for code, tables and quotations, which "
        "repeat whole lines with good reason.",
    )

    class Params(base.Params):
        multiplier: float = setting(
            0.0,
            "The penalty of the shortest match; 0 changes nothing.",
            usual=(0.0, 5.0),
            step=0.05,
            ge=0.0,
            le=100.0,
        )
        base: float = setting(
            1.75,
            "What the penalty is multiplied by for each further token.",
            usual=(1.0, 4.0),
            step=0.05,
            ge=1.0,
            le=4.0,
        )
        allowed_length: int = setting(
            2,
            "The length of the match, in tokens, from which the next one is penalised.",
            usual=(1, 20),
            step=1,
            ge=1,
            le=LONGEST,
        )
        breakers: tuple[Text, ...] = setting(
            ("\n", ":", '"', "*"),
            "Texts no match reaches across, in a token with others or over several.",
            max_length=50,
        )
        window: int = setting(
            0,
            "How many of the last tokens are searched, prompt included; 0 searches them all.",
            usual=(0, 4096),
            step=64,
            ge=0,
            le=1_000_000,
        )

    neutral: ClassVar = {"multiplier": 0.0}
    each_alone: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._breaks = Breakers(params.breakers, context)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.params.multiplier == 0.0:
            return scores
        out = copied(scores)
        for i, row in enumerate(rows):
            tokens, lengths = followed(row.tokens[-self.params.window :], self._breaks, LONGEST)
            repeats = (lengths >= self.params.allowed_length) & (tokens < scores.shape[-1])
            over = (lengths[repeats] - self.params.allowed_length).double()
            penalty = self.params.multiplier * self.params.base**over
            out[i, tokens[repeats].to(out.device)] -= penalty.float().to(out.device)
        return out
