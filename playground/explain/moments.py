"""One choice, stage by stage: the model's distribution, what each step left, and the choice."""

from __future__ import annotations

import math
from dataclasses import dataclass

from playground.explain.draw import Draw, draw
from playground.explain.effect import effect
from playground.explain.words import count, shown
from playground.trace import Comparison, StepRecord, Trace

LISTED = 8  # likeliest candidates; the chosen one is listed besides
CHOOSES = {
    "likeliest": "takes the likeliest token that is left, without luck",
    "draw": "draws a token with its probability",
    "text": "weighs whole texts, without luck",
    "drawn text": "draws among whole texts",
    "likeness": "weighs how much a token resembles what came before, without luck",
    "person": "asks a person",
}


@dataclass(frozen=True)
class Candidate:
    """A token, or all others together where ``token`` is None.

    ``probabilities`` are the model's and those after each stage; ``removed`` is the stage that
    removed it. ``logprob`` and ``noise`` are its terms in the draw, None without one. ``score`` is
    that of the text with it, where the search weighed that, and ``taken`` whether a row continues
    with it.
    """

    token: int | None
    text: str
    chosen: bool
    probabilities: list[float]
    removed: int | None = None
    logprob: float | None = None
    noise: float | None = None
    score: float | None = None
    taken: bool = False


@dataclass(frozen=True)
class Moment:
    """The distribution after a stage, or before any. ``left`` counts tokens; entropy is in nats.

    ``sentence`` is what the stage did.
    """

    label: str
    left: int
    entropy: float
    sentence: str


@dataclass(frozen=True)
class Choice:
    """A token's choice. ``moments`` begin with the model; ``sentence`` is how the search chose."""

    step: StepRecord
    candidates: list[Candidate]
    moments: list[Moment]
    search: str
    sentence: str
    drawn: bool


def choice(comparison: Comparison, lane: int, sample: int, position: int) -> Choice:
    """The choice of one token of a lane's text."""
    trace = comparison.lanes[lane].trace
    step = trace.path(sample)[position]
    found = _draw(comparison, trace, step, sample)
    return Choice(
        step=step,
        candidates=_candidates(trace, step, found),
        moments=_moments(trace, step),
        search=trace.chain.search.strategy if trace.chain.asks else trace.chain.search.label,
        sentence=_how(trace, step, found),
        drawn=found is not None,
    )


def _draw(comparison: Comparison, trace: Trace, step: StepRecord, sample: int) -> Draw | None:
    """How the token was drawn; None where it was not, or with noise that is not known."""
    own = trace.chain.search.params.get("seed")
    moved = step.model_copy(update={"index": step.index + len(comparison.prefix)})
    try:
        return draw(trace, moved, comparison.seed if own is None else own, sample)
    except ValueError:
        return None


def _candidates(trace: Trace, step: StepRecord, found: Draw | None) -> list[Candidate]:
    known = step.candidates
    levels = [known.raw, *known.stages]
    highest = [max(level[at] for level in levels) for at in range(len(known.ids))]
    listed = set(sorted(range(len(highest)), key=lambda at: -highest[at])[:LISTED])
    listed.add(known.ids.index(step.token))
    tickets = {one.token: one for one in found.tickets} if found else {}
    taken, passed = _weighed(trace, step)
    candidates = []
    for at in sorted(listed):
        ticket = tickets.get(known.ids[at])
        candidates.append(
            Candidate(
                token=known.ids[at],
                text=known.texts[at],
                chosen=known.ids[at] == step.token,
                probabilities=[level[at] for level in levels],
                removed=trace.removed_by(step, at),
                logprob=ticket.logprob if ticket else None,
                noise=ticket.noise if ticket else None,
                score=taken.get(known.ids[at], passed.get(known.ids[at])),
                taken=known.ids[at] in taken,
            )
        )
    others = trace.vocab_size - len(candidates)
    if others > 0:
        rest = _rest(trace, step, candidates)
        candidates.append(Candidate(None, count(others, "other"), False, rest))
    return candidates


def _weighed(trace: Trace, step: StepRecord) -> tuple[dict[int, float], dict[int, float]]:
    """The scores of the tokens that a search continued the same text with, and passed over."""
    if trace.beams is None:
        return {}, {}
    taken = {
        one.token: one.score
        for one in trace.steps
        if one.index == step.index and one.parent == step.parent
    }
    passed = {
        token: score
        for one in trace.beams.passed
        if one.index == step.index
        for parent, token, score in zip(one.parents, one.tokens, one.scores, strict=True)
        if parent == step.parent
    }
    return taken, passed


def _rest(trace: Trace, step: StepRecord, candidates: list[Candidate]) -> list[float]:
    """The probability of all other tokens together at each stage, 0 where none of them is left."""
    left = [trace.vocab_size, *(summary.survivors for summary in step.stages)]
    rest = []
    for level, number in enumerate(left):
        own = [one.probabilities[level] for one in candidates]
        gone = number <= sum(p > 0 for p in own)
        rest.append(0.0 if gone else max(0.0, 1.0 - math.fsum(own)))
    return rest


def _moments(trace: Trace, step: StepRecord) -> list[Moment]:
    first = f"The model gives each of {trace.vocab_size:,} tokens a probability."
    for one in step.taken_back:
        first = f"{shown(one.text, one.token_ids[0])} was taken back by {one.by}: {one.why} {first}"
    moments = [Moment("model", trace.vocab_size, step.raw_entropy, first)]
    for stage, (processor, summary) in enumerate(
        zip(trace.chain.processors, step.stages, strict=True)
    ):
        did = f"{effect(trace, step, stage).sentence}; {count(summary.survivors, 'token')} left."
        moments.append(Moment(processor.label, summary.survivors, summary.entropy, did))
    return moments


def _how(trace: Trace, step: StepRecord, found: Draw | None) -> str:
    if found is not None:
        return found.sentence
    chooses = trace.chain.chooses or ""
    how = f"{trace.chain.search.strategy} {CHOOSES.get(chooses, 'chose it')}"
    if chooses == "draw":
        return "It was put there, or drawn with luck of another run."
    if trace.beams is not None:
        return f"{how}; with this token the text’s score is {step.score:.2f}.".replace("-", "−")
    return f"{how}: {shown(step.piece, step.token)}, rank {step.rank:,} of what is left."
