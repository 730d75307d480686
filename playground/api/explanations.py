"""Requests for explanations and scores, checked, and their responses, apart from HTTP."""

import dataclasses
import threading
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from playground.api import requests, runs
from playground.api.errors import NoModel
from playground.api.requests import DeferredBody
from playground.engine import FieldError
from playground.engine.request import ScoreRequest
from playground.errors import ModelError
from playground.explain import draw as draws
from playground.explain.removal import removals
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison, StepRecord
from playground.trace.beams import BeamTree
from playground.trace.changes import SettingSlack, WhatIf
from playground.trace.scores import TextScore
from playground.trace.soundness import check
from strategies import Context
from strategies.recipe import Recipe, RecipeError
from strategies.searches.sample import MOST

MOST_LANES = 64  # of a run that is explained


class RemovedCandidate(BaseModel):
    """A candidate that the recipe removed, and what it missed."""

    token: int
    text: str
    stage: int = Field(description="Index of the processor that removed it, of those that ran.")
    probability: float = Field(description="Its probability before that.")
    rank: int | None = Field(description="Its rank before that, from 1, where it is known.")
    needed: float | None = Field(description="The step's threshold, in terms of its measure.")
    margin: float | None = Field(description="By how much it missed the threshold.")
    sentence: str


class DrawnCandidate(BaseModel):
    """A candidate's part in a draw: the highest sum wins."""

    token: int
    text: str
    logprob: float = Field(description="Log-probability after all steps.")
    noise: float = Field(description="Its luck: Gumbel noise of the seed and the position.")
    total: float = Field(description="The sum of both.")


class Explanation(BaseModel):
    """Why a token was chosen, and what other settings would have changed."""

    id: str = Field(description="The run's id.")
    lane: int
    recipe: str = Field(description="The lane's recipe in its one-line form.")
    step: StepRecord | None = Field(
        None, description="The choice: candidates, their probabilities after each step, entropies."
    )
    removed: list[RemovedCandidate] = Field(
        default_factory=list, description="Candidates of it that the recipe removed."
    )
    drawn: list[DrawnCandidate] | None = Field(
        None, description="Those that took part in the draw, the winner first; null without one."
    )
    what_if: WhatIf | None = Field(
        None, description="The first token of the text that `recipe` would have chosen otherwise."
    )
    slack: list[SettingSlack] | None = Field(
        None, description="How far each setting may be moved before the text changes."
    )
    beams: BeamTree | None = Field(
        None, description="All rows of the lane over the steps, where `beams` requests them."
    )


class TextOfRun(DeferredBody):
    """The text of a run, by the run's id or in the run itself."""

    run: str | None = Field(
        None, min_length=1, max_length=64, description="The id of a recent run."
    )
    comparison: dict[str, Any] | None = Field(
        None, description="A run as POST /api/compare answered it, in place of its id."
    )
    lane: int = Field(0, ge=0, lt=MOST_LANES, description="Which of its recipes, from 0.")
    sample: int = Field(0, ge=0, lt=MOST, description="Which of the recipe's texts, from 0.")


def bodies(settings: Settings) -> tuple[type[BaseModel], type[BaseModel]]:
    """The bodies of both requests, with the bounds of this host."""
    Prompt = Annotated[str, Field(min_length=1, max_length=settings.max_prompt_chars)]
    Text = Annotated[str, Field(min_length=1, max_length=settings.max_prompt_chars)]
    TokenId = Annotated[int, Field(ge=0, lt=2**31)]
    TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=settings.max_new_tokens)]

    class ExplainRequest(TextOfRun):
        """A choice of a run."""

        step: int | None = Field(
            None, ge=0, description="Which token of the text, from 0; null explains none."
        )
        recipe: Recipe | None = Field(
            None, description="A recipe to compare the whole text with; null compares none."
        )
        slack: bool = Field(
            False, description="Return for each setting the range at which the text stays."
        )
        beams: bool = Field(
            False, description="Return all rows of the lane: continued, pruned, and ended."
        )

    class ScoreBody(DeferredBody):
        """A text after a prompt, and the recipes that may have written it."""

        prompt: Prompt = Field(description="The prompt that the text follows.")
        text: Text | TokenIds = Field(
            description="The text, or its token ids where its tokens are known."
        )
        recipes: list[Recipe] = Field(
            min_length=1, max_length=settings.max_columns, description="As for a comparison."
        )
        min_new_tokens: int = Field(
            0,
            ge=0,
            le=settings.max_new_tokens,
            description="End-of-sequence tokens were held back until then.",
        )
        seed: int = Field(
            0, ge=0, lt=2**63, description="Luck by which some steps decide, such as xtc."
        )
        chat: bool = Field(False, description="As for a comparison.")
        split_special_tokens: bool = Field(False, description="As for a comparison.")
        model: str | None = Field(
            None,
            min_length=1,
            max_length=500,
            description="An id from GET /api/models; the host's default where null.",
        )

    ScoreBody.__name__ = "ScoreRequest"
    return ExplainRequest, ScoreBody


