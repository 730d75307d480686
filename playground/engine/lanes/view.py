"""What a lane wrote, as others read it: its rows, its step records, and the texts they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from playground.engine.lanes.chain import chain
from playground.engine.lanes.detokenizer import Detokenizer, unsettled
from playground.engine.lanes.rows import LaneRow
from playground.trace import FinishReason, Output, StepRecord, Trace
from strategies import Context, Processor, Recipe, Row, SecondPrompt


class LaneView:
    """A lane without its steps. Any thread may read it while the loop goes on writing."""

    stop: Sequence[str] = ()  # strings that end its texts

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        prompt: Sequence[int],
        seed: int,
        detokenizer: Detokenizer,
    ) -> None:
        self.recipe, self.detokenizer = recipe, detokenizer
        self.chain = chain(recipe)
        self.processors, self.search = recipe.build(context)
        self.needs = [p.needs(prompt) for p in self.processors]
        asked = [need.tokens for need in self.needs if isinstance(need, SecondPrompt)]
        self.seconds = list(dict.fromkeys(asked))  # prompts that its rows also follow
        self.rows = self.search.width()
        self.copies = self.rows if self.search.needs_hidden else 1  # of a row's keys and values
        first = LaneRow(
            Row(tuple(prompt), len(prompt), seed=seed),
            tuple(p.initial_state() for p in self.processors),
            detokenizer.begin(prompt),
            None,
            -1,
        )
        self.held: tuple[LaneRow, ...] = (first,)  # finished and running, replaced as a whole
        self.steps: list[StepRecord] = []
        self.offer: StepRecord | None = None  # what a person may choose from
        self.done = False
        self.error: str | None = None
        self._ended: FinishReason | None = None

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """Stop where it is, for a reason from outside."""
        self._ended, self.error, self.done = reason, error, True

    def forget(self) -> None:
        """Let go of its processors' states, once done: only those that measure are asked again."""
        measures = [type(p).measure is not Processor.measure for p in self.processors]
        self.held = tuple(
            replace(
                held,
                states=tuple(
                    state if kept else None
                    for state, kept in zip(held.states, measures, strict=True)
                ),
            )
            for held in self.held
        )

    def ordered(self) -> list[LaneRow]:
        """Finished and running rows, the one a person is shown first."""
        held = self.held
        if len(held) == 1:
            return list(held)
        by_row = {id(h.row): h for h in held}
        return [by_row[id(row)] for row in self.search.order([h.row for h in held])]

    def nodes(self, held: LaneRow, known: Sequence[int] = ()) -> list[int]:
        """The step records that lead to a row, in order, after those of ``known`` that do."""
        path, node = [], held.node
        while node is not None and node not in known[(at := self.steps[node].index) : at + 1]:
            path.append(node)
            node = self.steps[node].parent
        return path[::-1]

    def settled(self, held: LaneRow) -> int:
        """How many of a row's tokens have a text that stays.

        The end of a text may be the beginning of a stop string, which is cut off once it is whole:
        until then nobody is told the tokens that hold it.
        """
        count, node = len(held.row.tokens) - held.row.prompt_length, held.node
        if not self.stop or self.done or held.reason is not None:
            return count
        over = unsettled(held.text.value, self.stop)
        while over > 0 and node is not None:
            over -= len(self.steps[node].text)
            count, node = count - 1, self.steps[node].parent
        return count

    def path(self) -> list[StepRecord]:
        """The records of the text shown now, as far as they stay.

        A beam may rewrite what it showed before.
        """
        shown = self.ordered()[0]
        return [self.steps[node] for node in self.nodes(shown)[: self.settled(shown)]]

    def measured(self, held: LaneRow) -> dict[str, float]:
        """What its processors find in a row's text."""
        found: dict[str, float] = {}
        for depth, processor in enumerate(self.processors):
            found.update(processor.measure(replace(held.row, state=held.states[depth])))
        return found

    @property
    def text(self) -> str:
        return self.ordered()[0].text.value

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the shown text ended; None while it runs."""
        return self.ordered()[0].reason or self._ended

    def trace(self, vocab_size: int) -> Trace:
        """All of it, with the texts it has so far, as many as it was asked for at the most.

        The one a person is shown stands first. A beam search meets more ends than it has beams.
        """
        outputs = [
            Output(
                text=held.text.value,
                token_ids=list(held.row.generated),
                nodes=self.nodes(held),
                score=held.row.score,
                finish_reason=held.reason or self._ended,
                found=self.measured(held),
            )
            for held in self.ordered()[: self.rows]
        ]
        return Trace.model_construct(
            chain=self.chain,
            vocab_size=vocab_size,
            steps=list(self.steps),
            outputs=outputs,
            copies=self.copies,
            second_prompts=[len(second) for second in self.seconds],
            offer=self.offer,
        )
