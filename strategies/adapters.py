"""Where plugins found ``strategies.bridges.transformers_processors`` before it had that name."""

from .bridges.transformers_processors import (
    AsLogitsProcessor,
    FromLogitsProcessor,
    LogitsProcessor,
)

__all__ = ["AsLogitsProcessor", "FromLogitsProcessor", "LogitsProcessor"]
