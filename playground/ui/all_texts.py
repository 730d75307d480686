"""The value of the element ``all_texts``: all texts of a column, and what they are on average."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.charts import percent, visible
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.explain.samples import Mean, at_position, means, texts
from playground.trace import Comparison, Trace
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.strip import REASONS
from playground.ui.views import LONGEST

SHOWN = 400  # characters of a text
BARS = 16  # tokens of a histogram; the others are one row
# Half a digit in each of these figures.
DIGITS = {"tokens": 1, "4-gram repeats": 2, "distinct-2": 2, "perplexity": 2, "entropy": 2}
WHY = {
    "draw": "Each was drawn with luck of its own; the first is shown.",
    "text": "The search puts the best first.",
    "drawn text": "They were drawn together; the recipe says which is shown first.",
}


class SamplesRequest(BaseModel):
    """A lane of a run, and a place in its texts, from 0; the texts are told where ``whole``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    place: int = Field(0, ge=0)
    whole: bool = True


def view(shown: InspectorView) -> dict[str, Any]:
    """Which texts the element asks for, the one that is shown, and the place that is inspected."""
    at = shown.selection
    return {
        "run": at.run,
        "lane": at.lane,
        "output": at.output,
        "place": at.step,
        "letter": LETTERS[at.lane],
        "colour": COLOURS[at.lane],
    }


def answer(comparison: Comparison | None, asked: SamplesRequest) -> dict[str, Any]:
    """The tokens at one place; and the texts with the means of all columns, where asked for."""
    if comparison is None or asked.lane >= len(comparison.lanes):
        return {"fault": NO_RUN_ADVICE}
    trace = comparison.lanes[asked.lane].trace
    lengths = [len(output.nodes) for output in trace.outputs]
    here = {
        "last": max(lengths, default=1) - 1,
        "histogram": histogram(trace, asked.place),
    }
    return here | (whole(comparison, asked.lane) if asked.whole else {})


def whole(comparison: Comparison, at: int) -> dict[str, Any]:
    """All texts of a lane with their figures, and the means of every lane."""
    lane = comparison.lanes[at]
    known = [texts(one) for one in comparison.lanes]
    own = known[at]
    names = [one.name for one in means(own)]
    found = list(dict.fromkeys(name for one in own for name in one.found))
    return {
        "sentence": _sentence(lane.trace, len(own)),
        "texts": [
            {
                "output": one.output,
                "number": one.sample + 1,
                "text": one.text[:SHOWN] + ("…" if len(one.text) > SHOWN else ""),
                "reason": REASONS[one.reason] if one.reason else "",
                "figures": [
                    *(_short(figure) for figure in means([one])),
                    *(_number(one.found.get(name)) for name in found),
                ],
            }
            for one in own
        ],
        "means": [
            {
                "letter": LETTERS[at],
                "colour": COLOURS[at],
                "count": count(len(some), "text"),
                "figures": [_interval(figure) for figure in means(some)],
            }
            for at, some in enumerate(known)
        ],
        "names": names,
        "found": found,
    }


def histogram(trace: Trace, place: int) -> dict[str, Any]:
    """How often each token stands at this place, over all texts."""
    shares = at_position(trace, place)
    kinds = sum(share.token is not None for share in shares)
    rows = [
        {
            "text": "ended before" if one.token is None else visible(one.text, 22),
            "share": one.share,
            "told": f"{one.count} · {percent(one.share)} %",
            "ended": one.token is None,
        }
        for one in shares[:BARS]
    ]
    rest = shares[BARS:]
    if rest:
        total = sum(one.count for one in rest)
        share = sum(one.share for one in rest)
        rows.append(
            {
                "text": f"{len(rest)} others",
                "share": share,
                "told": f"{total} · {percent(share)} %",
                "ended": True,
            }
        )
    told = f"Token {place + 1}: {count(kinds, 'token')} in {count(len(trace.outputs), 'text')}."
    return {"sentence": told, "rows": rows}


def _sentence(trace: Trace, number: int) -> str:
    if number < 2:
        return (
            "This column wrote one text. With sample(8) it writes eight, and best_of, mbr or "
            "self_consistency show the best of several."
        )
    by = trace.beams.weighs_by if trace.beams is not None else ""
    why = WHY.get(trace.chain.chooses or "", "")
    if trace.chain.chooses == "drawn text" and by:
        why = f"They were drawn together; the one with the highest {by} is shown first."
    return f"{count(number, 'text')} of one prompt. {why}".strip()


def _interval(figure: Mean) -> str:
    if figure.mean is None:
        return "—"
    digits = DIGITS.get(figure.name, 2)
    told = f"{figure.mean:.{digits}f}".replace("-", "−")
    return told if figure.within is None else f"{told} ± {figure.within:.{digits}f}"


def _short(figure: Mean) -> str:
    if figure.mean is None:
        return "—"
    return f"{figure.mean:.{0 if figure.name == 'tokens' else 2}f}".replace("-", "−")


def _number(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.{0 if float(value).is_integer() else 3}f}".replace("-", "−")
