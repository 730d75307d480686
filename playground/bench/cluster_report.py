"""What replicas cost and bring: what was measured, and what is estimated from it."""

from __future__ import annotations

from dataclasses import dataclass

from playground.bench.estimate import Costs, estimated
from playground.bench.simulation import Outcome, Step

HOP_MS, LOST = 2.0, 0.1  # the goals: a token's way, and the throughput that is lost


@dataclass(frozen=True)
class Served:
    """``clients`` at once, each with three recipes, of several times the median, in seconds.

    ``message`` is the way of a message with the records of a step, ``hop`` that of one of its
    tokens, both in milliseconds; None where there is none.
    """

    engines: int  # replicas; 0 is the engine of this process
    clients: int
    seconds: float
    tokens_per_second: float
    first_p95: float
    message_p50: float | None = None
    message_p95: float | None = None
    hop_p50: float | None = None

    @property
    def where(self) -> str:
        return _where(self.engines)


@dataclass(frozen=True)
class Experimented:
    """The same experiment of so many ``texts``; seconds."""

    engines: int
    texts: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """What was measured, and what is estimated from it."""

    model: str
    machine: str
    cores: int
    date: str
    threads: int
    tokens: int
    repeats: int
    served: list[Served]
    experiments: list[Experimented]
    step: Step
    costs: Costs
    simulated: list[Outcome]

    @property
    def clients(self) -> int:
        """Those of the goals."""
        return max(one.clients for one in self.served)

    @property
    def lost(self) -> float:
        """The share of throughput that one replica loses against the engine of this process."""
        full = [one for one in self.served if one.clients == self.clients]
        rates = {one.engines: one.tokens_per_second for one in full}
        return 1 - rates[min(n for n in rates if n)] / rates[0]

    def __str__(self) -> str:
        lines = [
            f"Measured: {self.model}, {self.machine}, {self.cores} cores, {self.threads} thread of "
            "each engine, "
            f"{self.tokens} tokens a text, three texts a client; the median of {self.repeats}, "
            f"{self.date}:",
            "",
            "| engines | clients | tokens/s | first token, p95 | a step's message, p50 and p95 "
            "| a token of it, p50 |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for one in self.served:
            way, hop = "", ""
            if one.hop_p50 is not None:
                way = f"{one.message_p50:.1f} ms, {one.message_p95:.1f} ms"
                hop = f"{one.hop_p50:.2f} ms"
            lines.append(
                f"| {one.where} | {one.clients} | {one.tokens_per_second:,.0f} "
                f"| {one.first_p95:.2f} s | {way} | {hop} |"
            )
        texts, first = self.experiments[0].texts, self.experiments[0].seconds
        lines += [
            "",
            self._goals(),
            "",
            f"One experiment of {texts} texts, measured:",
            "",
            "| engines | together | of the first one's time |",
            "|---|---:|---:|",
            *(
                f"| {_where(one.engines)} | {one.seconds:.1f} s | {one.seconds / first:.2f} |"
                for one in self.experiments
            ),
            "",
            estimated(self.step, self.costs, self.clients, self.tokens),
            "",
            "Simulated by discrete events, with these times of a step:",
            "",
        ]
        return "\n".join([*lines, *(f"- {one}" for one in self.simulated)])

    def _goals(self) -> str:
        full = [one for one in self.served if one.clients == self.clients and one.hop_p50]
        hop = full[0].hop_p50 or 0.0
        kept = "Both goals are kept" if hop < HOP_MS and self.lost < LOST else "That is missed"
        told = (
            f"The goal at {self.clients} clients is under {HOP_MS:g} ms a token and under "
            f"{LOST:.0%} of the throughput lost. {kept}: {hop:.2f} ms, and {self.lost:.0%} lost "
            f"by {full[0].where}."
        )
        most = max(one.engines for one in self.served)
        if most * self.threads < self.cores:
            return told
        return (
            f"{told} {most} replicas have {most * self.threads} threads, and the front end and Ray "
            f"theirs, on {self.cores} cores: more replicas than those cannot be faster here."
        )


def _where(engines: int) -> str:
    if not engines:
        return "in the process"
    return "1 replica" if engines == 1 else f"{engines} replicas"
