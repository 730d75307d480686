"""Whom the page's runs are counted for."""

from __future__ import annotations

import gradio as gr

from playground.clients import client
from playground.settings import Settings


def visitor(request: gr.Request, settings: Settings) -> str:
    """The address a request came from; on this machine itself, the open page it came from."""
    peer, forwarded = request.client, request.headers.getlist("x-forwarded-for")
    address = client(peer.host if peer else None, ",".join(forwarded), settings.hops)
    # What an element asks by itself comes without the page it belongs to.
    return address or getattr(request, "session_hash", None) or ""
