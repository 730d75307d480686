"""The log-probability of each token of a text: forwards of their own, beside the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from playground.engine.forward import Forward


@torch.inference_mode()
def logprobs(
    forward: Forward, ids: Sequence[int], cancelled: Callable[[], bool]
) -> list[float | None]:
    """Each token's log-probability, in nats, after those before it; None for the first.

    Reads a chunk at a time, into a cache that is dropped at the end, and touches no slot: it may
    run while the loop does. Ends early, with fewer, where ``cancelled`` before a chunk.
    """
    found: list[float | None] = [None]
    cache: Any = DynamicCache(config=forward.model.config)
    tokens = torch.tensor([list(ids)], device=forward.device)
    for start in range(0, len(ids) - 1, forward.chunk_size):
        if cancelled():
            break
        end = min(start + forward.chunk_size, len(ids) - 1)  # nothing follows the last token
        out = forward.model(
            input_ids=tokens[:, start:end],
            attention_mask=torch.ones_like(tokens[:, :end]),
            position_ids=torch.arange(start, end, device=forward.device)[None],
            **{forward.eager.cache_keyword: cache},
            use_cache=True,
        )
        logits = out.logits[0].float()
        following = tokens[0, start + 1 : end + 1, None]
        chosen = logits.gather(1, following)[:, 0] - logits.logsumexp(dim=1)
        found += chosen.tolist()
    return found
