"""The command ``decoding-playground``: the page, a comparison, measurements, and what there is."""

from playground.cli.command import main

__all__ = ["main"]
