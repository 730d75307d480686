"""The value of a column's strip: its lane's tokens, its figures, and where it parts from others."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from playground import charts
from playground.colours import LETTERS
from playground.explain.beams import scored, weight
from playground.explain.partings import Side
from playground.explain.texts import first
from playground.trace import (
    Comparison,
    FinishReason,
    LaneResult,
    LaneTimings,
    Metrics,
    StepRecord,
    Trace,
)
from playground.ui import chooser, empty_text
from playground.ui.links import LostText
from playground.ui.partings import Partings
from playground.ui.views import View

REASONS = {
    "eos": "end",
    "stop": "stop",
    "length": "limit",
    "context": "context",
    "waiting": "your turn",
    "deadline": "time up",
    "cancelled": "stopped",
    "error": "failed",
}
MEANINGS = {
    "tokens": "How many tokens it wrote, and why it ended: the model's own end, a stop string, the "
    "limit, the context, the time, or Stop.",
    "first token": "From Run to the first token: waiting, reading the prompt, one step.",
    "per token": "Mean time between two tokens, with all columns sharing each step of the model.",
    "speed": "Tokens of this text per second after the first one.",
    "perplexity": "How much this text surprises the bare model: exp of its mean surprise in nats.",
    "entropy": "How open the model was on average: 0 is certain; ln of n nats is n equal choices.",
    "distinct-2": "Share of token pairs that are different: 1 where no pair comes twice.",
    "4-gram repeats": "Share of four-token sequences that had already been written.",
    "taken back": "How often the text went back to where something it may not hold began; what "
    "stood there is struck out.",
    "left standing": "What it may not hold and could not do without: it had gone back as often as "
    "it may.",
    "accepted": "Share of the guessed tokens that the recipe would have chosen itself.",
}
TEXTS = {  # what the several texts of a column are
    "draw": "texts, each with luck of its own",
    "text": "texts that score best, the best first",
    "drawn text": "different texts, as they were drawn",
}
MEASURED = "What a step of the recipe measures in this text."


def tokens(path: Sequence[StepRecord], drafts: bool = True, ended: int = 0) -> str:
    """A line of JSON for each token: text, id, probabilities, ranks, and entropy.

    Then, for a drafted position, True where the draft was accepted, else the rejected token's text;
    not without ``drafts``, as for a person's choices, which the search drafts but does not guess.
    Then the name of a special token, and of each of the ``ended`` last tokens, which ended the
    text and are no part of it. Last, what stood there before and was taken back, and why.

    Lines, because Gradio visits all members of a value several times a frame, and sends the end
    alone of a text that grew.
    """
    lines = []
    for number, step in enumerate(path, 1):
        facts = [
            step.text,
            step.token,
            _rounded(step.raw_probability),
            _rounded(step.probability),
            step.raw_rank,
            step.rank,
            _rounded(step.raw_entropy),
            drafts and _drafted(step),
        ]
        named = step.special or (number > len(path) - ended and not step.text)
        if named or step.taken_back:
            facts.append(charts.piece(step) if named else None)
        if step.taken_back:
            facts.append([[one.text, one.why] for one in step.taken_back])
        lines.append(json.dumps(facts))
    return "\n".join(lines)


def figures(
    metrics: Metrics | None, reason: str | None, by_hand: bool = False
) -> list[dict[str, str]]:
    """The eight figures, always in the same order, a dash where there is none yet.

    Then those that only this recipe has: accepted drafts, and its processors' measures. Where
    tokens are chosen ``by_hand``, the text is run again for each, and its times mean nothing.
    """
    if metrics is None:
        metrics = Metrics(tokens=0)
    if by_hand:
        metrics = metrics.model_copy(update={"timings": LaneTimings(), "acceptance": None})
    times = metrics.timings
    ended = REASONS[reason] if reason else ""
    shown = [
        ("tokens", str(metrics.tokens or "—"), f"· {ended}" if ended else ""),
        ("first token", *_milliseconds(times.first_token)),
        ("per token", *_milliseconds(times.per_token)),
        ("speed", _number(times.tokens_per_second, 1), "tokens/s"),
        ("perplexity", _number(metrics.perplexity, 1), ""),
        ("entropy", _number(metrics.mean_entropy, 2), "nats"),
        ("distinct-2", _number(metrics.distinct_2, 2), ""),
        ("4-gram repeats", _number(metrics.repeated_4, 0, 100), "%"),
    ]
    if metrics.acceptance is not None:
        shown.append(("accepted", _number(metrics.acceptance, 0, 100), "%"))
    for name, value in metrics.found.items():
        shown.append((name, _number(value, 0 if float(value).is_integer() else 2), ""))
    return [
        {
            "name": name,
            "value": value,
            "unit": unit if value != "—" else "",
            "meaning": MEANINGS.get(name, MEASURED),
        }
        for name, value, unit in shown
    ]


def empty(index: int, note: str = "") -> dict[str, Any]:
    """A column that has not run."""
    return {
        "run": "",
        "source": "",
        "lane": index,
        "letter": LETTERS[index],
        "recipe": "",
        "output": 0,
        "outputs": 1,
        "texts": "",
        "score": ["", ""],
        "state": "empty",
        "note": note or "Press Run, and this column writes.",
        "offer": "",
        "error": None,
        "partings": "{}",
        "tokens": "",
        "chooser": None,
        "figures": figures(None, None),
    }


def lost(index: int, text: LostText, goes_on: bool) -> dict[str, Any]:
    """A text that stood in this column when its page lost its server, and that may go on."""
    return empty(index) | {
        "run": text.run,
        "source": text.source,
        "recipe": text.recipe,
        "output": text.output,
        "state": "running" if goes_on else "done",
        "note": "",
        "tokens": text.tokens,
        "figures": list(text.figures) or figures(None, None),
    }


def shown(comparison: Comparison, lane: int, output: int = 0) -> dict[str, Any]:
    """The strip of one lane's ``output``-th text, and of the others' texts of that number."""
    result = comparison.lanes[lane]
    sides = [
        Side.of(
            LETTERS[number], other.trace, output, _over(other), comparison.model_of(number).title
        )
        for number, other in enumerate(comparison.lanes)
    ]
    here, count = sides[lane], max(1, len(result.trace.outputs))
    text, offered = first(result, here.output), chooser.view(result)
    reason = text.finish_reason
    return written(comparison.id, lane, result.recipe, sides, Partings(), reason) | {
        "state": "done",
        "offer": empty_text.offer(here.path, reason, comparison),
        "outputs": count,
        "texts": f"{count} {TEXTS.get(here.chooses or '', 'texts')}",
        "score": _score(result.trace, here.output),
        "error": result.error,
        "chooser": offered,
        "figures": figures(text.metrics, reason, offered is not None),
    }


def written(
    run: str,
    lane: int,
    recipe: str,
    sides: Sequence[Side],
    partings: Partings,
    reason: FinishReason | None = None,
) -> dict[str, Any]:
    """The strip of a text as far as it is written, with its partings from the other columns.

    ``sides`` are all columns; ``reason`` is why this one ended, None while it goes on.
    """
    here = sides[lane]
    yours = here.chooses == "person"
    return empty(lane) | {
        "run": run,
        "source": str(View.parse(run).at(lane)),
        "recipe": recipe,
        "output": here.output,
        "state": "running",
        "note": empty_text.sentence(here.path, reason),
        "partings": partings.told(sides, lane),
        "tokens": tokens(here.path, drafts=not yours, ended=_ending(here.path, reason)),
        "chooser": chooser.waiting() if yours else None,
    }


def _score(trace: Trace, output: int) -> list[str]:
    """What the search weighs one of its texts by, short, and in words; empty where it does not."""
    if trace.beams is None or output >= len(trace.outputs) or not scored(trace):
        return ["", ""]
    text, by = trace.outputs[output], trace.beams.weighs_by
    score, worth = _signed(text.score), weight(trace, text)
    if worth is None or by == "score":
        return [score, f"its score is {score}"]
    return [_signed(worth), f"{by} is {_signed(worth)}, the score {score}"]


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _ending(path: Sequence[StepRecord], reason: FinishReason | None) -> int:
    """The number of tokens that ended a text: an end of sequence, or those of a stop string."""
    if reason == "stop":
        return next((n for n, step in enumerate(reversed(path)) if step.text), len(path))
    return int(reason == "eos")


def _drafted(step: StepRecord) -> bool | str:
    return step.draft_text if step.draft not in (None, step.token) else step.draft is not None


def _over(result: LaneResult) -> bool:
    """Whether a lane's text is finished; one that waits for a person is not."""
    return result.finish_reason not in (None, "waiting")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _number(value: float | None, digits: int, scale: float = 1) -> str:
    if value is None:
        return "—"
    return f"{value * scale:.{digits}f}" if math.isfinite(value) else "∞"


def _milliseconds(seconds: float | None) -> tuple[str, str]:
    if seconds is None:
        return "—", ""
    return (f"{seconds * 1e3:.0f}", "ms") if seconds < 9.9995 else (f"{seconds:.1f}", "s")
