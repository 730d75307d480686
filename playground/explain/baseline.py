"""The columns of one run beside those of another, its baseline."""

from __future__ import annotations

from dataclasses import dataclass

from playground.trace import Comparison, Metrics


@dataclass(frozen=True)
class AgainstBaseline:
    """A column of a run and the baseline's column that it is compared with, both from 0.

    ``index`` is the first token, from 0, at which the texts differ; None where they are the same.
    """

    lane: int
    other: int
    same_recipe: bool
    index: int | None
    now: Metrics
    before: Metrics


def against(run: Comparison, baseline: Comparison) -> list[AgainstBaseline]:
    """Each column of a run beside the baseline's of the same name, else recipe, else number.

    A column without a counterpart is left out.
    """
    found = []
    for lane, result in enumerate(run.lanes):
        named = [
            at for at, one in enumerate(baseline.lanes) if result.name and one.name == result.name
        ]
        alike = [at for at, one in enumerate(baseline.lanes) if one.recipe == result.recipe]
        same_number = [lane] if lane < len(baseline.lanes) else []
        other = next(iter([*named, *alike, *same_number]), None)
        if other is None:
            continue
        before = baseline.lanes[other]
        found.append(
            AgainstBaseline(
                lane,
                other,
                before.recipe == result.recipe,
                _parted(result.token_ids, before.token_ids),
                result.metrics,
                before.metrics,
            )
        )
    return found


def _parted(one: list[int], other: list[int]) -> int | None:
    if one == other:
        return None
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
