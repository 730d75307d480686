"""The step records of a lane as a tree: texts share the records of their common prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from playground.trace import Candidates, StepRecord


class StepTree:
    """Records by number; each one's parent is the one before it in its text, None for the first."""

    def __init__(self) -> None:
        self.records: list[StepRecord] = []

    def add(self, record: StepRecord) -> int:
        """Add a record, and return its number."""
        self.records.append(record)
        return len(self.records) - 1

    def thin(self, node: int) -> None:
        """Drop all candidates but the token from a record of a text that was taken back."""
        record = self.records[node]
        at = record.candidates.ids.index(record.token)
        candidates = record.candidates
        alone = Candidates.model_construct(
            ids=[record.token],
            texts=[candidates.texts[at]],
            raw=[candidates.raw[at]],
            stages=[[stage[at]] for stage in candidates.stages],
        )
        self.records[node] = record.model_copy(update={"candidates": alone, "logits": ""})

    def path(self, node: int | None, known: Sequence[int] = ()) -> list[int]:
        """The records that lead to ``node``, in order, after those of ``known`` that do."""
        path = []
        while node is not None and node not in known[(at := self.records[node].index) : at + 1]:
            path.append(node)
            node = self.records[node].parent
        return path[::-1]

    def longer(self, known: Sequence[int], node: int | None) -> list[int]:
        """The whole path to ``node``, of which ``known`` may be the beginning."""
        new = self.path(node, known)
        last = new[0] if new else node
        if last is None:
            return new
        kept = self.records[last].index + (0 if new else 1)
        return [*known[:kept], *new]

    def ends_with(self, node: int | None, characters: int) -> list[int]:
        """The last records of the path to ``node`` that hold so many characters, in order."""
        path = []
        while characters > 0 and node is not None:
            path.append(node)
            characters -= len(self.records[node].text)
            node = self.records[node].parent
        return path[::-1]

    def cut(self, nodes: Sequence[int], characters: int, others: Iterable[int | None]) -> int:
        """Remove so many characters at the end of ``nodes``, the last records of a path.

        Returns the number of the record that the path ends with now. Records that the paths to
        ``others`` share stay as they are, and this path gets copies.
        """
        shared = not all(set(nodes).isdisjoint(self.path(other)) for other in others)
        kept = sum(len(self.records[node].text) for node in nodes) - characters
        parent = self.records[nodes[0]].parent
        for node in nodes:
            record = self.records[node]
            cut = record.model_copy(update={"parent": parent, "text": record.text[:kept]})
            kept = 0  # of the records after the first
            if shared:
                parent = self.add(cut)
            else:
                self.records[node], parent = cut, node
        assert parent is not None
        return parent
