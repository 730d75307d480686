"""A recipe as its trace holds it, so that a saved trace is drawn without its strategies."""

from __future__ import annotations

from typing import Any, get_args

from playground.trace import Chain, ChainStep, Choosing, Measure
from playground.trace.chain import label
from strategies import Recipe, Search


def chain(recipe: Recipe) -> Chain:
    """The recipe's steps with their settings, and how its search chooses.

    A way of choosing or a measure that the trace format does not know is left out.
    """
    steps = [
        ChainStep(
            strategy=step.strategy,
            params=step.params.model_dump(mode="json"),
            written=str(step),
            label=label(str(step)),
            enabled=step.enabled,
            keeps_by=_known(getattr(step.plugin, "keeps_by", None), Measure),
        )
        for step in recipe.steps
    ]
    search = recipe.search.plugin
    assert issubclass(search, Search)
    chooses = "person" if search.asks else search.chooses
    return Chain(steps=steps, chooses=_known(chooses, Choosing))


def _known(named: str | None, literal: Any) -> Any:
    return named if named in get_args(literal) else None
