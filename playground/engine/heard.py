"""What a forward over slots said, and what of it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

Early = tuple[int, tuple[int, ...]]  # a row, and the layers after which the head is to read it


@dataclass(frozen=True)
class States:
    """Hidden states. ``last`` is ``[layers + 1, rows, width]``: of each row's last token, after the
    embeddings and after each layer, the top one normalised. ``path`` is ``[tokens, width]``: the
    top ones of every token read, where one row was.
    """

    last: Tensor
    path: Tensor


@dataclass(frozen=True)
class Heard:
    """What a forward said: ``scores`` float32 ``[rows, vocab]``, ``states`` where asked for.

    ``early`` is what the vocabulary head said of a row's earlier layers, float32
    ``[layers, vocab]``, where that was read along with the rest.
    """

    scores: Tensor
    states: States | None = None
    early: Mapping[Early, Tensor] = field(default_factory=dict)


def early_rows(early: Sequence[Early]) -> int:
    """Rows of scores that these are."""
    return sum(len(layers) for _, layers in early)
