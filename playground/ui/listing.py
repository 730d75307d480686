"""Lists of candidates that are searched and walked: why a token, and how it was drawn.

Each function gives the value of the element ``listing``; the bars of its rows are as in ``rows``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from playground import charts
from playground.colours import COLOURS, LETTERS
from playground.explain import tables
from playground.explain.draw import Draw, Ticket, draw
from playground.explain.removal import removal
from playground.explain.words import count, shown
from playground.trace import StepRecord
from playground.ui.inspector_view import InspectorView
from playground.ui.saved import as_listed, saved

READ = (
    "Grey: what the model gave a candidate. Colour: what the recipe left of it. "
    "A click, or Enter, offers to go on from it."
)
NO_DRAW = "This recipe takes no luck at a token, so there is no draw to look into."
CHOOSES = {
    "likeliest": "takes the likeliest token, without luck",
    "text": "weighs whole texts, without luck",
    "drawn text": "draws among whole texts",
    "likeness": "weighs likeness to what came before, without luck",
    "person": "asks a person",
}
FEW = 12  # candidates of a draw that are listed


def why(view: InspectorView) -> dict[str, Any]:
    """Every recorded candidate: what is left of it, or which step removed it and by how much."""
    step, trace = _step(view), view.trace
    known = step.candidates
    widest = max(max(known.raw), max(known.final)) or 1.0
    paired = bool(trace.stages)
    rows = []
    for at, (token, text) in enumerate(zip(known.ids, known.texts, strict=True)):
        raw, final, gone = known.raw[at], known.final[at], removal(trace, step, at)
        chosen = token == step.token
        bars = [[raw / widest, "removed" if gone else "by-model"]]
        bars += [[final / widest, "by-recipe"]] if paired else []
        note = "chosen" if chosen else ""
        if gone:
            note = gone.sentence.removeprefix(f"{shown(text, token)}, ")
        rows.append(
            {
                "label": charts.visible(text, 18),
                "find": f"{text}\n{token}",
                "bars": [[round(share, 4), kind] for share, kind in bars],
                "values": _course([raw, *(stage[at] for stage in known.stages)]),
                "note": note,
                "marked": chosen,
                "faint": gone is not None,
                "tell": [token],
            }
        )
    left = trace.vocab_size - len(rows)
    none = f"It is not among the {len(rows)} candidates that were recorded; {left:,} were not."
    table = saved("candidates", view.marked, tables.candidates(trace, step))
    return listing(view, READ, rows, table) | {"find": "Find a candidate", "none": none}


def _course(probabilities: list[float]) -> str:
    """A candidate's probability, raw and after each stage that changed it until it was removed."""
    told = [charts.percent(probabilities[0])]
    for before, after in pairwise(probabilities):
        if before != after:
            told.append(charts.percent(after))
        if not after:
            break
    return f"{' → '.join(told)} %"


def tickets(view: InspectorView) -> dict[str, Any]:
    """The draw of the token: each candidate's log-probability plus its noise, the winner first."""
    found = _draw(view, view.selection.lane)
    if isinstance(found, str):
        return listing(view, found, [])
    listed = found.tickets[:FEW]
    ends = [end for one in listed for end in (one.logprob, one.total)]
    low, span = min(ends) - 0.2, max(max(ends) - min(ends), 1.0) + 0.2
    rows = [
        {
            "label": charts.visible(one.text, 18),
            "bars": [
                [round((one.logprob - low) / span, 4), "by-model"],
                [round((one.total - low) / span, 4), "by-recipe"],
            ],
            "values": _sum(one),
            "note": "" if at else "drawn",
            "marked": not at,
        }
        for at, one in enumerate(listed)
    ]
    read = "Grey is the log-probability after the recipe; colour has the luck added. Most wins."
    table = saved("draw", view.marked, tables.tickets(found))
    return listing(view, f"{found.sentence} {_luck(found, _step(view))} {read}", rows, table)


def neighbours(view: InspectorView) -> dict[str, Any]:
    """The same draw in every other column that had written the same before it."""
    step = _step(view)
    before = [one.token for one in view.path[: view.selection.step]]
    rows = []
    for lane in range(len(view.comparison.lanes)):
        if lane == view.selection.lane:
            continue
        path = view.comparison.lanes[lane].trace.path()
        same = [one.token for one in path[: view.selection.step]] == before
        if not same or len(path) <= view.selection.step:
            note, label = "had written something else before this token", LETTERS[lane]
        else:
            other = path[view.selection.step]
            note = _elsewhere(view, lane, other, step)
            label = f"{LETTERS[lane]} {shown(charts.piece(other), other.token)}"
        rows.append({"label": label, "bars": [], "values": "", "note": note})
    told = "The same draw, with the same luck, under the settings of the other columns."
    table = saved("same-draw", view.marked, as_listed(rows))
    return listing(view, told if rows else "", rows, table)


def _elsewhere(view: InspectorView, lane: int, other: StepRecord, step: StepRecord) -> str:
    trace = view.comparison.lanes[lane].trace
    found = _draw(view, lane)
    own = other.candidates.ids
    if isinstance(found, str):
        told = f"{trace.chain.search.label} {CHOOSES.get(trace.chain.chooses or '', 'chose it')}"
    else:
        told = f"{_sum(found.winner)}"
    if other.token == step.token:
        return f"{told}; the same token"
    if step.token not in own:
        return told
    gone = removal(trace, other, own.index(step.token))
    if gone:
        return f"{told}; here {gone.sentence}"
    lost = [] if isinstance(found, str) else [t for t in found.tickets if t.token == step.token]
    return f"{told}; {shown(lost[0].text, step.token)} had {_sum(lost[0])}" if lost else told


def _draw(view: InspectorView, lane: int) -> Draw | str:
    """How a lane drew at the selected step, or why that is not known."""
    comparison = view.comparison
    trace = comparison.lanes[lane].trace
    texts = view.selection.shown(len(comparison.lanes))
    seed = trace.chain.search.params.get("seed")
    seed = comparison.seed if seed is None else seed
    try:
        found = draw(trace, trace.path()[view.selection.step], seed, texts[lane])
    except ValueError:
        return "This token was not drawn: it was put there, or drawn with luck of another run."
    return NO_DRAW if found is None else found


def _luck(found: Draw, step: StepRecord) -> str:
    """How rare the winner's luck is, and its rank."""
    noise = found.winner.noise
    once = 1.0 / max(-math.expm1(-math.exp(-noise)), 1e-12)
    rank = f"It stood at rank {step.rank:,} after the recipe"
    if step.rank == 1:
        return f"{rank}, and no other token's luck made up for the difference."
    rare = f"one token in {once:,.0f}" if once >= 1.5 else "almost every token"
    others = count(step.rank - 1, "likelier token")
    return f"{rank}: luck as good as its own comes to {rare}, and lifted it over {others}."


def _sum(one: Ticket) -> str:
    sign = "+" if one.noise >= 0 else "−"
    return f"{one.logprob:.2f} {sign} {abs(one.noise):.2f} = {one.total:.2f}".replace("-", "−")


def _step(view: InspectorView) -> StepRecord:
    assert view.step is not None  # nothing is drawn of a text without a token
    return view.step


def listing(
    view: InspectorView,
    sentence: str,
    rows: list[dict[str, Any]],
    table: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The element's value; ``table`` is what is saved of it."""
    colour = COLOURS[view.selection.lane]
    shown = {"sentence": sentence, "colour": colour, "find": "", "none": "", "rows": rows}
    return shown | {"table": table}
