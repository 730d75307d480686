"""A text that goes on with another one, while it is written: as one whole text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.colours import LETTERS
from playground.engine import Run
from playground.explain.graft import before, joined
from playground.explain.partings import Side
from playground.trace import Comparison, LaneResult, StepRecord


@dataclass(eq=False)
class Growing:
    """``run`` goes on with ``step`` tokens of a lane's text ``output``, and what it was given."""

    shown: Comparison
    lane: int
    output: int
    step: int
    name: str
    run: Run
    _before: list[StepRecord] = field(default_factory=list)  # known once the run has begun

    @property
    def id(self) -> str:
        """The name of the whole text, as if a run had written it."""
        return f"{self.run.id}-whole"

    def comparison(self) -> Comparison:
        """The whole text as a comparison of one lane, as far as it is."""
        fork = self.run.comparison()
        lane = joined(self._given(fork.lanes[0]), fork.lanes[0])
        return fork.model_copy(
            update={
                "id": self.id,
                "prefix": [],
                "prompt_tokens": self.shown.prompt_tokens,
                "max_new_tokens": self.shown.max_new_tokens,
                "min_new_tokens": self.shown.min_new_tokens,
                "lanes": [lane.model_copy(update={"name": self.name})],
            }
        )

    def side(self, column: int) -> Side:
        """The text as a column that is compared with others."""
        view = self.run.views[0]
        over = view.done  # read before the path: a lane that is done does not change any more
        given = self._before or self._given(self.run.comparison().lanes[0])
        path = [*given, *view.path()]
        facts = self.run.facts
        return Side(
            LETTERS[column],
            view.chain,
            path,
            over=over,
            vocab_size=facts.vocab_size,
            model=facts.title,
        )

    def _given(self, written: LaneResult) -> Sequence[StepRecord]:
        """The records of what it goes on with; only of what stays, until the rest was read."""
        source = self.shown.lanes[self.lane].trace
        begun = bool(self.run.views[0].steps) or self.run.done
        if not self._before and begun and (self.run.put or not self._by_hand):
            own = before(source, self.output, self.step, written, self.run.put)
            self._before.extend(own)
        return self._before or source.path(self.output)[: self.step]

    @property
    def _by_hand(self) -> bool:
        """Whether it was given tokens that the text had no records of."""
        forked, path = self.run.request.forked, self.shown.lanes[self.lane].trace.path(self.output)
        tokens = forked.tokens if forked is not None else []
        if len(tokens) == 1 and self.step < len(path):
            return tokens[0] not in path[self.step].candidates.ids
        return bool(tokens)
