"""A comparison as one HTML file, drawn by the page's own elements; without Gradio and a server."""

from playground.html.file import read, to_html

__all__ = ["read", "to_html"]
