"""Whom the page's runs are counted for."""

from __future__ import annotations

import gradio as gr

from playground.clients import client
from playground.service import Service
from playground.settings import Settings


def visitor(request: gr.Request, settings: Settings) -> str:
    """The address a request came from; on this machine itself, the open page it came from."""
    # What an element asks by itself comes without the page it belongs to.
    return _address(request, settings) or getattr(request, "session_hash", None) or ""


def counted(request: gr.Request, service: Service) -> str:
    """The same for what makes the server work, which is a request as one over HTTP is.

    Raises ``TooFast`` where this address has made all it may for now.
    """
    service.rate_limits.count(_address(request, service.settings))
    return visitor(request, service.settings)


def _address(request: gr.Request, settings: Settings) -> str:
    peer, forwarded = request.client, request.headers.getlist("x-forwarded-for")
    return client(peer.host if peer else None, ",".join(forwarded), settings.hops)
