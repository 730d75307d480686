"""What a model says by itself, which its scores over slots are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from playground.engine.transformers_compat import cache_argument


def prompts(vocab: int) -> list[list[int]]:
    """Two short prompts and the tokens that follow them, the same for a vocabulary always."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randint(0, vocab, (2, 12), generator=generator)
    return [draw[0].tolist(), draw[1, :9].tolist()]


def own_scores(
    model: Any, probe: Sequence[Sequence[int]], device: torch.device
) -> tuple[list[Tensor], list[tuple[int, int, int]]]:
    """The model's own scores after every position, and its layers' key-value shapes."""
    wanted, shapes = [], []
    for ids in probe:
        cache: Any = DynamicCache(config=model.config)
        tokens = torch.tensor([list(ids)], device=device)
        out = model(
            tokens,
            attention_mask=torch.ones_like(tokens),
            **cache_argument(model, cache),
            use_cache=True,
        )
        wanted.append(out.logits[0].float())
        shapes = [
            (layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3])
            for layer in cache.layers
        ]
    return wanted, shapes
