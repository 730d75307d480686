"""Tiny random models of every causal language model type that transformers knows, without weights.

A type's own default configuration is made small: few narrow layers, one of each kind that it has,
and windows that are shorter than a text. What a family is made of stays: which norms, positions,
mixtures, soft-caps and states there are.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

VOCAB, WINDOW, CONTEXT, LAYERS = 128, 8, 160, 4
_SPREAD = 0.2  # of the weights: wide, so that a mistake in attention shows in the logits
_SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

# Fields by name, where a configuration has them.
_SIZES: dict[str, Any] = {
    **dict.fromkeys(
        ("vocab_size", "decoder_vocab_size", "vocab_size_per_layer_input", "audio_vocab_size",
         "output_vocab_size", "unpadded_vocab_size"), VOCAB),
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "emb_dim", "embedding_size", "word_embed_proj_dim",
         "embedding_dim", "attention_hidden_size", "lru_width", "input_embedding_size",
         "output_embedding_size", "backbone_hidden_size", "dim_model_base"), 32),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "n_inner", "dff",
         "dim_ff", "d_inner", "ffn_hidden_size", "feed_forward_size", "dense_intermediate_size",
         "intermediate_size_mlp", "prefix_dense_intermediate_size", "block_ffn_dim"), 48),
    **dict.fromkeys(
        ("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size",
         "shared_experts_intermediate_size", "expert_ffn_hidden_size", "router_hidden_size",
         "moe_shared_expert_intermediate_size"), 24),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers",
         "encoder_layers", "num_decoder_layers", "num_encoder_layers", "num_blocks"), LAYERS),
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
         "encoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads",
         "attention_heads", "swa_num_attention_heads", "mamba_n_heads", "mamba_num_heads",
         "linear_num_value_heads", "linear_num_heads"), 4),
    **dict.fromkeys(
        ("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads", "linear_num_key_heads",
         "num_global_key_value_heads"), 2),
    **dict.fromkeys(
        ("head_dim", "dim_head", "d_head", "attention_head_size", "kv_channels", "swa_head_dim",
         "linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "v_head_dim",
         "swa_v_head_dim", "mamba_head_dim", "qk_nope_head_dim", "index_head_dim", "d_rel",
         "indexer_head_dim", "attention_head_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "rotary_dim"), 4),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "gated_norm_rank", "o_lora_rank",
                     "loop_gate_rank", "laurel_rank", "adapter_rank", "hc_lowrank"), 12),
    **dict.fromkeys(
        ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length",
         "max_source_positions", "max_target_positions"), CONTEXT),
    **dict.fromkeys(
        ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_mtp_layers", "num_nextn_predict_layers",
                     "n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("sliding_window", "sliding_window_size", "attention_window_size",
                     "attention_chunk_size", "window_size", "local_attention"), WINDOW),
    **dict.fromkeys(("state_size", "mamba_d_state", "ssm_state_size"), 8),
    **dict.fromkeys(("first_k_dense_replace", "num_dense_layers", "altup_active_idx"), 1),
    **dict.fromkeys(("index_n_heads", "indexer_n_heads"), 16),  # of few, all may be zero: a tie
    "mamba_d_conv": 2,
    "mamba_d_head": 16, "mamba_n_groups": 1, "n_groups": 1, "mamba_chunk_size": 8, "chunk_size": 8,
    "index_topk": 12, "hidden_size_per_layer_input": 8, "global_head_dim": 16,
    "initializer_range": _SPREAD, "init_std": _SPREAD,
    **{f"{p}{w}": 0.0 for p in ("attention_", "hidden_", "") for w in ("dropout",)},
}  # fmt: skip

# Fields that hold one name for each layer.
_PER_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types")

# What the sizes above would make inconsistent, or a kind of the type that its default has not.
_OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "cohere_compass_text": {"layer_types": ["full_attention"] * LAYERS},
    "dory": {"n_input_layers": 1, "n_recurrent_layers": 2, "n_output_layers": 1},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 3, "num_hidden_layers": 6,
        "num_kv_shared_layers": 2, "activation_sparsity_pattern": [0.5] * 2 + [0.0] * 4,
        "intermediate_size": 48,
    },
    "gemma4_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 3, "num_hidden_layers": 6,
        "num_kv_shared_layers": 2,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "hrm_text": {"num_hidden_layers": 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"num_hidden_layers": 4, "num_layers": 2, "head_dim": 4, "zero_expert_num": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "qwen4_exp_text": {
        "indexer_kv_heads": 1, "indexer_budget": 16, "indexer_compress_ratio": 4,
        "ngram_vocab_size_base": 100,
        "make_ngram_vocab_size_divisible_by": 8, "split_ngram_parts": 2, "heads_per_ngram": 2,
        "ple_embed_dim": 16,
    },
    "reformer": {"is_decoder": True, "attn_layers": ["local", "lsh"] * 2, "axial_pos_embds": False},
    "roc_bert": {"pronunciation_vocab_size": VOCAB, "shape_vocab_size": VOCAB},
    "xlstm": {"chunk_size": 64, "qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_head_dim": 16, "attention_hidden_size": 64, "n_mamba_heads": 2},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip


def tiny_config(model_type: str, **fields: Any) -> Any:
    """A small configuration of this type; ``fields`` replace those of its text decoder."""
    from transformers import CONFIG_MAPPING

    return _shrunk(CONFIG_MAPPING[model_type], fields)


def tiny_model(config: Any, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    """A random model of a configuration, whose biases and norms are random as well."""
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1 and parameter.is_floating_point():
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model.to(dtype).eval().requires_grad_(False)


def causal_types() -> dict[str, str]:
    """Every model type of the causal language models, with the name of its class."""
    from playground.transformers_compat import causal_classes

    return causal_classes()


def _shrunk(kind: Any, fields: dict[str, Any]) -> Any:
    model_type = kind.model_type
    names = {field.name for field in dataclasses.fields(kind)}
    given = {name: value for name, value in {**_SIZES, **_SPECIAL}.items() if name in names}
    default = kind()
    for name in _PER_LAYER:
        kinds = list(dict.fromkeys(getattr(default, name, None) or ()))
        if kinds and name in names:
            given[name] = [kinds[layer % len(kinds)] for layer in range(LAYERS)]
    parts = getattr(kind, "sub_configs", {})
    for name in parts:
        part = getattr(default, name, None)
        if part is not None:
            text = name in ("text_config", "decoder_config", "decoder")
            given[name] = _shrunk(type(part), fields if text else {})
    if "is_decoder" in names:  # without it the model attends to both sides
        given["is_decoder"] = True
    if "kv_lora_rank" in names:  # latent attention shares no heads
        given["num_key_value_heads"] = given["num_attention_heads"]
    own = _OWN.get(model_type, {})
    given = {**given, **own, **({} if "text_config" in parts else fields)}
    return kind(**given)
