"""The routes of Gradio that the page uses; its many others are not served.

Those others upload files, edit the page in the browser, keep Gradio's own history of runs, and
fetch addresses. Events and sessions are named by ids in a request; one with ids that are unknown is
refused here, where Gradio would answer 500.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import gradio as gr
from pydantic_core import from_json

from playground.guard import Refusal
from playground.guard.sizes import request_bytes
from playground.rate_limits import TooFast
from playground.service import Service
from playground.ui import gradio_compat
from playground.ui.opened import SENT_BYTES
from playground.ui.plot import LIBRARY

_READ = {"GET", "HEAD"}
_ROUTES = (
    (_READ, r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json)?"),
    (_READ, r"/(assets|static|svelte)/.+"),
    (_READ, r"/pwa_icon(/\d+)?"),
    (_READ, rf"/gradio_api/file={re.escape(LIBRARY.as_posix())}"),
    (_READ, r"/gradio_api/(app_id|info|queue/data|queue/status|startup-events|theme\.css)/?"),
    (_READ, r"/gradio_api/heartbeat/[\w-]{1,64}"),
    ({"POST"}, r"/gradio_api/(cancel|reset|component_server|queue/join|run/predict)/?"),
)
_MCP = (
    ({"GET", "POST", "DELETE"}, r"/gradio_api/mcp/?"),
    (_READ, r"/gradio_api/mcp/schema"),
)
_LOADS = {"", "/config"}
_SESSION = re.compile(r"[\w-]{1,64}", re.ASCII)  # Gradio's own client names a session by a UUID


class PageRoutes:
    """Checks each request to the page before Gradio sees it; made once the page is launched."""

    def __init__(self, page: gr.Blocks, service: Service, *more: str) -> None:
        """``more`` are patterns of paths that may be read, beside those of Gradio."""
        self.page, self.loads, settings = page, service.page_loads, service.settings
        # An event holds every recipe twice: in its written form and as steps.
        # One that opens a saved comparison brings it.
        self.bytes_allowed = max(2 * request_bytes(settings), SENT_BYTES)
        routes = (*_ROUTES, *(_MCP if settings.mcp else ()), *((_READ, path) for path in more))
        self._routes = [(methods, re.compile(pattern)) for methods, pattern in routes]

    def path(self, method: str, path: str) -> Refusal | None:
        known = [methods for methods, pattern in self._routes if pattern.fullmatch(path)]
        if not known:
            return Refusal(404, "path", "There is nothing at this address.")
        if not any(method in methods for methods in known):
            return Refusal(405, "method", f"{method[:20]} is not served here.")
        return None

    def visit(self, path: str, client: str) -> Refusal | None:
        """Each of ``_LOADS`` writes out the whole page, which takes a while."""
        if path.rstrip("/") in _LOADS:
            try:
                self.loads.count(client)
            except TooFast as error:
                return Refusal(429, "client", error.message, error.retry_after_s)
        return None

    def body(self, path: str, body: bytes) -> Refusal | None:
        try:
            sent = _read(body)
        except ValueError:
            return Refusal(422, "body", "The body is not JSON, or nested too deeply.")
        if not isinstance(sent, dict):
            return Refusal(422, "body", "The body must be a JSON object.")
        session = sent.get("session_hash")
        if session is not None and not (isinstance(session, str) and _SESSION.fullmatch(session)):
            return Refusal(422, "session_hash", "session_hash must be letters, digits and hyphens.")
        check = _CHECKS.get(path.rstrip("/").rpartition("/gradio_api/")[2])
        return check(self.page, session, sent) if check is not None else None


def _read(body: bytes) -> Any:
    """The body's JSON; ``ValueError`` where it is not JSON, or nested too deeply.

    A lone surrogate in it is accepted here, and refused by the field that holds it.
    """
    try:
        return from_json(body)
    except ValueError:
        if b"\\ud" not in body.lower():
            raise
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _event(page: gr.Blocks, session: str | None, sent: dict[str, Any]) -> Refusal | None:
    number, values = sent.get("fn_index"), sent.get("data")
    if session is None:
        return Refusal(422, "session_hash", "session_hash is missing.")
    event = gradio_compat.functions(page, session).get(number) if type(number) is int else None
    if event is None:
        return Refusal(404, "fn_index", "The page has no such event; load it again.")
    if not isinstance(values, list) or not (
        gradio_compat.replaces_inputs(event) or len(values) == len(event.inputs)
    ):
        wanted = len(event.inputs)
        return Refusal(422, "data", f"data must be a list of {wanted} values for this event.")
    return None


def _server_function(page: gr.Blocks, session: str | None, sent: dict[str, Any]) -> Refusal | None:
    number, name = sent.get("component_id"), sent.get("fn_name")
    part = gradio_compat.component(page, session, number) if type(number) is int else None
    if part is None or not isinstance(name, str) or not gradio_compat.answers(part, name):
        return Refusal(404, "component_id", "The page has no such function; load it again.")
    if session is None or "data" not in sent:
        return Refusal(422, "data", "session_hash or data is missing.")
    return None


_CHECKS: dict[str, Callable[[gr.Blocks, str | None, dict[str, Any]], Refusal | None]] = {
    "queue/join": _event,
    "run/predict": _event,
    "component_server": _server_function,
}
