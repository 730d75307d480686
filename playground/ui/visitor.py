"""The client for which a request of the page is counted."""

from __future__ import annotations

import gradio as gr

from playground.clients import client
from playground.service import Service
from playground.settings import Settings


def visitor(request: gr.Request, settings: Settings) -> str:
    """The address a request came from; on this machine itself, the open page it came from."""
    # A request of an element's code has no session.
    return _address(request, settings) or getattr(request, "session_hash", None) or ""


def counted(request: gr.Request, service: Service) -> str:
    """The same, counted against the rate limit as a request over HTTP is.

    Raises ``TooFast`` where this address has used up its requests.
    """
    service.rate_limits.count(_address(request, service.settings))
    return visitor(request, service.settings)


def _address(request: gr.Request, settings: Settings) -> str:
    peer, forwarded = request.client, request.headers.getlist("x-forwarded-for")
    return client(peer.host if peer else None, ",".join(forwarded), settings.hops)
