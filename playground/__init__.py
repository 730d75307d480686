"""A playground for comparing decoding strategies; from Python, use ``Playground``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playground.playground import Playground

__all__ = ["Playground"]


def __getattr__(name: str) -> Any:
    """Load ``Playground``, and torch with it, only where it is asked for."""
    if name == "Playground":
        from playground.settings import quiet_libraries

        quiet_libraries()
        from playground.playground import Playground

        return Playground
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