def explained(service: Service, model: type[BaseModel], sent: Any) -> Explanation:
    """The explanation for ``sent``, a body of this ``model``, whose fields errors name."""
    body: Any = requests.validated(model, sent)
    comparison = comparison_of(service, body)
    if body.lane >= len(comparison.lanes):
        raise FieldError("lane", f"lane is {body.lane}; the run has {len(comparison.lanes)}.")
    result = comparison.lanes[body.lane]
    texts = len(result.trace.outputs)
    if body.sample >= texts:
        raise FieldError("sample", f"sample is {body.sample}; the recipe wrote {texts}.")
    found = Explanation(id=comparison.id, lane=body.lane, recipe=result.recipe)
    if body.step is not None:
        _explain_step(found, comparison, body)
    if body.recipe is not None or body.slack:
        _replay(found, comparison, body, service.context(comparison))
    if body.beams:
        found.beams = comparison.beams(body.lane)
    return found


def comparison_of(service: Service, body: Any) -> Comparison:
    """The run of ``body.run``, or ``body.comparison`` as a record."""
    if (body.run is None) == (body.comparison is None):
        raise FieldError("run", "Give either the id of a run or a comparison.")
    if body.run is not None:
        found = service.comparison(body.run)
        if found is None:
            raise FieldError("run", "The run is not kept here any more; send the comparison.")
        return found
    sent = body.comparison
    for lane in sent.get("lanes", []) if isinstance(sent.get("lanes"), list) else []:
        if isinstance(lane, dict):
            lane.pop("tokens", None)  # which the response to a comparison has in addition
    try:
        found = Comparison.model_validate(sent)
        check(found, MOST_LANES)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FieldError("comparison", f"{where}: {first['msg']}") from None
    except ValueError as error:
        raise FieldError("comparison", str(error)) from None
    return found


def own_recipe(comparison: Comparison, body: Any) -> Recipe:
    """The recipe of the text. Raises ``FieldError`` where this host does not have it."""
    try:
        return Recipe.of(comparison.lanes[body.lane].recipe)
    except RecipeError as error:
        field = "run" if body.comparison is None else "comparison"
        raise FieldError(field, f"lanes.{body.lane}.recipe: {error}") from error


def _replay(found: Explanation, comparison: Comparison, body: Any, context: Context | None) -> None:
    own_recipe(comparison, body)
    where: dict[str, Any] = {"sample": body.sample, "context": context}
    try:
        if body.recipe is not None:
            found.what_if = comparison.what_if(body.lane, body.recipe, **where)
        if body.slack:
            found.slack = list(comparison.slack(body.lane, **where).values())
    except RecipeError as error:  # this model cannot run it
        raise FieldError("recipe", str(error)) from error


def _explain_step(found: Explanation, comparison: Comparison, body: Any) -> None:
    trace = comparison.lanes[body.lane].trace
    path = trace.path(body.sample)
    if body.step >= len(path):
        raise FieldError("step", f"step is {body.step}; the text has {len(path)} tokens.")
    found.step = step = path[body.step]
    found.removed = [
        RemovedCandidate(
            token=one.token,
            text=one.text,
            stage=one.stage,
            probability=one.probability,
            rank=one.rank,
            needed=one.threshold,
            margin=one.margin,
            sentence=one.sentence,
        )
        for one in removals(trace, step)
    ]
    moved = step.model_copy(update={"index": step.index + len(comparison.prefix)})
    try:
        drawn = draws.draw(trace, moved, comparison.seed, body.sample)
    except ValueError:  # by a plugin's own noise
        drawn = None
    if drawn is not None:
        found.drawn = [
            DrawnCandidate(**dataclasses.asdict(one), total=one.total) for one in drawn.tickets
        ]


def scored(
    service: Service, model: type[BaseModel], sent: Any, client: str, gone: threading.Event
) -> TextScore:
    """The score for ``sent``, likewise. Raises ``Cancelled`` once ``gone`` is set."""
    body: Any = requests.validated(model, sent)
    fields = {name: getattr(body, name) for name in type(body).model_fields if name != "model"}
    try:
        return service.score_text(
            ScoreRequest(**fields, client=client), body.model, cancelled=gone.is_set
        )
    except ModelError as error:
        raise NoModel(error, offered=runs.is_offered(service, body.model)) from error
