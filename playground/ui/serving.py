"""The page on a port, together with other routes, behind one gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import gradio as gr
from starlette.applications import Starlette
from starlette.routing import Route

from playground.guard import Gate
from playground.service import Service
from playground.ui import downloads
from playground.ui.door import PageDoor
from playground.ui.look import look
from playground.ui.page import resolver

SESSIONS = 500  # open pages that Gradio remembers; each holds what it shows, up to some MB


def serve(
    page: gr.Blocks, service: Service, routes: Sequence[Route] = (), port: int | None = None
) -> str:
    """Listen, and return the page's address; the caller's thread goes on.

    ``routes`` come before the page's own and are not asked by its door.
    """
    settings, files = service.settings, downloads.routes(resolver(service))
    api = {route.path for route in routes if "{" not in route.path}

    @asynccontextmanager
    async def gated(app: Starlette) -> AsyncIterator[None]:
        """Outside every middleware: Gradio adds its own after any that it is given."""
        assert app.middleware_stack is not None
        app.middleware_stack = Gate(
            app.middleware_stack, settings, PageDoor(page, settings, downloads.PATHS), api
        )
        yield

    _, address, _ = page.launch(
        server_name=settings.listen, server_port=port or settings.port, prevent_thread_lock=True,
        app_kwargs={"routes": [*routes, *files], "lifespan": gated}, ssr_mode=False, quiet=True,
        max_threads=128, state_session_capacity=SESSIONS, run_history=False,
        enable_monitoring=False, footer_links=[], **look(),
    )  # fmt: skip
    return str(address)
