"""What others read of a lane: its rows, its step records, and the texts they lead to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from playground.engine.lanes.chain import chain
from playground.engine.lanes.ends import unsettled
from playground.engine.lanes.rows import LaneRow
from playground.engine.lanes.step_tree import StepTree
from playground.engine.lanes.weighing import Weighing, weighs
from playground.trace import Chain, FinishReason, Output, StepRecord, Trace
from strategies import Processor, Recipe, Search, SecondPrompt

Held = TypeVar("Held")  # one text of a lane


class View(ABC, Generic[Held]):
    """What may be read of a lane, in whatever process it is written. Any thread may read it.

    ``error`` is why the lane alone failed, ``ended`` why it was stopped other than by its text, and
    ``offer`` the step whose candidates a person may choose from. Each of its texts has a
    ``reason``, None until it ends.
    """

    recipe: Recipe
    chain: Chain
    done = False
    error: str | None = None
    ended: FinishReason | None = None
    offer: StepRecord | None = None

    @property
    @abstractmethod
    def steps(self) -> list[StepRecord]:
        """The step records, by number."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The text shown now."""

    @property
    @abstractmethod
    def finish_reason(self) -> FinishReason | None:
        """Why the shown text ended; None while it runs."""

    @abstractmethod
    def ordered(self) -> list[Held]:
        """The texts, finished or not, the one a person is shown first."""

    @abstractmethod
    def nodes(self, held: Held, known: Sequence[int] = ()) -> list[int]:
        """The step records that lead to a text, in order, after those of ``known`` that do."""

    @abstractmethod
    def written(self, held: Held) -> list[int]:
        """The tokens of a text that the lane generated, without the prefix."""

    @abstractmethod
    def settled(self, held: Held) -> int:
        """How many tokens of a text are shown: not those that may begin a stop string."""

    @abstractmethod
    def final(self, held: Held) -> int:
        """How many of the shown tokens can no longer be taken back."""

    @abstractmethod
    def path(self) -> list[StepRecord]:
        """The records of the text shown now, as far as they stay."""

    @abstractmethod
    def measured(self, held: Held) -> dict[str, float]:
        """The measures of the processors and the search on a text so far, by name."""

    @abstractmethod
    def trace(
        self,
        vocab_size: int,
        found: Sequence[dict[str, float]] | None = None,
        texts: Sequence[Held] | None = None,
        known: Sequence[Sequence[int]] = (),
    ) -> Trace:
        """The records and the texts so far, the one a person is shown first.

        ``found`` replaces what ``measured`` would compute, which may take long, and ``texts``
        those that are ``ordered`` by now. ``known`` are the records that led to each of the texts
        when they were last asked for: only what is new is looked up then.
        """

    @abstractmethod
    def forget(self) -> None:
        """Drop, once done, what is not read any more."""

    def instead(self) -> View[Any]:
        """The view to read from now on: another one, once another process writes the lane."""
        return self

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """Stop the lane where it is, for a reason other than its text."""
        self.ended, self.error, self.done = reason, error, True


