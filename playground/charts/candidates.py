"""The rows of a step's distribution: likeliest tokens, the chosen one, all others as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.charts import text
from playground.trace import StepRecord, Trace

GAP = 0.4  # rows left free above a chosen token that is not among the likeliest


@dataclass(frozen=True)
class Bar:
    """One row: a token's raw probability, and the ``shown`` one; ``y`` is counted in rows.

    ``removed_by`` is the stage that removed the ``token``, by index; ``told`` its hover, in lines.
    """

    label: str
    raw: float
    shown: float
    y: float
    removed_by: int | None = None
    chosen: bool = False
    others: bool = False
    told: tuple[str, ...] = ()
    token: int | None = None

    @property
    def trail(self) -> str:
        """``told`` as HTML for Plotly's hover."""
        first, *rest = map(text.literal, self.told)
        return "<br>".join([f"<b>{first}</b>", *rest])


def rows(step: StepRecord, trace: Trace, stage: int, limit: int = 12) -> list[Bar]:
    """The ``limit`` likeliest tokens, raw or at any stage; the chosen one; the others together.

    ``shown`` is a token's probability after ``stage``, the raw one for −1. The tokens are the same
    at every ``stage``.
    """
    candidates = step.candidates
    highest = [
        max([raw, *(probabilities[c] for probabilities in candidates.stages)])
        for c, raw in enumerate(candidates.raw)
    ]
    likeliest = sorted(range(len(highest)), key=lambda c: -highest[c])[:limit]
    chosen = candidates.ids.index(step.token)
    listed = sorted(likeliest) + ([] if chosen in likeliest else [chosen])
    after = candidates.stages[stage] if stage >= 0 else candidates.raw
    bars = []
    for row, c in enumerate(listed):
        removed = trace.removed_by(step, c)
        bars.append(
            Bar(
                label=text.visible(candidates.texts[c], 18),
                raw=candidates.raw[c],
                shown=after[c],
                y=row + (GAP if c not in likeliest else 0.0),
                removed_by=removed if removed is not None and removed <= stage else None,
                chosen=c == chosen,
                told=_life(step, trace, c, removed),
                token=candidates.ids[c],
            )
        )
    others = _others(step, trace, stage, bars)
    return bars if others is None else [*bars, others]


def _others(step: StepRecord, trace: Trace, stage: int, bars: Sequence[Bar]) -> Bar | None:
    """All other tokens as one row; None where ``bars`` are the whole vocabulary."""
    number = trace.vocab_size - len(bars)
    if number <= 0:
        return None
    raw = max(0.0, 1.0 - sum(bar.raw for bar in bars))
    left = max(0.0, 1.0 - sum(bar.shown for bar in bars))
    survivors = step.stages[stage].survivors if stage >= 0 else trace.vocab_size
    if survivors <= sum(bar.shown > 0 for bar in bars):
        left = 0.0  # the difference is a rounding error
    label = text.count(number, "other")
    told = (f"{label} together", f"model {text.percent(raw)} %")
    told += (f"shown {text.percent(left)} %",) if stage >= 0 else ()
    return Bar(label, raw, left, bars[-1].y + 1 + GAP, others=True, told=told)


def _life(step: StepRecord, trace: Trace, c: int, removed: int | None) -> tuple[str, ...]:
    """A candidate's lines: its text, the raw probability, and that after each stage it reached."""
    known = step.candidates
    lines = [
        f"{text.visible(known.texts[c], 60)}  id {known.ids[c]}",
        f"model {text.percent(known.raw[c])} %",
    ]
    steps = trace.chain.processors
    for stage, (one, after) in enumerate(zip(steps, known.stages, strict=True)):
        told = "removed" if stage == removed else f"{text.percent(after[c])} %"
        lines.append(f"after {one.label}: {told}")
        if stage == removed:
            break
    return tuple(lines)
