"""Speculative sampling: tokens guessed ahead are read in one forward and kept where they agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .. import base
from ..base import Info, Move, Row, Step, Strategy, setting
from ..ops.drafts import MODEL, check_draft


class Speculative(base.Search):
    """Draws as ``sample`` does, with the same noise; a guess is accepted where it is what is drawn.

    A guess from the text stands for a draft that is sure of it, q = 1: it is drawn, and thereby
    accepted, with probability ``min(1, p/q) = p``; else the draw has the distribution of the rest.
    A draft model guesses with the same noise: its guess is accepted at least ``(1 - d) / (1 + d)``
    of the time, ``d`` being the distance in total variation (Daliri, Musco & Suresh 2024,
    2408.07978). Either way the text is not only distributed as that of ``sample``, it is the same.
    """

    info = Info(
        id="speculative",
        title="Speculative sampling",
        summary="Samples, and guesses ahead so that several tokens are read in one forward pass.",
        formula=r"x_t = \operatorname*{arg\,max}_i (z_i + g_i), \quad \tilde x_t \text{ accepted} "
        r"\iff \tilde x_t = x_t, \quad P = \min\!\left(1, \tfrac{p(\tilde x_t)}{q(\tilde x_t)}"
        r"\right) \text{ for } q(\tilde x_t) = 1",
        source="Leviathan, Kalman & Matias 2022; prompt lookup (Saxena 2023)",
        url="https://arxiv.org/abs/2211.17192",
        advice="Use it where the text repeats its prompt, as in summaries, edits and code: the "
        "text is that of sample, in fewer steps. Where little repeats the guesses fail, and each "
        "one only costs.",
    )

    class Params(base.Params):
        tokens: int = setting(
            4, "How many tokens are guessed at once.", usual=(1, 10), step=1, ge=1, le=16
        )
        draft: Literal["lookup", "model"] = setting(
            "lookup",
            "Who guesses: what followed the last tokens earlier in the text, or a smaller model.",
        )
        ngram: int = setting(
            2,
            "How many last tokens are looked up in the text, fewer where they are not found.",
            usual=(1, 5),
            step=1,
            ge=1,
            le=8,
        )
        model: str = MODEL

    chooses = "draw"

    def refuse(self, chain: Sequence[Strategy]) -> None:
        if self.params.draft == "model":
            check_draft(self.context, self.params.model, "draft can be lookup")

    @property
    def draft_model(self) -> str:
        return str(self.params.model)

    def guesses(self) -> int:
        return int(self.params.tokens) if self.params.draft == "model" else 0

    def draft(self, row: Row) -> Sequence[int]:
        """The tokens that followed the earliest occurrence of the text's last ``ngram`` tokens."""
        text = row.tokens
        if self.params.draft == "model":
            return ()
        for size in range(min(self.params.ngram, len(text) - 1), 0, -1):
            tail = text[-size:]
            for at in range(len(text) - size):
                if text[at : at + size] == tail:
                    return text[at + size : at + size + self.params.tokens]
        return ()

    def advance(self, step: Step) -> list[Move]:
        return [step.move(0, step.draw(0, step.rows[0].sample))]
