"""The contents of the inspector's views as tables, with unrounded numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.explain.draw import Draw
from playground.explain.effect import effect
from playground.explain.removal import removal
from playground.trace import StepRecord, Trace


@dataclass(frozen=True)
class Table:
    """``rows`` have as many values as there are ``columns``; None is an empty cell."""

    columns: list[str]
    rows: list[list[Any]]


def candidates(trace: Trace, step: StepRecord) -> Table:
    """Every recorded candidate: its probability at each stage, and what removed it."""
    known, labels = step.candidates, [one.label for one in trace.chain.processors]
    columns = ["token", "id", "chosen", "model", *(f"after {label}" for label in labels)]
    columns += ["removed by", "by", "had", "needed"]
    rows: list[list[Any]] = []
    for at, (token, text) in enumerate(zip(known.ids, known.texts, strict=True)):
        gone = removal(trace, step, at)
        ends = (
            [None] * 4 if gone is None else [gone.label, gone.keeps_by, gone.value, gone.threshold]
        )
        chosen = int(token == step.token)
        rows.append([text, token, chosen, known.raw[at], *(one[at] for one in known.stages), *ends])
    return Table(columns, rows)


def stages(trace: Trace, step: StepRecord) -> Table:
    """The model's distribution and what each stage left of it; entropies are in nats."""
    columns = ["stage", "tokens left", "entropy", "keeps by", "threshold", "probability removed"]
    rows: list[list[Any]] = [["model", trace.vocab_size, step.raw_entropy, None, None, None]]
    for at, (one, left) in enumerate(zip(trace.chain.processors, step.stages, strict=True)):
        mass = effect(trace, step, at).mass
        rows.append([one.label, left.survivors, left.entropy, one.keeps_by, left.threshold, mass])
    return Table(columns, rows)


def tickets(found: Draw) -> Table:
    """Every recorded candidate of a draw, the winner first; in nats."""
    rows = [[one.text, one.token, one.logprob, one.noise, one.total] for one in found.tickets]
    return Table(["token", "id", "log-probability", "noise", "sum"], rows)
