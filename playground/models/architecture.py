"""Which models the decode loop can serve: every refusal names the model and the reason."""

from __future__ import annotations

from typing import Any


def unsupported(model: Any) -> str | None:
    """Why this transformers model cannot be served correctly; None where nothing speaks against it.

    Only classes and configuration are read, so a skeleton without weights will do. The engine
    keeps every token's keys and values and reads all of them at each step; a layer that keeps
    something else, or looks at less, would be silently wrong.
    """
    from playground.transformers_compat import is_stateful  # loads transformers

    reason = unsupported_config(model.config)
    if reason is not None:
        return reason
    name = type(model).__name__
    if is_stateful(model):
        return f"{name} keeps a recurrent state instead of attending to all tokens"
    if any(getattr(module, "is_causal", True) is False for module in model.modules()):
        return f"{name} also attends to later tokens, so it does not write left to right"
    if not model.is_backend_compatible():
        return f"{name} has attention code of its own, which this engine cannot replace"
    return None


def unsupported_config(config: Any) -> str | None:
    """The part of ``unsupported`` that needs no model, only its configuration."""
    name = (getattr(config, "architectures", None) or [config.model_type])[0]
    text = config.get_text_config(decoder=True)
    if config.is_encoder_decoder:
        return f"{name} is an encoder-decoder, and only decoder-only models are served"
    if _alibi(text):
        return f"{name} biases attention by distance (ALiBi), which this engine does not apply"
    other = sorted(set(getattr(text, "layer_types", None) or ()) - {"full_attention"})
    if other:
        kinds = ", ".join(kind.replace("_", " ") for kind in other)
        return f"{name} has layers of {kinds}, and only full attention is served"
    if getattr(text, "sliding_window", None):
        return (
            f"{name} looks at the last {text.sliding_window} tokens only (sliding window), "
            "and only full attention is served"
        )
    if getattr(text, "reorder_and_upcast_attn", False):
        return f"{name} sets reorder_and_upcast_attn, which bypasses this engine's attention"
    if getattr(config, "quantization_config", None):
        return f"{name} is stored quantised, and only plain weights are served"
    return None


def context_length(config: Any) -> int | None:
    """Tokens a model can attend to, as its configuration says; None where it does not."""
    text = config.get_text_config(decoder=True)
    length: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        # Beyond this it switches frequencies for a whole batch: rows would change each other.
        return rope.get("original_max_position_embeddings") or length
    return length


def _alibi(text: Any) -> bool:
    attention = getattr(text, "attn_config", None)
    return (
        text.model_type == "bloom"
        or bool(getattr(text, "alibi", False))
        or bool(getattr(attention, "alibi", False))
    )
