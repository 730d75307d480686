"""Tiny random models in float32, built without a network: enough to compare token for token.

Weights are drawn wide (``initializer_range`` 0.35), so that neighbouring contexts give different
distributions and a mistake shows within a few tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCAB = 99
EOS = 2
SPECIAL = {"bos_token_id": 1, "eos_token_id": EOS, "pad_token_id": 0}


def _built(kind: type[PreTrainedModel], config: object, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config)
    model.eval().requires_grad_(False)
    model.generation_config.eos_token_id = EOS
    model.generation_config.pad_token_id = SPECIAL["pad_token_id"]
    return model


def tiny_llama(
    vocab: int = VOCAB, seed: int = 0, context: int = 128, layers: int = 2, **shape: Any
) -> PreTrainedModel:
    """Llama with grouped-query attention and rotary positions: 4 heads over 2.

    ``shape`` replaces fields of its configuration.
    """
    config = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.35,
    }
    own = LlamaConfig(
        vocab_size=vocab,
        max_position_embeddings=context,
        num_hidden_layers=layers,
        **(config | shape),
        **SPECIAL,
    )
    return _built(LlamaForCausalLM, own, seed)


def tiny_gpt2(vocab: int = VOCAB, seed: int = 0, context: int = 128) -> PreTrainedModel:
    """GPT-2 with learned positions, tied embeddings and no dropout: 2 layers, 4 heads."""
    config = GPT2Config(
        vocab_size=vocab,
        n_positions=context,
        n_embd=32,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.35,
        **SPECIAL,
    )
    return _built(GPT2LMHeadModel, config, seed)


def tiny_qwen2(vocab: int = VOCAB, seed: int = 0, context: int = 128) -> PreTrainedModel:
    """Qwen2, whose attention projections carry biases: 2 layers, 4 heads over 2."""
    config = Qwen2Config(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.35,
        **SPECIAL,
    )
    return _built(Qwen2ForCausalLM, config, seed)
