"""Texts as one tree, against what can be counted from the texts themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from playground.explain.branching import stretches


@dataclass(frozen=True)
class Step:
    token: int
    piece: str = ""


TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=7), max_size=7)


def tree(texts: list[list[int]]) -> list[Any]:
    paths: Any = [[Step(token) for token in text] for text in texts]
    return stretches(paths)


def beginnings(texts: list[list[int]]) -> dict[tuple[int, ...], set[int]]:
    """Which texts go through each beginning."""
    found: dict[tuple[int, ...], set[int]] = {}
    for number, text in enumerate(texts):
        for end in range(1, len(text) + 1):
            found.setdefault(tuple(text[:end]), set()).add(number)
    return found


@given(TEXTS)
def test_every_beginning_is_in_one_stretch_with_the_texts_that_share_it(texts: list[list[int]]):
    whole: list[list[int]] = []
    found: dict[tuple[int, ...], set[int]] = {}
    for one in tree(texts):
        before = [] if one.parent is None else whole[one.parent]
        assert one.first == len(before)
        tokens = [step.token for step in one.steps]
        for end in range(1, len(tokens) + 1):
            key = (*before, *tokens[:end])
            assert key not in found
            found[key] = set(one.texts)
        whole.append([*before, *tokens])
        assert set(one.ends) == {n for n, text in enumerate(texts) if text == whole[-1]}
    assert found == beginnings(texts)


@given(TEXTS)
def test_a_stretch_is_as_long_as_its_texts_are_one(texts: list[list[int]]):
    found = tree(texts)
    for number, one in enumerate(found):
        after = [other for other in found if other.parent == number]
        assert one.ends or len(after) > 1, "it would go on as a single line"
        assert one.parent is None or one.parent < number
        assert sorted([*one.ends, *(text for other in after for text in other.texts)]) == sorted(
            one.texts
        )
        firsts = [other.texts[0] for other in after]
        assert firsts == sorted(firsts)
        assert len({other.steps[0].token for other in after}) == len(after)


def test_a_long_text_needs_no_deep_calls():
    (one,) = tree([[1] * 5000])
    assert len(one.steps) == 5000 and one.ends == [0]


def test_tokens_of_two_models_with_one_number_and_two_texts_are_two():
    paths: Any = [[Step(1, "a"), Step(2, "b")], [Step(1, "a"), Step(2, "c")]]
    assert [(one.first, one.texts) for one in stretches(paths)] == [(0, [0, 1]), (1, [0]), (1, [1])]
