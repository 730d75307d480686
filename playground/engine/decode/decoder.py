"""One step of all lanes: prepare, forward, process, choose, record.

*Prepare* plans what the model must read for each lane (``plan.py``). *Forward* has it read: rows of
everybody share one forward, and tokens that a search looks ahead at are rows like others; a
sequence is read by itself where the cache is off or where tokens were drafted. *Process* reshapes
the logits, *choose* asks each search for its next rows, and *record* writes them down
(``sample.py``). After drafted tokens the last three repeat, for as long as the draft was right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from playground.engine.decode.drafters import Drafters
from playground.engine.decode.lane_step import LaneStep
from playground.engine.decode.plan import LanePlan, SequenceOutput
from playground.engine.decode.sample import choose, process, record
from playground.engine.forward import EarlyRow, Forward, ForwardOutput
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.rows import NOTHING, Fault, Given, moved
from playground.engine.lanes.slots import Role
from playground.engine.lanes.stages import ScoreBatch, Stage
from playground.engine.run import Run
from playground.engine.scheduler.text_reader import TextReader
from strategies import DraftScores, EarlyLayers, SecondPrompt

Outputs = Mapping[Role, Sequence[SequenceOutput]]


class Decoder:
    """Steps lanes over a ``Forward``. Only the loop calls it."""

    def __init__(
        self,
        forward: Forward,
        detokenizer: Detokenizer,
        synchronize: Callable[[], None],
        reader: TextReader,
        drafters: Drafters,
    ) -> None:
        """``synchronize`` waits for the device, so that a forward's time is its own."""
        self.forward, self.detokenizer, self.drafters = forward, detokenizer, drafters
        self.reader = reader
        self._synchronize = synchronize
        self._waiting: list[LaneStep] = []  # whose search looks ahead, at the next forward

    def begin(self, run: Run, lanes: Sequence[Lane], output: ForwardOutput, seconds: float) -> None:
        """Each lane's first token, after a prompt that its slots hold already.

        ``output`` is what followed the prompt, which took ``seconds`` to read.
        """
        plans = []
        for lane in lanes:
            plan = LanePlan(run, lane, seconds=seconds, forward_rows=len(lanes))
            plan.outputs[None] = [SequenceOutput(output, whole_prompt=True)]
            for prompt in lane.second_prompts:
                slots = lane.slots.group(prompt)
                text = run.request.prefix
                other, took = self._timed(self.reader.read_after, slots[0], prompt.tokens, text)
                self.forward.slots.replicate(slots[0], slots, len(prompt.tokens) + len(text))
                plan.outputs[prompt] = [SequenceOutput(other)]
                plan.seconds += took
            plans.append(plan)
        self._sample(plans, output)

    def step(self, runs: Iterable[Run]) -> int:
        """The next token of every live row, and those drafted after it; how many in all."""
        plans = self._prepare(runs)
        if not plans:
            return 0
        shared = self._forward(plans)
        count = sum(len(plan.lane.running) for plan in plans)
        plans = self._finish_waiting(plans)
        self._sample(plans, shared)
        for index in range(max((len(plan.draft) for plan in plans), default=0)):
            plans = [plan for plan in plans if plan.accepts(index)]
            self._sample(plans, None, index + 1)
            count += len(plans)
        return count

    def moved(self, lane: Lane, became: Mapping[int, int]) -> None:
        """A lane was paused, and has other slots now: which became which."""
        for step in self._waiting:
            if step.lane is lane:
                step.rows = [moved(held, became) for held in step.rows]

    def _prepare(self, runs: Iterable[Run]) -> list[LanePlan]:
        """A plan of what must be read for each live lane, with the tokens drafted for it."""
        waiting = {step.lane: step for step in self._waiting}
        plans = []
        for run in runs:
            for lane in run.live:
                plan = LanePlan.next(run, lane, waiting.get(lane))
                if run.request.cache and plan.waiting is None:
                    clock = perf_counter()
                    try:
                        drafter = self.drafters.get(lane.search.draft_model)
                        plan.draft = lane.draft(drafter.guess if drafter else None)
                    except Exception as error:
                        plan.fault = error
                    plan.seconds = perf_counter() - clock
                plans.append(plan)
        planned = {plan.lane for plan in plans}
        self._waiting = [
            step for step in self._waiting if step.lane not in planned and not step.lane.done
        ]
        return plans

    def _forward(self, plans: Sequence[LanePlan]) -> ForwardOutput | None:
        """Read everything that was planned; the output of the shared forward, if any."""
        for plan in plans:
            if plan.is_alone:
                self._read_alone(plan)
        batch = [(plan, s) for plan in plans if not plan.is_alone for s in plan.sequences]
        if not batch:
            return None
        batch.sort(key=lambda entry: entry[1].slot)
        early = [
            EarlyRow(row, need.layers)
            for row, (plan, sequence) in enumerate(batch)
            for need in plan.lane.needs
            if isinstance(need, EarlyLayers) and plan.waiting is None and sequence.role is None
        ]
        output, seconds = self._timed(
            self.forward.decode,
            [sequence.slot for _, sequence in batch],
            [sequence.tokens[-1] for _, sequence in batch],
            [sequence.position for _, sequence in batch],
            states=any(plan.lane.needs_hidden for plan, _ in batch),
            early=early,
        )
        rows = {sequence.slot: row for row, (_, sequence) in enumerate(batch)}
        for plan in plans:
            if not plan.is_alone:
                for sequence in plan.sequences:
                    plan.add(sequence, SequenceOutput(output, rows[sequence.slot]))
                plan.seconds += seconds
                plan.forward_rows = len(output.logits)
        return output

    def _read_alone(self, plan: LanePlan) -> None:
        """One forward for each sequence: of all its tokens, or of the last and those drafted."""
        states = plan.lane.needs_hidden
        for sequence in plan.sequences:
            slot, tokens = sequence.slot, sequence.tokens
            if plan.draft:
                read, ids, start = self.forward.verify, [tokens[-1], *plan.draft], sequence.position
            else:
                read, ids, start = self.forward.prefill, list(tokens), 0
            output, seconds = self._timed(read, slot, ids, start, states=states)
            plan.add(sequence, SequenceOutput(output))
            plan.seconds += seconds
            plan.forward_rows = len(output.logits)

    def _finish_waiting(self, plans: list[LanePlan]) -> list[LanePlan]:
        """Let searches that looked ahead choose and go on; the plans of lanes that do go on."""
        waiting = [plan.waiting for plan in plans if plan.waiting is not None]
        if not waiting:
            return plans
        for plan in plans:
            if plan.waiting is not None:
                plan.waiting.states = torch.cat([output.hidden for output in plan.outputs[None]])
        looked = {step.lane: step.look_ahead for step in waiting}
        self._choose_and_record(waiting)
        going_on = []
        for plan in plans:
            if plan.lane.done or (plan.waiting is not None and plan.waiting.look_ahead is not None):
                continue
            look = looked.get(plan.lane)
            if look is not None:
                self._keep_looked(plan, look.tokens)
            going_on.append(plan)
        return going_on

    def _keep_looked(self, plan: LanePlan, tokens: Sequence[int]) -> None:
        """Copy the chosen one of the ``tokens`` that were looked ahead at to a lane's slots."""
        lane = plan.lane
        (held,) = lane.running
        looked = list(tokens).index(held.row.tokens[-1])
        plan.keep(looked)
        source = lane.slots.group()[looked]
        targets = [slot for slot in lane.slots.group() if slot != source]
        last = len(held.row.generated)
        lane.slots.copy(self.forward.slots, [source] * len(targets), targets, last - 1, last)

    def _sample(
        self, plans: Sequence[LanePlan], shared: ForwardOutput | None, index: int = 0
    ) -> None:
        """Process, choose and record each lane's next tokens, after ``index`` drafted ones."""
        if plans:
            steps = self._lane_steps(plans, shared, index)
            process(steps)
            self._choose_and_record(steps)

    def _choose_and_record(self, steps: Sequence[LaneStep]) -> None:
        """Choose and record, but for the steps whose search looks ahead: they wait."""
        choose(steps)
        record(steps, self.detokenizer, self.forward.slots)
        self._waiting += [step for step in steps if step.look_ahead is not None]

    def _lane_steps(
        self, plans: Sequence[LanePlan], shared: ForwardOutput | None, index: int
    ) -> list[LaneStep]:
        """Each lane's step on the logits of its rows.

        Most of them lie in ``shared`` already; those of other forwards are put below.
        """
        logits: list[Tensor] = [] if shared is None else [shared.logits]
        count = sum(map(len, logits))
        rows: list[Sequence[int]] = []
        all_outputs = [plan.after_draft(index) for plan in plans]
        for outputs in all_outputs:
            own = outputs[None]
            if all(output.forward is shared for output in own):
                rows.append([output.row for output in own])
            else:
                rows.append(range(count, count + len(own)))
                logits += [output.logits[None] for output in own]
                count += len(own)
        batch = ScoreBatch(logits[0] if len(logits) == 1 else torch.cat(logits))
        return [
            self._lane_step(plan, outputs, Stage(batch, own), index)
            for plan, outputs, own in zip(plans, all_outputs, rows, strict=True)
        ]

    def _lane_step(self, plan: LanePlan, outputs: Outputs, logits: Stage, index: int) -> LaneStep:
        lane = plan.lane
        vocab = logits.batch.scores.shape[-1]
        step = LaneStep(
            lane,
            lambda position: plan.run.noise(position, vocab, self.forward.device),
            logits,
            draft=plan.draft[index] if index < len(plan.draft) else None,
            forward=0.0 if index else plan.seconds,
            forward_rows=plan.forward_rows,
            fault=plan.fault,
        )
        try:
            step.given = self._given(lane, outputs)
        except Exception as error:  # the model lacks what this lane needs; the others go on
            step.fault = error
        return step

    def _given(self, lane: Lane, outputs: Outputs) -> Given:
        """What the lane's strategies read beside the logits."""
        if not (lane.second_prompts or lane.needs_hidden or lane.reads_draft):
            return NOTHING
        by_processor: dict[int, Sequence[Tensor]] = {}
        for depth, need in enumerate(lane.needs):
            if isinstance(need, SecondPrompt):
                by_processor[depth] = [output.logits for output in outputs[need]]
            elif isinstance(need, EarlyLayers):
                by_processor[depth] = [self._early(o, need.layers) for o in outputs[None]]
            elif isinstance(need, DraftScores):
                drafter = self.drafters.get(need.model)
                if drafter is None:
                    raise Fault("there is no draft model to read")
                rows = [held.row for held in lane.running]
                by_processor[depth] = [drafter.scores(row.prompt, row.generated) for row in rows]
        hidden = [o.hidden for o in outputs[None]] if lane.search.needs_hidden else ()
        lane.states_read += hidden
        return Given(by_processor, hidden)

    def _early(self, output: SequenceOutput, layers: Sequence[int]) -> Tensor:
        """The vocabulary head's logits on a row's earlier layers, ``[layers, vocab]``."""
        forward = output.forward
        assert forward.states is not None
        read = forward.early.get(EarlyRow(output.row, tuple(layers)))
        if read is not None:
            return read
        return self.forward.head(forward.states.layers[list(layers), output.row])

    def _timed(
        self, read: Callable[..., ForwardOutput], *what: Any, **how: Any
    ) -> tuple[ForwardOutput, float]:
        """What a forward returned, and the seconds it took."""
        clock = perf_counter()
        output = read(*what, **how)
        self._synchronize()
        return output, perf_counter() - clock
