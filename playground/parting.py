"""Where two columns first part, and why, told from their step records alone.

Columns of one run share the prompt, the seed and the luck. Up to the first token that differs the
model therefore said the same to both; they part by what a recipe did to it, or by how it chooses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from playground.charts.text import reads
from playground.trace import StepRecord, Trace
from strategies.base import Choosing, Search
from strategies.registry import registry

Why = Literal[
    "same", "ended", "removed", "allowed", "reshaped", "luck", "person", "chosen", Choosing
]
WHOLE = ("text", "drawn text")  # what chooses by more than the next token


@dataclass(frozen=True)
class Side:
    """One column as written so far: its recipe in parts, the shown text's records.

    ``output`` numbers the shown text among the lane's; ``over`` tells that it will not grow.
    """

    letter: str
    stages: Sequence[str]
    search: str
    path: Sequence[StepRecord]
    output: int = 0
    over: bool = True

    @classmethod
    def of(cls, letter: str, trace: Trace, output: int = 0, over: bool = True) -> Side:
        """A lane's side; the first text where it has no ``output``-th one."""
        output = output if output < len(trace.outputs) else 0
        return cls(letter, trace.stages, trace.search, trace.path(output), output, over)

    @property
    def kind(self) -> str:
        """The search's id: greedy, sample, beam …"""
        return self.search.split("(")[0].strip()

    @property
    def chooses(self) -> Choosing | Literal["person"] | None:
        """By what the search chooses; None where it does not say, or is not installed here."""
        plugin = registry().strategies.get(self.kind)
        if plugin is None or not issubclass(plugin, Search):
            return None
        return "person" if plugin.asks else plugin.chooses

    @property
    def luck(self) -> tuple[int, str]:
        """What draws depend on beyond the run's seed: the text's number, a seed of its own."""
        own = re.search(r"\bseed=(\d+)", self.search)
        return self.output, own.group(1) if own else ""

    def stage(self, index: int) -> str:
        """A stage as the page shows it: ``top_p 0.95`` for ``top_p(0.95)``."""
        return reads(self.stages[index])


@dataclass(frozen=True)
class Parting:
    """The first token of ``right`` that differs from ``left``, None where none does."""

    index: int | None
    why: Why
    text: str


def parting(left: Side, right: Side) -> Parting | None:
    """Where and why ``right`` parts from ``left``; None while too little is written to tell."""
    a, b = left.path, right.path
    for index, (was, now) in enumerate(zip(a, b, strict=False)):
        if was.token != now.token:
            why, reason = _Fork(left, right, was, now).reason()
            text = f"parts from {left.letter} at token {index + 1}: {reason}"
            return Parting(index, why, text)
    if not (a and b and left.over and right.over):
        return None
    if len(a) == len(b):
        return Parting(None, "same", f"the same text as {left.letter}, all {len(b)} tokens")
    shared = min(len(a), len(b))
    longer, shorter = (left, right) if len(a) > len(b) else (right, left)
    text = (
        f"the same as {left.letter} for {shared} tokens; there {shorter.letter} ended "
        f"and {longer.letter} went on"
    )
    return Parting(shared if longer is right else None, "ended", text)


