"""The routes, and the application that answers them with its documentation."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.routing import BaseRoute, Route

from playground.api import docs, runs, wire
from playground.api.body import bounded
from playground.api.meters import Meters
from playground.api.problems import Problem, handle
from playground.service import Service
from strategies.registry import registry

SMALL = 4096  # bytes of a body that nobody reads

TOO_MANY: dict[int | str, dict[str, Any]] = {
    429: {
        "model": Problem,
        "description": "Too many requests or runs of this client, or too many runs in line; "
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
`loc` leads to the field at fault, `msg` says what is wrong with it.
"""


def routes(service: Service) -> list[BaseRoute]:
    """What to put before a page's own routes: ``/api``, all below it, and what watches.

    For ``demo.launch(app_kwargs={"routes": routes(service)})``, which has them in place before the
    server listens; paths are passed on whole, so that the documentation states them as typed.
    """
    app = application(service)
    paths = ("/api", "/api/{path:path}", "/docs", "/healthz", "/metrics")
    return [Route(path, app, name="api") for path in paths]


def mount(app: FastAPI, service: Service) -> None:
    """Put the API before whatever ``app`` already serves."""
    app.router.routes[:0] = routes(service)


def application(service: Service) -> FastAPI:
    """The API alone, with its documentation."""
    app = FastAPI(
        title="Decoding playground",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = bounded(SMALL)
    app.state.meters = meters = Meters(service)
    handle(app)
    app.include_router(router(service, meters))

    @app.get("/api/docs", include_in_schema=False)
    async def documentation(request: Request) -> HTMLResponse:
        return docs.page(app.openapi(), str(request.base_url).rstrip("/"))

    @app.get("/api", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def to_documentation(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/api/docs")

    return app


def router(service: Service, meters: Meters) -> APIRouter:
    """The routes a program uses. Those that watch the server are answered however often."""

    async def counted(request: Request) -> None:
        service.rates.count(runs.client(request, service.settings))

    route = bounded(SMALL)
    router = APIRouter(route_class=route, dependencies=[Depends(counted)], responses=TOO_MANY)
    watch = APIRouter(route_class=route)
    runs.add(router, service)

    @router.get(
        "/api/strategies",
        summary="What a recipe can be made of",
        response_description="All of them.",
    )
    def strategies() -> wire.Strategies:
        """Every strategy installed, processors first, with its settings as a JSON schema."""
        return _strategies()

    @router.get("/api/models", summary="What can write", response_description="All of them.")
    def models() -> wire.ModelList:
        """The models this host offers. One that is not in memory is loaded on first use."""
        return _models(service)

    @watch.get(
        "/healthz",
        summary="Is it well?",
        response_model=wire.Health,
        response_description="It is, or it is starting.",
        responses={
            503: {
                "model": wire.Health,
                "description": "The decode loop has stopped, or there is no model.",
            }
        },
    )
    async def healthz() -> Response:  # on the event loop: it answers when all threads are busy
        """For a load balancer or a watchdog: whether the decode loop is alive."""
        health = _health(service)
        return JSONResponse(
            health.model_dump(exclude_none=True), 503 if health.status == "failing" else 200
        )

    @watch.get(
        "/metrics",
        summary="How it fares",
        response_class=PlainTextResponse,
        response_description="Everything measured, in Prometheus' text format.",
    )
    async def metrics() -> Response:
        """For Prometheus: runs, tokens, the line, rows, times, refusals, errors and memory."""
        return Response(meters.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    router.routes += watch.routes
    return router


def _strategies() -> wire.Strategies:
    found = registry()
    return wire.Strategies(
        strategies=[
            wire.StrategyCard(
                **vars(strategy.info),
                kind=strategy.kind,
                params=strategy.Params.model_json_schema(),
            )
            for strategy in found.strategies.values()
        ],
        broken=[wire.BrokenPlugin(name=plugin.name, error=plugin.error) for plugin in found.broken],
    )


def _models(service: Service) -> wire.ModelList:
    engines = service.engines
    return wire.ModelList(
        default=service.models.default,
        models=[
            wire.ModelCard(
                **entry.model_dump(),
                facts=engines[entry.id].model.facts if entry.id in engines else None,
            )
            for entry in service.models.catalogue()
        ],
    )


def _health(service: Service) -> wire.Health:
    engines = service.engines
    if not engines and service.failure is not None:
        return wire.Health(status="failing", models=[], error=service.failure)
    if not engines:
        return wire.Health(status="starting", models=[])
    alive = all(engine.alive for engine in engines.values())
    return wire.Health(status="ok" if alive else "failing", models=list(engines))
