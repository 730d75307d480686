"""Diverse beam search equals the paper's algorithm, written out without a cache."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch

from strategies import Recipe, RecipeError
from tests.strategies.driver import Logits, run, transitions, written
from tests.strategies.searches.test_beam import NEW, PROMPTS, endings, loaded

Text = tuple[float, tuple[int, ...]]  # the log-probability less the penalties, what was generated


def by_the_paper(
    logits: Logits,
    prompt: tuple[int, ...],
    eos: tuple[int, ...],
    beams: int,
    groups: int,
    penalty: float,
) -> list[list[Text]]:
    """Algorithm 1 of Vijayakumar et al.; a group stops at as many ended texts as it has beams."""
    size = beams // groups
    running: list[list[Text]] = [[(0.0, ())]] * groups
    ended: list[list[Text]] = [[] for _ in range(groups)]
    for length in range(1, NEW + 1):
        chosen: Counter[int] = Counter()
        for group in range(groups):
            options = []
            for score, text in running[group]:
                logprobs = logits([(*prompt, *text)])[0].double().log_softmax(-1).tolist()
                options += [
                    (score + logprob - penalty * chosen[token], (*text, token))
                    for token, logprob in enumerate(logprobs)
                ]
            options.sort(reverse=True)
            ends = [o for o in options[:size] if o[1][-1] in eos or length == NEW]
            ended[group] = sorted(
                ended[group] + ends, key=lambda o: o[0] / len(o[1]), reverse=True
            )[:size]
            full = len(ended[group]) == size
            running[group] = [] if full else [o for o in options if o[1][-1] not in eos][:size]
            kept = running[group] + [o for o in ended[group] if o in ends]
            chosen.update(text[-1] for _, text in kept if text[-1] not in eos)
    return ended


@pytest.mark.parametrize("turn", range(3), ids=["no end", "one end", "three ends"])
def test_groups_equal_the_paper(turn: int) -> None:
    penalised = 0
    grid = product(((2, 2), (4, 2), (6, 3), (5, 1)), (0.3, 2.0))
    for number, ((beams, groups), penalty) in enumerate(grid):
        name = ("llama", "gpt2", "qwen2")[(number + turn) % 3]
        logits, prompt = loaded(name)[1], PROMPTS[(number // 2 + turn) % 3]
        eos = endings(name, prompt)[turn]
        recipe = (
            f"diverse_beam({beams}, early_stopping=True, num_beam_groups={groups}, "
            f"diversity_penalty={penalty})"
        )
        mine = run(logits, recipe, prompt, eos=eos, max_new_tokens=NEW)[:beams]
        assert Counter(row.state for row in mine) == dict.fromkeys(range(groups), beams // groups)
        wanted = by_the_paper(logits, prompt, eos, beams, groups, penalty)
        for group, texts in enumerate(wanted):
            rows = [row for row in mine if row.state == group]
            assert [row.generated for row in rows] == [text for _, text in texts], recipe
            assert [row.score for row in rows] == pytest.approx([s for s, _ in texts], abs=1e-3)
        ranks = [row.score / len(row.generated) for row in mine]
        assert ranks == sorted(ranks, reverse=True)
        plain = run(logits, f"beam({beams})", prompt, eos=eos, max_new_tokens=NEW)
        penalised += written(mine) != written(plain)[:beams]
    assert penalised > 4


SETTINGS = ["", ", length_penalty=-1.0", ", length_penalty=2.0", ', early_stopping="never"']


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("eos", [(), (2,), (2, 4)])
def test_without_groups_or_penalty_it_is_beam_search(settings: str, eos: tuple[int, ...]) -> None:
    """One group is ``beam``, whatever the penalty; three at no penalty are three of its copies."""
    for seed in range(6):
        table = torch.randn(7, 7, generator=torch.Generator().manual_seed(seed)) * 1.5
        model = transitions(table.softmax(-1))
        plain = run(model, f"beam(2{settings})", (1,), eos=eos, max_new_tokens=6)
        one = f"diverse_beam(2{settings}, num_beam_groups=1, diversity_penalty=3.0)"
        found = run(model, one, (1,), eos=eos, max_new_tokens=6)
        assert [(r.tokens, r.score) for r in found] == [(r.tokens, r.score) for r in plain]
        three = f"diverse_beam(6{settings}, num_beam_groups=3, diversity_penalty=0.0)"
        found = run(model, three, (1,), eos=eos, max_new_tokens=6)
        for group in range(3):
            copy = [(row.tokens, row.score) for row in found if row.state == group]
            assert copy == [(row.tokens, row.score) for row in plain]


def test_groups_step_by_step() -> None:
    """Chosen once, 1 weighs .5/e = .18, behind 2; and then 2 weighs .3/e = .11, and 3 leads."""
    table = torch.tensor([[0.0, 0.5, 0.3, 0.2], *[[0.0, 0.6, 0.3, 0.1]] * 3])
    recipe = "diverse_beam(3, num_beam_groups=3, diversity_penalty=1.0)"
    rows = run(transitions(table), recipe, (0,), max_new_tokens=1)
    assert written(rows) == [[1], [2], [3]]
    rows = run(transitions(table), recipe, (0,), max_new_tokens=2)
    assert sorted((row.state, *row.generated) for row in rows) == [(0, 1, 1), (1, 2, 2), (2, 3, 1)]
    mild = run(transitions(table), recipe.replace("1.0", "0.4"), (0,), max_new_tokens=1)
    assert sorted(written(mild)) == [[1], [1], [2]], ".5 · e^−.4 = .34, then .22"


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("diverse_beam(6, num_beam_groups=4)", "6 beams cannot be divided into 4 equal groups"),
        ("diverse_beam(3)", "into 2 equal groups; allowed are 1, 3."),
    ],
)
def test_unequal_groups_are_refused(recipe: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(recipe)
    assert says in str(caught.value) and caught.value.field == "num_beam_groups"
