"""Names of transformers that are private, or that were renamed between releases.

No other file uses such names; each has a test that says what no longer works without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = [
    "Cache",
    "CacheLayerMixin",
    "attention_name",
    "cache_keyword",
    "independent_experts",
    "is_stateful",
    "register_attention",
    "sdpa_attention_forward",
    "sdpa_mask",
]


def cache_keyword(model: Any) -> str:
    """The keyword by which the model's ``forward`` takes a cache.

    transformers 5.24 renamed ``past_key_values`` to ``cache``, and 5.40 drops the old name.
    """
    known = inspect.signature(model.__class__.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def attention_name(model: Any) -> str:
    """The name of a model's attention implementation, as ``set_attn_implementation`` takes it."""
    name: str = model.config._attn_implementation
    return name


def is_stateful(model: Any) -> bool:
    """Whether a model has a recurrent state in place of keys and values."""
    return bool(getattr(model, "_is_stateful", False))


def register_attention(name: str, attention: Callable[..., Any], mask: Callable[..., Any]) -> None:
    """Register an attention function and its mask function for ``set_attn_implementation``."""
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)


def independent_experts(model: Any) -> Callable[[], None]:
    """Compute a mixture's experts token by token; returns a function that undoes this.

    By default the tokens of a batch are grouped by expert, so that a row's last bits depend on the
    other rows. ``batched_mm`` multiplies each token by the weights of its own experts.
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
