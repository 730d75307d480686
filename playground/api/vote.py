"""The page for voters, without Gradio, so that a class can open it on phones."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

PATHS = ("/vote", "/vote/{path:path}")
_HERE = Path(__file__).parent / "voting"
_ASSETS = ("vote.js", "vote.css")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)


def add(app: FastAPI) -> None:
    """Serve the page of each vote at ``/vote/`` and its id."""

    @app.get("/vote/{id}", include_in_schema=False)
    async def page(id: str) -> FileResponse:
        return FileResponse(
            _HERE / "vote.html",
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
        )

    @app.get("/vote/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        if name not in _ASSETS:
            raise HTTPException(404)
        return FileResponse(_HERE / name)
