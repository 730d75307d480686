"""The choices of next token in a column whose tokens a person chooses."""

from __future__ import annotations

from typing import Any

from playground.charts import percent, quoted, visible
from playground.trace import LaneResult, StepRecord

SHOWN = 10  # choices: nine have a digit as their key
LONGEST = 24  # characters of a token's text
ENDED = {
    "eos": "You ended the text.",
    "stop": "A stop string ended the text.",
    "length": "The limit of new tokens is reached.",
    "context": "The context is full.",
    "deadline": "The time was up before your turn came.",
    "cancelled": "Stopped before your turn came.",
    "error": "The last choice cannot follow.",
}


def view(result: LaneResult) -> dict[str, Any] | None:
    """The chooser's value for a lane as it ended; None where no person chooses.

    A choice is ``[id, text, probability, percent, what it is called]``.
    """
    if not result.trace.chain.asks:
        return None
    offer, written = result.trace.offer, bool(result.token_ids)
    undo = written or result.finish_reason == "error"
    if offer is None:
        title = ENDED.get(str(result.finish_reason), "")
        return {"title": title, "choices": [], "rest": "", "undo": undo}
    survivors = offer.stages[-1].survivors if offer.stages else result.trace.vocab_size
    choices = _choices(offer)
    of = f"{len(choices)} of {survivors:,}" if len(choices) < survivors else ""
    which = "next" if written else "first"
    title = f"Your turn: choose the {which} token"
    return {"title": title, "choices": choices, "rest": of, "undo": undo}


def waiting() -> dict[str, Any]:
    """The chooser's value while the run goes on: no choices yet."""
    return {
        "title": "Your turn comes when all have ended.",
        "choices": [],
        "rest": "",
        "undo": False,
    }


def _choices(offer: StepRecord) -> list[list[Any]]:
    """The likeliest surviving tokens, by their probability after the recipe."""
    known = offer.candidates
    final = known.final
    survive = [c for c in range(len(known.ids)) if final[c] > 0]
    survive.sort(key=lambda c: -final[c])
    return [
        [
            known.ids[c],
            visible(known.texts[c], LONGEST),
            float(f"{final[c]:.4g}"),
            f"{percent(final[c])} %",
            f"{quoted(known.texts[c])}, {percent(final[c])} %",
        ]
        for c in survive[:SHOWN]
    ]
