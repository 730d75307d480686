"""A ban holds even where no other token is left, and the step that left so little is named."""

from __future__ import annotations

import pytest
import torch

from strategies import Recipe, RecipeError, Row
from strategies.bridges.transformers_processors import AsLogitsProcessor
from strategies.dead_ends import DeadEnd, dead_end
from tests.strategies.driver import begun, context, transitions, written
from tests.strategies.driver import run as driven

EOS = 2
TEXT = Row((0, 1, 3, 1), 1)


@pytest.mark.parametrize(
    ("ban", "left", "says"),
    [
        ('bad_words(["3"])', 3, "every token that is left here would complete one of its words"),
        ('bad_words(["1 5"])', 5, "every token that is left here would complete one of its words"),
        (
            "no_repeat_ngram(2)",
            3,
            "every token that is left here would complete an n-gram",
        ),
        ("min_new_tokens(4)", EOS, "the text may not end before it has 4 tokens, and nothing but "),
    ],
)
def test_a_ban_holds_though_nothing_else_is_left(ban: str, left: int, says: str) -> None:
    scores = torch.zeros(1, 8)
    scores[0, left] = 9.0
    processors, _ = Recipe.parse(f"temperature(0.5) | top_k(1) | {ban} | greedy").build(
        context(8, (EOS,))
    )
    alone = processors[-1](scores, begun(processors[-1], [TEXT]))
    assert (alone == -torch.inf).sum() == 1, "where others are left they stay"
    for processor in processors:
        scores = processor(scores, begun(processor, [TEXT]))
    assert (scores == -torch.inf).all()
    end = dead_end(processors, [TEXT] * 3, [8, 8, 1, 0])
    assert end is not None and end.depth == 2
    assert end.why.startswith(says) and end.why.endswith("; top_k had left 1.")


def test_who_had_left_few_is_named_and_nobody_who_had_not() -> None:
    recipe = 'bad_words(["5"]) | top_k(3) | top_p(0.9) | bad_words(["3"]) | top_k(9) | greedy'
    processors, _ = Recipe.parse(recipe).build(context(8, (EOS,)))
    why = "every token that is left here would complete one of its words"
    views = [TEXT] * 5

    def told(*left: int) -> DeadEnd | None:
        return dead_end(processors, views, left)

    assert told(8, 7, 3, 1, 0, 0) == DeadEnd(3, f"{why}; top_p had left 1.")
    assert told(8, 7, 3, 3, 0, 0) == DeadEnd(3, f"{why}; top_k had left 3.")
    assert told(8, 7, 7, 7, 0, 0) == DeadEnd(3, f"{why}."), "a ban of one is no reason"
    assert told(1, 1, 1, 1, 0, 0) == DeadEnd(3, f"{why}.")
    assert told(8, 7, 3, 3, 3, 0) == DeadEnd(4, "it removed every token; top_k had left 3.")
    assert told(8, 7, 3, 3, 2, 2) is None
    assert told(0, 0, 0, 0, 0, 0) is None, "the model itself left nothing"


def test_generate_is_told_where_a_ban_leaves_nothing() -> None:
    process = AsLogitsProcessor('top_k(1) | bad_words(["3"]) | greedy', context(5, (EOS,)), 1)
    assert process(torch.tensor([[1]]), torch.tensor([[0.0, 0, 0, 1, 2]])).argmax() == 4
    with pytest.raises(RecipeError, match=r"^Step 2 \(bad_words\): every .*; top_k had left 1\.$"):
        process(torch.tensor([[1]]), torch.tensor([[0.0, 0, 0, 2, 1]]))


@pytest.mark.parametrize("search", ["beam(2)", "diverse_beam(2)", "stochastic_beam(3)"])
def test_a_beam_with_no_way_on_is_dropped_and_the_others_go_on(search: str) -> None:
    """After 3 follows 3 alone, which may not be said twice; after 4 all but 3 are as likely."""
    table = torch.zeros(6, 6)
    table[1] = torch.tensor([0, 0, 0, 0.5, 0.5, 0])
    table[3, 3] = 1.0
    table[4] = table[0] = table[5] = torch.tensor([0.25, 0, 0.25, 0, 0.25, 0.25])
    table[2, 2] = 1.0
    recipe = f'bad_words(["3 3"]) | {search}'
    for seed in range(20):
        texts = written(
            driven(transitions(table), recipe, (1,), eos=(EOS,), max_new_tokens=5, seed=seed)
        )
        assert texts and all([3, 3] != text[at : at + 2] for text in texts for at in range(4))
        assert all(text[0] == 4 for text in texts if len(text) > 1)


def test_the_end_of_a_text_is_no_word_to_ban() -> None:
    with pytest.raises(RecipeError, match=r'words has "2", which ends a text and is never held'):
        Recipe.parse('bad_words(["3", "2"]) | greedy').build(context(8, (EOS,)))
    Recipe.parse('bad_words(["3 2"]) | greedy').build(context(8, (EOS,)))
