"""The engine writes what transformers' generate writes, with several lanes in one batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from playground.engine import Engine, Request
from tests.engine.models import engine, finished

CASES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "repetition_penalty(1.3) | greedy": {"repetition_penalty": 1.3},
    "no_repeat_ngram(2) | greedy": {"no_repeat_ngram_size": 2},
    "beam(2)": {"num_beams": 2, "early_stopping": False},
    "beam(5, length_penalty=2, early_stopping=True)": {
        "num_beams": 5,
        "length_penalty": 2.0,
        "early_stopping": True,
    },
    'beam(3, length_penalty=-1, early_stopping="never")': {
        "num_beams": 3,
        "length_penalty": -1.0,
        "early_stopping": "never",
    },
    "no_repeat_ngram(2) | beam(4)": {"num_beams": 4, "no_repeat_ngram_size": 2},
}


def generated(engine: Engine, prompt: str, count: int, eos: tuple[int, ...], **kwargs: Any) -> Any:
    ids = torch.tensor([engine.model.tokenizer.encode(prompt)])
    out = engine.model.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=list(eos) or None,
        pad_token_id=0,
        **kwargs,
    )
    return out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("eos", [(), (7, 40, 99)], ids=["no end", "three ends"])
@pytest.mark.parametrize("prompt", ["a", "the quick brown fox"])
def test_every_lane_equals_generate(kind: str, eos: tuple[int, ...], prompt: str) -> None:
    served = engine(kind, eos)
    served.model.model.generation_config.eos_token_id = list(eos) or None
    comparison = finished(
        served, Request(prompt=prompt, recipes=list(CASES)[:6], max_new_tokens=24)
    )
    for lane, arguments in zip(comparison.lanes, CASES.values(), strict=False):
        wanted = generated(served, prompt, 24, eos, **arguments)
        while wanted and wanted[-1] == 0 and 0 not in lane.token_ids:
            wanted.pop()  # generate pads a batch whose best beam ended early
        assert lane.token_ids == wanted, lane.recipe


def test_generate_is_untouched_by_the_engine() -> None:
    before = engine("llama")
    ids = torch.tensor([[5, 9, 13, 40]])
    plain = before.model.model
    plain.set_attn_implementation("sdpa")
    with torch.no_grad():
        wanted = plain(ids).logits
        plain.set_attn_implementation("decoding_slots")
        assert torch.equal(plain(ids).logits, wanted)
