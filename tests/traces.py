"""Comparisons without a model: real records, computed from seeded random logits by real stages.

Log-softmax, ranks, entropies and survivors are all computed from the logits; no number is written
by hand. The vocabulary holds ordinary words, and text that would be markup or code if not escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from playground.metrics import measure
from playground.trace import (
    Candidates,
    Chain,
    ChainStep,
    Comparison,
    LaneResult,
    ModelFacts,
    Output,
    PromptToken,
    StageSummary,
    StepRecord,
    Times,
    Timings,
    Trace,
)
from playground.trace.chain import label
from strategies.notation import read
from strategies.registry import registry

HOSTILE = [
    "${alert(1)}",
    "<img src=x onerror=alert(1)>",
    "\\u12",
    "`",
    "{{value}}",
    "<b>bold</b>",
    "</script><script>alert(1)</script>",
    '<a href="javascript:alert(1)">x</a>',
    "&lt;b&gt;",
    "%{x}",
    "$x^2$",
    "\n",
    "\n\n",
    "\t",
    "  ",
    "",
    "\u200b",
    "שלום",
    "=1+1",
    '"',
    ",",
    "\ufffd",
]
WORDS = HOSTILE + [f" {a}{b}" for a in "bcdfghklmnprst" for b in ("a", "en", "ost", "ild", "urne")]
VOCABULARY = WORDS + [f"<{i}>" for i in range(len(WORDS), 512)]
PROMPT = [100, 101, 102, 103]

Array = np.ndarray
Stage = Callable[[Array, Sequence[int]], Array]


def temperature(t: float) -> Stage:
    return lambda scores, _: scores / t


def top_p(p: float) -> Stage:
    def keep(scores: Array, _: Sequence[int]) -> Array:
        order = np.argsort(-scores, kind="stable")
        probabilities = np.exp(log_softmax(scores))[order]
        kept = order[np.cumsum(probabilities) - probabilities < p]
        cut = np.full_like(scores, -np.inf)
        cut[kept] = scores[kept]
        return cut

    return keep


def repetition_penalty(r: float) -> Stage:
    def lower(scores: Array, tokens: Sequence[int]) -> Array:
        seen = sorted(set(tokens))
        lowered = scores.copy()
        lowered[seen] = np.where(scores[seen] > 0, scores[seen] / r, scores[seen] * r)
        return lowered

    return lower


def no_repeat_ngram(size: int) -> Stage:
    def ban(scores: Array, tokens: Sequence[int]) -> Array:
        tail = tuple(tokens[len(tokens) - size + 1 :])
        banned = [
            tokens[i + size - 1]
            for i in range(len(tokens) - size + 1)
            if tuple(tokens[i : i + size - 1]) == tail
        ]
        cut = scores.copy()
        cut[banned] = -np.inf
        return cut

    return ban


@dataclass(frozen=True)
class Column:
    """A recipe for these traces: its written stages, their functions, and how it chooses."""

    stages: dict[str, Stage]
    search: str = "sample"

    @property
    def recipe(self) -> str:
        return " | ".join([*self.stages, self.search])


def chain(recipe: str) -> Chain:
    """The steps of a written recipe, whose strategies need not be installed."""
    written = recipe.split(" | ")
    steps = [
        ChainStep(
            strategy=call.strategy,
            params=dict(call.named),
            written=one,
            label=label(one),
            enabled=call.enabled,
        )
        for one, call in zip(written, read(recipe), strict=True)
    ]
    search = registry().strategies.get(steps[-1].strategy)
    return Chain(steps=steps, chooses=getattr(search, "chooses", None))


GREEDY = Column({}, "greedy")
NUCLEUS = Column({"temperature(1.3)": temperature(1.3), "top_p(0.8)": top_p(0.8)})
PENALTY = Column({"repetition_penalty(1.4)": repetition_penalty(1.4)}, "greedy")
NO_REPEAT = Column({"no_repeat_ngram(1)": no_repeat_ngram(1)}, "greedy")
COLUMNS = (GREEDY, NUCLEUS, PENALTY)


def log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max()
    return shifted - math.log(float(np.exp(shifted).sum()))


def entropy(logprobs: Array) -> float:
    present = logprobs[np.isfinite(logprobs)]
    return float(-(np.exp(present) * present).sum())


def logits(tokens: Sequence[int]) -> Array:
    """Next-token logits that depend on little of the last token, so that greedy text repeats."""
    draw = np.random.default_rng(tokens[-1] % 64)
    return draw.normal(0.0, 2.2, len(VOCABULARY)) - 0.6 * np.log1p(np.arange(len(VOCABULARY)))


def luck(seed: int, position: int) -> Array:
    return np.random.default_rng([seed, position]).gumbel(size=len(VOCABULARY))


def record(
    tokens: Sequence[int],
    index: int,
    column: Column,
    seed: int,
    top_n: int,
    times: Times,
    at: float,
) -> StepRecord:
    """The record of one step after ``tokens``: the choice and its distribution."""
    scores = logits(tokens)
    raw = log_softmax(scores)
    after = []
    for stage in column.stages.values():
        scores = stage(scores, tokens)
        after.append(log_softmax(scores))
    final = after[-1] if after else raw
    noisy = final + luck(seed, index) if column.search == "sample" else final
    chosen = int(noisy.argmax())
    top = [int(token) for token in np.argsort(-raw, kind="stable")[:top_n]]
    if chosen not in top:
        top.append(chosen)
    return StepRecord(
        index=index,
        parent=index - 1 if index else None,
        token=chosen,
        text=VOCABULARY[chosen],
        raw_logprob=float(raw[chosen]),
        logprob=float(final[chosen]),
        raw_rank=int((raw > raw[chosen]).sum()) + 1,
        rank=int((final > final[chosen]).sum()) + 1,
        raw_entropy=entropy(raw),
        stages=[
            StageSummary(survivors=int(np.isfinite(one).sum()), entropy=entropy(one))
            for one in after
        ],
        candidates=Candidates(
            ids=top,
            texts=[VOCABULARY[token] for token in top],
            raw=[float(math.exp(raw[token])) for token in top],
            stages=[[float(np.exp(one[token])) for token in top] for one in after],
        ),
        times=times,
        at=at,
    )


def comparison(
    columns: Sequence[Column] = COLUMNS,
    length: int = 24,
    seed: int = 7,
    top_n: int = 20,
    run: str = "test",
) -> Comparison:
    """A run of these columns, ``length`` tokens each, timed by a seeded clock."""
    clock = np.random.default_rng(seed)
    prefill = 0.08
    lanes = []
    forwards = clock.normal(0.03, 0.002, length)
    for column in columns:
        tokens = list(PROMPT)
        steps: list[StepRecord] = []
        at = 0.006 + prefill
        for index in range(length):
            own = clock.uniform(0.0004, 0.002, 3)
            times = Times(
                forward=float(forwards[index]) if index else prefill,
                processors=float(own[0]) * len(column.stages),
                search=float(own[1]),
                record=float(own[2]),
                forward_rows=len(columns) if index else 1,
            )
            at += (times.forward if index else 0.0) + times.processors + times.search + times.record
            step = record(tokens, index, column, seed, top_n, times, at)
            steps.append(step)
            tokens.append(step.token)
        written = tokens[len(PROMPT) :]
        text = "".join(VOCABULARY[token] for token in written)
        trace = Trace(
            chain=chain(column.recipe),
            vocab_size=len(VOCABULARY),
            steps=steps,
            outputs=[
                Output(
                    text=text,
                    token_ids=written,
                    nodes=list(range(length)),
                    finish_reason="length",
                )
            ],
        )
        lanes.append(
            LaneResult(
                recipe=column.recipe,
                text=text,
                token_ids=written,
                finish_reason="length",
                trace=trace,
                metrics=measure(trace),
            )
        )
    return Comparison(
        id=run,
        created="2026-01-01T00:00:00Z",
        model=ModelFacts(
            id="random",
            title="Random logits",
            architecture="none",
            parameters=0,
            vocab_size=len(VOCABULARY),
            context_length=1024,
            device="cpu",
            dtype="float64",
            memory=0,
            cache_bytes_per_token=1000,
        ),
        prompt="".join(VOCABULARY[token] for token in PROMPT),
        prompt_tokens=[PromptToken(id=token, text=VOCABULARY[token]) for token in PROMPT],
        seed=seed,
        max_new_tokens=length,
        min_new_tokens=0,
        stop=[],
        timings=Timings(
            queued=0.005,
            tokenize=0.001,
            prefill=prefill,
            prefill_tokens=len(PROMPT),
            total=max((lane.trace.steps[-1].at for lane in lanes if lane.trace.steps), default=0.0),
        ),
        lanes=lanes,
    )


def several_texts() -> Comparison:
    """Three columns, of which the second wrote three texts; the last one is short."""
    made = comparison(run="several")
    lane = made.lanes[1]
    other = comparison(COLUMNS[1:2], seed=9).lanes[0].trace
    count, short = len(lane.trace.steps), 5
    whole = other.outputs[0].model_copy(
        update={"nodes": list(range(count, 2 * count)), "found": {"green tokens": 3.0}}
    )
    cut = {
        "nodes": whole.nodes[:short],
        "token_ids": whole.token_ids[:short],
        "text": "".join(step.text for step in other.steps[:short]),
        "finish_reason": "stop",
    }
    outputs = [*lane.trace.outputs, whole, whole.model_copy(update=cut)]
    steps = [*lane.trace.steps, *other.steps]
    trace = lane.trace.model_copy(update={"steps": steps, "outputs": outputs})
    made.lanes[1] = lane.model_copy(update={"trace": trace})
    return made
