"""One model, and one decode loop for the rows of all runs; without the page or its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.engine.lanes.lane import Lane
from playground.engine.lanes.view import LaneView, View
from playground.engine.observer import Observer, Observers
from playground.engine.request import Busy, EngineClosed, FieldError, Limits, Request
from playground.engine.run import Run

if TYPE_CHECKING:
    from playground.engine.engine import Engine

__all__ = [
    "Busy",
    "Engine",
    "EngineClosed",
    "FieldError",
    "Lane",
    "LaneView",
    "Limits",
    "Observer",
    "Observers",
    "Request",
    "Run",
    "View",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of this module's

    def __getattr__(name: str) -> Any:
        """Load ``Engine``, and transformers with it, only where a model is served.

        That takes some seconds, in which the page and the routes can already be up.
        """
        if name == "Engine":
            from playground.engine.engine import Engine

            return Engine
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
