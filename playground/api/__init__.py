"""The HTTP API for programs, over the same service as the page."""

from playground.api.routing import application, mount, routes

__all__ = ["application", "mount", "routes"]
