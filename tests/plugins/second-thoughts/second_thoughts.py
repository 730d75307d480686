"""Two strategies: one dares a draw now and then, the other takes back what was too daring."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from strategies import Info, Move, Processor, Rewind, Row, Search, Step, base, setting
from strategies.ops.noise import uniform


class Daring(Search):
    info = Info(
        id="daring",
        title="Daring",
        summary="Takes the likeliest token, and draws one now and then.",
        formula=r"x_t \sim p \text{ with chance } \varepsilon, \text{ else } "
        r"\operatorname*{arg\,max}_i z_i",
        source="Epsilon-greedy: Sutton & Barto 1998",
        url="https://mitpress.mit.edu/9780262039246/reinforcement-learning",
        advice="Use it to see what a single draw changes in a text. It never dares where it would "
        "matter most, since it does not know where that is.",
    )

    class Params(base.Params):
        chance: float = setting(
            0.1, "How often a token is drawn.", usual=(0, 1), step=0.05, ge=0, le=1
        )

    def advance(self, step: Step) -> list[Move]:
        moves = []
        for number, row in enumerate(step.rows):
            dares = uniform(row.seed, row.sample, len(row.generated), "daring") < self.params.chance
            token = step.draw(number, row.sample) if dares else step.likeliest(number)
            moves.append(step.move(number, token))
        return moves


class Memory(NamedTuple):
    """What was taken back where, how often, and how likely the last token was."""

    gone: tuple[tuple[int, int], ...] = ()
    times: int = 0
    logprob: float = 0.0


class Regret(Processor):
    info = Info(
        id="regret",
        title="Regret",
        summary="Takes back a token that was less likely than a bar, and lets draw another.",
        formula=r"\log p(x_t) < -b \;\Rightarrow\; z'_{x_t} = z_{x_t} - 100",
        source="An example of how a text goes back",
        url="https://example.org/regret",
        advice="Use it to see what a text would be without its odd words. Epsilon cutoff does the "
        "same before they are written, at less cost.",
    )

    class Params(base.Params):
        bar: float = setting(
            0.0, "Nats of surprise that are too many; 0 minds none.", usual=(0, 12), step=0.5,
            ge=0, le=50,
        )  # fmt: skip

    neutral: ClassVar = {"bar": 0.0}
    stateful = True

    def initial_state(self) -> Memory:
        return Memory()

    def observe(self, state: Memory, token: int, logprob: float) -> Memory:
        return state._replace(logprob=logprob)

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        out = scores.clone()
        for i, row in enumerate(rows):
            for place, token in row.state.gone:
                if place == len(row.generated):
                    out[i, token] -= 100.0
        return out

    def rewind(self, row: Row) -> Rewind | None:
        memory, place = row.state, len(row.generated) - 1
        tried = sum(at == place for at, _ in memory.gone)
        if -memory.logprob < self.params.bar or tried == 3 or place < row.fixed:
            return None
        gone = (*(one for one in memory.gone if one[0] <= place), (place, row.generated[-1]))
        surprise = f"It had {-memory.logprob:.1f} nats of surprise."
        return Rewind(1, surprise, Memory(gone, memory.times + 1))

    def settled(self, row: Row) -> int:
        return len(row.generated)  # a token is taken back at once or never

    def measure(self, row: Row) -> Mapping[str, float]:
        memory = row.state or Memory()
        return {} if self.is_neutral(self.params) else {"regrets": memory.times}
