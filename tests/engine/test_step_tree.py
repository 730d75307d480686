"""Step records of several texts share what the texts have in common."""

from __future__ import annotations

import pytest

from playground.engine.lanes.step_tree import StepTree
from playground.trace import StepRecord

# The parent, the position and the text of each record: "one two", "one to" and "on".
RECORDS = [(None, 0, "on"), (0, 1, "e "), (1, 2, "t"), (2, 3, "wo"), (2, 3, "o")]


@pytest.fixture
def tree() -> StepTree:
    made = StepTree()
    for parent, index, text in RECORDS:
        record = StepRecord.model_construct(parent=parent, index=index, text=text, token=index)
        made.add(record)
    return made


def text(tree: StepTree, node: int) -> str:
    return "".join(tree.records[number].text for number in tree.path(node))


def test_a_path_leads_from_the_first_record(tree: StepTree) -> None:
    assert tree.path(3) == [0, 1, 2, 3] and tree.path(4) == [0, 1, 2, 4]
    assert tree.path(None) == []


@pytest.mark.parametrize(
    ("known", "rest"),
    [([], [0, 1, 2, 3]), ([0, 1], [2, 3]), ([0, 1, 2, 4], [3]), ([0, 1, 2, 3], [])],
)
def test_a_path_may_begin_where_another_leaves_it(
    tree: StepTree, known: list[int], rest: list[int]
) -> None:
    assert tree.path(3, known) == rest
    assert tree.longer(known, 3) == tree.path(3)
    assert tree.longer(known, 1) == [0, 1] and tree.longer(known, None) == []


@pytest.mark.parametrize(
    ("characters", "nodes"), [(0, []), (1, [3]), (2, [3]), (3, [2, 3]), (4, [1, 2, 3])]
)
def test_the_records_that_hold_an_end(tree: StepTree, characters: int, nodes: list[int]) -> None:
    assert tree.ends_with(3, characters) == nodes


def test_a_cut_leaves_the_tokens_without_their_text(tree: StepTree) -> None:
    assert tree.cut(tree.ends_with(3, 4), 4, []) == 3
    assert text(tree, 3) == "one" and [tree.records[n].text for n in (1, 2, 3)] == ["e", "", ""]
    assert tree.path(3) == [0, 1, 2, 3]


def test_a_cut_copies_what_another_text_shares(tree: StepTree) -> None:
    node = tree.cut(tree.ends_with(3, 4), 4, [4])
    assert text(tree, node) == "one" and text(tree, 4) == "one to" and text(tree, 3) == "one two"
    assert tree.path(node) == [0, 5, 6, 7]
    assert [tree.records[n].token for n in tree.path(node)] == [0, 1, 2, 3]


def test_a_cut_copies_nothing_where_only_what_is_before_it_is_shared(tree: StepTree) -> None:
    assert tree.cut(tree.ends_with(3, 2), 2, [4]) == 3
    assert text(tree, 3) == "one t" and text(tree, 4) == "one to" and len(tree.records) == 5
