"""The preview: each column's recipe applied to the next token after the prompt, before any Run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.backends import Backend
from playground.charts import percent, quoted, visible
from playground.colours import LETTERS
from playground.engine import FieldError, Request
from playground.engine.decode.preview import UNSEEN
from playground.engine.lanes.chain import chain
from playground.errors import ModelError
from playground.service import Service
from playground.side_by_side import written_by
from playground.trace import Comparison, StepRecord, Trace
from playground.ui import step_card
from playground.ui.limits import fault, on_page, whole
from strategies.recipe import Recipe, RecipeError

SHOWN = 5  # candidates of a column
LONGEST = 24  # characters of a token's text


class PreviewRequest(BaseModel):
    """The page's question. ``recipes`` are in their written form, by the number of their column."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = Field(max_length=300)
    split: bool = False
    prompt: str
    chat: bool
    seed: int | str
    least: int | str
    tokens: int | str
    recipes: dict[int, str] = Field(max_length=len(LETTERS))


def setup(run: Comparison | None, *, recorded: bool = False) -> dict[str, Any] | None:
    """The part of a run's request that a preview depends on, for the page to compare with its own.

    Without the model for a recorded run, which may be of another model than the page's.
    """
    if run is None:
        return None
    model = None if recorded else run.model.id
    return {
        "prompt": run.prompt, "chat": run.chat, "model": model, "tokens": run.max_new_tokens,
        "split": run.split_special_tokens,
    }  # fmt: skip


def answer(service: Service, sent: Any, client: str = "") -> dict[str, Any]:
    """``columns``, a view for each column's number; ``fault``, why there are none; or ``wait``.

    They wait for the model, or for the prompt, which is prefilled once the engine is idle.
    """
    try:
        asked = PreviewRequest.model_validate(sent)
    except ValidationError as problem:
        return {"fault": str(fault(problem))}
    try:
        backend = service.running(asked.model)
        if backend is None:
            return {"wait": "The model is being loaded."}
        if "preview" in backend.lacks.reasons:
            return {"fault": backend.lacks.reasons["preview"]}
        return _answer(service, asked, client)
    except FieldError as problem:
        return {"fault": str(on_page(problem))}
    except ModelError as problem:
        return {"fault": str(problem)}


def _answer(service: Service, asked: PreviewRequest, client: str) -> dict[str, Any]:
    views: dict[int, dict[str, Any]] = {}
    by_model: dict[str, dict[int, Recipe]] = {}
    for place, text in asked.recipes.items():
        try:
            recipe = Recipe.of(text)
            by_model.setdefault(written_by(service, recipe, asked.model), {})[place] = recipe
        except RecipeError:  # its sentence stands at the recipe
            views[place] = _refused("This recipe cannot run as it is.")
        except ModelError as problem:
            views[place] = _refused(str(problem))
    for model, recipes in by_model.items():
        backend = service.running(model)
        if backend is None:
            note = f"{service.models.entry(model).title} is loaded when you press Run."
            views |= {place: {"note": note} for place in recipes}
        elif "preview" in backend.lacks.reasons:
            note = backend.lacks.reasons["preview"]
            views |= {place: {"note": note} for place in recipes}
        else:
            found = _of_model(service, backend, model, recipes, asked, client)
            if found is None:
                return {"wait": "The prompt is being read."}
            views |= found
    return {"columns": {str(place): views[place] for place in asked.recipes}}


