"""What a forward over slots returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

EarlyLayers = tuple[int, tuple[int, ...]]  # a row, and the layers after which the head reads it


@dataclass(frozen=True)
class HiddenStates:
    """Hidden states of what was read.

    ``layers``, ``[layers + 1, rows, width]``, are those of each row's last token after the
    embeddings and after each layer, the last one normalised. ``top``, ``[tokens, width]``, are
    those after the last layer of every token, where one row was read, and of each row's otherwise.
    """

    layers: Tensor
    top: Tensor


@dataclass(frozen=True)
class ForwardOutput:
    """``logits`` are float32 ``[rows, vocab]``; ``states`` are there where they were asked for.

    ``early`` is what the vocabulary head makes of a row's earlier layers, float32
    ``[layers, vocab]``, where that was computed along with the rest.
    """

    logits: Tensor
    states: HiddenStates | None = None
    early: Mapping[EarlyLayers, Tensor] = field(default_factory=dict)


def early_rows(early: Sequence[EarlyLayers]) -> int:
    """Rows of scores that these are."""
    return sum(len(layers) for _, layers in early)
