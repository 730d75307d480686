"""The page, in Gradio: ``build(service)`` makes it and ``look()`` is how it is launched."""

import playground.ui.gradio_import  # noqa: F401  # before anyone else imports it
from playground.ui.look import look
from playground.ui.page import build

__all__ = ["build", "look"]
