"""How likely a text is to the model, token by token: a forward of its own, beside the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from playground.engine.forward import Forward
from playground.engine.transformers_compat import cache_keyword


@torch.inference_mode()
def logprobs(
    forward: Forward, ids: Sequence[int], cancelled: Callable[[], bool]
) -> list[float | None]:
    """Each token's log-probability after those before it; None for the first.

    Reads as many tokens in one forward as a prompt's pieces have, with keys and values that are
    given up at the end, and touches no slot: it may run while the loop does. Ends early, with
    fewer, where ``cancelled`` before a piece.
    """
    found: list[float | None] = [None]
    cache: Any = DynamicCache(config=forward.model.config)
    keyword = cache_keyword(forward.model)
    tokens = torch.tensor([list(ids)], device=forward.device)
    for start in range(0, len(ids) - 1, forward.chunk_size):
        if cancelled():
            break
        end = min(start + forward.chunk_size, len(ids) - 1)  # nothing follows the last token
        out = forward.model(
            input_ids=tokens[:, start:end],
            attention_mask=torch.ones_like(tokens[:, :end]),
            position_ids=torch.arange(start, end, device=forward.device)[None],
            **{keyword: cache},
            use_cache=True,
        )
        scores = out.logits[0].float()
        nexts = tokens[0, start + 1 : end + 1, None]
        chosen = scores.gather(1, nexts)[:, 0] - scores.logsumexp(dim=1)
        found += chosen.tolist()
    return found
