"""How alike two texts are: chrF, and the tokens they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

_LONGEST = 6  # characters of a piece
_BETA = 2  # times that what is missing weighs more than what is too much


@dataclass(frozen=True)
class Pieces:
    """The runs of 1 to 6 characters of a text without its spaces, counted."""

    counts: tuple[Counter[str], ...]

    @classmethod
    def of(cls, text: str) -> Pieces:
        bare = "".join(text.split())
        return cls(
            tuple(
                Counter(bare[at : at + n] for at in range(len(bare) - n + 1))
                for n in range(1, _LONGEST + 1)
            )
        )


def chrf(text: Pieces, reference: Pieces) -> float:
    """The character n-gram F-score (Popović 2015), from 0 to 1, as sacreBLEU has it.

    Precision and recall are means over the lengths that both texts have.
    """
    precisions, recalls = [], []
    for own, other in zip(text.counts, reference.counts, strict=True):
        if own and other:
            common = sum((own & other).values())
            precisions.append(common / sum(own.values()))
            recalls.append(common / sum(other.values()))
    if not precisions:
        return float(not any(text.counts) and not any(reference.counts))
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    total = _BETA**2 * precision + recall
    return (1 + _BETA**2) * precision * recall / total if total else 0.0


def overlap(tokens: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """The F1 of the tokens that two texts have in common, from 0 to 1."""
    common = sum((Counter(tokens) & Counter(reference)).values())
    count = len(tokens) + len(reference)
    return 2 * common / count if count else 1.0
