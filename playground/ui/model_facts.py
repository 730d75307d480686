"""The line of figures beside a model's name."""

from __future__ import annotations

from playground.trace import ModelFacts


def facts_line(facts: ModelFacts) -> str:
    """``CPU · bf16 · 0.4 GB``: the model's device, its number format, and its memory.

    Where the model is not batch-invariant, the line says that a text may depend on its batch; where
    each row has a cache of its own, how much longer six take than one; where its files name
    no token that ends a text, that every text goes on to its limit.
    """
    if facts.served_by is not None:
        return f"served by {facts.served_by}"
    device = facts.device.upper() if facts.device in ("cpu", "mps") else facts.device
    short = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
    size = f"{facts.parameters / 1e6:,.0f} M parameters"
    parts = [
        size,
        f"{device} {short.get(facts.dtype, facts.dtype)}",
        f"{facts.memory / 1e9:.1f} GB",
        *([] if facts.quantised is None else [f"quantised ({facts.quantised})"]),
        *([] if facts.adapter is None else [facts.adapter]),
        *([] if facts.one_by_one_times is None else [_slower(facts.one_by_one_times)]),
        *([] if facts.batch_invariant else ["texts can depend on the batch"]),
        *([] if facts.eos_token_ids else ["no end of text is known: texts run to their limit"]),
    ]
    return " · ".join(parts)


def _slower(times: float) -> str:
    return f"slower: six rows take {times:.1f} times as long as one"
