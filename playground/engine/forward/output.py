"""What a forward over slots returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class EarlyRow(NamedTuple):
    """A row of a step, and layers before the last whose states the vocabulary head reads too."""

    row: int
    layers: tuple[int, ...]


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states of what was read.

    ``layers``, ``[layers + 1, rows, width]``, are those of each row's last token after the
    embeddings and after each layer, the last of them normalised. ``top``, ``[tokens, width]``, are
    those after the last layer of every token, where one row was read, and of each row's otherwise.
    """

    layers: Tensor
    top: Tensor


@dataclass(frozen=True)
class ForwardOutput:
    """``logits`` are float32 ``[rows, vocab]``; ``states`` are None unless they were requested.

    ``early`` are the logits of a row's earlier layers, float32 ``[layers, vocab]``, where they
    were computed together with the rest.
    """

    logits: Tensor
    states: HiddenStates | None = None
    early: Mapping[EarlyRow, Tensor] = field(default_factory=dict)


def early_rows(early: Sequence[EarlyRow]) -> int:
    """How many rows of logits these are."""
    return sum(len(each.layers) for each in early)
