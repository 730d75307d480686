"""Runs as files for download, made in memory: no text of a visitor is ever written to a disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from playground.trace import Comparison

PATHS = r"/runs/[^/]+\.(csv|json|html)"

_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
}
_NONE = {"loc": ["run"], "msg": "This run is no longer kept on the server. Press Run again."}


def links(run: str, samples: Literal["shown", "all"] | Sequence[int] = "shown") -> dict[str, str]:
    """The addresses of a view's files, relative to the page.

    The CSV holds these texts of its lanes, as ``Comparison.frame`` takes them; the JSON all.
    """
    path = f"runs/{quote(run, safe='')}"
    if samples != "all":
        samples = "" if samples == "shown" or not any(samples) else ".".join(map(str, samples))
    csv = f"{path}.csv?samples={samples}" if samples else f"{path}.csv"
    return {"csv": csv, "json": f"{path}.json", "html": f"{path}.html"}


def _samples(told: str) -> Literal["shown", "all"] | list[int]:
    """The argument that ``links`` wrote into an address; "shown" for anything else."""
    if told == "all":
        return "all"
    known = re.fullmatch(r"\d{1,4}(\.\d{1,4}){0,63}", told)
    return [int(number) for number in told.split(".")] if known else "shown"


def _written(run: Comparison, kind: str, samples: Any) -> str:
    if kind == "html":
        return run.to_html()
    return run.to_json() if kind == "json" else run.to_csv(samples)


def routes(resolve: Callable[[str], Comparison | None]) -> list[Route]:
    """The routes of the addresses that ``links`` makes."""

    def sent(request: Request) -> Response:  # on a thread: a long run takes a while
        name, kind = request.path_params["name"], request.path_params["kind"]
        run = resolve(name)
        if run is None or kind not in _MEDIA:
            return JSONResponse({"detail": [_NONE]}, 404)
        samples = _samples(request.query_params.get("samples", ""))
        text = _written(run, kind, samples)
        stem = re.sub(r"[^A-Za-z0-9_-]", "", run.id)
        headers = {
            "Content-Disposition": f'attachment; filename="comparison-{stem}.{kind}"',
            "Cache-Control": "no-store",
        }
        return Response(text, media_type=_MEDIA[kind], headers=headers)

    return [Route("/runs/{name}.{kind}", sent, name="download")]
