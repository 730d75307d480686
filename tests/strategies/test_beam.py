"""Beam search equals transformers' ``generate``, every hypothesis and score, over the full grid."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch

from tests.strategies.driver import Logits, forward, run, written
from tests.tiny import tiny_gpt2, tiny_llama, tiny_qwen2

NEW, PAD = 8, 1
PROMPTS = [(5,), (1, 50, 60), (7, 7, 31, 4, 90, 12, 55, 3)]
MODELS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen2": tiny_qwen2}


@cache
def loaded(name: str) -> tuple[Any, Logits]:
    model = MODELS[name](seed=3)
    return model, forward(model)


@cache
def endings(name: str, prompt: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Ends of sequence that beams of this prompt meet: none, one, three; and one they never do."""
    rows = run(loaded(name)[1], "beam(8)", prompt, max_new_tokens=NEW)
    met = list(dict.fromkeys(token for row in written(rows) for token in row[2:6]))
    unmet = max(set(range(99)) - {token for row in written(rows) for token in row})
    return [(), (met[0],), tuple(met[:3]), (unmet,)]


def generate(model: Any, prompt: tuple[int, ...], **settings: Any) -> Any:
    return model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **{"pad_token_id": PAD, "max_new_tokens": NEW, **settings},
    )


GRID = list(product(range(2, 9), (0.0, 1.0, -1.0, 2.0), (False, True, "never")))


@pytest.mark.parametrize("turn", range(4), ids=["no end", "one end", "three ends", "unlikely end"])
def test_beams_equal_transformers(turn: int) -> None:
    """Each of the 84 settings meets each kind of ending, models and prompts taking turns."""
    ended_early = reached_limit = 0
    for number, (beams, penalty, stopping) in enumerate(GRID):
        name = list(MODELS)[(number + turn) % 3]
        model, logits = loaded(name)
        prompt = PROMPTS[(number // 3 + turn) % 3]
        eos = endings(name, prompt)[turn]
        theirs = generate(
            model,
            prompt,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=penalty,
            early_stopping=stopping,
            eos_token_id=list(eos) or None,
        )
        early = f'"{stopping}"' if stopping == "never" else stopping
        recipe = f"beam({beams}, length_penalty={penalty}, early_stopping={early})"
        mine = run(logits, recipe, prompt, eos=eos, max_new_tokens=NEW)[:beams]
        assert len(mine) == beams
        for row, sequence, score in zip(
            mine, theirs.sequences.tolist(), theirs.sequences_scores.tolist(), strict=True
        ):
            assert list(row.tokens) == sequence[: len(row.tokens)], (recipe, prompt, eos)
            assert set(sequence[len(row.tokens) :]) <= {PAD}, (recipe, prompt, eos)
            length = len(row.generated)
            assert row.score / length**penalty == pytest.approx(score, abs=2e-5, rel=2e-6)
            ended_early += length < NEW
            reached_limit += length == NEW
    assert reached_limit
    if turn < 3:
        assert bool(ended_early) == bool(turn), "ends must be met where there are any"
