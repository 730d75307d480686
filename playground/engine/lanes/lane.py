"""A recipe at work: its rows, what it chose, and the slots its rows write to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from torch import Tensor

from playground.engine.lanes.detokenizer import Detokenizer, Text, find_stop
from playground.engine.lanes.record import Choice
from playground.engine.lanes.rows import NOTHING, Ends, Fault, Given, LaneRow, Store
from playground.engine.lanes.view import LaneView
from playground.trace import FinishReason, StepRecord, Times
from strategies import Context, EarlyLayers, Move, Recipe, Row, Step


class Lane(LaneView):
    """Only the loop advances it."""

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        *,
        prompt: Sequence[int],
        seed: int,
        ends: Ends,
        detokenizer: Detokenizer,
        top_n: int,
    ) -> None:
        super().__init__(recipe, context, prompt, seed, detokenizer)
        self.reads_states = self.search.needs_hidden or any(
            isinstance(need, EarlyLayers) for need in self.needs
        )
        self.width = self.rows * (1 + len(self.seconds))  # slots
        self.ends, self.stop = ends, ends.stop
        self.top_n, self.vocab_size = top_n, context.vocab_size
        # Equal ones may be called together: a processor is pure, and each row stands for itself.
        self.shared = [(type(p), repr(p.params), context) for p in self.processors]
        self.slots: list[int] = []
        self.started = 0.0  # the clock its records count from
        self.index = 0
        self._asking = False
        self._drafted = 0  # at most, so far
        self._found: dict[tuple[int, int], tuple[FinishReason | None, Text]] = {}

    @property
    def running(self) -> list[LaneRow]:
        return [] if self.done else [held for held in self.held if held.reason is None]

    @property
    def kept(self) -> int:
        """Tokens whose keys and values it keeps."""
        return sum(
            self.copies * len(row.tokens) + sum(len(s) + len(row.generated) for s in self.seconds)
            for row in (held.row for held in self.running)
        )

    @property
    def reach(self) -> int:
        """Positions of a slot that it may have written, with those of a draft not taken."""
        prompt = max(self.held[0].row.prompt_length, *map(len, self.seconds), 0)
        return prompt + max(len(h.row.generated) for h in self.held) + self._drafted

    def start(self, slots: list[int], clock: float) -> None:
        """Own ``slots``, which hold the prompt's keys and values; count time from ``clock``."""
        self.slots, self.started = slots, clock
        self.held = (replace(self.held[0], slot=slots[0]),)

    def second(self, number: int, slot: int) -> int:
        """Where the row of ``slot`` follows the second prompt of this number."""
        return self.slots[self.rows * (number + 1) + self.slots.index(slot)]

    def seen(self, depth: int, rows: Sequence[LaneRow], given: Given) -> list[Row]:
        """``rows`` as the processor at ``depth`` sees them: with its own state."""
        seen = [held.row for held in rows]
        if self.processors[depth].stateful:
            seen = [replace(held.row, state=held.states[depth]) for held in rows]
        if depth in given.depths:
            pairs = zip(seen, given.depths[depth], strict=True)
            seen = [replace(row, given=what) for row, what in pairs]
        return seen

    def draft(self, guess: Callable[[Lane, int], list[int]] | None) -> list[int]:
        """Tokens its search expects next, no more than may still be written after them.

        ``guess`` asks the draft model, where there is one.
        """
        (held, *others) = self.running
        left = self.ends.limit - len(held.row.generated) - 1
        if others or left < 1:
            return []
        count = min(self.search.guesses(), left)
        tokens = guess(self, count) if count and guess else self.search.draft(held.row)
        if not all(0 <= token < self.vocab_size for token in tokens):
            raise Fault(f"the search drafted {list(tokens)}")
        self._drafted = max(self._drafted, len(tokens))
        return list(tokens)[:left]

    def choose(
        self,
        rows: list[LaneRow],
        scores: Tensor,
        noise: Callable[[int], Tensor],
        given: Given = NOTHING,
        known: Mapping[tuple[int, int | None], int] | None = None,
    ) -> list[Move]:
        """The search's moves on ``scores``, float32 ``[rows, vocab]``; ``Fault`` on bad ones."""
        self._found = {}

        def ends(row: int, token: int) -> bool:
            return self._outcome(rows[row], row, token)[0] is not None

        step = Step(
            index=self.index,
            rows=[held.row for held in rows],
            scores=scores,
            noise=noise,
            ends=ends,
            finished=[held.row for held in self.held if held.reason is not None],
            hidden=given.hidden,
            **({"peek": given.peek} if given.peek else {}),
        )
        step.known.update(known or {})
        moves = self.search.advance(step)
        for move in moves:
            if not (0 <= move.parent < len(rows) and 0 <= move.token < scores.shape[-1]):
                raise Fault(f"the search returned {move} for {len(rows)} rows")
        self._asking = not moves and self.search.asks
        if self._asking:  # recorded as if the likeliest were chosen
            return [Move(0, int(scores[0].argmax()))]
        if not moves and not step.finished:
            raise Fault(f"{self.search.info.id} found no token to continue with")
        return moves

    def commit(
        self,
        rows: list[LaneRow],
        moves: list[Move],
        choices: list[Choice],
        times: Times,
        store: Store,
        draft: int | None = None,
    ) -> None:
        """Write the records down and let the moves follow their rows; ``Fault`` on bad ones."""
        for choice in choices:
            for depth, stage in enumerate(choice.stages):
                if stage.survivors == 0:
                    raise Fault(f"{self.processors[depth].info.id} removed every token")
            if not choice.logprob > -math.inf:  # NaN as well
                raise Fault(f"a token was chosen with the log-probability {choice.logprob}")
        if self._asking:
            at = perf_counter() - self.started
            piece = self.detokenizer.piece(moves[0].token)
            self.offer = self._record(rows[0], moves[0], choices[0], piece, times, at, None)
            self.end("waiting")
            return
        # What a person picked before is read ahead like a draft, but nobody guessed it.
        guess = None if self.search.asks else draft
        self._commit(rows, moves, choices, times, store, guess)
        self.index += 1
        if not self.running:
            self.done = True

    def _outcome(self, held: LaneRow, row: int, token: int) -> tuple[FinishReason | None, Text]:
        """What ends ``held``, the step's ``row``, if ``token`` follows, and its text then."""
        key = row, token
        if key not in self._found:
            self._found[key] = self.ends.met(self.detokenizer, held, token)
        return self._found[key]

    def _commit(
        self,
        rows: list[LaneRow],
        moves: list[Move],
        choices: list[Choice],
        times: Times,
        store: Store,
        draft: int | None,
    ) -> None:
        """Write the records and replace the rows; forks copy what was generated so far."""
        at = perf_counter() - self.started
        found = [self._outcome(rows[m.parent], m.parent, m.token) for m in moves]
        reasons: list[FinishReason | None] = [
            reason or ("stop" if move.done else None)
            for move, (reason, _) in zip(moves, found, strict=True)
        ]
        running = [m for m, reason in zip(moves, reasons, strict=True) if reason is None]
        if len(running) > self.rows:
            raise Fault(f"the search returned {len(running)} rows and owns {self.rows}")
        kept = {rows[move.parent].slot for move in running}
        spare = [slot for slot in self.slots[: self.rows] if slot not in kept]
        sources, targets = [], []
        nexts = []
        for move, choice, (_, text), reason in zip(moves, choices, found, reasons, strict=True):
            parent = rows[move.parent]
            slot = parent.slot
            if reason is None and slot in kept:
                kept.remove(slot)
            elif reason is None:
                slot = spare.pop(0)
                sources.append(parent.slot)
                targets.append(slot)
            if reason == "stop":
                twins = [m for m in moves if m.parent == move.parent]
                parent, text = self._stopped(parent, text, shared=len(twins) > 1)
            nexts.append(self._next(parent, move, choice, text, reason, slot, times, at, draft))
        prompt, length = rows[0].row.prompt_length, len(rows[0].row.tokens)
        store.copy(sources, targets, prompt, length)
        for number, second in enumerate(self.seconds):
            froms, tos = (
                [self.second(number, slot) for slot in slots] for slots in (sources, targets)
            )
            store.copy(froms, tos, len(second), len(second) + length - prompt)
        self.held = (*(r for r in self.held if r.reason is not None), *nexts)

    def _next(
        self,
        parent: LaneRow,
        move: Move,
        choice: Choice,
        text: Text,
        reason: FinishReason | None,
        slot: int,
        times: Times,
        at: float,
        draft: int | None,
    ) -> LaneRow:
        before = parent.row
        tokens = (*before.tokens, move.token)
        if reason is not None:
            text = self.detokenizer.finish(text, tokens)
        added = text.value[len(parent.text.value) :]
        self.steps.append(self._record(parent, move, choice, added, times, at, draft))
        row = Row(
            tokens,
            before.prompt_length,
            move.score,
            move.state,
            before.sample if move.sample is None else move.sample,
            before.seed,
            reason is not None,
        )
        states = tuple(
            p.observe(state, move.token, given if p.observes == "given" else choice.logprob)
            if p.stateful
            else state
            for p, state, given in zip(
                self.processors, parent.states, choice.given_logprobs, strict=True
            )
        )
        return LaneRow(row, states, text, len(self.steps) - 1, slot, reason)

    def _stopped(self, parent: LaneRow, text: Text, *, shared: bool) -> tuple[LaneRow, Text]:
        """``text`` before its stop string, and ``parent`` without what it holds of that.

        Where another row has the same records in its text, as where the parent is ``shared``, this
        one gets copies of its own.
        """
        known = parent.text.value
        place = find_stop(text.value, len(text.value) - len(known), self.stop)
        if place is None:  # the search ended it
            return parent, text
        path, node, over = [], parent.node, len(known) - place
        while over > 0 and node is not None:
            path.append(node)
            over -= len(self.steps[node].text)
            node = self.steps[node].parent
        others = (self.nodes(held) for held in self.held if held.row is not parent.row)
        shared = shared or not all(map(set(path).isdisjoint, others))
        for number in reversed(path):
            step, kept = self.steps[number], -over if number == path[-1] else 0
            cut = step.model_copy(update={"parent": node, "text": step.text[:kept]})
            node = len(self.steps) if shared else number
            self.steps[node : node + 1] = [cut]
        if path:
            parent = replace(parent, node=node, text=Text(known[:place]))
        return parent, Text(text.value[:place], start=len(parent.row.tokens) + 1)

    def _record(
        self,
        parent: LaneRow,
        move: Move,
        choice: Choice,
        text: str,
        times: Times,
        at: float,
        draft: int | None,
    ) -> StepRecord:
        return StepRecord.model_construct(
            index=self.index,
            parent=parent.node,
            token=move.token,
            text=text,
            special=move.token in self.detokenizer.special,
            raw_logprob=choice.raw_logprob,
            logprob=choice.logprob,
            raw_rank=choice.raw_rank,
            rank=choice.rank,
            raw_entropy=choice.raw_entropy,
            stages=choice.stages,
            candidates=choice.candidates,
            score=move.score,
            draft=draft,
            draft_text="" if draft is None else self.detokenizer.piece(draft),
            times=times,
            at=at,
        )