class LaneView(View[LaneRow]):
    """A lane's rows and records. Any thread may read them while the loop goes on writing."""

    def __init__(
        self,
        recipe: Recipe,
        processors: Sequence[Processor],
        search: Search,
        first: LaneRow,
        *,
        copies: int = 1,
        second_prompts: Sequence[SecondPrompt] = (),
        stop: Sequence[str] = (),
        before: int = 0,
    ) -> None:
        """``copies`` are kept of a row's keys and values; ``stop`` strings end its texts.

        The first ``before`` generated tokens of a row were given, and have no records.
        """
        self.recipe, self.processors, self.search = recipe, processors, search
        self.chain = chain(recipe)
        self.copies, self.second_prompts, self.stop = copies, second_prompts, stop
        self.before = before
        self.rows: tuple[LaneRow, ...] = (first,)  # finished and running, replaced as a whole
        self.tree = StepTree()
        self.weighing = Weighing(search) if weighs(search) else None

    @property
    def steps(self) -> list[StepRecord]:
        """The step records, by number."""
        return self.tree.records

    @property
    def text(self) -> str:
        """The text shown now."""
        return self.ordered()[0].text.value

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the shown text ended; None while it runs."""
        return self.ordered()[0].reason or self.ended

    def ordered(self) -> list[LaneRow]:
        """Finished and running rows, the one a person is shown first."""
        rows = self.rows
        if len(rows) == 1:
            return list(rows)
        ordered = self.search.order([held.row for held in rows])
        return [next(held for held in rows if held.row is row) for row in ordered]

    def nodes(self, held: LaneRow, known: Sequence[int] = ()) -> list[int]:
        """The step records that lead to a row, in order, after those of ``known`` that do."""
        return self.tree.path(held.node, known)

    def written(self, held: LaneRow) -> list[int]:
        """The tokens of a row that the lane generated, without the prefix."""
        return list(held.row.generated[self.before :])

    def settled(self, held: LaneRow) -> int:
        """How many of a row's tokens are shown.

        The end of a text may be the beginning of a stop string, which is cut off once it is
        complete: until then the tokens that hold it are not shown.
        """
        count = len(self.written(held))
        if not self.stop or self.done or held.reason is not None:
            return count
        return count - len(self.tree.ends_with(held.node, unsettled(held.text.value, self.stop)))

    def final(self, held: LaneRow) -> int:
        """How many of the shown tokens can no longer be taken back."""
        count = self.settled(held)
        if self.done or held.reason is not None:
            return count
        for processor, state in zip(self.processors, held.states, strict=True):
            if processor.goes_back:
                settled = processor.settled(replace(held.row, state=state))
                count = min(count, settled - self.before)
        return count

    def path(self) -> list[StepRecord]:
        """The records of the text shown now, as far as they stay.

        A beam may rewrite what it showed before.
        """
        shown = self.ordered()[0]
        return [self.steps[node] for node in self.nodes(shown)[: self.settled(shown)]]

    def measured(self, held: LaneRow) -> dict[str, float]:
        found: dict[str, float] = {}
        for processor, state in zip(self.processors, held.states, strict=True):
            if type(processor).measure is not Processor.measure:
                found.update(processor.measure(replace(held.row, state=state)))
        if type(self.search).measure is not Search.measure:
            found.update(self.search.measure(held.row, [other.row for other in self.rows]))
        return found

    def trace(
        self,
        vocab_size: int,
        found: Sequence[dict[str, float]] | None = None,
        texts: Sequence[LaneRow] | None = None,
        known: Sequence[Sequence[int]] = (),
    ) -> Trace:
        """The records and the texts so far, the one a person is shown first.

        There are no more texts than the search has rows: a beam search finishes more than it keeps.
        """
        told, paths = iter(found or ()), iter(known)
        outputs = [
            Output(
                text=held.text.value,
                token_ids=self.written(held),
                nodes=self.tree.longer(next(paths, ()), held.node),
                sample=held.row.sample,
                score=held.row.score,
                finish_reason=held.reason or self.ended,
                found=self.measured(held) if found is None else next(told, {}),
            )
            for held in (texts or self.ordered())[: self.search.width()]
        ]
        rows, passed = self.rows, list(self.weighing.passed) if self.weighing else []
        steps = list(self.steps)
        weighed = None
        if self.weighing is not None:
            weighed = self.weighing.record(len(steps), rows, passed)
        return Trace.model_construct(
            chain=self.chain,
            vocab_size=vocab_size,
            steps=steps,
            outputs=outputs,
            copies=self.copies,
            second_prompts=[len(prompt.tokens) for prompt in self.second_prompts],
            beams=weighed,
            offer=self.offer,
        )

    def forget(self) -> None:
        """Drop the states of processors, once done, except those that ``measured`` still reads."""
        measures = [type(p).measure is not Processor.measure for p in self.processors]
        self.rows = tuple(
            replace(
                held,
                states=tuple(
                    state if kept else None
                    for state, kept in zip(held.states, measures, strict=True)
                ),
            )
            for held in self.rows
        )
