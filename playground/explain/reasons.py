"""Why two columns part at a token: the strongest reason that their step records support."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from playground.explain.course import course, gains, odds, removers
from playground.explain.difference import Difference, differences, phrase
from playground.explain.side import Side
from playground.explain.words import count, percent, quote
from playground.trace import Choosing, StepRecord

Why = Literal["removed", "allowed", "reshaped", "noise", "chosen", "model", Choosing]
WHOLE = ("text", "drawn text")  # searches that choose by more than the next token
CLEARLY = math.log(1.5)  # a gain in log-odds that is worth mentioning


@dataclass(frozen=True)
class Reason:
    """The kind of a reason, and the reason in words."""

    why: Why
    text: str


@dataclass(frozen=True)
class Divergence:
    """Two steps after the same tokens: the left column chose ``was``, the right one ``now``."""

    left: Side
    right: Side
    was: StepRecord
    now: StepRecord

    def reason(self) -> Reason:
        """A removed token comes first, then how the columns choose, then what was reshaped."""
        left, right, was, now = self.left, self.right, self.was, self.now
        if left.model != right.model:  # which gave other scores to begin with
            return Reason("model", self.models())
        cut = removers(now, was.token, right.vocab_size)
        if cut and self.decisive(right, now, was, cut):
            return Reason("removed", f"{self.same_noise}{self.removed(cut)}; {self.fate(now)}")
        cut = removers(was, now.token, left.vocab_size)
        if cut and self.decisive(left, was, now, cut):
            return Reason("allowed", f"{self.same_noise}{self.allowed(cut)}; {self.fate(was)}")
        beyond = next((side.chooses for side in (right, left) if side.chooses in WHOLE), None)
        if beyond is not None:
            return Reason(beyond, self.whole())
        if left.chooses == right.chooses == "draw":
            if not self.same_noise:
                return Reason("noise", f"{self.own_noise} preferred {self.chosen} to {self.other}")
            return Reason("reshaped", f"{self.same_noise}{self.causes}{self.fates}")
        flipped = None if "person" in (left.chooses, right.chooses) else self.flipped()
        if flipped:
            return Reason("reshaped", flipped)
        if left.chooses == right.chooses == "likeliest" and self.unlike:
            return Reason("reshaped", f"{self.causes}{self.fates}")
        if "likeness" in (right.chooses, left.chooses):
            return Reason("likeness", self.likeness())
        if right.chooses in ("likeliest", "person"):
            return Reason(right.chooses, f"{self.takes}; {self.had}")
        who = "the draw" if right.chooses == "draw" else right.search
        text = f"{who} preferred {self.chosen} to {self.other}{self.raised()}"
        return Reason(right.chooses or "chosen", text)

    def models(self) -> str:
        """The probability that each model gave the token that the right column chose."""
        known = self.was.candidates
        there = "less than any candidate that was recorded"
        if self.now.token in known.ids:
            there = percent(known.raw[known.ids.index(self.now.token)])
        return (
            f"{self.right.model} gave {quote(self.now)} {percent(self.now.raw_probability)}, and "
            f"{self.left.model} {there}"
        )

    # What the recipes differ in

    @cached_property
    def unlike(self) -> list[Difference]:
        """The steps that the two recipes do not share."""
        return differences(self.left.processors, self.right.processors)

    @property
    def causes(self) -> str:
        """The steps that differ, the one that moved the odds of the two tokens most first."""
        here, there = gains(self.here), gains(self.there)

        def moved(difference: Difference) -> float:
            up = 0.0 if difference.right is None else here.get(difference.right, 0.0)
            return up - (0.0 if difference.left is None else there.get(difference.left, 0.0))

        phrases = [self.phrase(d) for d in sorted(self.unlike, key=moved, reverse=True)]
        if len(phrases) > 2:
            phrases = [phrases[0], count(len(phrases) - 1, "more difference")]
        return " and ".join(phrases) + ": " if phrases else ""

    def phrase(self, difference: Difference) -> str:
        return phrase(difference, self.left.processors, self.right.processors, self.left.letter)

    @cached_property
    def here(self) -> list[float]:
        """In the right column, log-odds of its token against the left's, raw and stage by stage."""
        return odds(self.now, self.now.token, self.was.token)

    @cached_property
    def there(self) -> list[float]:
        """The same odds in the left column."""
        return odds(self.was, self.now.token, self.was.token)

    # What became of the two tokens

    @property
    def chosen(self) -> str:
        return f"{quote(self.now)} ({percent(self.now.probability)})"

    @property
    def other(self) -> str:
        """The left column's token, with its probability here where that was recorded."""
        known = course(self.now, self.was.token)
        return f"{quote(self.was)} ({percent(known[-1]) if known else self.number})"

    @property
    def number(self) -> str:
        return f"the model’s number {self.was.raw_rank}"

    @property
    def fates(self) -> str:
        """What became of both tokens, in the left column and here."""
        return f"{self.fate(self.now)}; {self.fate(self.was)}"

    def fate(self, chosen: StepRecord) -> str:
        """A token's probability after each recipe; the model's, where one was not recorded."""
        parts = []
        for where, side, step in (
            (f"in {self.left.letter}", self.left, self.was),
            ("here", self.right, self.now),
        ):
            known = course(step, chosen.token)
            if removers(step, chosen.token, side.vocab_size):
                parts.append(f"removed {where}")
            elif known:
                parts.append(f"{percent(known[-1])} {where}")
        if len(parts) == 1:
            parts.insert(0, f"{percent(chosen.raw_probability)} of the model")
        return f"{quote(chosen)} {', '.join(parts)}"

    # What a stage removed

    def decisive(self, side: Side, step: StepRecord, lost: StepRecord, cut: Sequence[int]) -> bool:
        """Whether ``side`` might have chosen the token that it removed.

        A search that takes the likeliest would not, where that token was less likely anyway.
        """
        if side.chooses != "likeliest" or len(cut) > 1:
            return True
        mine, other = course(step, step.token), course(step, lost.token)
        return not other or other[cut[0]] > mine[cut[0]]

    def removed(self, cut: Sequence[int]) -> str:
        """Which of the right's steps removed the left's token, and why it did not in the left."""
        known = course(self.now, self.was.token)
        before = f"{percent(known[cut[0]])} before it" if known else self.number
        names = " › ".join(self.right.processors[stage].label for stage in cut)
        own = [d for d in self.unlike if d.right in cut]
        if own and len(cut) == 1 and own[0].left is not None:
            names = self.phrase(own[0])
        why = "" if own else self.causes
        return f"{why}{names} removed {quote(self.was)} ({before})"

    def allowed(self, cut: Sequence[int]) -> str:
        """Which of the left's steps had removed the right's token, and why it stays."""
        names = " › ".join(self.left.processors[stage].label for stage in cut)
        had = f"{self.left.letter}’s {names} had removed"
        stays = f"{quote(self.now)} ({percent(self.now.probability)})"
        own = [d for d in self.unlike if d.left in cut]
        if own and len(cut) == 1 and own[0].right is not None:
            return f"{self.phrase(own[0])} keeps {stays}, which is removed in {self.left.letter}"
        if own or not self.causes:
            return f"{had} {quote(self.now)}, which stays here ({percent(self.now.probability)})"
        return f"{self.causes}{stays} stays, which {had}"

    # What a stage reshaped

    def flipped(self) -> str | None:
        """The stage that put one token above the other, where the model had them the other way.

        None where both columns have that stage: it cannot be why they part.
        """
        if self.here and self.here[0] < 0 < self.here[-1]:
            stage = next(s for s, odds in enumerate(self.here[1:]) if odds > 0)
            own = next((d for d in self.unlike if d.right == stage), None)
            if own is not None:
                name = self.right.processors[stage].label if own.left is None else self.phrase(own)
                return self.moved(self.now, stage, name)
        if self.there and self.there[-1] < 0 < self.there[0]:
            stage = next(s for s, odds in enumerate(self.there[1:]) if odds < 0)
            if any(d.left == stage for d in self.unlike):
                name = f"{self.left.letter}’s {self.left.processors[stage].label}"
                return self.moved(self.was, stage, name)
        return None

    def moved(self, step: StepRecord, stage: int, name: str) -> str:
        """How one stage moved the token of ``step`` past the other, and what it did to that one."""
        up, down = (self.now, self.was) if step is self.now else (self.was, self.now)

        def change(token: StepRecord) -> tuple[str, str]:
            before, after = (course(step, token.token)[s] for s in (stage, stage + 1))
            if percent(before) == percent(after):
                return "left", f"at {percent(after)}"
            verb = "lowered" if after < before else "raised"
            return verb, f"from {percent(before)} to {percent(after)}"

        (lowered, fell), (raised, rose) = change(down), change(up)
        if lowered == "lowered":
            first, then = (lowered, down, fell, "below"), (raised, up, rose)
        else:
            first, then = (raised, up, rose, "above"), (lowered, down, fell)
        return (
            f"{name} {first[0]} {quote(first[1])} {first[2]}, {first[3]} {quote(then[1])}, "
            f"which it {then[0]} {then[2]}"
        )

    def raised(self) -> str:
        """The stage that helped an unlikely token most, where one clearly did."""
        steps = [after - before for before, after in pairwise(self.here)]
        if not steps or max(steps) < CLEARLY:
            return ""
        stage = steps.index(max(steps))
        known = course(self.now, self.now.token)
        return (
            f", which {self.right.processors[stage].label} had raised from "
            f"{percent(known[stage])} to {percent(known[stage + 1])}"
        )

    # How the columns choose

    @property
    def same_noise(self) -> str:
        """“same luck; ” where both columns draw with the same noise."""
        return "same luck; " if self.left.draws_as(self.right) else ""

    @property
    def own_noise(self) -> str:
        mine, theirs = self.right.seed, self.left.seed
        if mine is not None:
            return f"its own luck (seed {mine})"
        if theirs is not None:
            return f"other luck than {self.left.letter}’s (seed {theirs})"
        return "its own luck"

    @property
    def takes(self) -> str:
        """What the right column does here, by itself."""
        return {
            "likeliest": f"{self.right.search} takes the likeliest, {self.chosen}",
            "draw": f"the draw took {self.chosen}",
            "person": f"a person chose {self.chosen}",
            "text": f"{self.right.search} chose {self.chosen} for the score of the text it begins",
            "drawn text": f"{self.right.search} drew {self.chosen} among the texts it keeps",
        }.get(self.right.chooses or "", f"{self.right.search} chose {self.chosen}")

    @property
    def had(self) -> str:
        """What the left column had done at the same step."""
        left = self.left
        token = f"{quote(self.was)} ({percent(self.was.probability)})"
        return f"{left.letter}’s " + {
            "draw": f"draw had preferred {token}",
            "person": f"person had chosen {token}",
            "text": f"{left.search} had chosen {token} for the score of the text it begins",
            "drawn text": f"{left.search} had drawn {token} among the texts it keeps",
        }.get(left.chooses or "", f"{left.search} had chosen {token}")

    def whole(self) -> str:
        """The reason where at least one of the two searches chooses among whole texts."""
        gave_up = self.right.chooses == "text" and self.left.chooses not in WHOLE
        if gave_up and self.here and self.here[-1] < 0:
            return (
                f"{self.right.search} gave up the likelier {self.other} for {self.chosen}, for "
                "the score of the text it begins"
            )
        return f"{self.takes}; {self.had}"

    def likeness(self) -> str:
        """The reason where one of the two searches weighs likeness to what came before.

        Likeness decided where a likelier token lost.
        """
        left, right = self.left, self.right
        if right.chooses == "likeness" and self.here and self.here[-1] < 0:
            return (
                f"{right.search} took {self.chosen}, which is less like what came before than the "
                f"likelier {self.other}"
            )
        if left.chooses == "likeness" and self.there and self.there[-1] > 0:
            return f"{self.takes}; {self.had}, less like what came before"
        return f"{self.takes}; {self.had}"
