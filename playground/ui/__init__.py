"""The page, in Gradio: ``build(service)`` makes it, and ``serve`` puts it on a port.

What its elements show is computed without Gradio, which is loaded with the page alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playground.ui.gradio_import import without_stubs

if TYPE_CHECKING:
    from playground.ui.page import build
    from playground.ui.serving import serve
    from playground.ui.theme import launch_options

__all__ = ["build", "launch_options", "serve"]

without_stubs()


def __getattr__(name: str) -> Any:
    """Load the page, and Gradio with it, only where it is asked for."""
    if name == "build":
        from playground.ui.page import build

        return build
    if name == "serve":
        from playground.ui.serving import serve

        return serve
    if name == "launch_options":
        from playground.ui.theme import launch_options

        return launch_options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
