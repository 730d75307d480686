"""The routes that run a model: each submits its runs and responds when they have ended."""

import functools
from collections.abc import Callable, Container, Sequence
from typing import Annotated, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel

from playground import clients
from playground.api import events, requests, responses
from playground.api.body import bounded
from playground.api.errors import Fault, NoModel, Problem, problem
from playground.api.wait import ended
from playground.engine import FieldError, Run
from playground.engine import Request as RunRequest
from playground.errors import ModelError
from playground.guard.sizes import request_bytes
from playground.service import Service
from playground.settings import Settings

WORKERS = 256  # threads that submit runs and build responses; further clients take turns
DISCONNECT_S = 0.25  # between two checks whether the client is still connected
PING_S = 10.0  # a stream without news sends a comment this often, so that proxies keep it open

FAILED: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The body came too slowly."},
    413: {"model": Problem, "description": "The body is longer than any valid one."},
    422: {"model": Problem, "description": "A field cannot be accepted; `loc` names it."},
    500: {"model": Problem, "description": "The model or the server failed."},
    503: {"model": Problem, "description": "The model cannot be loaded now."},
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All is written.",
        "content": {events.EventStream.media_type: events.described()},
    }
}


def add(router: APIRouter, service: Service) -> None:
    """Add the routes that run a model to ``router``."""
    settings = service.settings
    models = requests.request_models(settings)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    def route(path: str, prompts: int = 1, **more: Any) -> Callable[..., Any]:
        size = bounded(request_bytes(settings, prompts))
        described = {**more.pop("responses", {}), **FAILED}

        def add_route(endpoint: Callable[..., Any]) -> Callable[..., Any]:
            router.add_api_route(
                path,
                endpoint,
                methods=["POST"],
                tags=["Texts"],
                route_class_override=size,
                responses=described,
                **more,
            )
            return endpoint

        return add_route

    @route(
        "/api/compare",
        summary="One prompt, several recipes",
        response_model=responses.Compared,
        responses=STREAMED,
    )
    async def compare(
        request: Request,
        sent: Annotated[models.compare, Body(openapi_examples=requests.COMPARE_EXAMPLES)],
    ) -> Response:
        """Runs the recipes side by side and answers when all have ended.

        With `"stream": true` the answer is a stream of server-sent events, each with one JSON
        object as data: `start`, then any number of `token`, `rewind` and `lane`, then `done` with
        the whole answer, or `error` with the same object as a failed request. A client that knows
        no beams, and no recipe that takes tokens back, may ignore `rewind`.

        Closing the connection ends the run. The same seed, settings and model give the same text.
        """
        body, (run,) = await in_thread(
            submit, service, models.compare, sent, client(request, settings)
        )
        answer = functools.partial(_compared, service, run)
        if body.stream:
            return streamed(in_thread, run, answer)
        return await answered(in_thread, request, [run], answer)

    @route(
        "/api/generate",
        summary="One prompt, one recipe",
        response_model=responses.Generated,
        responses=STREAMED,
    )
    async def generate(
        request: Request,
        sent: Annotated[models.generate, Body(openapi_examples=requests.GENERATE_EXAMPLES)],
    ) -> Response:
        """Continues the prompt and answers when the text has ended, or streams as `compare` does.

        With `echo` the text and its tokens begin with the prompt; with `logprobs` every token has
        its log-probability, and with both so have the prompt's, each given those before it: the
        first has none. A stream's `token` events are of the new tokens, always with both their
        log-probabilities; what was requested comes with `done`.
        """
        body, (run,) = await in_thread(
            submit, service, models.generate, sent, client(request, settings)
        )
        answer = functools.partial(_generated, service, run, body)
        if body.stream:
            return streamed(in_thread, run, answer)
        return await answered(in_thread, request, [run], answer)

    @route(
        "/api/generate_batch",
        prompts=requests.most_prompts(settings),
        summary="Several prompts, one recipe",
        response_model=responses.GeneratedBatch,
        response_description="All are written.",
    )
    async def generate_batch(
        request: Request,
        sent: Annotated[models.batch, Body(openapi_examples=requests.BATCH_EXAMPLES)],
    ) -> Response:
        """Continues every prompt, all in one batch, and answers when all texts have ended.

        The texts are those that `generate` gives one by one. All prompts are run or, where one
        cannot be, none; together they count as one request and one run of a client's share.
        """
        body, runs = await in_thread(submit, service, models.batch, sent, client(request, settings))
        answer = functools.partial(_batch, service, runs, body)
        return await answered(in_thread, request, runs, answer)


