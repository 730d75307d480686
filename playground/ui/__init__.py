"""The page, in Gradio: ``build(service)`` makes it, and ``serve`` puts it on a port."""

import playground.ui.gradio_import  # noqa: F401  # before anyone else imports it
from playground.ui.look import look
from playground.ui.page import build
from playground.ui.serving import serve

__all__ = ["build", "look", "serve"]
