"""OpenAI's paths: the application that serves them, with errors in OpenAI's format."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import to_json

from playground.api import runs as api_runs
from playground.api.body import bounded
from playground.api.errors import Fault, NoModel, handle
from playground.api.events import EventStream
from playground.api.metrics import ServerMetrics
from playground.api.openai import shapes, tokens
from playground.api.openai.chunks import Chunks
from playground.api.openai.errors import Failed, problem
from playground.api.openai.requests import ChatBody, CompletionBody
from playground.api.openai.responses import response
from playground.api.openai.submitted import Submitted, plan, submit
from playground.api.requests import most_prompts, validated
from playground.api.wait import ended
from playground.engine import FieldError
from playground.errors import ModelError
from playground.guard.sizes import request_bytes
from playground.service import Service

PATHS = ("/v1", "/v1/{path:path}", "/tokenize", "/detokenize", "/tokenizer_info")
T = TypeVar("T")
TAG = "For OpenAI's clients"
FAILED: dict[int | str, dict[str, Any]] = {
    400: {"model": Failed, "description": "A field cannot be accepted; `param` names it."},
    404: {"model": Failed, "description": "The model is not offered."},
    429: {
        "model": Failed,
        "description": "Too many requests or runs; `Retry-After` says in how many seconds.",
    },
    "default": {"model": Failed, "description": "Any other failure has this shape, too."},
}
WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All is written. `X-Ignored-Fields` names fields that mean nothing here, "
        "and `X-Max-Tokens` what `max_tokens` was lowered to.",
        "content": shapes.STREAM,
    }
}


def example(**body: Any) -> Any:
    """A body that FastAPI passes on unchecked, with an example for the documentation."""
    return Body(openapi_examples={"one": {"summary": "An example", "value": body}})


Completion = Annotated[
    CompletionBody, example(prompt="Once upon a time", max_tokens=16, min_p=0.1, logprobs=2)
]
Chat = Annotated[
    ChatBody,
    example(
        messages=[{"role": "user", "content": "Name a colour."}],
        max_tokens=16,
        recipe="top_p(0.9) | sample",
    ),
]
Tokenize = Annotated[tokens.TokenizeBody, example(prompt="Once upon a time")]
Detokenize = Annotated[tokens.DetokenizeBody, example(tokens=[65, 66])]
Encode = Annotated[tokens.EncodeBody, example(text="Once upon a time")]
Decode = Annotated[tokens.DecodeBody, example(tokens=[65, 66])]
STARTED = int(time.time())  # when models were "created"


def application(service: Service, server_metrics: ServerMetrics) -> FastAPI:
    """The application of these paths, which sees them as clients send them."""

    async def counted(request: Request) -> None:
        service.rate_limits.count(api_runs.client(request, service.settings))

    most = most_prompts(service.settings)
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(counted)],
        responses=FAILED,
    )
    app.router.route_class = bounded(request_bytes(service.settings, most))
    app.state.metrics = server_metrics
    handle(app, problem)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(api_runs.WORKERS)
    )

    def counting(work: Callable[[], T]) -> T:
        """The result of ``work``; a ``FieldError`` is counted, as the engine counts its own."""
        try:
            return work()
        except FieldError:
            server_metrics.refuse("invalid")
            raise

    def of_model(model: str | None, work: Callable[[], T]) -> T:
        """The result of ``work``. Raises ``NoModel`` where the model cannot be used."""
        try:
            return work()
        except ModelError as error:
            raise _no_model(error, api_runs.is_offered(service, model)) from error

    async def written(
        request: Request, model: type[CompletionBody] | type[ChatBody], sent: Any
    ) -> Response:
        client = api_runs.client(request, service.settings)

        def begin() -> Submitted:
            body = validated(model, sent)

            def queued() -> Submitted:
                planned = counting(lambda: plan(service, body, client, most))
                return submit(service, body, planned)

            return of_model(body.model, queued)

        submitted = await in_thread(begin)
        if submitted.body.stream:
            return EventStream(
                Chunks(service, submitted), in_thread, api_runs.PING_S, submitted.headers
            )
        try:
            for run in submitted.runs:
                while not await ended(run, api_runs.DISCONNECT_S):
                    if await request.is_disconnected():
                        return Response(status_code=499)
            failed = next((run.error for run in submitted.runs if run.error is not None), None)
            if failed is not None:
                return problem(500, Fault(loc=["run"], msg=failed))
            body = await in_thread(lambda: to_json(response(service, submitted)))
            return Response(body, media_type="application/json", headers=submitted.headers)
        finally:
            for run in submitted.runs:
                run.cancel()

    async def about_tokens(
        model: type[BaseModel], work: Callable[[Service, Any], dict[str, Any]], sent: Any
    ) -> Response:
        def find() -> dict[str, Any]:
            body = validated(model, sent)
            return of_model(body.model, lambda: counting(lambda: work(service, body)))

        return JSONResponse(await in_thread(find))

    described: dict[str, Any] = {"tags": [TAG]}
    text: dict[str, Any] = {**described, "responses": WRITTEN}

    @app.post(
        "/v1/completions", response_model=shapes.CompletionAnswer, summary="Complete a text", **text
    )
    async def completions(request: Request, sent: Completion) -> Response:
        """Any sampling field of OpenAI, vLLM, llama.cpp or text-generation-webui may be sent."""
        return await written(request, CompletionBody, sent)

    @app.post(
        "/v1/chat/completions", response_model=shapes.ChatAnswer, summary="Answer in a chat", **text
    )
    async def chat(request: Request, sent: Chat) -> Response:
        """The same for a conversation, which is put into the model's chat template."""
        return await written(request, ChatBody, sent)

    @app.get(
        "/v1/models", response_model=shapes.OpenAIModels, summary="The models offered", **described
    )
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_card(service, id) for id in _ids(service)]}

    @app.get(
        "/v1/models/{id:path}",
        response_model=shapes.OpenAIModel,
        summary="One of them",
        **described,
    )
    def model(id: str) -> dict[str, Any]:
        if id not in _ids(service):
            raise _no_model(ModelError(f"The model {id[:100]!r} is not offered here."), False)
        return _card(service, id)

    @app.post("/tokenize", summary="A text's tokens, for vLLM's and llama.cpp's", **described)
    async def tokenize(sent: Tokenize) -> Response:
        return await about_tokens(tokens.TokenizeBody, tokens.tokenize, sent)

    @app.post("/detokenize", summary="The text of tokens", **described)
    async def detokenize(sent: Detokenize) -> Response:
        return await about_tokens(tokens.DetokenizeBody, tokens.detokenize, sent)

    @app.post(
        "/v1/internal/encode", summary="A text's tokens, for text-generation-webui's", **described
    )
    async def encode(sent: Encode) -> Response:
        return await about_tokens(tokens.EncodeBody, tokens.encode, sent)

    @app.post("/v1/internal/decode", summary="The text of tokens, for the same", **described)
    async def decode(sent: Decode) -> Response:
        return await about_tokens(tokens.DecodeBody, tokens.decode, sent)

    @app.post("/v1/internal/token-count", summary="How many tokens a text has", **described)
    async def count(sent: Encode) -> Response:
        return await about_tokens(tokens.EncodeBody, tokens.count, sent)

    @app.get("/v1/internal/model/info", summary="The model in use", **described)
    def model_info() -> dict[str, Any]:
        return tokens.model_info(service)

    @app.get("/tokenizer_info", summary="Special tokens and chat template", **described)
    async def tokenizer_info() -> Response:
        found = await in_thread(lambda: of_model(None, lambda: tokens.tokenizer_info(service)))
        return JSONResponse(found)

    return app


def _no_model(error: ModelError, offered: bool) -> NoModel:
    """The error of a model that cannot be used: 404 where it is not offered, as clients expect."""
    found = NoModel(error, offered)
    found.status = found.status if offered else 404
    return found


def _ids(service: Service) -> list[str]:
    """The models offered, the default first."""
    ids = [entry.id for entry in service.models.catalogue()]
    return sorted(ids, key=lambda id: id != service.models.default)


def _card(service: Service, id: str) -> dict[str, Any]:
    backend = service.backends.all.get(id)
    return {
        "id": id,
        "object": "model",
        "created": STARTED,
        "owned_by": "decoding-playground",
        "root": id,
        "max_model_len": backend.context_length if backend else None,
    }
