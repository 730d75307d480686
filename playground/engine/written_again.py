"""Where a text departs from a recorded one: it is written again, up to its first other token."""

from __future__ import annotations

from collections.abc import Sequence

from playground.engine.engine import Engine
from playground.engine.forking import fork
from playground.engine.run import Run
from playground.trace import Comparison
from playground.trace.changes import WhatIf
from strategies.recipe import Recipe


def written_again(
    engine: Engine, comparison: Comparison, lane: int, recipe: Recipe, told: WhatIf, sample: int = 0
) -> WhatIf:
    """What ``told`` leaves open of a lane's text under ``recipe``, by writing it with the model.

    Only the tokens that surely stay are given to it, and only where the recipe chooses each by the
    scores after them alone. Steps the engine on the calling thread. Raises ``FieldError`` or
    ``RecipeError``.
    """
    outputs = comparison.lanes[lane].trace.outputs
    number = outputs[sample].sample if sample < len(outputs) else 0
    processors, search = recipe.build(engine.builder.context(comparison.max_new_tokens))
    steady = search.chooses in ("draw", "likeliest") and not any(p.goes_back for p in processors)
    remembers = any(processor.remembers_probabilities for processor in processors)
    start = told.stays if steady and not remembers and number == 0 else 0
    own = [step.token for step in comparison.lanes[lane].trace.path(sample)[start:]]
    run = engine.submit(fork(comparison, lane, start, recipe=recipe, sample=sample))

    def look() -> None:
        if steady and _parting(_written(run, number), own) is not None:
            run.cancel()

    try:
        engine.drive(run, look)
    except BaseException:
        run.cancel()
        engine.step()
        raise
    result = run.comparison().lanes[0]
    if result.error is not None:
        return told.model_copy(update={"unknown": result.error})
    if steady:
        tokens: Sequence[int] = _written(run, number)
    else:
        texts = result.trace.outputs
        tokens = [step.token for step in result.trace.path(min(sample, len(texts) - 1))]
    at = _parting(tokens, own)
    if at is None and len(tokens) >= len(own):
        return WhatIf(recipe=str(recipe), stays=start + len(own))
    if at is None:
        return WhatIf(
            recipe=str(recipe),
            index=start + len(tokens),
            unknown="The text would have ended before this token.",
            stays=start + len(tokens),
        )
    token = tokens[at]
    return WhatIf(
        recipe=str(recipe),
        index=start + at,
        token=token,
        text=engine.pieces([token])[token],
        stays=start + at,
    )


def _written(run: Run, number: int) -> Sequence[int]:
    """What the row with noise of this number has written, without what it goes on with."""
    view = run.lanes[0].view
    rows = [held for held in view.rows if held.row.sample == number]
    return view.written(rows[0]) if rows else ()


def _parting(written: Sequence[int], own: Sequence[int]) -> int | None:
    """The first place at which they differ, of those that both have."""
    pairs = enumerate(zip(written, own, strict=False))
    return next((at for at, (new, old) in pairs if new != old), None)
