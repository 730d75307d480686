"""What every request passes before the page or the API sees it, and every answer on its way out."""

from playground.guard.gate import Door, Gate, Refusal
from playground.guard.names import Names

__all__ = ["Door", "Gate", "Names", "Refusal"]
