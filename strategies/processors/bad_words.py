"""Bad words: token sequences that are never completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..notation import quote
from ..ops.spellings import Text, spellings
from ..ops.tokens import ban, completes


class BadWords(base.Processor):
    info = Info(
        id="bad_words",
        title="Bad words",
        summary="Bans the token that would complete one of the words you list.",
        formula=r"z'_i = -\infty \quad \text{if } (\dots, x_{t-1}, i) \text{ ends in a bad word}",
        source="transformers (NoBadWordsLogitsProcessor)",
        url="https://huggingface.co/docs/transformers/internal/generation_utils",
        advice="Use it to keep names or filler words out of a text. The same letters cut into "
        "other tokens pass, capitals count, and a model that wanted the word says it in another "
        "way, so it is no safety filter.",
    )

    class Params(base.Params):
        words: tuple[Text, ...] = setting(
            (),
            "What is never written: not at the beginning, after a space or within a word.",
            max_length=100,
        )

    neutral: ClassVar = {"words": ()}
    each_alone: ClassVar = True

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        spelled = {sequence: word for word in params.words for sequence in spellings(context, word)}
        for token in context.eos_token_ids:
            if (token,) in spelled:
                raise ValueError(
                    f"words has {quote(spelled[token,])}, which ends a text and is never held back "
                    "here; min_new_tokens does that."
                )
        self.sequences = [sequence for sequence in spelled if sequence[-1] < context.vocab_size]

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        return ban(scores, [{s[-1] for s in self.sequences if completes(row, s)} for row in rows])

    def dead_end(self, row: Row) -> str:
        return "every token that is left here would complete one of its words."
