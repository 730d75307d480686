"""Where plugins found what is now in ``strategies.bridges``."""

from .bridges.transformers_processors import (
    AsLogitsProcessor,
    FromLogitsProcessor,
    LogitsProcessor,
)

__all__ = ["AsLogitsProcessor", "FromLogitsProcessor", "LogitsProcessor"]
