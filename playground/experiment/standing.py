"""The standing of a vote: strengths, pairs, the bias to one side, and the voters' agreement."""

from __future__ import annotations

import math

from pydantic import Field

from playground.experiment.ballot import Ballot, Closed
from playground.experiment.votes import Strengths, Vote, agreement, strengths


class StrengthOf(Closed):
    recipe: int
    name: str
    value: float = Field(description="Log-strength, of mean 0: a lead of 1.1 wins 3 of 4 votes.")
    low: float
    high: float
    votes: int


class PairOf(Closed):
    """The votes between two recipes, and the interval of the share that prefers ``one``."""

    one: int
    other: int
    for_one: int
    for_other: int
    ties: int
    both_bad: int
    low: float = Field(description="Of the share for `one`, valid after every vote.")
    high: float
    decided: bool
    sentence: str


class Standing(Closed):
    """The result of a vote so far."""

    id: str = Field(description="Whoever knows it may vote.")
    question: str
    rule: str = Field(description="When it ends, stated before the first vote.")
    over: str = Field(description="Why it has ended; empty while it goes on.")
    votes: int
    most: int
    voters: int
    alike: int = Field(description="Pairs left out, since their texts are the same.")
    units: int = Field(description="Pairs of texts that may be shown.")
    strengths: list[StrengthOf] = Field(description="Bradley-Terry, the strongest first.")
    pairs: list[PairOf]
    position: str = Field(description="Whether voters lean to the left or the right text.")
    ties: str = Field(description="How often two equally good texts are called so.")
    agreement: str = Field(description="Krippendorff's alpha of those who saw the same pair.")


def standing(id: str, ballot: Ballot, votes: list[Vote]) -> Standing:
    found = strengths(votes) if votes else None
    over = ballot.over(votes)
    return Standing(
        id=id,
        question=ballot.question,
        rule=ballot.rule,
        over=over,
        votes=len(votes),
        most=ballot.most,
        voters=len({vote.voter for vote in votes}),
        alike=ballot.alike,
        units=len(ballot.units),
        strengths=[] if found is None else _strengths(ballot, found),
        pairs=_pairs(ballot, votes),
        position=_position(found),
        ties=_ties(found),
        agreement=_agreement(votes),
    )


def _strengths(ballot: Ballot, found: Strengths) -> list[StrengthOf]:
    return [
        StrengthOf(
            recipe=one.recipe, name=ballot.names[one.recipe], value=one.value, low=one.low,
            high=one.high, votes=one.votes,
        )
        for one in sorted(found.strengths, key=lambda one: -one.value)
    ]  # fmt: skip


def _pairs(ballot: Ballot, votes: list[Vote]) -> list[PairOf]:
    counts, shares = ballot.counts(votes), ballot.shares(votes)
    found = []
    for (one, other), (low, high) in shares.items():
        count = counts[one, other]
        decided = not low <= 0.5 <= high
        wins, losses = count["one"], count["other"]
        better, worse = (one, other) if low > 0.5 else (other, one)
        percent = f"{100 * low:.0f} to {100 * high:.0f} %"
        if decided:
            least = f"{100 * (low if low > 0.5 else 1 - high):.0f} %"
            sentence = (
                f"{ballot.names[better]} is preferred to {ballot.names[worse]}, in {least} at "
                "least of the votes that prefer one."
            )
        elif wins + losses:
            sentence = (
                f"Of {ballot.names[one]} and {ballot.names[other]} it is not known yet which is "
                f"preferred: the first in {percent} of the votes that prefer one."
            )
        else:
            sentence = f"Nobody has preferred {ballot.names[one]} or {ballot.names[other]} yet."
        found.append(
            PairOf(
                one=one, other=other, for_one=wins, for_other=losses, ties=count["tie"],
                both_bad=count["both bad"], low=low, high=high, decided=decided, sentence=sentence,
            )
        )  # fmt: skip
    return found


def _position(found: Strengths | None) -> str:
    if found is None:
        return ""
    lean = found.position
    ends = (lean.value, lean.low, lean.high)
    chance = [f"{50 * (1 + math.tanh(end / 2)):.0f} %" for end in ends]
    sentence = f"Of two equally good texts the left one is preferred in {chance[0]} of the votes "
    sentence += f"({chance[1]} to {chance[2]})"
    if lean.excludes_zero:
        side = "left" if lean.value > 0 else "right"
        return f"{sentence}: voters lean to the {side}. The strengths are cleared of it."
    return f"{sentence}: no lean to one side can be told."


def _ties(found: Strengths | None) -> str:
    if found is None:
        return ""
    return f"Two equally good texts are called a tie, or both bad, in {100 * found.ties:.0f} %."


def _agreement(votes: list[Vote]) -> str:
    alpha = agreement(votes)
    if alpha is None:
        return "No two voters have seen the same pair of texts yet."
    words = "hardly agree" if alpha < 0.2 else "agree somewhat" if alpha < 0.6 else "agree well"
    sentence = f"Voters who saw the same pair {words}: Krippendorff's alpha is {alpha:.2f}"
    return f"{sentence}, where 1 is always and 0 as often as by chance."
