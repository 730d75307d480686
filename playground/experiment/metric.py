"""The contract of a metric: a number for each text, with its formula, its source and its words.

A metric is a plugin, as a strategy is: one file in ``metrics/`` with one class. Validation, the
report's tables and sentences, the list of metrics and the contract tests are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from playground.experiment.sample import Prompt, Sample
from strategies.base import Params, setting
from strategies.notation import write

__all__ = ["Metric", "MetricInfo", "Params", "setting"]


@dataclass(frozen=True)
class MetricInfo:
    """A metric's name and source, and the words for a difference in it.

    ``formula`` is LaTeX without delimiters. ``more`` and ``less`` go between two recipes: "repeats
    more". A value is shown times ``factor``, in ``unit``.
    """

    id: str
    title: str
    summary: str
    formula: str
    source: str
    url: str
    more: str
    less: str
    unit: str = ""
    factor: float = 1.0
    better: Literal["more", "less"] | None = None  # where people agree which it is
    ratio: bool = False  # compared by factors: means and differences are those of its logarithm
    repeatable: bool = True  # the same whenever the same texts are written
    expects: bool = False  # prompts without an ``expected`` value have none
    bounds: tuple[float, float] = (-math.inf, math.inf)  # of recipes' means; texts' go beyond
    reads_features: bool = False  # see ``Metric.over_all``


@dataclass(frozen=True)
class Features:
    """What the model makes of texts: the hidden state of each one's last token, after its prompt.

    ``written`` are float32 ``[recipes, prompts, seeds, width]``, ``expected`` those of what prompts
    expect, ``[prompts, width]``. NaN stands where there is none. ``recipes`` are in written form.
    """

    recipes: Sequence[str]
    written: NDArray[np.float32]
    expected: NDArray[np.float32]


@dataclass(frozen=True)
class OverAll:
    """Numbers ``[recipes, prompts, seeds]``, NaN for none, and what must be known to read them."""

    numbers: NDArray[np.float64]
    note: str


class Metric:
    """The base of every metric. ``Params`` are its settings, as a strategy's are."""

    info: ClassVar[MetricInfo]
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: Any = None) -> None:
        self.params: Any = self.Params() if params is None else params

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        """The number of one text; None where it is too short, or has no such number."""
        raise NotImplementedError

    def values(self, samples: Sequence[Sample], prompt: Prompt) -> list[float | None]:
        """One for each of the texts that one recipe wrote after one prompt, a seed each.

        What compares texts with each other overrides this.
        """
        return [self.value(sample, prompt) for sample in samples]

    def over_all(self, features: Features) -> OverAll:
        """The numbers of a metric that ``reads_features``, once all texts are written.

        What compares all texts of a recipe with others overrides this. The mean over a prompt's
        texts, and then over prompts, is the recipe's number.
        """
        raise NotImplementedError

    def fault(self, recipes: Sequence[str], expects: bool) -> str:
        """Why an experiment of these recipes, written out, cannot be measured by it; "" if it can.

        ``expects`` is whether one of its prompts has an ``expected`` value.
        """
        return ""

    def compared(self, value: float | None) -> float | None:
        """The value on the scale of means and differences: of a ratio, its logarithm."""
        if value is None or not math.isfinite(value):
            return None
        if self.info.ratio:
            return math.log(value) if value > 0 else None
        return value

    def __str__(self) -> str:
        """The written form, as in an experiment: ``distinct_n(3)``."""
        fields = type(self.params).model_fields
        changed = {
            name: getattr(self.params, name)
            for name, field in fields.items()
            if getattr(self.params, name) != field.get_default(call_default_factory=True)
        }
        first = next(iter(fields), "")
        values = (changed.pop(first),) if first in changed else ()
        return write(self.info.id, values, changed, True)
