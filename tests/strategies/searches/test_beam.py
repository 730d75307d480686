"""Beam search equals transformers' ``generate``, every hypothesis and score, over the full grid."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch

from strategies import Recipe, Row
from tests.strategies.driver import Logits, context, forward, run, transitions, written
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
        return_dict_in_generate=True,
        output_scores=True,
        **{"do_sample": False, "pad_token_id": PAD, "max_new_tokens": NEW, **settings},
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


# From each token, the chance of the next; 5 ends a text. The texts from 0, by probability:
# 2 5 (.36), 1 4 5 (.175), 1 5 (.125), 1 3 5 (.12), 1 3 4 5 (.08), 3 5 (.06), the rest below.
TABLE = torch.tensor(
    [
        [0.0, 0.5, 0.4, 0.1, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.4, 0.35, 0.25],
        [0.0, 0.0, 0.0, 0.0, 0.1, 0.9],
        [0.0, 0.0, 0.0, 0.0, 0.4, 0.6],
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def by_hand(recipe: str, new: int = 4, **others: Any) -> list[list[int]]:
    return written(run(transitions(TABLE), recipe, (0,), eos=(5,), max_new_tokens=new, **others))


def test_greedy_misses_what_two_beams_find() -> None:
    assert by_hand("greedy") == [[1, 3, 5]]
    assert by_hand("beam(2)")[0] == [2, 5]


def test_two_beams_step_by_step() -> None:
    """1 and 2; then 2 5 ends while 1 3 and 1 4 run on, and 1 5, third, may not end; then 1 4 5
    ends, 1 3 5 is behind both, and 1 3 4 at .08 cannot win any more."""
    rows = run(transitions(TABLE), "beam(2, length_penalty=0)", (0,), eos=(5,), max_new_tokens=4)
    assert written(rows) == [[2, 5], [1, 4, 5]]
    assert [row.score for row in rows] == pytest.approx([math.log(0.36), math.log(0.175)])


def test_the_length_penalty_turns_the_order() -> None:
    """log .36 / 4 < log .12 / 9 < log .175 / 9; and log .08 / 16 is above them all, but only
    "never" counts on a fourth token, which 1 3 4 5 needs."""
    assert by_hand("beam(2, length_penalty=2)") == [[1, 4, 5], [1, 3, 5], [2, 5]]
    assert by_hand("beam(2, length_penalty=2, early_stopping=True)")[0] == [1, 4, 5]
    assert by_hand('beam(2, length_penalty=2, early_stopping="never")')[0] == [1, 3, 4, 5]
    assert by_hand('beam(2, length_penalty=2, early_stopping="never")', 3)[0] == [1, 4, 5]


def test_a_negative_penalty_hopes_for_no_longer_text() -> None:
    """At step two .3 and .18 ended, and .42 runs on: log .42 * 2 is above log .18 * 2, while
    log .42 * 4, were the limit counted on, is below."""
    table = torch.zeros(5, 5)
    table[0, [1, 2, 4]] = torch.tensor([0.6, 0.1, 0.3])
    table[1, [3, 4]] = torch.tensor([0.7, 0.3])
    table[[2, 3, 4], [3, 4, 0]] = 1.0
    recipe = 'beam(2, length_penalty=-1, early_stopping="never")'
    found = run(transitions(table), recipe, (0,), eos=(4,), max_new_tokens=4)
    assert written(found)[:2] == [[4], [1, 3, 4]]


def test_a_text_cut_by_the_limit_competes_too() -> None:
    assert by_hand("beam(2, length_penalty=0)", 1) == [[1], [2]]
    assert by_hand("beam(3, length_penalty=0)", 2) == [[2, 5], [1, 3], [1, 4]]


def test_a_stop_string_finishes_a_beam_like_an_end() -> None:
    """Told to stop after a 4: 1 4 is whole at .175, third of the six candidates, while 1 3 alone
    runs on, to 1 3 5 at .12 and 1 3 4 at .08, a fourth text for three beams."""
    found = by_hand("beam(3, length_penalty=0)", stop=lambda text: text[-1] == 4)
    assert found == [[2, 5], [1, 4], [1, 3, 5]]


def test_a_removed_token_starts_no_beam() -> None:
    """From 0 three tokens are possible, so a fourth beam has nothing to run on."""
    assert by_hand("beam(4)", 1) == [[1], [2], [3]]
    assert by_hand("top_k(1) | beam(4)") == [[1, 3, 5]]


def test_a_lane_stopped_halfway_shows_its_best() -> None:
    """Finished texts come first, by penalised score; then what still runs, by score."""
    (search,) = Recipe.parse("beam(2)").build(context(6, (5,)))[1:]
    rows = [
        Row((0, 1, 3), 1, score=math.log(0.2)),
        Row((0, 2, 5), 1, score=math.log(0.36), done=True),
        Row((0, 1, 4), 1, score=math.log(0.175)),
        Row((0, 1, 4, 5), 1, score=math.log(0.175), done=True),
        Row((0,), 1),
    ]
    assert written(search.order(rows)) == [[2, 5], [1, 4, 5], [], [1, 3], [1, 4]]
