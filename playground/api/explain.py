"""The routes that explain: a choice of a finished run, and a text that may have been written."""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Annotated, Any

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError

from playground.api import requests, runs
from playground.api.body import bounded
from playground.api.errors import NoModel
from playground.api.requests import DeferredBody
from playground.engine import FieldError
from playground.engine.request import Cancelled, ScoreRequest
from playground.errors import ModelError
from playground.explain import draw as draws
from playground.explain.removal import removals
from playground.guard.sizes import request_bytes
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison, StepRecord
from playground.trace.beams import BeamTree
from playground.trace.changes import SettingSlack, WhatIf
from playground.trace.scores import TextScore
from strategies.recipe import Recipe

COMPARISON_BYTES = 12 << 20  # of a body that brings a comparison with it
COMPARISON_VALUES = 500_000
WORKERS = 8  # threads: what they do takes a processor for itself

EXPLAIN_EXAMPLES: dict[str, Any] = {
    "run": {
        "summary": "The fourth token of a recent run's second recipe, and another temperature",
        "value": {
            "run": "0123456789abcdef",
            "lane": 1,
            "step": 3,
            "recipe": "temperature(1.2) | sample",
            "slack": True,
        },
    }
}
SCORE_EXAMPLES: dict[str, Any] = {
    "two": {
        "summary": "Two recipes that may have written a text",
        "value": {
            "prompt": "Once upon a time",
            "text": " there was a king.",
            "recipes": ["greedy", "top_k(20) | sample"],
        },
    }
}


class RemovedCandidate(BaseModel):
    """A candidate that the recipe removed, and what it missed."""

    token: int
    text: str
    stage: int = Field(description="Index of the processor that removed it, of those that ran.")
    probability: float = Field(description="What it had before that.")
    rank: int | None = Field(description="Its rank before that, from 1, where it is known.")
    needed: float | None = Field(description="The step's threshold, in what the step goes by.")
    margin: float | None = Field(description="By how much it missed that.")
    sentence: str


class DrawnCandidate(BaseModel):
    """A candidate's part in a draw: the highest sum wins."""

    token: int
    text: str
    logprob: float = Field(description="Log-probability after all steps.")
    noise: float = Field(description="Its luck: Gumbel noise of the seed and the place.")
    total: float = Field(description="The sum of both.")


class Explanation(BaseModel):
    """What is known of a choice, and what other settings would have changed."""

    id: str = Field(description="The run's id.")
    lane: int
    recipe: str = Field(description="The lane's recipe in its one-line form.")
    step: StepRecord | None = Field(
        None, description="The choice: candidates, their probabilities after each step, figures."
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
        None, description="All rows of the lane over the steps, where `beams` asks for them."
    )


def add(router: APIRouter, service: Service) -> None:
    """Add the routes that explain to ``router``."""
    settings = service.settings
    explain_body, score_body = _bodies(settings)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    def route(path: str, size: type[APIRoute], **more: Any) -> Callable[..., Any]:
        def put(endpoint: Callable[..., Any]) -> Callable[..., Any]:
            router.add_api_route(
                path,
                endpoint,
                methods=["POST"],
                tags=["Explanations"],
                route_class_override=size,
                responses=runs.FAILED,
                **more,
            )
            return endpoint

        return put

    @route(
        "/api/explain",
        bounded(COMPARISON_BYTES, COMPARISON_VALUES),
        summary="Why this token, and what other settings would have changed",
        response_model=Explanation,
    )
    async def explain(
        sent: Annotated[explain_body, Body(openapi_examples=EXPLAIN_EXAMPLES)],  # type: ignore[valid-type]
    ) -> Response:
        """Explains one choice of a run that the server still keeps, or of a comparison sent along.

        No model is asked: all of it follows from the records. Where those do not tell, the answer
        says so in `unknown`.
        """
        body = await in_thread(_explained, service, explain_body, sent)
        return Response(body, media_type="application/json")

    @route(
        "/api/score",
        bounded(request_bytes(settings, 2)),
        summary="Could these recipes have written this text?",
        response_model=TextScore,
    )
    async def score(
        request: Request,
        sent: Annotated[score_body, Body(openapi_examples=SCORE_EXAMPLES)],  # type: ignore[valid-type]
    ) -> Response:
        """The text's log-probability under each recipe, token by token, from one forward for all.

        With the first token that a recipe cannot write and what it lacked, and the temperature and
        top-p that make the text likeliest. Closing the connection ends it.
        """
        gone = threading.Event()
        answer: list[bytes | Exception] = []

        async def watch() -> None:
            while not await request.is_disconnected():
                await anyio.sleep(runs.DISCONNECT_S)
            gone.set()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            try:
                who = runs.client(request, settings)
                answer.append(await in_thread(_scored, service, score_body, sent, who, gone))
            except Exception as error:  # which the group would wrap in one of its own
                answer.append(error)
            group.cancel_scope.cancel()
        (found,) = answer
        if isinstance(found, Cancelled):
            return Response(status_code=499)
        if isinstance(found, Exception):
            raise found
        return Response(found, media_type="application/json")


