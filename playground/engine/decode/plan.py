"""What the model must read for a lane's next step, and what it returned for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from playground.engine.decode.lane_step import LaneStep
from playground.engine.forward import ForwardOutput
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.slots import Role, tokens_of
from playground.engine.run import Run
from strategies import Row


@dataclass(frozen=True)
class Sequence:
    """Tokens to be read: ``slot`` holds the keys and values of all but the last.

    Its ``role`` is None for a row of the lane, or the second prompt that the same row follows here.
    """

    slot: int
    tokens: tuple[int, ...]
    role: Role = None

    @property
    def position(self) -> int:
        """The position of its last token, from 0."""
        return len(self.tokens) - 1


@dataclass(frozen=True)
class SequenceOutput:
    """What a forward returned for one sequence, which was its ``row``."""

    forward: ForwardOutput
    row: int = 0
    whole_prompt: bool = False  # whether the forward read all of the sequence

    @property
    def logits(self) -> Tensor:
        """Float32 ``[vocab]``."""
        return self.forward.logits[self.row]

    @property
    def hidden(self) -> Tensor:
        """States after the last layer of the tokens that were read, ``[tokens, width]``."""
        states = self.forward.states
        assert states is not None
        return states.top if self.whole_prompt else states.layers[-1:, self.row]


@dataclass(eq=False)
class LanePlan:
    """One lane's part of a forward.

    ``outputs`` are filled in by role, each in the order of ``sequences``. Where the lane looks
    ahead, ``waiting`` is the step that waits for it, and there is a sequence for every token looked
    at. ``draft`` are tokens read in the same forward as the last one of its only row.
    """

    run: Run
    lane: Lane
    waiting: LaneStep | None = None
    sequences: list[Sequence] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    outputs: dict[Role, list[SequenceOutput]] = field(default_factory=dict)
    seconds: float = 0.0  # of drafting, and of the forwards
    forward_rows: int = 1  # that shared the forward of its rows
    fault: Exception | None = None

    @classmethod
    def next(cls, run: Run, lane: Lane, waiting: LaneStep | None = None) -> LanePlan:
        """A plan to read the last token of every row, or every token that ``waiting`` looks at."""
        rows: list[tuple[int, Row, tuple[int, ...]]]
        if waiting is not None and waiting.look_ahead is not None:
            (held,) = waiting.rows
            looked = zip(lane.slots.group(), waiting.look_ahead.tokens, strict=False)
            rows = [(slot, held.row, (token,)) for slot, token in looked]
        else:
            rows = [(held.slot, held.row, ()) for held in lane.running]
        sequences = [
            Sequence(lane.slots.beside(slot, role), tokens_of(row, role) + ahead, role)
            for role in lane.slots.roles
            for slot, row, ahead in rows
        ]
        return cls(run, lane, waiting, sequences)

    @property
    def is_alone(self) -> bool:
        """Whether its sequences are read by themselves: without the cache, or with a draft."""
        return not self.run.request.cache or bool(self.draft)

    def add(self, sequence: Sequence, output: SequenceOutput) -> None:
        """Take what a forward returned for the next of its sequences."""
        self.outputs.setdefault(sequence.role, []).append(output)

    def after_draft(self, index: int) -> dict[Role, list[SequenceOutput]]:
        """The outputs after ``index`` of the drafted tokens."""
        if index == 0:
            return self.outputs
        return {
            role: [replace(output, row=output.row + index) for output in outputs]
            for role, outputs in self.outputs.items()
        }

    def keep(self, looked: int) -> None:
        """Keep the outputs of one of the tokens that were looked ahead at."""
        self.outputs = {role: [outputs[looked]] for role, outputs in self.outputs.items()}

    def accepts(self, index: int) -> bool:
        """Whether the lane went on with the token drafted at ``index``, and took none back."""
        running = self.lane.running
        return (
            index < len(self.draft)
            and bool(running)
            and running[0].row.tokens == (*self.sequences[0].tokens, *self.draft[: index + 1])
        )
