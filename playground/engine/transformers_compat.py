"""What of transformers changes its name between the releases that are served."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """``cache`` as the keyword that the model's ``forward`` takes it by.

    transformers 5.24 renamed ``past_key_values`` to ``cache`` and drops the old name in 5.40.
    """
    return {_cache_name(model.__class__): cache}


@lru_cache
def _cache_name(model_type: type) -> str:
    known = inspect.signature(model_type.forward).parameters  # type: ignore[attr-defined]
    return "cache" if "cache" in known else "past_key_values"
