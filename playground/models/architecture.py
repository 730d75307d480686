"""Which models are served, and how: every refusal names the model and the reason."""

from __future__ import annotations

from typing import Any

# Layers that attend to keys and values of tokens: to all, or to a part that a mask can leave.
_MASKED = {"full_attention", "sliding_attention", "chunked_attention"}

# Fields of a configuration that hold a length from which on a model computes something else.
_HORIZONS = (
    "sliding_window",
    "sliding_window_size",
    "attention_window_size",
    "window_size",
    "local_attention",
    "attention_chunk_size",
    "keep_window_size",
    "local_attn_chunk_length",
    "lsh_attn_chunk_length",
    "index_topk",
    "floor_scale",
    "log_scaling_n_floor",
)


def unsupported(model: Any) -> str | None:
    """Why this transformers model cannot be served; None where nothing speaks against it.

    Only classes and configuration are read, so a skeleton without weights will do.
    """
    reason = unsupported_config(model.config)
    if reason is not None:
        return reason
    name = type(model).__name__
    if not model.can_generate() or not hasattr(type(model), "prepare_inputs_for_generation"):
        return f"{name} writes no text by itself"
    if any(map(_looks_ahead, _decoder(model).modules())):
        return f"{name} also attends to later tokens, so it does not write left to right"
    return None


def unsupported_config(config: Any) -> str | None:
    """The part of ``unsupported`` that needs no model, only its configuration."""
    name = name_of(config)
    if config.is_encoder_decoder:
        return f"{name} is an encoder-decoder, and only decoder-only models are served"
    return None


def needs_own_cache(model: Any) -> str | None:
    """Why a model's rows cannot share slots of keys and values; None where they may.

    The engine keeps every token's keys and values, and a mask says which of them a layer looks at.
    A model that keeps something else has a cache of its own for each row.
    """
    text = model.config.get_text_config(decoder=True)
    if _alibi(text):
        return "it biases attention by distance (ALiBi)"
    other = sorted(set(getattr(text, "layer_types", None) or ()) - _MASKED)
    if other:
        return f"it has layers of {', '.join(kind.replace('_', ' ') for kind in other)}"
    if getattr(text, "reorder_and_upcast_attn", False):
        return "reorder_and_upcast_attn bypasses this engine's attention"
    if rounds_together(model):
        return "its 8-bit layers round a token by those that are read with it (LLM.int8)"
    if not model.is_backend_compatible():
        return "it has attention code of its own"
    return None


def rounds_together(model: Any) -> bool:
    """Whether layers round a token by those that are read with it (LLM.int8)."""
    return bool(getattr(getattr(model.config, "quantization_config", None), "load_in_8bit", False))


def horizons(config: Any) -> list[int]:
    """Lengths of text, in tokens, from which on a model computes something else; rising."""
    text = config.get_text_config(decoder=True)
    found = [getattr(text, name, None) for name in _HORIZONS]
    rope = getattr(text, "rope_parameters", None) or {}
    for each in (rope, *(part for part in rope.values() if isinstance(part, dict))):
        found.append(each.get("original_max_position_embeddings"))
    return sorted({n for n in found if isinstance(n, int) and not isinstance(n, bool) and n > 0})


def name_of(config: Any) -> str:
    """The class that a configuration names, or its type."""
    names = getattr(config, "architectures", None) or [config.model_type]
    return str(names[0])


def context_length(config: Any) -> int | None:
    """Tokens a model can attend to, as its configuration says; None where it does not."""
    text = config.get_text_config(decoder=True)
    length: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        # Beyond this it switches frequencies for a whole batch: rows would change each other.
        return rope.get("original_max_position_embeddings") or length
    return length


def _decoder(model: Any) -> Any:
    """The part of a model that reads text: towers beside it may look at all of an image."""
    found = model.get_decoder() if hasattr(model, "get_decoder") else None
    return model if found is None else found


def _looks_ahead(module: Any) -> bool:
    return getattr(module, "is_causal", True) is False and type(module).__name__.endswith(
        "Attention"
    )


def _alibi(text: Any) -> bool:
    attention = getattr(text, "attn_config", None)
    return (
        text.model_type == "bloom"
        or bool(getattr(text, "alibi", False))
        or bool(getattr(attention, "alibi", False))
    )
