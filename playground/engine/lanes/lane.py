"""A recipe at work: its processors and search, its rows, and the slots that hold them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer, Text
from playground.engine.lanes.ends import Ends
from playground.engine.lanes.prefix import Logprobs, states_after
from playground.engine.lanes.rewinding import check
from playground.engine.lanes.rows import NOTHING, Fault, Given, LaneRow, moved
from playground.engine.lanes.slots import LaneSlots
from playground.engine.lanes.view import LaneView
from playground.trace import FinishReason
from strategies import (
    Context,
    DraftScores,
    EarlyLayers,
    LookAhead,
    Move,
    Recipe,
    Rewind,
    Row,
    SecondPrompt,
    Step,
)


class Lane:
    """One recipe in a run, from its first token to its last. Only the loop advances it.

    Other threads may read its ``view``.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        *,
        prompt: Sequence[int],
        prefix: Sequence[int] = (),
        prefix_logprobs: Logprobs = (),
        seed: int,
        ends: Ends,
        detokenizer: Detokenizer,
        top_n: int,
        most_rows: int | None = None,
    ) -> None:
        """``prefix`` are the tokens of a text to continue, which count as generated; for
        ``prefix_logprobs`` see ``states_after``.

        Independent rows of a search run at once only as far as ``most_rows`` suffice for them and
        their second prompts.
        """
        self.recipe, self.detokenizer, self.ends = recipe, detokenizer, ends
        self.top_n, self.vocab_size = top_n, context.vocab_size
        self.processors, self.search = recipe.build(context)
        self.needs = [p.needs(prompt) for p in self.processors]
        wanted = [need for need in self.needs if isinstance(need, SecondPrompt)]
        self.second_prompts = list(dict.fromkeys(wanted))  # prompts that its rows also follow
        self.needs_hidden = self.search.needs_hidden or any(
            isinstance(need, EarlyLayers) for need in self.needs
        )
        self.reads_draft = any(isinstance(need, DraftScores) for need in self.needs)
        read = {need.model for need in self.needs if isinstance(need, DraftScores)}
        self.drafts_by = read | ({self.search.draft_model} if self.search.guesses() else set())
        # Equal ones may be called together: a processor is pure, and each row stands for itself.
        self.processor_keys = [(type(p), repr(p.params), context) for p in self.processors]
        self.going_back = [i for i, p in enumerate(self.processors) if p.goes_back]  # their depths
        self.remembers = bool(self.going_back) or self.search.rewinds
        self.max_rows = self.search.width()  # that may run at once
        if self.search.independent and most_rows:
            own = most_rows // (1 + len(self.second_prompts))
            self.max_rows = min(self.max_rows, max(1, own))
        self.slots = LaneSlots(self.max_rows, len(prompt), self.second_prompts)
        self.width = self.slots.count
        self.started = 0.0  # the clock its records count from
        self.before = len(prefix)
        self.index = 0  # of its next step, from 0 after the prefix
        self.states_read: list[Tensor] = []  # of every token, where its search reads them
        first = LaneRow(
            Row((*prompt, *prefix), len(prompt), seed=seed, fixed=len(prefix)),
            states_after(self.processors, prefix, prefix_logprobs),
            detokenizer.begin([*prompt, *prefix]),
            None,
            -1,
        )
        self.view = LaneView(
            recipe,
            self.processors,
            self.search,
            first,
            copies=self.max_rows if self.search.needs_hidden else 1,
            second_prompts=self.second_prompts,
            stop=ends.stop,
            before=self.before,
        )
        self.passed: list[Move] = []  # weighed by its search at the last step, and not taken
        self.asking = False  # a person chooses next: the step's move is only an offer
        self.drafted = 0  # the most tokens that were drafted at once so far
        self._longest = 0  # tokens of a row before some were taken back
        self._outcomes: dict[tuple[int, int], tuple[FinishReason | None, Text]] = {}

    @property
    def done(self) -> bool:
        return self.view.done

    @property
    def running(self) -> list[LaneRow]:
        """Rows that have not ended and have a slot."""
        if self.done:
            return []
        return [held for held in self.view.rows if held.reason is None and not held.waits]

    @property
    def waves(self) -> int:
        """How many rows follow one another in each of its slots, at most."""
        return -(-self.search.width() // self.max_rows)

    @property
    def kept(self) -> int:
        """Tokens whose keys and values it keeps."""
        copies = self.view.copies - 1  # beside the one that every row has
        return sum(
            copies * len(held.row.tokens) + self.slots.kept(held.row) for held in self.running
        )

    @property
    def reach(self) -> int:
        """Positions of a slot that it may have written, rejected drafts included."""
        longest = max(len(held.row.generated) for held in self.view.rows)
        return self.slots.reach(max(longest, self._longest) + self.drafted)

    def reached(self, count: int) -> None:
        """A row had so many tokens, of which some are taken back."""
        self._longest = max(self._longest, count)

    def start(self, slots: list[int], clock: float) -> None:
        """Own ``slots``, which hold the prompt's keys and values; count time from ``clock``."""
        self.slots.owned, self.started = slots, clock
        (first,) = self.view.rows
        self.view.rows = (replace(first, slot=slots[0]),)

    def resume(self, slots: list[int]) -> dict[int, int]:
        """Own ``slots``, to which its contents were restored after a pause.

        Returns the new slot of each one before.
        """
        became = self.slots.resume(slots)
        self.view.rows = tuple(moved(held, became) for held in self.view.rows)
        return became

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """Stop the lane where it is, for a reason other than its text."""
        self.view.end(reason, error)

    def draft(self, guess: Callable[[Lane, int], list[int]] | None) -> list[int]:
        """Tokens that its search expects next, one fewer than may still be generated at most.

        ``guess`` drafts with the draft model, where there is one.
        """
        (held, *others) = self.running
        left = self.ends.limit - len(held.row.generated) - 1
        if others or left < 1:
            return []
        count = min(self.search.guesses(), left)
        tokens = guess(self, count) if count and guess else self.search.draft(held.row)
        if not all(0 <= token < self.vocab_size for token in tokens):
            raise Fault(f"the search drafted {list(tokens)}")
        self.drafted = max(self.drafted, len(tokens))
        return list(tokens)[:left]

    def seen_by(self, depth: int, rows: Sequence[LaneRow], given: Given = NOTHING) -> list[Row]:
        """``rows`` as the processor at ``depth`` sees them: with its state, and what it needs."""
        seen = [held.row for held in rows]
        if self.processors[depth].stateful:
            seen = [replace(held.row, state=held.states[depth]) for held in rows]
        if depth in given.by_processor:
            pairs = zip(seen, given.by_processor[depth], strict=True)
            seen = [replace(row, given=what) for row, what in pairs]
        return seen

    def choose(
        self,
        rows: Sequence[LaneRow],
        scores: Tensor,
        noises: Sequence[Callable[[int], Tensor]],
        given: Given = NOTHING,
        batch_draws: Mapping[tuple[int, int | None], int] | None = None,
        logits: Tensor | None = None,
    ) -> Generator[LookAhead, Tensor, list[Move | Rewind]]:
        """The search's moves on ``scores``, float32 ``[rows, vocab]``. Raises ``Fault``.

        ``noises`` are those of each row's position. Yields every ``LookAhead`` of the search, and
        is sent the hidden states of its tokens.
        """
        self._outcomes = {}

        def ends(row: int, token: int) -> bool:
            return self.outcome(rows[row], row, token)[0] is not None

        step = Step(
            index=self.before + self.index,
            rows=[held.row for held in rows],
            scores=scores,
            noise=noises[0],
            ends=ends,
            finished=[held.row for held in self.view.rows if held.reason is not None],
            waiting=[held.row for held in self.view.rows if held.waits],
            hidden=given.hidden,
            noises=noises,
            logits=logits,
        )
        step.batch_draws.update(batch_draws or {})
        found = self.search.advance(step)
        moves: list[Move | Rewind]
        if isinstance(found, Generator):
            moves = [*(yield from self._look_ahead(found, len(rows)))]
        else:
            moves = [*found]
        self.passed = step.passed
        for move in moves:
            known = isinstance(move, Rewind) or 0 <= move.token < scores.shape[-1]
            if not (0 <= move.parent < len(rows) and known):
                raise Fault(f"the search returned {move} for {len(rows)} rows")
            if isinstance(move, Rewind):
                if not self.search.rewinds:
                    raise Fault(f"{self.search.info.id} goes back, and does not say rewinds = True")
                if sum(other.parent == move.parent for other in moves) > 1:
                    raise Fault(f"{self.search.info.id} forks a row that it takes tokens from")
                check(move, rows[move.parent].row, self.search.info.id)
        self.asking = not moves and self.search.asks
        if self.asking:  # recorded as if the likeliest were chosen
            return [Move(0, int(scores[0].argmax()))]
        if not moves and not step.finished:
            raise Fault(f"{self.search.info.id} found no token to continue with")
        return moves

    def outcome(self, held: LaneRow, row: int, token: int) -> tuple[FinishReason | None, Text]:
        """Why ``held``, the step's ``row``, ends with ``token``, if it does, and its text then."""
        key = row, token
        if key not in self._outcomes:
            self._outcomes[key] = self.ends.met(self.detokenizer, held, token)
        return self._outcomes[key]

    def _look_ahead(
        self, advance: Generator[LookAhead, Tensor, list[Move]], rows: int
    ) -> Generator[LookAhead, Tensor, list[Move]]:
        """A search's generator; raises ``Fault`` where it breaks the contract of looking ahead."""
        look: LookAhead | None = None
        states: Any = None  # a generator is started with None
        while True:
            try:
                look = advance.send(states)
            except StopIteration as returned:
                moves: list[Move] = returned.value
                break
            if not isinstance(look, LookAhead):
                raise Fault(f"{self.search.info.id} yielded {look!r}, which is no LookAhead")
            count = len(look.tokens)
            if not self.search.needs_hidden or rows != 1:
                raise Fault("only a search that needs_hidden and has one row may look ahead")
            if not 0 < len(set(look.tokens)) == count <= self.max_rows:
                raise Fault(f"the search looked at {count} next tokens and owns {self.max_rows}")
            if not all(0 <= token < self.vocab_size for token in look.tokens):
                raise Fault(f"the search looked at {list(look.tokens)}")
            states = yield look
        running = [move for move in moves if not move.done]
        if look is not None and len(running) > 1:
            raise Fault(f"the search looked ahead and returned {len(running)} rows")
        if look is not None and any(move.token not in look.tokens for move in running):
            raise Fault("the search chose a token that it had not looked at")
        return moves