@dataclass(frozen=True)
class _Fork:
    """Two steps after the same tokens: the left column chose ``was``, the right one ``now``."""

    left: Side
    right: Side
    was: StepRecord
    now: StepRecord

    def reason(self) -> tuple[Why, str]:
        """The strongest account the records bear: what was impossible, then what was reshaped."""
        left, right, was, now = self.left, self.right, self.was, self.now
        removed = _removal(now, was.token)
        if removed is not None:
            before = _course(now, was.token)[removed]
            return "removed", (
                f"{self.luck}{right.stage(removed)} removed {_quote(was)} "
                f"({_percent(before)} before it)"
            )
        removed = _removal(was, now.token)
        if removed is not None:
            return "allowed", (
                f"{self.luck}{left.letter}’s {left.stage(removed)} had removed {_quote(now)}, "
                f"which stays here ({_percent(now.probability)})"
            )
        if right.chooses in WHOLE or left.chooses in WHOLE:
            return right.chooses if right.chooses in WHOLE else left.chooses, self.whole()
        if left.chooses == right.chooses == "draw":
            if left.luck != right.luck:
                return "luck", f"its own luck preferred {self.chosen} to {self.other}"
            return self.weighed()
        flipped = None if "person" in (left.chooses, right.chooses) else self.flipped()
        if flipped:
            return "reshaped", flipped
        if "likeness" in (right.chooses, left.chooses):
            return "likeness", self.likeness()
        if right.chooses in ("likeliest", "person"):
            return right.chooses, f"{self.takes}; {self.had}"
        who = "the draw" if right.chooses == "draw" else right.kind
        why: Why = right.chooses or "chosen"
        return why, f"{who} preferred {self.chosen} to {self.other}{self.raised()}"

    @property
    def luck(self) -> str:
        """“same luck; ” where both columns draw, and draw the same."""
        both = self.left.chooses == self.right.chooses == "draw"
        return "same luck; " if both and self.left.luck == self.right.luck else ""

    @property
    def takes(self) -> str:
        """What the right column does here, by itself."""
        return {
            "likeliest": f"{self.right.kind} takes the likeliest, {self.chosen}",
            "draw": f"the draw took {self.chosen}",
            "person": f"a person chose {self.chosen}",
            "text": f"{self.right.kind} chose {self.chosen} for the score of the text it begins",
            "drawn text": f"{self.right.kind} drew {self.chosen} among the texts it keeps",
        }.get(self.right.chooses or "", f"{self.right.kind} chose {self.chosen}")

    @property
    def had(self) -> str:
        """What the left column had done in its place."""
        left = self.left
        token = f"{_quote(self.was)} ({_percent(self.was.probability)})"
        return f"{left.letter}’s " + {
            "draw": f"draw had preferred {token}",
            "person": f"person had chosen {token}",
            "text": f"{left.kind} had chosen {token} for the score of the text it begins",
            "drawn text": f"{left.kind} had drawn {token} among the texts it keeps",
        }.get(left.chooses or "", f"{left.kind} had chosen {token}")

    @property
    def chosen(self) -> str:
        return f"{_quote(self.now)} ({_percent(self.now.probability)})"

    @property
    def other(self) -> str:
        """The left column's token, with its probability here where that was recorded."""
        course = _course(self.now, self.was.token)
        known = _percent(course[-1]) if course else f"the model’s number {self.was.raw_rank}"
        return f"{_quote(self.was)} ({known})"

    @cached_property
    def here(self) -> list[float]:
        """At the right, log-odds of its token against the left's, raw and after each stage."""
        return _odds(self.now, self.now.token, self.was.token)

    @cached_property
    def there(self) -> list[float]:
        return _odds(self.was, self.now.token, self.was.token)

    def flipped(self) -> str | None:
        """The stage that put one token above the other, where the model had them the other way."""
        if self.here and self.here[0] < 0 < self.here[-1]:
            stage = next(s for s, odds in enumerate(self.here[1:]) if odds > 0)
            return self.moved(self.right, self.now, stage, "")
        if self.there and self.there[-1] < 0 < self.there[0]:
            stage = next(s for s, odds in enumerate(self.there[1:]) if odds < 0)
            return self.moved(self.left, self.was, stage, f"{self.left.letter}’s ")
        return None

    def moved(self, side: Side, step: StepRecord, stage: int, owner: str) -> str:
        """How one stage of ``side`` moved its own token past the other."""
        up, down = (self.now, self.was) if side is self.right else (self.was, self.now)
        before, after = (_course(step, down.token)[s] for s in (stage, stage + 1))
        verb, what, than = "lowered", down, ("below", up)
        if after >= before:
            before, after = (_course(step, up.token)[s] for s in (stage, stage + 1))
            verb, what, than = "raised", up, ("above", down)
        return (
            f"{owner}{side.stage(stage)} {verb} {_quote(what)} from {_percent(before)} to "
            f"{_percent(after)}, {than[0]} {_quote(than[1])}"
        )

    def weighed(self) -> tuple[Why, str]:
        """Same luck, both possible: the stage that changed their odds most made the draw turn."""
        if not (self.here and self.there):
            return (
                "draw",
                f"{self.luck}{self.right.search} preferred {self.chosen} to {self.other}",
            )
        gains = _gains(self.right, self.here)
        holds = _gains(self.left, self.there)
        weight = {s: gains.get(s, 0.0) - holds.get(s, 0.0) for s in [*gains, *holds]}
        cause = max(weight, key=weight.__getitem__, default="the recipe")
        if cause not in gains and cause in holds:
            cause = f"the lack of {self.left.letter}’s {cause}"
        return "reshaped", (
            f"same luck; {cause} moved the odds of {_quote(self.now)} against {_quote(self.was)} "
            f"from {_ratio(self.there[-1])} to {_ratio(self.here[-1])}, and the draw turned"
        )

    def raised(self) -> str:
        """The stage that helped an unlikely token most, where one clearly did."""
        steps = [b - a for a, b in pairwise(self.here)]
        if not steps or max(steps) < math.log(1.5):
            return ""
        stage = steps.index(max(steps))
        course = _course(self.now, self.now.token)
        return (
            f", which {self.right.stage(stage)} had raised from {_percent(course[stage])} "
            f"to {_percent(course[stage + 1])}"
        )

    def whole(self) -> str:
        """At least one of the two looked beyond the token."""
        if self.right.chooses == "text" and self.left.chooses not in WHOLE:
            if self.here and self.here[-1] < 0:
                return (
                    f"{self.right.kind} gave up the likelier {self.other} for {self.chosen}, for "
                    "the score of the text it begins"
                )
        return f"{self.takes}; {self.had}"

    def likeness(self) -> str:
        """At least one of the two weighed it; it decided where the likelier token lost."""
        left, right = self.left, self.right
        if right.chooses == "likeness" and self.here and self.here[-1] < 0:
            return (
                f"{right.kind} took {self.chosen}, which is less like what came before than the "
                f"likelier {self.other}"
            )
        if left.chooses == "likeness" and self.there and self.there[-1] > 0:
            return f"{self.takes}; {self.had}, less like what came before"
        return f"{self.takes}; {self.had}"


