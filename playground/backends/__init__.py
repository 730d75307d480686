"""Backends serve models, in this process or elsewhere; the service knows only their interface."""

from playground.backends.backend import Ability, Backend, Health, Load
from playground.backends.backends import Backends

__all__ = ["Ability", "Backend", "Backends", "Health", "Load"]
