"""The playground as typed functions: for ``gradio_client``, and for language models by MCP."""

from playground.tools.endpoints import add

__all__ = ["add"]
