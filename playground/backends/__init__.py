"""Where models are served: in this process, or elsewhere; the service knows only this interface."""

from playground.backends.backend import Ability, Backend, Health, Load
from playground.backends.backends import Backends

__all__ = ["Ability", "Backend", "Backends", "Health", "Load"]
