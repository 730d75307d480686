"""The routes that explain a choice of a finished run, and score a given text."""

import functools
import threading
from collections.abc import Callable
from typing import Annotated, Any

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute

from playground.api import runs
from playground.api.body import bounded
from playground.api.explanations import Explanation, bodies, explained, scored
from playground.engine.request import Cancelled
from playground.guard.sizes import request_bytes
from playground.service import Service
from playground.trace.scores import TextScore

COMPARISON_BYTES = 12 << 20  # of a body that brings a comparison with it
COMPARISON_VALUES = 500_000
WORKERS = 8  # threads, each of which keeps a processor busy

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


def add(router: APIRouter, service: Service) -> None:
    """Add these routes to ``router``."""
    settings = service.settings
    explain_body, score_body = bodies(settings)
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

        No model is run: all of it follows from the records. What these do not determine is named
        in `unknown`.
        """
        body = await in_thread(
            lambda: explained(service, explain_body, sent).model_dump_json().encode()
        )
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
                found = await in_thread(scored, service, score_body, sent, who, gone)
                answer.append(found.model_dump_json().encode())
            except Exception as error:  # which the group would wrap in one of its own
                answer.append(error)
            group.cancel_scope.cancel()
        (result,) = answer
        if isinstance(result, Cancelled):
            return Response(status_code=499)
        if isinstance(result, Exception):
            raise result
        return Response(result, media_type="application/json")
