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

from playground.charts.text import count, reads
from playground.explain.course import course, gains, odds, removal
from playground.explain.difference import Difference, differences, phrase
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

    ``output`` numbers the shown text among the lane's; ``over`` tells that it will not grow, and
    ``vocab`` is the size of the vocabulary, 0 where it is not known.
    """

    letter: str
    stages: Sequence[str]
    search: str
    path: Sequence[StepRecord]
    output: int = 0
    over: bool = True
    vocab: int = 0

    @classmethod
    def of(cls, letter: str, trace: Trace, output: int = 0, over: bool = True) -> Side:
        """A lane's side; the first text where it has no ``output``-th one."""
        output = output if output < len(trace.outputs) else 0
        path = trace.path(output)
        return cls(letter, trace.stages, trace.search, path, output, over, trace.vocab_size)

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
        told = f"all {len(b)} tokens" if len(b) > 1 else "one token"
        return Parting(None, "same", f"the same text as {left.letter}, {told}")
    shared = min(len(a), len(b))
    longer, shorter = (left, right) if len(a) > len(b) else (right, left)
    text = (
        f"the same as {left.letter} for {count(shared, 'token')}; there {shorter.letter} ended "
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
        cut = removal(now, was.token, right.vocab)
        if cut and self.decisive(right, now, was, cut):
            return "removed", f"{self.luck}{self.removed(cut)}; {self.fate(now)}"
        cut = removal(was, now.token, left.vocab)
        if cut and self.decisive(left, was, now, cut):
            return "allowed", f"{self.luck}{self.allowed(cut)}; {self.fate(was)}"
        if right.chooses in WHOLE or left.chooses in WHOLE:
            return right.chooses if right.chooses in WHOLE else left.chooses, self.whole()
        if left.chooses == right.chooses == "draw":
            if left.luck != right.luck:
                return "luck", f"{self.own_luck} preferred {self.chosen} to {self.other}"
            return "reshaped", f"{self.luck}{self.causes}{self.fates}"
        flipped = None if "person" in (left.chooses, right.chooses) else self.flipped()
        if flipped:
            return "reshaped", flipped
        if left.chooses == right.chooses == "likeliest" and self.unlike:
            return "reshaped", f"{self.causes}{self.fates}"
        if "likeness" in (right.chooses, left.chooses):
            return "likeness", self.likeness()
        if right.chooses in ("likeliest", "person"):
            return right.chooses, f"{self.takes}; {self.had}"
        who = "the draw" if right.chooses == "draw" else right.kind
        why: Why = right.chooses or "chosen"
        return why, f"{who} preferred {self.chosen} to {self.other}{self.raised()}"

    @cached_property
    def unlike(self) -> list[Difference]:
        """The steps that the two recipes do not share."""
        return differences(self.left.stages, self.right.stages)

    @property
    def causes(self) -> str:
        """The steps that differ, the one that moved the odds of the two tokens most first."""
        here, there = gains(self.here), gains(self.there)

        def moved(difference: Difference) -> float:
            up = 0.0 if difference.right is None else here.get(difference.right, 0.0)
            return up - (0.0 if difference.left is None else there.get(difference.left, 0.0))

        told = [self.phrase(d) for d in sorted(self.unlike, key=moved, reverse=True)]
        if len(told) > 2:
            told = [told[0], count(len(told) - 1, "more difference")]
        return " and ".join(told) + ": " if told else ""

    def phrase(self, difference: Difference) -> str:
        return phrase(difference, self.left.stages, self.right.stages, self.left.letter)

    @property
    def fates(self) -> str:
        """What became of both tokens, in the left column and here."""
        return f"{self.fate(self.now)}; {self.fate(self.was)}"

    def fate(self, chosen: StepRecord) -> str:
        """What either recipe left of a token; of the model, where that was not recorded."""
        parts = []
        for where, side, step in (
            (f"in {self.left.letter}", self.left, self.was),
            ("here", self.right, self.now),
        ):
            known = course(step, chosen.token)
            if removal(step, chosen.token, side.vocab):
                parts.append(f"removed {where}")
            elif known:
                parts.append(f"{_percent(known[-1])} {where}")
        if len(parts) == 1:
            parts.insert(0, f"{_percent(chosen.raw_probability)} of the model")
        return f"{_quote(chosen)} {', '.join(parts)}"

    def decisive(self, side: Side, step: StepRecord, lost: StepRecord, cut: Sequence[int]) -> bool:
        """Whether ``side`` might have chosen what it removed: one that takes the likeliest would
        not, where that was less likely anyway.
        """
        if side.chooses != "likeliest" or len(cut) > 1:
            return True
        mine, other = course(step, step.token), course(step, lost.token)
        return not other or other[cut[0]] > mine[cut[0]]

    def removed(self, cut: Sequence[int]) -> str:
        """Which of the right's steps removed the left's token, and why it did not in the left."""
        known = course(self.now, self.was.token)
        before = f"{_percent(known[cut[0]])} before it" if known else self.number
        names = " › ".join(self.right.stage(stage) for stage in cut)
        own = [d for d in self.unlike if d.right in cut]
        if own and len(cut) == 1 and own[0].left is not None:
            names = self.phrase(own[0])
        why = "" if own else self.causes
        return f"{why}{names} removed {_quote(self.was)} ({before})"

    def allowed(self, cut: Sequence[int]) -> str:
        """Which of the left's steps had removed the right's token, and why it stays."""
        names = " › ".join(self.left.stage(stage) for stage in cut)
        had = f"{self.left.letter}’s {names} had removed"
        stays = f"{_quote(self.now)} ({_percent(self.now.probability)})"
        own = [d for d in self.unlike if d.left in cut]
        if own and len(cut) == 1 and own[0].right is not None:
            return f"{self.phrase(own[0])} keeps {stays}, which is removed in {self.left.letter}"
        if own or not self.causes:
            return f"{had} {_quote(self.now)}, which stays here ({_percent(self.now.probability)})"
        return f"{self.causes}{stays} stays, which {had}"

    @property
    def number(self) -> str:
        return f"the model’s number {self.was.raw_rank}"

    @property
    def own_luck(self) -> str:
        mine, theirs = self.right.luck[1], self.left.luck[1]
        if mine:
            return f"its own luck (seed {mine})"
        return f"other luck than {self.left.letter}’s (seed {theirs})" if theirs else "its own luck"

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
        known = course(self.now, self.was.token)
        return f"{_quote(self.was)} ({_percent(known[-1]) if known else self.number})"

    @cached_property
    def here(self) -> list[float]:
        """At the right, log-odds of its token against the left's, raw and after each stage."""
        return odds(self.now, self.now.token, self.was.token)

    @cached_property
    def there(self) -> list[float]:
        return odds(self.was, self.now.token, self.was.token)

    def flipped(self) -> str | None:
        """The stage that put one token above the other, where the model had them the other way.

        None where both columns have that stage: it cannot be why they part.
        """
        if self.here and self.here[0] < 0 < self.here[-1]:
            stage = next(s for s, odds in enumerate(self.here[1:]) if odds > 0)
            own = next((d for d in self.unlike if d.right == stage), None)
            if own is not None:
                name = self.right.stage(stage) if own.left is None else self.phrase(own)
                return self.moved(self.now, stage, name)
        if self.there and self.there[-1] < 0 < self.there[0]:
            stage = next(s for s, odds in enumerate(self.there[1:]) if odds < 0)
            if any(d.left == stage for d in self.unlike):
                name = f"{self.left.letter}’s {self.left.stage(stage)}"
                return self.moved(self.was, stage, name)
        return None

    def moved(self, step: StepRecord, stage: int, name: str) -> str:
        """How one stage moved the token of ``step`` past the other, and what it did to that one."""
        up, down = (self.now, self.was) if step is self.now else (self.was, self.now)

        def change(token: StepRecord) -> tuple[str, str]:
            before, after = (course(step, token.token)[s] for s in (stage, stage + 1))
            if _percent(before) == _percent(after):
                return "left", f"at {_percent(after)}"
            verb = "lowered" if after < before else "raised"
            return verb, f"from {_percent(before)} to {_percent(after)}"

        (lowered, fell), (raised, rose) = change(down), change(up)
        if lowered == "lowered":
            first, then = (lowered, down, fell, "below"), (raised, up, rose)
        else:
            first, then = (raised, up, rose, "above"), (lowered, down, fell)
        return (
            f"{name} {first[0]} {_quote(first[1])} {first[2]}, {first[3]} {_quote(then[1])}, "
            f"which it {then[0]} {then[2]}"
        )

    def raised(self) -> str:
        """The stage that helped an unlikely token most, where one clearly did."""
        steps = [b - a for a, b in pairwise(self.here)]
        if not steps or max(steps) < math.log(1.5):
            return ""
        stage = steps.index(max(steps))
        known = course(self.now, self.now.token)
        return (
            f", which {self.right.stage(stage)} had raised from {_percent(known[stage])} "
            f"to {_percent(known[stage + 1])}"
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
