"""The route of runs that the server still keeps: as records, as a table, or as a page."""

import functools
from typing import Annotated, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Response

from playground.api.errors import Fault, NoSuch, Problem, problem
from playground.service import Service

WORKERS = 4  # threads, each of which keeps a processor busy
GONE = "There is no such run here: the server keeps the last ones alone."
_MEDIA = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


def add(router: APIRouter, service: Service) -> None:
    """Add the route to ``router``."""
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    def written(run: str, form: str) -> str | None:
        kept = service.comparison(run)
        if kept is None:
            return None
        if form == "html":
            return kept.to_html()
        return kept.to_csv("all") if form == "csv" else kept.to_json()

    async def run_kept(
        run: Annotated[str, Path(description="The id in an answer.", max_length=64)],
        form: Annotated[
            Literal["json", "csv", "html"],
            Query(description="All records, a row for each token, or one page that shows them."),
        ] = "json",
    ) -> Response:
        """A run that was answered before, whole: what `explain` and `fork` take and the page opens.

        As `html` it is one page with the inspector in it, which makes no request: a browser shows
        it, and it can be saved and mailed.
        """
        try:
            text = await in_thread(written, run, form)
        except ValueError as error:
            return problem(422, Fault(loc=["query", "form"], msg=str(error)))
        if text is None:
            raise NoSuch("run", GONE)
        return Response(text, media_type=_MEDIA[form], headers={"Cache-Control": "no-store"})

    router.add_api_route(
        "/api/runs/{run}",
        run_kept,
        methods=["GET"],
        tags=["Texts"],
        summary="A run that is still kept",
        response_class=Response,
        responses={
            200: {"content": {kind: {} for kind in _MEDIA.values()}, "description": "The run."},
            404: {"model": Problem, "description": "There is no such run."},
        },
    )