def _bodies(settings: Settings) -> tuple[type[BaseModel], type[BaseModel]]:
    """What may be asked of this host."""
    Prompt = Annotated[str, Field(min_length=1, max_length=settings.max_prompt_chars)]
    Text = Annotated[str, Field(min_length=1, max_length=settings.max_prompt_chars)]
    TokenId = Annotated[int, Field(ge=0, lt=2**31)]
    TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=settings.max_new_tokens)]

    class ExplainRequest(DeferredBody):
        """A choice of a run."""

        run: str | None = Field(
            None, min_length=1, max_length=64, description="The id of a recent run."
        )
        comparison: dict[str, Any] | None = Field(
            None, description="A run as POST /api/compare answered it, in place of its id."
        )
        lane: int = Field(0, ge=0, lt=64, description="Which of its recipes, from 0.")
        sample: int = Field(0, ge=0, lt=64, description="Which of the recipe's texts, from 0.")
        step: int | None = Field(
            None, ge=0, description="Which token of the text, from 0; null explains none."
        )
        recipe: Recipe | None = Field(
            None, description="Settings to hold the whole text against; null holds it to none."
        )
        slack: bool = Field(
            False, description="Tell for each setting the range that leaves the text as it is."
        )
        beams: bool = Field(
            False, description="Tell all rows of the lane: what went on, was given up, and ended."
        )

    class ScoreBody(DeferredBody):
        """A text after a prompt, and the recipes that may have written it."""

        prompt: Prompt = Field(description="What the text comes after.")
        text: Text | TokenIds = Field(
            description="The text, or its token ids, which tell how it was cut into tokens."
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
            0, ge=0, lt=2**63, description="Luck of the coins that some steps toss, such as xtc's."
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


def _explained(service: Service, model: type[BaseModel], sent: Any) -> bytes:
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
    if body.recipe is not None:
        found.what_if = comparison.what_if(body.lane, body.recipe, sample=body.sample)
    if body.slack:
        found.slack = list(comparison.slack(body.lane, sample=body.sample).values())
    if body.beams:
        found.beams = comparison.beams(body.lane)
    return found.model_dump_json().encode()


def comparison_of(service: Service, body: Any) -> Comparison:
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
            lane.pop("tokens", None)  # which the answer to a comparison has besides
    try:
        return Comparison.model_validate(sent)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FieldError("comparison", f"{where}: {first['msg']}") from None


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
    except ValueError:  # by a plugin's own luck
        drawn = None
    if drawn is not None:
        found.drawn = [
            DrawnCandidate(**dataclasses.asdict(one), total=one.total) for one in drawn.tickets
        ]


def _scored(
    service: Service, model: type[BaseModel], sent: Any, client: str, gone: threading.Event
) -> bytes:
    body: Any = requests.validated(model, sent)
    asked = {name: getattr(body, name) for name in type(body).model_fields if name != "model"}
    try:
        score = service.score_text(
            ScoreRequest(**asked, client=client), body.model, cancelled=gone.is_set
        )
    except ModelError as error:
        raise NoModel(error, offered=runs.is_offered(service, body.model)) from error
    return score.model_dump_json().encode()
