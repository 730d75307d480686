"""Serves the page and other routes on a port, behind the same checks of every request."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import gradio as gr
from starlette.applications import Starlette
from starlette.routing import Route

from playground.guard import Gate, drop_slow_heads
from playground.service import Service
from playground.settings import SettingsError
from playground.ui import downloads, gradio_compat
from playground.ui.gradio_routes import PageRoutes
from playground.ui.page import resolver
from playground.ui.theme import launch_options

SESSIONS = 500  # open pages whose state Gradio keeps, up to some MB each
LAST_WORDS_S = 2.0  # for the last frames and events of runs that were ended


@dataclass(frozen=True)
class Served:
    """A page that is being served."""

    address: str
    page: gr.Blocks
    gates: list[Gate]

    def close(self) -> None:
        """Close the server, after a moment for answers that are under way."""
        end = time.monotonic() + LAST_WORDS_S
        while any(gate.answering for gate in self.gates) and time.monotonic() < end:
            time.sleep(0.02)
        gradio_compat.close(self.page, within=1)


def serve(
    page: gr.Blocks, service: Service, routes: Sequence[Route] = (), port: int | None = None
) -> Served:
    """Start to serve on a thread of the server's, and return.

    ``routes`` come before the page's, and are not subject to the checks of ``PageRoutes``.
    """
    gradio_compat.log_failures()
    if service.settings.mcp and importlib.util.find_spec("mcp") is None:
        raise SettingsError("PLAYGROUND_MCP needs the package mcp, which is not installed.")
    settings, files = service.settings, downloads.routes(resolver(service))
    api = {route.path for route in routes if "{" not in route.path}
    gates: list[Gate] = []

    @asynccontextmanager
    async def gated(app: Starlette) -> AsyncIterator[None]:
        """Put the gates around every middleware: Gradio adds its own outside those it is given."""
        assert app.middleware_stack is not None
        door = PageRoutes(page, service, downloads.PATHS)
        gates.append(Gate(app.middleware_stack, settings, door, api))
        app.middleware_stack = gates[0]
        dropping = asyncio.create_task(drop_slow_heads(lambda: page.server))
        yield
        dropping.cancel()

    _, address, _ = page.launch(
        server_name=settings.listen, server_port=port or settings.port, prevent_thread_lock=True,
        app_kwargs={"routes": [*routes, *files], "lifespan": gated}, ssr_mode=False, quiet=True,
        max_threads=128, state_session_capacity=SESSIONS, run_history=False,
        enable_monitoring=False, footer_links=[], mcp_server=settings.mcp, **launch_options(),
    )  # fmt: skip
    if page.mcp_error:  # Gradio serves the page without it
        raise SettingsError(f"PLAYGROUND_MCP is on, but {page.mcp_error}")
    return Served(str(address), page, gates)
