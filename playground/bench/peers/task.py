"""The tasks that every program of the bench is given, and the protocol of a way to do them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from playground.bench.six import SIX

MANY = 16  # samples of one recipe
CANDIDATES = 20  # log-probabilities returned with each token, where they are requested


class Absent(RuntimeError):
    """A program is not measured; the message says why."""


class Failed(RuntimeError):
    """A program did not generate what was requested; the message is its error."""


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
    """One way in which one program generates texts."""

    name: str

    def part(self, task: Task) -> Task | None:
        """The part of a task that it can do; None for nothing, or where another way is for it."""

    def write(self, task: Task, tokens: int) -> int:
        """Generate every text of a task, each of so many tokens; returns the tokens of all.

        Raises ``Failed``.
        """
