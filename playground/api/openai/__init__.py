"""OpenAI's HTTP API, for its clients, over the same service as the page and ``/api``."""

from playground.api.openai.routing import PATHS, application

__all__ = ["PATHS", "application"]
