"""All texts of a comparison as one tree of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.trace import Comparison, StepRecord
from playground.trace.branches import TextBranch, TextTree


@dataclass
class _Node:
    """A token in the tree under construction, with the texts that have it there."""

    step: StepRecord | None = None
    texts: list[tuple[int, int]] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    after: dict[tuple[int, str], _Node] = field(default_factory=dict)


def tree(comparison: Comparison) -> TextTree:
    """The common prefixes of all columns' texts, and where they branch."""
    root = _Node()
    texts = [
        (lane, sample)
        for lane, result in enumerate(comparison.lanes)
        for sample in range(len(result.trace.outputs))
    ]
    for lane, sample in texts:
        _grow(root, comparison.lanes[lane].trace.path(sample), (lane, sample))
    return TextTree(count=len(texts), branches=_branches(root))


def _grow(node: _Node, path: Sequence[StepRecord], text: tuple[int, int]) -> None:
    for step in path:
        # Tokens of two models may have one number and two texts.
        node = node.after.setdefault((step.token, step.piece), _Node(step))
        node.texts.append(text)
        node.probabilities.append(step.probability)
    node.ends.append(text)


def _branches(root: _Node) -> list[TextBranch]:
    branches: list[TextBranch] = []
    left: list[tuple[_Node, int | None]] = [(root, None)]  # with the index of the parent
    while left:  # no recursion: a text is longer than calls may nest
        node, parent = left.pop()
        number = None
        if node.step is not None:
            number = len(branches)
            branches.append(_branch(node, node.step, parent))
        rising = sorted(reversed(node.after.values()), key=lambda child: len(child.texts))
        left += [(child, number) for child in rising]
    return branches


def _branch(node: _Node, step: StepRecord, parent: int | None) -> TextBranch:
    return TextBranch(
        parent=parent,
        token=step.token,
        text=step.piece,
        count=len(node.texts),
        texts=node.texts,
        raw_probability=step.raw_probability,
        probabilities=node.probabilities,
        ends=node.ends,
    )
