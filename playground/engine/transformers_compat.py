"""What of transformers changes its name between the releases that are served."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """``cache`` as the keyword that the model's ``forward`` takes it by.

    transformers 5.24 renamed ``past_key_values`` to ``cache`` and drops the old name in 5.40.
    """
    return {_cache_name(model.__class__.forward): cache}


@lru_cache
def _cache_name(forward: Callable[..., Any]) -> str:
    known = inspect.signature(forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def independent_experts(model: Any) -> Callable[[], None]:
    """Have a mixture's experts computed token by token; returns what undoes it.

    The usual way groups the tokens of a batch by expert, so that a row's last bits depend on the
    others. ``batched_mm`` multiplies each token by the weights of its own experts.
    """
    config = model.config.get_text_config(decoder=True)
    own = getattr(model.config, "_experts_implementation", None)
    choose = getattr(model, "set_experts_implementation", None)
    if choose is None or own is None or not _has_experts(config):
        return lambda: None
    try:
        choose("batched_mm")
    except (ValueError, RuntimeError):
        return lambda: None
    return lambda: choose(own)


def _has_experts(config: Any) -> bool:
    names = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    return any((getattr(config, name, None) or 0) > 1 for name in names)
