"""OpenAI's paths: the application that serves them, with errors in their form."""

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
from playground.api.openai import tokens
from playground.api.openai.answers import answer
from playground.api.openai.asked import Asked, plan, submit
from playground.api.openai.chunks import Chunks
from playground.api.openai.errors import problem
from playground.api.openai.requests import ChatBody, CompletionBody
from playground.api.requests import most_prompts, validated
from playground.api.wait import ended
from playground.engine import FieldError
from playground.errors import ModelError
from playground.guard.sizes import request_bytes
from playground.service import Service

PATHS = ("/v1", "/v1/{path:path}", "/tokenize", "/detokenize", "/tokenizer_info")
T = TypeVar("T")
Sent = Annotated[Any, Body()]
STARTED = int(time.time())  # when models were "created"


def application(service: Service, server_metrics: ServerMetrics) -> FastAPI:
    """The application of these paths, which sees them as clients send them."""

    async def counted(request: Request) -> None:
        service.rate_limits.count(api_runs.client(request, service.settings))

    most = most_prompts(service.settings)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(counted)])
    app.router.route_class = bounded(request_bytes(service.settings, most))
    app.state.metrics = server_metrics
    handle(app, problem)
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(api_runs.WORKERS)
    )

    def counting(work: Callable[[], T]) -> T:
        """What ``work`` gives; a field that it refuses is counted, as the engine counts its own."""
        try:
            return work()
        except FieldError:
            server_metrics.refuse("invalid")
            raise

    def of_model(model: str | None, work: Callable[[], T]) -> T:
        """What ``work`` gives; ``NoModel`` where the model cannot be used."""
        try:
            return work()
        except ModelError as error:
            raise _no_model(error, api_runs.is_offered(service, model)) from error

    async def written(
        request: Request, model: type[CompletionBody] | type[ChatBody], sent: Any
    ) -> Response:
        client = api_runs.client(request, service.settings)

        def begin() -> Asked:
            body = validated(model, sent)

            def asked() -> Asked:
                planned = counting(lambda: plan(service, body, client, most))
                return submit(service, body, planned)

            return of_model(body.model, asked)

        asked = await in_thread(begin)
        if asked.body.stream:
            return EventStream(Chunks(service, asked), in_thread, api_runs.PING_S, asked.headers)
        try:
            for run in asked.runs:
                while not await ended(run, api_runs.DISCONNECT_S):
                    if await request.is_disconnected():
                        return Response(status_code=499)
            failed = next((run.error for run in asked.runs if run.error is not None), None)
            if failed is not None:
                return problem(500, Fault(loc=["run"], msg=failed))
            body = await in_thread(lambda: to_json(answer(service, asked)))
            return Response(body, media_type="application/json", headers=asked.headers)
        finally:
            for run in asked.runs:
                run.cancel()

    async def about_tokens(
        model: type[BaseModel], work: Callable[[Service, Any], dict[str, Any]], sent: Any
    ) -> Response:
        def find() -> dict[str, Any]:
            body = validated(model, sent)
            return of_model(body.model, lambda: counting(lambda: work(service, body)))

        return JSONResponse(await in_thread(find))

    @app.post("/v1/completions")
    async def completions(request: Request, sent: Sent) -> Response:
        return await written(request, CompletionBody, sent)

    @app.post("/v1/chat/completions")
    async def chat(request: Request, sent: Sent) -> Response:
        return await written(request, ChatBody, sent)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_card(service, id) for id in _ids(service)]}

    @app.get("/v1/models/{id:path}")
    def model(id: str) -> dict[str, Any]:
        if id not in _ids(service):
            raise _no_model(ModelError(f"The model {id[:100]!r} is not offered here."), False)
        return _card(service, id)

    @app.post("/tokenize")
    async def tokenize(sent: Sent) -> Response:
        return await about_tokens(tokens.TokenizeBody, tokens.tokenize, sent)

    @app.post("/detokenize")
    async def detokenize(sent: Sent) -> Response:
        return await about_tokens(tokens.DetokenizeBody, tokens.detokenize, sent)

    @app.post("/v1/internal/encode")
    async def encode(sent: Sent) -> Response:
        return await about_tokens(tokens.EncodeBody, tokens.encode, sent)

    @app.post("/v1/internal/decode")
    async def decode(sent: Sent) -> Response:
        return await about_tokens(tokens.DecodeBody, tokens.decode, sent)

    @app.post("/v1/internal/token-count")
    async def count(sent: Sent) -> Response:
        return await about_tokens(tokens.EncodeBody, tokens.count, sent)

    @app.get("/v1/internal/model/info")
    def model_info() -> dict[str, Any]:
        return tokens.model_info(service)

    @app.get("/tokenizer_info")
    async def tokenizer_info() -> Response:
        found = await in_thread(lambda: of_model(None, lambda: tokens.tokenizer_info(service)))
        return JSONResponse(found)

    return app


def _no_model(error: ModelError, offered: bool) -> NoModel:
    """A model that cannot be used: 404 where it is not offered, which clients know."""
    found = NoModel(error, offered)
    found.status = found.status if offered else 404
    return found


def _ids(service: Service) -> list[str]:
    """The models offered, the one that serves a request without a name first."""
    ids = [entry.id for entry in service.models.catalogue()]
    return sorted(ids, key=lambda id: id != service.models.default)


def _card(service: Service, id: str) -> dict[str, Any]:
    engine = service.engines.get(id)
    return {
        "id": id,
        "object": "model",
        "created": STARTED,
        "owned_by": "decoding-playground",
        "root": id,
        "max_model_len": engine.context_length if engine else None,
    }