async def answered(
    in_thread: events.InThread,
    request: Request,
    runs: Sequence[Run],
    answer: Callable[[], BaseModel],
) -> Response:
    """The response with ``answer`` once all ``runs`` are over; they are cancelled at its end."""
    try:
        for run in runs:
            while not await ended(run, DISCONNECT_S):
                if await request.is_disconnected():
                    return Response(status_code=499)
        failed = next((run.error for run in runs if run.error is not None), None)
        if failed is not None:
            return problem(500, Fault(loc=["run"], msg=failed))
        body = await in_thread(lambda: answer().model_dump_json().encode())
        return Response(body, media_type="application/json")
    finally:
        for run in runs:
            run.cancel()


def streamed(in_thread: events.InThread, run: Run, answer: Callable[[], BaseModel]) -> Response:
    """The response that streams a run's events, and then ``answer``."""
    return events.EventStream(events.RunEvents(run, answer), in_thread, PING_S)


def client(request: Request, settings: Settings) -> str:
    """The client that a request counts for; see ``clients.client``."""
    peer, forwarded = request.client, request.headers.getlist("x-forwarded-for")
    return clients.client(peer.host if peer else None, ",".join(forwarded), settings.hops)


def _run_request(body: Any, prompt: str, recipes: Sequence[Any], client: str) -> RunRequest:
    """The engine's request for one prompt of a checked body."""
    same = set(RunRequest.model_fields) - {"prompt", "recipes", "client", "top_n"}
    return RunRequest(
        prompt=prompt,
        recipes=recipes,
        client=client,
        top_n=getattr(body, "top_n", 1),  # other responses have no candidates
        **{name: getattr(body, name) for name in same if hasattr(body, name)},
    )


def submit(
    service: Service, model: type[BaseModel], sent: Any, client: str
) -> tuple[Any, list[Run]]:
    """The checked body and its submitted runs; its errors name fields as the body has them."""
    body = requests.validated(model, sent)
    recipes = body.recipes if hasattr(body, "recipes") else [body.recipe]
    prompts = body.prompts if hasattr(body, "prompts") else [body.prompt]
    run_requests = [_run_request(body, prompt, recipes, client) for prompt in prompts]
    try:
        return body, service.submit_all(run_requests, body.model)
    except FieldError as error:
        raise FieldError(_field_of_body(error, model.model_fields), error.message) from error
    except ModelError as error:
        raise NoModel(error, offered=is_offered(service, body.model)) from error


def _field_of_body(error: FieldError, fields: Container[str]) -> str:
    """The field at fault as the body names it: it may have one recipe, or several prompts."""
    if error.field == "prompt" and "prompts" in fields:
        return f"prompts.{error.number}"
    return "recipe" if error.field.startswith("recipes") and "recipe" in fields else error.field


def is_offered(service: Service, model: str | None) -> bool:
    """Whether this host offers a model, even if it cannot be loaded now."""
    if model in (None, service.settings.model) or service.settings.allow_any_model:
        return True
    return any(entry.id == model for entry in service.models.catalogue())


def _compared(service: Service, run: Run) -> responses.Compared:
    if run.request.max_new_tokens == 0:
        service.score(run)
    return responses.Compared.of(run.comparison())


def _generated(service: Service, run: Run, body: Any) -> responses.Generated:
    if body.max_new_tokens == 0 or (body.echo and body.logprobs):
        service.score(run)
    return responses.Generated.of(run, logprobs=body.logprobs, echo=body.echo)


def _batch(service: Service, runs: Sequence[Run], body: Any) -> responses.GeneratedBatch:
    return responses.GeneratedBatch(answers=[_generated(service, run, body) for run in runs])
