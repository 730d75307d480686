"""A comparison as one HTML file, drawn by the page's own elements; without Gradio and a server."""

from playground.html.file import read, to_html
from playground.html.notebook import framed, markdown

__all__ = ["framed", "markdown", "read", "to_html"]
