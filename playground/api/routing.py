"""The API's application: its routes, its documentation, and the routes about the server itself."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.routing import BaseRoute, Route

from playground.api import (
    ballots,
    cards,
    docs,
    exchange,
    experiments,
    explain,
    fork,
    kept,
    openai,
    runs,
    vote,
)
from playground.api.body import bounded
from playground.api.errors import Fault, Problem, handle, problem
from playground.api.metrics import ServerMetrics
from playground.service import Service
from strategies.registry import registry

UNREAD_BODY = 4096  # bytes allowed in the body of a route that has none

TOO_MANY: dict[int | str, dict[str, Any]] = {
    429: {
        "model": Problem,
        "description": "Too many requests or runs of this client, or too many runs in the queue; "
        "`Retry-After` says in how many seconds there may be room.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    }
}

DESCRIPTION = """
Compare decoding recipes on one prompt: each recipe is a lane of the same batch, so they differ
only by their settings. Or have one recipe continue one prompt, or several.

A recipe is written `temperature(0.8) | top_p(0.95) | sample`: processors in the order they apply,
then one search. `GET /api/strategies` names them with their settings.

A failed request is answered with `{"detail": [{"loc": ["body", "recipes", 1], "msg": "…"}]}`:
`loc` is the path of the field at fault, `msg` says what is wrong with it.
"""


def routes(service: Service) -> list[BaseRoute]:
    """The routes to put before a page's own: ``/api``, ``/healthz``, ``/metrics``, OpenAI's.

    For ``demo.launch(app_kwargs={"routes": routes(service)})``, which adds them before the server
    listens. The application sees whole paths, so that its schema states them as clients send them.
    """
    app = application(service)
    paths = (
        "/api",
        "/api/{path:path}",
        "/docs",
        "/healthz",
        "/metrics",
        *vote.PATHS,
        *openai.PATHS,
    )
    return [Route(path, app, name="api") for path in paths]


def mount(app: FastAPI, service: Service) -> None:
    """Put the API's routes before those that ``app`` has."""
    app.router.routes[:0] = routes(service)


def application(service: Service) -> FastAPI:
    """The API by itself, with its documentation."""
    app = FastAPI(
        title="Decoding playground",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        # Relative to the address of the schema, so that it is right behind any proxy.
        servers=[{"url": "..", "description": "This server"}],
    )
    app.router.route_class = bounded(UNREAD_BODY)
    app.state.metrics = server_metrics = ServerMetrics(service)
    handle(app)
    app.include_router(router(service, server_metrics))
    docs.add(app)
    vote.add(app)
    compatible = openai.application(service, server_metrics)

    def schema() -> dict[str, Any]:
        """The schema of both applications, since clients see one server."""
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                servers=app.servers,
                routes=[*app.routes, *compatible.routes],
            )
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]
    app.router.routes += [Route(path, compatible, name="openai") for path in openai.PATHS]
    return app


def router(service: Service, server_metrics: ServerMetrics) -> APIRouter:
    """All routes. Those that monitor the server are exempt from the rate limit."""

    async def counted(request: Request) -> None:
        service.rate_limits.count(runs.client(request, service.settings))

    route = bounded(UNREAD_BODY)
    router = APIRouter(route_class=route, dependencies=[Depends(counted)], responses=TOO_MANY)
    monitoring = APIRouter(route_class=route, tags=["The server"])
    runs.add(router, service)
    fork.add(router, service)
    kept.add(router, service)
    explain.add(router, service)
    exchange.add(router, service)
    ballots.add(router, service)  # before the routes of an experiment's files, which would match
    experiments.add(router, service)

    @router.get(
        "/api/strategies",
        summary="What a recipe can be made of",
        response_description="All of them.",
        tags=["What there is"],
    )
    def strategies() -> cards.Strategies:
        """Every strategy installed, processors first, with its settings as a JSON schema."""
        return cards.Strategies.of(registry())

    @router.get(
        "/api/metrics",
        summary="What an experiment can measure",
        response_description="All of them.",
        tags=["What there is"],
    )
    def metrics_known() -> cards.MetricList:
        """Every metric installed, with its formula, its source and its settings."""
        from playground.experiment.registry import metrics

        return cards.MetricList.of(metrics())

    @router.get(
        "/api/models",
        summary="What can write",
        response_description="All of them.",
        tags=["What there is"],
    )
    def models() -> cards.ModelList:
        """The models this host offers. One that is not in memory is loaded on first use."""
        return _models(service)

    @monitoring.get(
        "/healthz",
        summary="Is it well?",
        response_model=cards.Health,
        response_description="It is, or it is starting.",
        responses={
            503: {
                "model": cards.Health,
                "description": "A model that was loaded writes no more, or there is none.",
            }
        },
    )
    async def healthz() -> Response:  # on the event loop: it answers when all threads are busy
        """For a load balancer or a watchdog: whether each model that was loaded still writes."""
        health = _health(service)
        return JSONResponse(
            health.model_dump(exclude_none=True), 503 if health.status == "failing" else 200
        )

    @monitoring.get(
        "/metrics",
        summary="How it fares",
        response_class=PlainTextResponse,
        response_description="Everything measured, in Prometheus' text format.",
    )
    async def metrics() -> Response:
        """For Prometheus: runs, tokens, the queue, rows, times, refusals, errors and memory.

        A public host may keep them to itself.
        """
        if not service.settings.metrics_open:
            closed = "This host keeps its metrics to itself; PLAYGROUND_METRICS=1 opens them."
            return problem(404, Fault(loc=["path"], msg=closed))
        return Response(server_metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    router.routes += monitoring.routes
    return router


def _models(service: Service) -> cards.ModelList:
    backends = service.backends.all
    return cards.ModelList(
        default=service.models.default,
        models=[
            cards.ModelCard(
                **entry.model_dump(),
                facts=backends[entry.id].facts if entry.id in backends else None,
            )
            for entry in service.models.catalogue()
        ],
    )


def _health(service: Service) -> cards.Health:
    found = {id: backend.health() for id, backend in service.backends.all.items()}
    well = [id for id, health in found.items() if health.alive]
    unwell = {id: health.why for id, health in found.items() if not health.alive} or None
    fault = service.backends.fault or (None if found else service.failure)
    if not found and not fault:
        return cards.Health(status="starting", models=[])
    status = "failing" if fault or unwell else "ok"
    return cards.Health(status=status, models=well, unwell=unwell, error=fault or None)
