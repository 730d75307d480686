"""OpenAI's HTTP API, for clients of its kind, on the same engine as the page and ``/api``."""

from playground.api.openai.routing import PATHS, application

__all__ = ["PATHS", "application"]
