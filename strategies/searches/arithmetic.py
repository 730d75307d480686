"""Arithmetic sampling: evenly spaced numbers are decoded, so that n samples spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import base
from ..base import Info, Move, Row, Step, setting
from ..ops.noise import uniform

_COARSE = 2.0**-30  # where less of a number is known than this, it is drawn further


@dataclass(frozen=True)
class Code:
    """A number in [0, 1), known to within ``width``."""

    value: float
    width: float


class Arithmetic(base.Search):
    info = Info(
        id="arithmetic",
        title="Arithmetic sampling",
        summary="Draws n texts from evenly spaced numbers, so that they differ more than samples.",
        formula=r"x_t = \min \{ i : F_t(i) > c_t \}, \quad c_{t+1} = \frac{c_t - F_t(x_t - 1)}"
        r"{p(x_t)}, \quad c_1 = \left( \tfrac{i}{n + 1} + b \right) \bmod 1",
        source="Vilnis et al. 2022",
        url="https://arxiv.org/abs/2210.15458",
        advice="Use it for several texts at once that shall cover what the model may say. Each one "
        "by itself is a plain sample, whose luck is its own number and not that of the other "
        "columns.",
    )

    class Params(base.Params):
        n: int = setting(4, "How many texts are drawn.", usual=(1, 8), step=1, ge=1, le=64)

    def width(self) -> int:
        return int(self.params.n)

    def advance(self, step: Step) -> list[Move]:
        masses = step.scores.double().softmax(-1).cumsum(-1)
        first = step.rows[0].state is None
        moves = []
        for number in range(self.params.n if first else len(step.rows)):
            parent = 0 if first else number
            row = step.rows[parent]
            sample = number if first else row.sample
            code = self._first(row, sample) if first else row.state
            token, rest = _decoded(masses[parent], _sharper(code, row, sample))
            moves.append(step.move(parent, token, state=rest, sample=sample))
        return moves

    def _first(self, row: Row, sample: int) -> Code:
        shift = uniform(row.seed, 0, 0, "arithmetic shift")
        return Code(((sample + 1) / (self.params.n + 1) + shift) % 1.0, 2.0**-52)

    def measure(self, row: Row, rows: Sequence[Row]) -> dict[str, float]:
        first = self._first(row, row.sample)
        return {"code": first.value}


def _sharper(code: Code, row: Row, sample: int) -> Code:
    """The code, drawn further within what is not known of it."""
    if code.width < _COARSE:
        return code
    more = uniform(row.seed, sample, len(row.generated), "arithmetic")
    return Code(code.value + code.width * more, code.width * 2.0**-52)


def _decoded(masses: Tensor, code: Code) -> tuple[int, Code]:
    """The token in whose share of the masses ``[vocab]`` the code lies, and where in that."""
    # A removed token has no share, so that its mass is that of the token before it.
    token = int(torch.searchsorted(masses, code.value * float(masses[-1]), right=True))
    token = min(token, int(torch.searchsorted(masses, float(masses[-1]))))
    low = float(masses[token - 1]) if token else 0.0
    share = (float(masses[token]) - low) / float(masses[-1])
    rest = (code.value - low / float(masses[-1])) / share
    return token, Code(min(max(rest, 0.0), 1.0 - 2.0**-53), code.width / share)
