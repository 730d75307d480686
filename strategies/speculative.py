"""Speculative sampling: tokens guessed ahead are read in one forward and kept where they agree."""

from __future__ import annotations

from collections.abc import Sequence

from . import base
from .base import Info, Move, Row, Step, setting


class Speculative(base.Search):
    """Draws as ``sample`` does, with the same luck: a guess is accepted with its probability, and
    whatever is drawn in its place has the distribution of the rest. That is the rule
    ``min(1, p/q)`` for a guess that proposes one token, and the text is the very one of ``sample``.
    """

    info = Info(
        id="speculative",
        title="Speculative sampling",
        summary="Samples, and guesses ahead from the text's own phrases to read several at once.",
        formula=r"P(\text{accept } \tilde x) = \min\!\left(1, \tfrac{p(\tilde x)}{q(\tilde x)}"
        r"\right), \quad \text{else } x \sim \max(0,\, p - q)",
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
        ngram: int = setting(
            2,
            "How many last tokens are looked up in the text, fewer where they are not found.",
            usual=(1, 5),
            step=1,
            ge=1,
            le=8,
        )

    def draft(self, row: Row) -> Sequence[int]:
        """What followed the first place where the text's last tokens stood before."""
        text = row.tokens
        for size in range(min(self.params.ngram, len(text) - 1), 0, -1):
            tail = text[-size:]
            for at in range(len(text) - size):
                if text[at : at + size] == tail:
                    return text[at + size : at + size + self.params.tokens]
        return ()

    def advance(self, step: Step) -> list[Move]:
        noisy = step.scores + step.luck(step.rows[0].sample)
        return [step.move(0, int(noisy.argmax()))]
