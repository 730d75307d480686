"""The step records of a lane, as a tree: texts that begin alike share the records of that part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from playground.trace import Candidates, StepRecord


class StepTree:
    """Records by number; each names the one before it in its text, None where it is the first."""

    def __init__(self) -> None:
        self.records: list[StepRecord] = []

    def add(self, record: StepRecord) -> int:
        """The number of a new record."""
        self.records.append(record)
        return len(self.records) - 1

    def thin(self, node: int) -> None:
        """Keep of a record only its token: of a text that was tried and taken back."""
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

    def ends_with(self, node: int | None, characters: int) -> list[int]:
        """The last records of the path to ``node`` that hold so many characters, in order."""
        path = []
        while characters > 0 and node is not None:
            path.append(node)
            characters -= len(self.records[node].text)
            node = self.records[node].parent
        return path[::-1]

    def cut(self, nodes: Sequence[int], characters: int, others: Iterable[int | None]) -> int:
        """Take so many characters off ``nodes``, the end of a path; the number it ends with now.

        Records that the paths to ``others`` share stay as they are; this one gets copies.
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
