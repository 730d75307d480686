"""The tools, driven by the clients of Gradio and of MCP."""
