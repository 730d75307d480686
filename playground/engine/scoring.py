"""The log-probability of each token of a text: forwards of their own, beside the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.attention.row_caches import RowCache
from playground.engine.forward import Forward
from strategies.ops.reduce import logsumexp
from strategies.ops.topk import topk


@dataclass(frozen=True)
class TokenScore:
    """A token's log-probability, in nats, after those before it, and the likeliest tokens there.

    ``likeliest`` are token ids with their log-probabilities, in falling order.
    """

    logprob: float
    likeliest: dict[int, float]


def logprobs(
    forward: Forward, ids: Sequence[int], cancelled: Callable[[], bool]
) -> list[float | None]:
    """Each token's log-probability, in nats, after those before it; None for the first."""
    scores = token_scores(forward, ids, cancelled)
    return [None if score is None else score.logprob for score in scores]


@torch.inference_mode()
def token_scores(
    forward: Forward, ids: Sequence[int], cancelled: Callable[[], bool], count: int = 0
) -> list[TokenScore | None]:
    """Each token's score, with the ``count`` likeliest at its position; None for the first.

    Reads a chunk at a time, into a cache that is dropped at the end, and touches no slot: it may
    run while the loop does. Ends early, with fewer, where ``cancelled`` before a chunk.
    """
    found: list[TokenScore | None] = [None]
    row = RowCache()
    tokens = torch.tensor([list(ids)], device=forward.device)
    for start in range(0, len(ids) - 1, forward.chunk_size):
        if cancelled():
            break
        end = min(start + forward.chunk_size, len(ids) - 1)  # nothing follows the last token
        out = forward.text.read(row, ids[start:end])
        logits = out.logits[0, start - end :].float()
        following = tokens[0, start + 1 : end + 1, None]
        total = logsumexp(logits)
        chosen = (logits.gather(1, following)[:, 0] - total).tolist()
        best, indices = topk(logits, min(count, logits.shape[1]))
        likeliest = zip(indices.tolist(), (best - total[:, None]).tolist(), strict=True)
        found += [
            TokenScore(logprob, dict(zip(*row, strict=True)))
            for logprob, row in zip(chosen, likeliest, strict=True)
        ]
    return found


_AT_ONCE = 1 << 24  # logits of one forward over a given text


@dataclass(frozen=True)
class TextLogits:
    """The model's output for ``n`` consecutive tokens of a text.

    ``logits``, float32 ``[n, vocab]``, are those from which each token is chosen; ``states``, where
    they were requested, are ``[layers + 1, n, width]``.
    """

    logits: Tensor
    states: Tensor | None


@torch.inference_mode()
def text_logits(
    forward: Forward,
    prompt: Sequence[int],
    text: Sequence[int],
    cancelled: Callable[[], bool],
    *,
    states: bool = False,
) -> Iterator[TextLogits]:
    """The logits from which each token of ``text`` would be chosen after ``prompt``.

    One forward over both, in chunks: of the prompt only the last row has its logits made, and of
    the text as many at once as ``_AT_ONCE`` allows. Ends early, with fewer, where ``cancelled``.
    """
    row = RowCache()
    ids = [*prompt, *text[:-1]]
    first = len(prompt) - 1  # the row that the text's first token is chosen from
    size = min(forward.chunk_size, max(1, _AT_ONCE // forward.vocab_size))
    start = 0
    while start < len(ids):
        if cancelled():
            return
        if not forward.text.continues:  # a token at a time after the first ones
            end = max(first, 1) if not start else start + 1
        elif start < first:
            end = min(start + forward.chunk_size, first)
        else:
            end = min(start + size, len(ids))
        count = end - start
        out = forward.text.read(
            row,
            ids[start:end],
            output_hidden_states=states and end > first,
            logits_to_keep=1 if start < first else count,
        )
        if end > first:
            kept = [layer[0, -count:] for layer in out.hidden_states] if states else None
            layers = torch.stack(kept) if kept else None
            yield TextLogits(out.logits[0, -count:].float(), layers)
        start = end
