"""Recipes taken to other programs and brought from them: for the page and for HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from playground.engine import FieldError, Request
from playground.errors import ModelError
from playground.explain.replay import RecordedText, what_if
from playground.service import Service
from playground.trace import Comparison, StepRecord
from playground.trace.changes import WhatIf
from strategies.bridges.formats import Bounds, Format, Taken, formats, take
from strategies.bridges.formats.vocabulary import settled, takes_likeliest
from strategies.notation import RecipeError
from strategies.recipe import Recipe

if TYPE_CHECKING:
    from playground.backends import Backend


@dataclass(frozen=True)
class Difference:
    """The next token after a prompt as it is drawn here and there; ``moved`` are bounds.

    Of so large a share of the draws the two programs would choose different tokens, at the least
    and at the most: only candidates are recorded, the likeliest under either recipe.
    """

    here: StepRecord
    there: StepRecord
    moved: tuple[float, float]


def taken(
    service: Service,
    recipe: Recipe,
    format: str,
    bounds: Bounds,
    model: str | None = None,
    chat: bool = False,
    split: bool = False,
) -> Taken:
    """A recipe as a program has it. Where the model is open, texts have their tokens."""
    backend = _open(service, model)
    if backend is None:
        return take(recipe, format, bounds)
    own = backend.generation_config
    settings = None if own is None else own.to_dict()
    context = backend.context(bounds.max_new_tokens or 64, chat, split)
    return take(recipe, format, bounds, context, settings)


def another(recipe: Recipe, there: Recipe) -> bool:
    """Whether two recipes may draw a token from different distributions."""
    steps = [[str(step) for _, step in settled(one)] for one in (recipe, there)]
    return steps[0] != steps[1] or takes_likeliest(recipe) != takes_likeliest(there)


def difference(service: Service, request: Request, model: str | None) -> Difference | str | None:
    """The first two recipes of ``request`` after its prompt; None until that is read.

    A sentence where one of them cannot be told without a run.
    """
    if _open(service, model) is None:
        return "The model is not loaded yet."
    try:
        steps = service.preview(request, model)
    except (FieldError, ModelError) as problem:
        return str(problem)
    if steps is None:
        service.read(request.prompt, request.chat, model, request.split_special_tokens)
        return None
    here, there = steps
    for step in (here, there):
        if isinstance(step, str):
            return step
    assert isinstance(here, StepRecord) and isinstance(there, StepRecord)
    return Difference(here, there, moved(here, there))


def moved(here: StepRecord, there: StepRecord) -> tuple[float, float]:
    """Bounds of the total variation distance of two choices: the share of draws that differ."""
    one, other = (
        dict(zip(step.candidates.ids, step.candidates.final, strict=True)) for step in (here, there)
    )
    shared = one.keys() & other.keys()
    known = sum(abs(one[token] - other[token]) for token in shared) / 2
    rest = [max(0.0, 1.0 - sum(each[token] for token in shared)) for each in (one, other)]
    return min(1.0, known + abs(rest[0] - rest[1]) / 2), min(1.0, known + sum(rest) / 2)


def ties(recipe: Recipe, here: StepRecord, format: Format) -> str | None:
    """Where tokens tie for the last place of top-k and a program keeps k of them: a sentence."""
    if format.keeps_ties:
        return None
    for stage, step in zip(here.stages, recipe.processors, strict=False):
        k = step.params.model_dump().get("top_k", 0) if step.strategy == "top_k" else 0
        if k and stage.survivors > k:
            return (
                f"{stage.survivors - k + 1} tokens tie for place {k}: all of them stay here, and "
                f"one in {format.program}."
            )
    return None


def changed(
    service: Service, comparison: Comparison | None, lane: int, recipe: Recipe, there: Recipe
) -> WhatIf | None:
    """The first token of a column's text that a program would choose otherwise.

    None where the column's text is not of this recipe, or is still being written.
    """
    if comparison is None or lane >= len(comparison.lanes):
        return None
    result = comparison.lanes[lane]
    if result.recipe != str(recipe) or result.finish_reason is None or not result.token_ids:
        return None
    try:
        return what_if(RecordedText(comparison, lane, 0, service.context(comparison)), there)
    except RecipeError as error:
        return WhatIf(recipe=str(there), unknown=str(error))
    except ValueError:  # what was recorded does not hold the logits
        return None


def known(format: str) -> Format:
    """A format by its id, of those that ``taken`` accepted."""
    return formats()[format]


def _open(service: Service, model: str | None) -> Backend | None:
    try:
        return service.running(model)
    except ModelError:
        return None
