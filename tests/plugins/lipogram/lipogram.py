"""Lipogram: a text in which some letters never occur."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from strategies import Info, Processor, Row, base, setting


class Lipogram(Processor):
    info = Info(
        id="lipogram",
        title="Lipogram",
        summary="Bans every token that has one of the letters in it.",
        formula=r"z'_i = -\infty \quad \text{if } i \text{ has a letter of } L",
        source="Perec 1969",
        url="https://en.wikipedia.org/wiki/A_Void",
        advice="Use it to see how far a model gets without its favourite letter. Accents count as "
        "other letters, and the rarer the words that are left, the odder the text.",
    )

    class Params(base.Params):
        letters: str = setting("", "The letters that never occur, in either case.", max_length=26)

    neutral: ClassVar = {"letters": ""}
    each_alone: ClassVar = True

    @cached_property
    def banned(self) -> Tensor:
        """Which tokens have one of the letters, bool ``[vocab]``; ends of a text never."""
        letters = set(self.params.letters.lower())
        ends = set(self.context.eos_token_ids)
        found = [
            token not in ends and not letters.isdisjoint(self.context.decode([token]).lower())
            for token in range(self.context.vocab_size)
        ]
        return torch.tensor(found)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if not self.params.letters:
            return scores
        return scores.masked_fill(self.banned.to(scores.device), -torch.inf)

    def dead_end(self, row: Row) -> str:
        return "every token that is left here has one of the letters."

    def measure(self, row: Row) -> Mapping[str, float]:
        words = self.context.decode(row.generated).split()
        return {"words without them": len(words)} if self.params.letters else {}
