"""Names of transformers that are private, or that were renamed between releases.

No other file uses such names; each has a test that says what no longer works without it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    LinearAttentionCacheLayerMixin,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

__all__ = [
    "Cache",
    "CacheLayerMixin",
    "DummyLayer",
    "DynamicLayer",
    "LinearAttentionCacheLayerMixin",
    "attention_name",
    "cache_keyword",
    "causal_classes",
    "causal_mask_function",
    "expert_counts",
    "independent_experts",
    "new_cache",
    "own_attention",
    "quantisations",
    "quantiser",
    "register_attention",
    "sdpa_mask",
    "state_keyword",
]


def cache_keyword(model: Any) -> str:
    """The keyword by which the model's ``forward`` takes a cache.

    transformers 5.24 renamed ``past_key_values`` to ``cache``, and 5.40 drops the old name.
    """
    known = inspect.signature(model.__class__.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def state_keyword(model: Any) -> str | None:
    """As ``cache_keyword``, for any form of what a model keeps of a text; None where it has none.

    What goes in by this name comes out by it as well.
    """
    known = inspect.signature(type(model).forward).parameters
    default = model._supports_default_dynamic_cache()
    names = ("cache", "past_key_values") if default else ("cache_params", "state")
    return next((name for name in names if name in known), None)


def new_cache(model: Any) -> Any:
    """An empty cache as ``generate`` makes it; None where the model makes its own."""
    if not model._supports_default_dynamic_cache():
        return None
    return DynamicCache(config=model.config)


def causal_classes() -> dict[str, str]:
    """The name of the class of each type of causal language models."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def quantisations() -> list[str]:
    """The names of the forms of quantised weights that are known."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    return list(AUTO_QUANTIZATION_CONFIG_MAPPING)


def quantiser(stored: dict[str, Any]) -> Any:
    """What reads weights of this ``quantization_config``; None of a form that is not known.

    Raises what transformers does where a library is missing or a setting is wrong.
    """
    from transformers.quantizers.auto import AutoHfQuantizer

    auto: Any = AutoHfQuantizer
    if not auto.supports_quant_method(stored):
        return None
    return auto.from_config(stored, pre_quantized=True)


def attention_name(model: Any) -> str:
    """The name of a model's attention implementation, as ``set_attn_implementation`` takes it."""
    name: str = model.config._attn_implementation
    return name


def own_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """What transformers computes for a layer whose mask was made for torch's attention.

    That knows neither soft-caps nor sinks, so that models with them compute attention step by step,
    by a function of their own file.
    """
    if softcap is None and sinks is None:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **kwargs)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    tokens, keys = query.shape[2], key.shape[2]
    if mask is None and tokens > 1:
        mask = torch.ones(tokens, keys, dtype=torch.bool, device=key.device).tril(keys - tokens)
    if mask is not None and mask.dtype == torch.bool:
        least = torch.finfo(query.dtype).min
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, least)
    kwargs |= {} if softcap is None else {"softcap": softcap}
    kwargs |= {} if sinks is None else {"s_aux": sinks}
    found: tuple[Tensor, Tensor | None] = eager(
        module, query, key, value, mask, scaling=scaling, **kwargs
    )
    return found


def register_attention(name: str, attention: Callable[..., Any], mask: Callable[..., Any]) -> None:
    """Register an attention function and its mask function for ``set_attn_implementation``."""
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask)


def independent_experts(model: Any) -> Callable[[], None]:
    """Compute a mixture's experts token by token; returns a function that undoes this.

    By default the tokens of a batch are grouped by expert, so that a row's last bits depend on the
    other rows. ``batched_mm`` multiplies each token by the weights of its own experts.
    """
    own = getattr(model.config, "_experts_implementation", None)
    choose = getattr(model, "set_experts_implementation", None)
    if choose is None or own is None or not expert_counts(model.config):
        return lambda: None
    try:
        choose("batched_mm")
    except (ValueError, RuntimeError):
        return lambda: None
    return lambda: choose(own)


def expert_counts(config: Any) -> set[int]:
    """How many experts, and groups of them, routers choose from; empty where there are none."""
    config = config.get_text_config(decoder=True)
    names = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "n_group")
    counts = {count for name in names if isinstance(count := getattr(config, name, None), int)}
    zero = getattr(config, "zero_expert_num", None) or 0  # of experts that return their input
    return {n for count in counts for n in (count, count + zero) if n > 1}