def _course(step: StepRecord, token: int) -> list[float]:
    """A token's probability, raw and after each stage; empty where it was not recorded."""
    candidates = step.candidates
    if token not in candidates.ids:
        return []
    at = candidates.ids.index(token)
    return [candidates.raw[at], *(stage[at] for stage in candidates.stages)]


def _removal(step: StepRecord, token: int) -> int | None:
    """The stage that removed a token; None where none did, or it was not recorded."""
    ids = step.candidates.ids
    return step.candidates.removed_by(ids.index(token)) if token in ids else None


def _odds(step: StepRecord, token: int, against: int) -> list[float]:
    """Log-odds of one token against another, raw and after each stage; empty where unrecorded."""
    pairs = list(zip(_course(step, token), _course(step, against), strict=False))
    if any(p == 0.0 or q == 0.0 for p, q in pairs):
        return []
    return [math.log(p / q) for p, q in pairs]


def _gains(side: Side, odds: list[float]) -> dict[str, float]:
    """What each stage, by its written form, added to the log-odds."""
    gains: dict[str, float] = {}
    for stage, (before, after) in enumerate(pairwise(odds)):
        name = side.stage(stage)
        gains[name] = gains.get(name, 0.0) + after - before
    return gains


def _quote(step: StepRecord) -> str:
    """A token between quotes, with what has no shape of its own made visible."""
    text, known = step.text, step.candidates
    if not text and step.token in known.ids:  # mid-character: the recorder's own name for it
        text = known.texts[known.ids.index(step.token)]
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    return f"“{text}”" if text else f"token {step.token}"


def _percent(p: float) -> str:
    """A probability in two figures; the space before the sign does not break."""
    return (
        f"{100 * p:.0f}\N{NO-BREAK SPACE}%" if p >= 0.0995 else f"{100 * p:.2g}\N{NO-BREAK SPACE}%"
    )


def _ratio(odds: float) -> str:
    """Odds as a person says them: 1 : 12, or 3 : 1."""
    ratio = math.exp(abs(odds))
    number = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}".removesuffix(".0")
    return f"{number} : 1" if odds > 0 else f"1 : {number}"
