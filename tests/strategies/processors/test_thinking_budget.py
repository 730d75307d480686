"""Thinking budget, with stand-ins for the chat templates of models that think."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from strategies import Recipe, RecipeError, Row
from strategies.base import Context, Processor
from strategies.ops.thinking import tags
from tests.strategies.driver import context, run, transitions

QWEN3 = (
    "{%- if '</think>' in content %}{%- set reasoning = content.split('</think>')[0]"
    ".split('<think>')[-1] %}{%- endif %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
)
SMOLLM3 = (
    "{{- 'structure: <think> Thought section </think> Solution section' -}}"
    "{%- if '/no_think' in system %}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n' }}"
)
MAGISTRAL = "{{ '[THINK]' }}{{ block.thinking }}{{ '[/THINK]' }}"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (QWEN3, ("<think>", "</think>")),
        (SMOLLM3, ("<think>", "</think>")),
        (MAGISTRAL, ("[THINK]", "[/THINK]")),
        ("{{ '<seed:think>' }}…{{ '</seed:think>' }}", ("<seed:think>", "</seed:think>")),
        ("{{ '<think>' }}", None),  # one that only begins is none to force an end with
        ("{{ '<b>thinking</b>' }}", None),
        (None, None),
    ],
)
def test_the_tags_of_a_template(template: str | None, found: object) -> None:
    assert tags(template) == found


NUMBERS = {"<think>": [7], "</think>": [8, 9], "so": [5]}  # the closing tag is two tokens here


def told(template: str | None = QWEN3) -> Context:
    def encode(text: str) -> list[int]:
        return NUMBERS.get(text.strip(), [])

    return replace(context(10, eos=(0,)), encode=encode, chat_template=template)


def built(recipe: str, template: str | None = QWEN3) -> Processor:
    (made,), _ = Recipe.parse(f"{recipe} | greedy").build(told(template))
    return made


def forced(recipe: str, prompt: tuple[int, ...], *generated: int) -> int | None:
    """The one token that is left, if only one is."""
    scores = torch.zeros(1, 10)
    out = built(recipe)(scores, [Row((*prompt, *generated), len(prompt))])
    left = (out[0] > -torch.inf).nonzero().flatten().tolist()
    assert len(left) in (1, 10)
    return left[0] if len(left) == 1 else None


@pytest.mark.parametrize(
    ("generated", "token"),
    [
        ((), None),
        ((7,), None),  # begun
        ((7, 1, 1), None),
        ((7, 1, 1, 1), 8),  # three are thought
        ((7, 1, 1, 1, 8), 9),
        ((7, 1, 1, 1, 8, 9), None),  # the answer
        ((7, 1, 1, 1, 8, 9, 2, 2, 2, 2), None),
        ((7, 8, 9, 1, 7, 1, 1), None),  # it thinks again, with a budget of its own
        ((7, 8, 9, 1, 7, 1, 1, 1), 8),
        ((7, 1, 1, 8), 9),  # the tag that it began itself
        ((1, 1, 1, 1, 1), None),  # it never thinks
    ],
)
def test_the_tag_is_written_after_the_budget(generated: tuple[int, ...], token: int) -> None:
    assert forced("thinking_budget(3)", (1, 2), *generated) == token


def test_a_prompt_may_open_the_thought_and_words_may_round_it_off() -> None:
    assert forced("thinking_budget(2)", (1, 7), 1) is None
    assert forced("thinking_budget(2)", (1, 7), 1, 1) == 8
    assert forced("thinking_budget(0)", (1, 7)) == 8
    assert forced("thinking_budget(0)", (1, 7, 8, 9)) is None  # a template that shut it at once
    recipe = 'thinking_budget(1, words="so")'
    texts = [(1,), (1, 5), (1, 5, 8), (1, 5, 8, 9)]
    assert [forced(recipe, (7,), *text) for text in texts] == [5, 8, 9, None]


def test_what_was_thought_is_counted() -> None:
    def thought(*generated: int) -> float:
        return built("thinking_budget(3)").measure(Row((1, *generated), 1))["thinking tokens"]

    assert [thought(), thought(7), thought(7, 1, 1), thought(7, 1, 1, 8, 9, 2)] == [0, 0, 2, 2]
    assert built("thinking_budget").measure(Row((1,), 1)) == {}


def test_tags_may_be_given_and_must_be_known() -> None:
    with pytest.raises(RecipeError, match="no tags to think between; give opening and closing"):
        built("thinking_budget(3)", None)
    own = built('thinking_budget(0, opening="so", closing="<think>")', None)
    out = own(torch.zeros(1, 10), [Row((5,), 1)])
    assert (out[0] > -torch.inf).nonzero().flatten().tolist() == [7]
    built("thinking_budget", None)  # switched off


def test_a_text_goes_on_with_its_answer() -> None:
    """Over a whole run: the model would think for ever."""
    table = torch.full((10, 10), 1e-6)
    table[:, 1] = 1.0
    table[2, 7] = table[9, 3] = table[3, 0] = 100.0
    recipe = 'thinking_budget(2, opening="7", closing="8 9") | greedy'
    (row,) = run(transitions(table / table.sum(-1, True)), recipe, (2,), eos=(0,))
    assert list(row.generated) == [7, 1, 1, 8, 9, 3, 0]
