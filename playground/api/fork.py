"""The route that continues a text of a run from one of its tokens."""

import functools
from typing import Annotated, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from playground.api import explain, explanations, requests, responses, runs
from playground.api.body import bounded
from playground.api.errors import NoModel
from playground.engine import FieldError, Run
from playground.engine.forking import fork
from playground.errors import ModelError
from playground.service import Service
from playground.settings import Settings
from strategies.recipe import Recipe

WORKERS = 64  # threads that submit forks and build answers; further clients take turns

EXAMPLES: dict[str, Any] = {
    "candidate": {
        "summary": "Another fourth token of a recent run's second recipe",
        "value": {"run": "0123456789abcdef", "lane": 1, "step": 3, "token": 64},
    },
    "recipe": {
        "summary": "The first four tokens, and then another recipe",
        "value": {"run": "0123456789abcdef", "lane": 1, "step": 4, "recipe": "greedy"},
    },
    "edited": {
        "summary": "The text as a person changed it",
        "value": {"run": "0123456789abcdef", "text": " there was a queen"},
    },
}


def add(router: APIRouter, service: Service) -> None:
    """Add the route to ``router``."""
    settings = service.settings
    fork_body = _body(settings)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    async def go_on(
        request: Request,
        sent: Annotated[fork_body, Body(openapi_examples=EXAMPLES)],  # type: ignore[valid-type]
    ) -> Response:
        """Continues a text of a run that the server still keeps, or of a comparison sent along.

        The tokens that are kept count as generated and keep their luck: after the token that was
        chosen, the text's own recipe writes the same text again. Their keys and values are copied
        where they are still kept, so that only new tokens are read; `timings.reused_tokens` counts
        those copied.

        The answer is a run of its own with one lane, whose `prefix` are the tokens kept and whose
        text, tokens and trace are the new ones; `lanes[0].forked` is where it began. It can be
        forked again. With `"stream": true` the answer is a stream as of `compare`.
        """
        who = runs.client(request, settings)
        body, run = await in_thread(lambda: _submitted(service, fork_body, sent, who))
        answer = functools.partial(_answer, run)
        if body.stream:
            return runs.streamed(in_thread, run, answer)
        return await runs.answered(in_thread, request, [run], answer)

    router.add_api_route(
        "/api/fork",
        go_on,
        methods=["POST"],
        tags=["Texts"],
        summary="Go on with a text from within it",
        response_model=responses.Compared,
        responses={**runs.STREAMED, **runs.FAILED},
        route_class_override=bounded(explain.COMPARISON_BYTES, explain.COMPARISON_VALUES),
    )


def _body(settings: Settings) -> type[BaseModel]:
    """The body of this route, with the bounds of this host."""

    class ForkRequest(explanations.TextOfRun):
        """A position in a text, and what follows it."""

        step: int | None = Field(
            None, ge=0, description="How many tokens of the text are kept; left out with `text`."
        )
        token: int | None = Field(
            None,
            ge=0,
            lt=2**31,
            description="The token that comes next; null has the recipe choose it anew.",
        )
        text: Annotated[str, Field(max_length=settings.max_prompt_chars)] | None = Field(
            None,
            description="What the text was changed to by hand, in place of `step` and `token`. "
            "Tokens before the first word that differs stay as they were.",
        )
        recipe: Recipe | None = Field(
            None, description="The recipe that continues; null is that of the text."
        )
        max_new_tokens: int | None = Field(
            None,
            ge=1,
            le=settings.max_new_tokens,
            description="Most new tokens; null lets the whole text become as long as its run "
            "allowed.",
        )
        stream: bool = Field(
            False, description="Answer with server-sent events while the text is written."
        )

    return ForkRequest


def _submitted(service: Service, model: type[BaseModel], sent: Any, client: str) -> tuple[Any, Run]:
    """The checked body and its submitted run; its errors name fields as the body has them."""
    body: Any = requests.validated(model, sent)
    comparison = explanations.comparison_of(service, body)
    if (body.text is None) == (body.step is None) or (body.text and body.token is not None):
        raise FieldError("step", "Give either a step, with or without a token, or a text.")
    if body.lane >= len(comparison.lanes):
        raise FieldError("lane", f"lane is {body.lane}; the run has {len(comparison.lanes)}.")
    if body.recipe is None:
        explanations.own_recipe(comparison, body)
    step, tokens = body.step, [] if body.token is None else [body.token]
    try:
        if body.text is not None:
            path = comparison.lanes[body.lane].trace.path(body.sample)
            step, tokens = service.edited(path, body.text, comparison.model.id)
        request = fork(
            comparison,
            body.lane,
            step,
            tokens,
            recipe=body.recipe,
            sample=body.sample,
            max_new_tokens=body.max_new_tokens,
        )
        return body, service.submit(
            request.model_copy(update={"client": client}), comparison.model.id
        )
    except FieldError as error:
        raise FieldError(_field(error.field), error.message) from error
    except ModelError as error:
        offered = runs.is_offered(service, comparison.model.id)
        raise NoModel(error, offered=offered) from error


def _field(field: str) -> str:
    """The field at fault as the body names it."""
    if field.startswith("recipes"):
        return "recipe"
    return {"prefix": "token", "prompt": "comparison"}.get(field, field)


def _answer(run: Run) -> BaseModel:
    return responses.Compared.of(run.comparison())
