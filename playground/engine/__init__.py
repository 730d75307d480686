"""The decode loop: one model, one forward, everybody's rows. Knows no page and no charts."""

from playground.engine.forward import UnsupportedModel
from playground.engine.lane import Lane
from playground.engine.loop import Engine
from playground.engine.request import Busy, EngineClosed, FieldError, Limits, Request
from playground.engine.run import Run
from playground.engine.watch import Watch, Watches

__all__ = [
    "Busy",
    "Engine",
    "EngineClosed",
    "FieldError",
    "Lane",
    "Limits",
    "Request",
    "Run",
    "UnsupportedModel",
    "Watch",
    "Watches",
]
