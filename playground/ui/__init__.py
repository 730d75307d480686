"""The page, in Gradio: ``build(service)`` makes it, and ``serve`` puts it on a port."""

import playground.ui.gradio_import  # noqa: F401  # before anyone else imports it
from playground.ui.page import build
from playground.ui.serving import serve
from playground.ui.theme import launch_options

__all__ = ["build", "launch_options", "serve"]
