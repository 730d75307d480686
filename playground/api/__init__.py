"""The HTTP API: for programs, the same engine as the page's."""

from playground.api.routing import application, mount, routes

__all__ = ["application", "mount", "routes"]
