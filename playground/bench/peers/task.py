"""What is written by every program of the bench, and the ways in which each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from playground.bench.six import SIX

MANY = 16  # samples of one recipe
CANDIDATES = 20  # log-probabilities told with each token, where they are asked for


class Absent(RuntimeError):
    """A program is not measured; the message says why."""


class Failed(RuntimeError):
    """A program is there and did not write what it was asked for; the message says what it said."""


@dataclass(frozen=True)
class Task:
    """A text for each of ``recipes``; with each token so many ``candidates``, or none."""

    name: str
    recipes: tuple[str, ...]
    candidates: int = 0

    def of(self, known: Sequence[str]) -> Task:
        """The part of it whose recipes are ``known``."""
        return replace(self, recipes=tuple(r for r in self.recipes if r in known))

    @property
    def alike(self) -> bool:
        """Whether it is several texts of one recipe."""
        return len(self.recipes) > 1 and len(set(self.recipes)) == 1


TASKS = (
    Task("one text", ("greedy",)),
    Task("the six recipes", tuple(SIX)),
    Task(f"{MANY} samples", ("temperature(0.8) | sample",) * MANY),
    Task(f"the six, {CANDIDATES} candidates a token", tuple(SIX), CANDIDATES),
)


class Way(Protocol):
    """One way in which one program writes."""

    name: str

    def part(self, task: Task) -> Task | None:
        """What it can do of a task; None for nothing of it, or nothing that another way is for."""

    def write(self, task: Task, tokens: int) -> int:
        """Write every text of a task, each of so many tokens; how many were written in all.

        Raises ``Failed``.
        """