def _of_model(
    service: Service,
    backend: Backend,
    model: str,
    recipes: dict[int, Recipe],
    asked: PreviewRequest,
    client: str,
) -> dict[int, dict[str, Any]] | None:
    """The views of the columns that one model writes; None until it has read the prompt."""
    tokens, least = whole("max_new_tokens", asked.tokens), whole("min_new_tokens", asked.least)
    seed, chat = whole("seed", asked.seed), asked.chat and backend.facts.has_chat_template
    views: dict[int, dict[str, Any]] = {}
    while recipes:
        places = list(recipes)
        request = Request(
            prompt=asked.prompt,
            recipes=[recipes[place] for place in places],
            max_new_tokens=tokens or 1,  # 0 would score the prompt alone
            min_new_tokens=least,
            seed=seed,
            chat=chat,
            split_special_tokens=asked.split,
            top_n=step_card.POINTS,
            client=client,
        )
        try:
            steps = service.preview(request, model)
        except FieldError as problem:  # of one column's recipe: the others still have a preview
            name, _, number = problem.field.partition(".")
            if name != "recipes" or not number:
                raise
            at = places[int(number.partition(".")[0])]
            views[at] = _refused(str(problem))
            del recipes[at]
            continue
        if steps is None:
            service.read(asked.prompt, chat, model, asked.split)
            return None
        for place, step in zip(places, steps, strict=True):
            recipe = recipes[place].at_least(least)
            if step == UNSEEN:
                step = _recorded(service, request, recipes[place], model) or step
            if isinstance(step, str):
                views[place] = {"note": step} if step == UNSEEN else _refused(step)
            else:
                hidden = len(recipe.steps) - len(recipes[place].steps)
                views[place] = view(step, recipe, backend.facts.vocab_size, place, hidden)
        break
    return views


def _recorded(service: Service, asked: Request, recipe: Recipe, model: str) -> StepRecord | None:
    """The first token under this recipe in a recent run of the same, if there is one.

    What the recipe reads beside the prompt was read for that run.
    """
    same = {"prompt", "chat", "split_special_tokens", "seed", "max_new_tokens", "min_new_tokens"}
    wanted = asked.model_dump(include=same)
    for run in service.runs.latest():
        request = run.request
        if recipe in request.recipes and not request.prefix and not request.prompt_ids:
            if request.model_dump(include=same) != wanted:
                continue
            made, lane = run.comparison(), request.recipes.index(recipe)
            path = made.lanes[lane].trace.path()
            if path and made.model_of(lane).id == model:
                return path[0]
    return None


def _refused(why: str) -> dict[str, Any]:
    return {"note": why, "refused": True}


def view(
    step: StepRecord, recipe: Recipe, vocab: int, place: int, hidden: int = 0
) -> dict[str, Any]:
    """The likeliest candidates by raw probability, each with that after the recipe.

    The token that the recipe would choose is among them, and the likeliest one after the recipe. A
    bar is ``[text, raw, final, removed, chosen, both in percent]``. ``cards`` are the drawings of
    the recipe's steps, of which the first ``hidden`` are not shown.
    """
    trace = Trace(chain=chain(recipe), vocab_size=vocab)
    known = step.candidates
    asked = trace.chain.asks and not trace.chain.search.params.get("picks")
    whole = trace.chain.chooses in ("text", "drawn text")
    chosen = known.ids.index(step.token)
    best = max(range(len(known.ids)), key=known.final.__getitem__)
    listed = list(dict.fromkeys([chosen, best, *range(len(known.ids))]))[:SHOWN]
    bars, told = [], []
    for c in sorted(listed):
        raw, final = known.raw[c], known.final[c]
        removed = trace.removed_by(step, c)
        values = f"{_short(raw)} → {'—' if removed is not None else _short(final)}"
        bars.append(
            [
                visible(known.texts[c], LONGEST),
                float(f"{raw:.3g}"),
                float(f"{final:.3g}"),
                removed is not None,
                c == chosen and not (asked or whole),
                values,
            ]
        )
        after = f"{percent(final)} %"
        if removed is not None:
            after = f"removed by {trace.chain.processors[removed].label}"
        told.append(f"{quoted(known.texts[c])} {percent(raw)} %, {after}")
    choice = f"would choose {quoted(known.texts[chosen])} next"
    if asked or whole:
        choice = "asks you next" if asked else "goes on with several, and chooses among whole texts"
    return {
        "bars": bars,
        "cards": step_card.cards(step, trace, recipe, hidden),
        "told": f"Column {LETTERS[place]} {choice}. The model, then the recipe: {'; '.join(told)}.",
    }


def _short(probability: float) -> str:
    """Percent in at most four characters."""
    value = 100 * probability
    if value >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.05 else "<0.1" if value else "0"
