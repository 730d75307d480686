"""How a token was drawn: every candidate's log-probability plus its noise, and the highest sum.

A draw is the argmax of log-probability plus Gumbel noise, and the noise is a function of seed,
sample, position and token alone: it is computed again here, without a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from playground.explain.words import percent, shown
from playground.trace import StepRecord, Trace

NEAR = 1e-3  # nats: sums that are nearer than this may be told apart by rounding alone
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Ticket:
    """A candidate in the draw: its ``logprob`` after the recipe and its ``noise``, in nats."""

    token: int
    text: str
    logprob: float
    noise: float

    @property
    def total(self) -> float:
        return self.logprob + self.noise


@dataclass(frozen=True)
class Draw:
    """The candidates that took part, the winner first, the others in falling order of their sum.

    ``unrecorded`` counts the tokens that took part as well and were not recorded; all lost.
    """

    tickets: list[Ticket]
    unrecorded: int

    @property
    def winner(self) -> Ticket:
        return self.tickets[0]

    @property
    def sentence(self) -> str:
        """The winner and its sum, and the next one of those recorded."""
        won = f"{_written(self.winner)} won the draw"
        if len(self.tickets) == 1:
            return f"{won}." if self.unrecorded else f"{won}: no other token was left."
        return f"{won}; next of those recorded came {_written(self.tickets[1])}."


def draw(trace: Trace, step: StepRecord, seed: int, sample: int = 0) -> Draw | None:
    """The draw of one step; None where the lane's search does not draw from the distribution.

    ``sample`` numbers the text among those that the search drew. Raises ``ValueError`` where the
    recorded token was not drawn with this seed and sample.
    """
    if trace.chain.chooses != "draw":
        return None
    known = step.candidates
    tickets = [
        Ticket(token, text, math.log(p), noise(seed, sample, step.index, token))
        for token, text, p in zip(known.ids, known.texts, known.final, strict=True)
        if p > 0
    ]
    tickets.sort(key=lambda one: (one.token != step.token, -one.total))
    if any(one.total > tickets[0].total + NEAR for one in tickets[1:]):
        raise ValueError(
            f"token {step.index + 1} was not drawn with seed {seed} and sample {sample}: "
            f"{shown(tickets[0].text, step.token)} is not the one of the highest sum."
        )
    survivors = step.stages[-1].survivors if step.stages else trace.vocab_size
    return Draw(tickets, max(0, survivors - len(tickets)))


def noise(seed: int, sample: int, position: int, token: int) -> float:
    """Standard Gumbel noise of one token, the engine's but for its rounding to float32.

    SplitMix64's finaliser (Steele, Lea & Flood 2014) over the four numbers.
    """
    key = _GOLDEN
    for part in (seed, sample, position, int.from_bytes(b"token", "big")):
        key = _mix(key + _mix(part + _GOLDEN))
    uniform = ((_mix((token + 1) * _GOLDEN + key) >> 11) + 0.5) * 2.0**-53
    return -math.log(-math.log(uniform))


def _mix(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _written(ticket: Ticket) -> str:
    sign = "+" if ticket.noise >= 0 else "−"
    total = f"{ticket.total:.2f}".replace("-", "−")
    logprob = f"{ticket.logprob:.2f}".replace("-", "−")
    return (
        f"{shown(ticket.text, ticket.token)} ({percent(math.exp(ticket.logprob))}: {logprob} "
        f"{sign} {abs(ticket.noise):.2f} of luck = {total})"
    )
