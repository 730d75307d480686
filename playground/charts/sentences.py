"""The sentence above each chart, about the run that it shows."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, median

from playground.charts import text
from playground.charts.memory import held
from playground.charts.stages import summaries
from playground.charts.steps import WINDOW, partings
from playground.charts.timeline import unseen
from playground.charts.timings import decode_steps, rates, shared_rows
from playground.colours import LETTERS
from playground.trace import Comparison, StepRecord, Trace


def about_distribution(
    step: StepRecord, trace: Trace, colour: str, stage: int | None = None
) -> str:
    """What the bars are, how many tokens are left, and which was chosen.

    ``colour`` is the name of the recipe's colour.
    """
    shown = len(trace.stages) - 1 if stage is None else stage
    model = f"rank {step.raw_rank:,}, {text.percent(step.raw_probability)} %"
    if not trace.stages:
        return f"Grey: the model, which {trace.search} reads as it is. Chosen: {model}."
    chosen = step.candidates.ids.index(step.token)
    if shown < 0:
        return f"Grey: the model, before any step of the recipe. Chosen: {model}."
    after = " › ".join(one.label for one in trace.chain.processors[: shown + 1])
    left = step.stages[shown].survivors
    last = shown == len(trace.stages) - 1
    rank = f"rank {step.rank:,}, " if last else ""
    probability = text.percent(step.candidates.stages[shown][chosen])
    return (
        f"Grey: the model; {colour}: after {after}. {left:,} of {trace.vocab_size:,} tokens are "
        f"left. Chosen: {rank}{probability} % (model: {model})."
    )


def about_stages(step: StepRecord, trace: Trace) -> str:
    """How uncertain the model was, what the recipe left of it, and which stage removed what."""
    rows = summaries(step, trace)
    model, last = rows[0][1], rows[-1][1]
    told = f"The model is as uncertain as a fair choice among {fair(model.entropy)}"
    if not trace.stages:
        return (
            f"{told}; no step of the recipe changes that. The outline is a fair choice among all."
        )
    told += f", after the recipe among {fair(last.entropy)}."
    for (_, before), (name, after) in pairwise(rows):
        removed = before.survivors - after.survivors
        if removed > 0:
            told += f" {name} removes {text.count(removed, 'token')}."
    return told + " An outline is a fair choice among all that are left."


def fair(entropy: float) -> str:
    """Among how many tokens a fair choice is as uncertain as ``entropy`` nats."""
    number = math.exp(entropy)
    return f"{number:.1f} tokens" if number < 9.95 else text.count(round(number), "token")


def about_per_step(comparison: Comparison) -> str:
    """Which rows share the forward pass, its time, and the time of each column's own work."""
    shared = shared_rows(comparison)
    if shared is None:
        return "No step after the first token yet: that one comes from the prompt's own pass."
    steps = [decode_steps(comparison, lane) for lane in range(len(comparison.lanes))]
    forward = median(step.times.forward for lane in steps for step in lane)
    own = {
        LETTERS[lane]: median(
            s.times.processors + s.times.search + s.times.record for s in steps[lane]
        )
        for lane in range(len(steps))
        if steps[lane]
    }
    rows = f"{shared[0]}" if shared[0] == shared[1] else f"{shared[0]} to {shared[1]}"
    took = text.milliseconds(forward)
    most = max(own, key=lambda letter: own[letter])
    if comparison.timings.alone:
        told = (
            f"Columns ran one after the other, each with forward passes (grey) of its own: {took}"
        )
    elif shared[1] == 1:
        told = f"Each step is one forward pass (grey) of one row: {took}"
    else:
        told = f"Each step is one forward pass (grey) that {rows} rows share: {took}"
    added = f"{text.milliseconds(own[most])}"
    if len(own) == 1:
        told = f"{told} at the median; the recipe's own work adds {added}."
    else:
        told = f"{told} at the median; a column's own work adds at most {added} ({most})."
    return told + _about_rates(comparison)


