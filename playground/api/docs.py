"""The documentation page of the API: Swagger UI over the OpenAPI schema.

FastAPI's own page loads Swagger UI from a CDN. This one loads it from this server, out of the
package fastapi-offline, and makes no request to any other host. Its addresses are relative, so that
it works behind a proxy that serves the playground below a path of its own.
"""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


def add(app: FastAPI) -> None:
    """Serve the page at ``/api/docs``, and redirect there from ``/api`` and ``/docs``."""

    @app.get("/api/docs", include_in_schema=False)
    async def documentation() -> FileResponse:
        return FileResponse(_HERE / "docs.html", headers={"Content-Security-Policy": _POLICY})

    @app.get("/api/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        found = _assets().get(name)
        if found is None:
            raise HTTPException(404)
        return FileResponse(found)

    @app.get("/api", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def to_documentation(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/api/docs")


def _assets() -> dict[str, Path]:
    """The files that the page loads, by name."""
    import fastapi_offline

    static = Path(fastapi_offline.__file__).parent / "static"
    return {
        "docs.js": _HERE / "docs.js",
        "swagger-ui.css": static / "swagger-ui.css",
        "swagger-ui-bundle.js": static / "swagger-ui-bundle.js",
    }
