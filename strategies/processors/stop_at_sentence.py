"""Stop at a sentence: where the next one would begin, the text ends instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import base
from ..base import Context, Info, Row, setting
from ..grammars import begins
from ..ops.bounded import Bounded
from ..ops.bounded_whole import gathered
from ..ops.reduce import logsumexp

_WIDE = "。！？"  # noqa: RUF001
_CLOSERS = "\"'’”»)\\]」』"
_END = re.compile(rf"[.!?…][{_CLOSERS}]*(?=\s)|[{_WIDE}][{_CLOSERS}]*")
_LAST = re.compile(rf"([.!?…{_WIDE}])[{_CLOSERS}]*\Z")


class StopAtSentence(base.Processor):
    info = Info(
        id="stop_at_sentence",
        title="Stop at a sentence",
        summary="Ends the text behind its sentences, with the chance that another would follow.",
        formula=r"p'_{\mathrm{eos}} = p_{\mathrm{eos}} + \sum_{i \in \text{space}} p_i, \quad "
        r"p'_{i \in \text{space}} = 0 \quad \text{after } n \text{ sentences}",
        source="Unicode's rules for sentences, simplified",
        url="https://unicode.org/reports/tr29/#Sentence_Boundaries",
        advice="Use it for texts of a sentence or two that a length limit would cut. It knows a "
        "sentence by its mark and the space behind, so it may stop behind an abbreviation, and "
        "where there are no marks, as in a list, it never does.",
    )

    class Params(base.Params):
        sentences: int = setting(
            0,
            "Behind how many sentences the text ends; 0 lets it go on.",
            usual=(0, 10),
            step=1,
            ge=0,
            le=1_000,
        )

    neutral: ClassVar = {"sentences": 0}
    beside: ClassVar = "min_new_tokens"

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        if not self.is_neutral(params):
            known = context.vocabulary
            ends = (token for token in context.eos_token_ids if token < context.vocab_size)
            self._end = next(ends, -1)
            if self._end < 0:
                raise ValueError("no token of this model ends a text.")
            end, opening = torch.tensor(self._end), (r"\s", rf"[^{_CLOSERS}.…{_WIDE}]")
            starts = [context.grammars.begin(known, begins(one)).allowed() for one in opening]
            # The tokens that begin another sentence, behind a mark that needs a space or not.
            self._next = [allowed.index_fill(0, end, True) for allowed in starts]

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        marks = [self._mark(row) for row in rows]
        if not any(marks):
            return scores
        out = scores.clone()
        for i, mark in enumerate(marks):
            if mark and scores[i, self._end] > -torch.inf:  # else it may not end here
                moved = self._next[mark in _WIDE].to(scores.device)
                mass = logsumexp(scores[i : i + 1].masked_fill(~moved, -torch.inf))
                out[i] = scores[i].masked_fill(moved, -torch.inf)
                out[i, self._end] = mass[0]
        return out

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        marks = map(self._mark, rows)
        moved = [self._next[mark in _WIDE].numpy() if mark else None for mark in marks]
        return gathered(scores, moved, self._end)

    def _mark(self, row: Row) -> str:
        """The mark of the last sentence, where it is written and nothing but its end is wanted."""
        if self.params.sentences == 0:
            return ""
        text = self.context.decode(row.generated)
        last = _LAST.search(text)
        before = len(_END.findall(text[: last.start()])) if last else -1
        return last[1] if last and before + 1 >= self.params.sentences else ""