def _about_rates(comparison: Comparison) -> str:
    found = rates(comparison)
    if found is None:
        return ""
    slowest, fastest = _rate(found.slowest), _rate(found.fastest)
    lane = slowest if slowest == fastest else f"{slowest} to {fastest}"
    return (
        f" A column writes {lane} tokens per second; the machine "
        f"{_rate(found.machine)}, all rows of everybody counted."
    )


def _rate(per_second: float) -> str:
    return f"{per_second:.{1 if per_second < 99.5 else 0}f}"


def about_memory(comparison: Comparison) -> str:
    """Bytes of one token in a row, of all columns at their end, and of the process and the GPU."""
    per_token = comparison.model.cache_bytes_per_token
    if per_token is None:
        return "How much memory a token takes was not written down for this run."
    told = f"A row keeps {text.size(per_token)} of keys and values for every token"
    ends = [held(comparison, lane)[-1:] for lane in range(len(comparison.lanes))]
    total = sum(tokens[0] for tokens in ends if tokens)
    if total:
        told += f"; all columns together hold {text.size(total * per_token)} at their end"
    known = comparison.timings.memory
    if known is None:
        return f"{told}."
    if known.process is not None:
        told += f". The process holds {text.size(known.process)} of memory, the model included"
    if known.gpu is not None and known.gpu_peak is not None:
        told += (
            f". The GPU holds {text.size(known.gpu)} for it, {text.size(known.gpu_peak)} at most"
        )
    return f"{told}."


def about_timeline(comparison: Comparison) -> str:
    """Time before the first token, and time per token of the prompt and of the text."""
    whole = comparison.timings
    count = text.count(whole.prefill_tokens, "token")
    told = f"Cutting the prompt into {count} took {text.milliseconds(whole.tokenize)}, "
    told += f"waiting {text.milliseconds(whole.queued)}; "
    prefill = text.milliseconds(whole.prefill)
    if whole.prompt_known:
        told += f"they had been read before, and were copied in {prefill}"
    else:
        told += f"reading them {prefill}"
        if whole.prefill_tokens > 1:
            told += f", {text.milliseconds(whole.prefill / whole.prefill_tokens)} per token"
    if whole.alone:
        told += ", once for each column"
    per_token = [
        lane.metrics.timings.per_token
        for lane in comparison.lanes
        if lane.metrics.timings.per_token is not None
    ]
    if per_token:
        told += f"; writing takes {text.milliseconds(fmean(per_token))} per token"
    hidden = [] if whole.alone else unseen(comparison)
    return f"{told}. Too short to be seen: {' and '.join(hidden)}." if hidden else f"{told}."


def about_steps(comparison: Comparison, after: bool = False, reference: int | None = None) -> str:
    """What the two panels show, where columns part, and the least expected token of all.

    Each column is compared with the lane ``reference``, or with the one before it.
    """
    whose = "after the recipe" if after else "the model's own"
    told = f"Uncertainty before each token, and the probability of the chosen one, {whose}."
    paths = [lane.trace.path() for lane in comparison.lanes]
    tokens = [[step.token for step in path] for path in paths if path]
    if not tokens:
        return told
    if len(tokens) > 1:
        found = partings(comparison, reference)
        parted = [
            f"{LETTERS[lane]} parts from {LETTERS[one.reference]} at token {one.step + 1}"
            for lane, one in found.items()
        ]
        told += (
            f" {', '.join(parted)} (dotted)."
            if parted
            else " The columns write the same so far as they go."
        )
    lane, step = min(
        ((lane, step) for lane, path in enumerate(paths) for step in path),
        key=lambda pair: pair[1].logprob if after else pair[1].raw_logprob,
    )
    least = text.percent(step.probability if after else step.raw_probability)
    name = f"{LETTERS[lane]}, token {step.index + 1}, {text.quoted(text.piece(step))}"
    told += f" Least expected: {name}, {least} %."
    if max(map(len, paths)) >= 2 * WINDOW:
        told += f" Points are tokens, lines their mean over {WINDOW}."
    return told
