"""Quality against diversity: the means of each setting with their ellipse, and the Pareto frontier.

A sampler of which more settings were tried has more chances to look good. So each sampler keeps as
many settings as the one with the fewest has, spread evenly over those that were tried. A sampler
without parameters, such as greedy, always keeps its one setting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strategies import Recipe

_CONFIDENCE = 0.95
_LEAST = 4  # prompts below which two means have no ellipse

Better = Literal["more", "less"]


@dataclass(frozen=True)
class Ellipse:
    """The 95 % confidence region of a setting's two means.

    ``major`` and ``minor`` are half-axes in the units of the plot's axes; ``angle`` is that of the
    major one, in radians from the first axis of the plot.
    """

    major: float
    minor: float
    angle: float

    def outline(self, x: float, y: float, points: int = 48) -> list[tuple[float, float]]:
        """``points`` points on the ellipse around the centre ``(x, y)``."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        found = []
        for i in range(points):
            turn = 2 * math.pi * i / points
            along, across = self.major * math.cos(turn), self.minor * math.sin(turn)
            found.append((x + along * cos - across * sin, y + along * sin + across * cos))
        return found


@dataclass(frozen=True)
class Point:
    """A setting and its means on both axes; ``dominated`` where a fair one is better in both.

    ``fair`` is False for settings that are left out so that every sampler has equally many.
    """

    recipe: int
    sampler: str
    x: float
    y: float
    ellipse: Ellipse | None
    fair: bool
    dominated: bool


def frontier(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    recipes: Sequence[Recipe],
    better_x: Better = "more",
    better_y: Better = "more",
) -> list[Point]:
    """One point for each recipe; ``x`` and ``y`` are ``[recipes, prompts]``, NaN where missing.

    A recipe with no prompt that has both values is left out. Only fair points dominate others.
    """
    samplers = [sampler(recipe) for recipe in recipes]
    kept = fair(samplers, [_has_settings(recipe) for recipe in recipes])
    placed: dict[int, tuple[float, float, Ellipse | None]] = {}
    for recipe in range(len(recipes)):
        both = ~(np.isnan(x[recipe]) | np.isnan(y[recipe]))
        if both.any():
            own = np.stack([x[recipe][both], y[recipe][both]])
            mean = own.mean(axis=1)
            placed[recipe] = (float(mean[0]), float(mean[1]), ellipse(own))
    toward = (1 if better_x == "more" else -1, 1 if better_y == "more" else -1)

    def beats(one: int, other: int) -> bool:
        (x1, y1, _), (x2, y2, _) = placed[one], placed[other]
        ahead = (toward[0] * (x1 - x2), toward[1] * (y1 - y2))
        return min(ahead) >= 0 and max(ahead) > 0

    return [
        Point(
            recipe=recipe,
            sampler=samplers[recipe],
            x=placed[recipe][0],
            y=placed[recipe][1],
            ellipse=placed[recipe][2],
            fair=recipe in kept,
            dominated=any(beats(other, recipe) for other in placed if other in kept),
        )
        for recipe in placed
    ]


def ellipse(means: NDArray[np.float64]) -> Ellipse | None:
    """The ellipse of the means of ``[2, prompts]`` by Hotelling's T² (1931); None under 4."""
    count = means.shape[1]
    if count < _LEAST:
        return None
    from scipy import stats

    covariance = np.cov(means) / count
    reach = 2 * (count - 1) / (count - 2) * float(stats.f.ppf(_CONFIDENCE, 2, count - 2))
    lengths, axes = np.linalg.eigh(covariance)
    minor, major = np.sqrt(np.maximum(lengths, 0) * reach)
    angle = math.atan2(axes[1, 1], axes[0, 1])
    return Ellipse(float(major), float(minor), angle)


def sampler(recipe: Recipe) -> str:
    """The name of a recipe's sampler: its strategies without their parameters."""
    return " | ".join(step.strategy for step in recipe.steps if step.enabled)


def _has_settings(recipe: Recipe) -> bool:
    return any(type(step.params).model_fields for step in recipe.steps if step.enabled)


def fair(samplers: Sequence[str], settable: Sequence[bool] | None = None) -> set[int]:
    """Indices of the settings that are kept: equally many of each sampler, evenly spread.

    ``settable`` is False for recipes without parameters, which are always kept.
    """
    by_sampler: dict[str, list[int]] = {}
    kept: set[int] = set()
    for index, name in enumerate(samplers):
        if settable is None or settable[index]:
            by_sampler.setdefault(name, []).append(index)
        else:
            kept.add(index)
    least = min(map(len, by_sampler.values()), default=0)
    for indices in by_sampler.values():
        if least == 1:
            kept.add(indices[len(indices) // 2])
        else:
            last = len(indices) - 1
            kept.update(indices[round(i * last / (least - 1))] for i in range(least))
    return kept
