"""Where each column parts from each other one: a person picks with which one to compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.explain.partings import Parting, Side, parting
from playground.trace import StepRecord


@dataclass
class Partings:
    """The partings of growing texts, kept while both texts hold the same records there."""

    _found: dict[tuple[int, int], tuple[StepRecord, StepRecord, Parting]] = field(
        default_factory=dict
    )

    def told(self, sides: Sequence[Side], lane: int) -> str:
        """JSON, by each other lane: ``[token, sentence, whether the texts are the same]``.

        ``token`` counts from 0 and is null where none differs. A lane that is still too short to
        be compared is left out.
        """
        found = {
            other: self._parting(sides, other, lane) for other in range(len(sides)) if other != lane
        }
        return json.dumps(
            {
                other: [apart.index, _sentence(apart.text), apart.why == "same"]
                for other, apart in found.items()
                if apart is not None
            }
        )

    def _parting(self, sides: Sequence[Side], left: int, right: int) -> Parting | None:
        a, b = sides[left].path, sides[right].path
        was, now, apart = self._found.get((left, right), (None, None, None))
        if apart is not None and apart.index is not None:
            at = apart.index
            # A record links to the one before it: if both are the same, so are those before them.
            if at < min(len(a), len(b)) and a[at] is was and b[at] is now:
                return apart
        apart = parting(sides[left], sides[right])
        if apart is not None and apart.index is not None and apart.index < min(len(a), len(b)):
            self._found[left, right] = a[apart.index], b[apart.index], apart
        return apart


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
