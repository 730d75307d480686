"""Where a finished text would first have changed under another recipe, from its trace alone."""

from __future__ import annotations

from playground.explain.replay.known import NotRecorded
from playground.explain.replay.outcome import OPEN, SAME, Outcomes, RecordedText, sentence
from playground.trace.changes import WhatIf
from strategies import Recipe
from strategies.ops.bounded import Unknown

_AT_ONCE = 32  # steps


def what_if(text: RecordedText, recipe: Recipe) -> WhatIf:
    """The first token that ``recipe`` would choose otherwise after the same tokens before it."""
    same = WhatIf(recipe=str(recipe), stays=len(text.path))
    if recipe == text.recipe:
        return same
    known = 0
    try:
        processors, steps, search = text.built(recipe.steps)
        remembers = any(processor.remembers_probabilities for processor in processors)
        at_once = max(len(text.path), 1) if remembers else _AT_ONCE
        for first in range(0, len(text.path), at_once):
            known, last = first, min(first + at_once, len(text.path))
            scores = text.known(first, last)
            scores = text.applied(scores, processors, steps, text.rows[first:last])
            found = text.outcomes(scores, search, first)
            changed = (found.fates != SAME).nonzero()[0]
            if len(changed):
                return _changed(str(recipe), first, int(changed[0]), found, text)
    except (Unknown, NotRecorded) as error:
        return WhatIf(recipe=str(recipe), unknown=sentence(error), stays=known)
    return same


def _changed(recipe: str, first: int, at: int, found: Outcomes, text: RecordedText) -> WhatIf:
    index, token = first + at, int(found.tokens[at])
    if found.fates[at] == OPEN:
        return WhatIf(
            recipe=recipe,
            unknown=f"Token {index + 1} cannot be told: what was recorded of the model's logits "
            "there leaves open what the recipe would choose. All before it stay.",
            stays=index,
        )
    if token < 0:
        return WhatIf(
            recipe=recipe,
            index=index,
            unknown="The trace tells that the token would be another, and not which.",
            stays=index,
        )
    known = text.path[index].candidates
    piece = known.texts[known.ids.index(token)] if token in known.ids else None
    return WhatIf(recipe=recipe, index=index, token=token, text=piece, stays=index)
