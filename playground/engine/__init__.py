"""The decode loop: one model, one forward, everybody's rows. Knows no page and no charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.engine.lanes.lane import Lane
from playground.engine.lanes.view import LaneView
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
]


if not TYPE_CHECKING:  # where any name would pass as one of this module's

    def __getattr__(name: str) -> Any:
        """Load ``Engine``, and transformers with it, only where a model is served.

        That takes some seconds, in which the page and the routes can already be up.
        """
        if name == "Engine":
            from playground.engine.engine import Engine

            return Engine
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
